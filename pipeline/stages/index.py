"""Image folder and labels → index.parquet, quarantine.csv, and the memo of the scan."""

import logging
import os
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import artifacts
from pipeline.errors import PipelineError
from pipeline.imaging import findings, flags, identity, labels, roster, scan
from pipeline.imaging.quarantine import count_reasons
from pipeline.params import Data, Params

log = logging.getLogger(__name__)

CHUNK = 64  # files per unit of work
BLOCK = 8192  # rows that are held as Python objects
SAVE_EVERY = 60.0  # seconds between writes of the memo during a long first scan


def run(params: Params) -> None:
    """Scan the image folder, join the labels, and write who is in and who is set aside."""
    p, root = params.data, Path(os.path.expanduser(params.data.images))
    key = identity.load_key()
    found, strange, side = scan.candidates(root)
    files = _headers(found, root, key, params.engine.workers)
    directories = files["reason"] == scan.DIRECTORY
    side["DICOMDIR"] += int(directories.sum())
    files = files[~directories]
    given, strays = _labels(p, files, root, key)
    index, refused = roster.admit(files, given, None if p.task == "multilabel" else p.classes, key, p.frames)
    if not p.classes and isinstance(p.label, str):
        index = _without_absent_labels(index)
    quarantine = refused + strays + strange
    artifacts.save_quarantine("index", quarantine, alone=True)
    _check(index, quarantine, root, p.task)
    _check_loss(index, roster.lost(refused, given) + strays, p.max_quarantined)
    artifacts.save_quarantine("index", quarantine)
    artifacts.save_index(index)
    _log(index, quarantine, side)


def _labels(p: Data, files: pd.DataFrame, root: Path, key: bytes) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Label of each file that has one, and quarantine rows for labels without a file."""
    if p.labels == "folders":
        return labels.from_folders(files["path"]), []
    path = Path(os.path.expanduser(p.labels))
    return labels.match(_table_of_labels(p, path), files, root, key, path.name)


def _table_of_labels(p: Data, path: Path) -> pd.DataFrame:
    """Rows of the CSV, with label columns if an image may have several labels."""
    if isinstance(p.label, str):
        table = labels.read_csv(path, labels.Columns(p.label, p.path, p.id, p.patient, p.split))
        if p.task != "multilabel":
            return table
        table, ignored = findings.from_joined(table, p.classes)
        if ignored:
            counts = ", ".join(f"{name} {count}" for name, count in sorted(ignored.items()))
            log.info("labels that data.classes leaves out (rows): %s", counts)
        return table
    names = findings.choose(p.label, p.classes)
    table = labels.read_csv(path, labels.Columns(tuple(names), p.path, p.id, p.patient, p.split))
    return findings.from_columns(table, names, path)


def _without_absent_labels(index: pd.DataFrame) -> pd.DataFrame:
    """Joined labels come without a list of them, so those that no image has are none."""
    absent = findings.nowhere_present(index)
    if absent and len(index):
        log.info(
            "labels that no usable image has: %s", ", ".join(name.removeprefix(artifacts.LABEL) for name in absent)
        )
    return index.drop(columns=absent)


def _log(index: pd.DataFrame, quarantine: list[dict[str, str]], side: Counter[str]) -> None:
    log.info("index: %d images of %d patients (%s)", len(index), index["group"].nunique(), _counts(index))
    by_exam, alone = roster.count_without_patient(index)
    if by_exam or alone:
        log.info("no patient: %d DICOM images are grouped by exam, %d stand alone", by_exam, alone)
    log.info("set aside: %s", count_reasons(quarantine))
    if others := ", ".join(f"{side[kind]} {kind}" for kind in sorted(side) if side[kind]):
        log.info("files of other kinds: %s", others)
    for flag in flags.flags(index):
        log.warning("%s: %s", flag.name, flag.words)


def _counts(index: pd.DataFrame) -> str:
    """Images of each class, or those that have each label, with those for which it is not known."""
    if not artifacts.label_columns(index):
        counts = index["label"].value_counts()
        return ", ".join(f"{name} {counts[name]}" for name in artifacts.classes(index, None))
    present, missing, without = findings.count(index)
    told = [f"{name} {present[name]}" + (f" and {missing[name]} unknown" if missing[name] else "") for name in present]
    return ", ".join([*told, f"none of them {without}"])


def _headers(found: pd.DataFrame, root: Path, key: bytes, workers: int) -> pd.DataFrame:
    """Header of every file: remembered where path, size and mtime are the same, else read."""
    stamp = scan.stamp(key, root)
    memo = artifacts.load_scan()
    known, fresh = scan.compare(found, memo, stamp)
    if not fresh:
        if len(known) < len(memo):
            artifacts.save_scan(known)
        return known
    # Both imports cost more than a scan that finds nothing new.
    from pipeline import engine
    from pipeline.imaging import headers

    chunks = [fresh[start : start + CHUNK] for start in range(0, len(fresh), CHUNK)]
    blocks: list[pd.DataFrame] = []
    rows: list[dict[str, Any]] = []
    saved = time.monotonic()
    for chunk in engine.map(partial(headers.read_chunk, root=root.absolute(), key=key), chunks, workers, "index"):
        rows.extend(chunk)
        late = time.monotonic() - saved > SAVE_EVERY
        if late or len(rows) >= BLOCK:
            blocks.append(_table(rows))
            rows = []
        if late:
            _save(known, blocks, found, stamp)
            saved = time.monotonic()
    return _save(known, [*blocks, _table(rows)] if rows else blocks, found, stamp)


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows of files that were read, which take a fifth of the memory as a table."""
    return pd.DataFrame(rows).astype({name: artifacts.SCAN_COLUMNS[name] for name in rows[0]})


def _save(known: pd.DataFrame, blocks: list[pd.DataFrame], found: pd.DataFrame, stamp: str) -> pd.DataFrame:
    """Write the memo and return all rows; what could not be opened is tried again next time."""
    fresh = pd.concat(blocks, ignore_index=True).merge(found, on="path").assign(stamp=stamp)
    rows = pd.concat([known, fresh], ignore_index=True) if len(known) else fresh
    rows = rows[list(artifacts.SCAN_COLUMNS)].astype(artifacts.SCAN_COLUMNS).sort_values("path", ignore_index=True)
    artifacts.save_scan(rows[rows["fingerprint"] != ""])
    return rows


def _check(index: pd.DataFrame, quarantine: list[dict[str, str]], root: Path, task: str) -> None:
    remedy = f"see {artifacts.QUARANTINE}; paths in the labels are relative to data.images"
    if index.empty:
        raise PipelineError(root, f"no image can be used: {count_reasons(quarantine)}", remedy)
    classes = artifacts.classes(index, None)
    twins = pd.Series(classes).groupby([_spelling(name) for name in classes]).agg(list)
    for names in twins[twins.map(len) > 1]:
        what = f"{' and '.join(map(repr, names))} look like one class"
        raise PipelineError("data.label", what, "spell it in one way in the labels")
    if task == "multilabel" and len(classes) < 2:
        what = f"{classes[0]!r} is the only label that an image has" if classes else "no image has any label"
        raise PipelineError("data.label", what, "for one label write a column of two classes and data.task: binary")
    if len(classes) < 2:
        what = f"all {len(index)} images have the label {classes[0]!r} (set aside: {count_reasons(quarantine)})"
        raise PipelineError("data.label", what, "a classifier needs two classes: name another column, or add images")
    if task == "binary" and len(classes) > 2:
        what = f"data.task: binary has two classes, but the labels have {len(classes)}: {_counts(index)}"
        raise PipelineError("data.label", what, "set data.task: multiclass, or merge classes in the labels CSV")


def _check_loss(index: pd.DataFrame, lost: list[dict[str, str]], most: float) -> None:
    """Stop when more of the labelled images are set aside than data.max_quarantined allows."""
    total = index["path"].nunique() + len(lost)
    if len(lost) > most * total:
        what = (
            f"{len(lost)} of {total} labelled images ({len(lost) / total:.1%}) are set aside, more than the {most:.1%} "
            f"of data.max_quarantined: {count_reasons(lost)}"
        )
        remedy = f"see {artifacts.QUARANTINE} and mend what it names, or raise data.max_quarantined"
        raise PipelineError("data.labels", what, remedy)


def _spelling(label: str) -> str:
    """What `1`, `1.0` and `01`, or `normal` and `Normal`, have in common."""
    try:
        return repr(float(label))
    except ValueError:
        return label.casefold()
