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
from pipeline.imaging import admission, attributes, findings, flags, foldered, identity, labels, roster, scan
from pipeline.imaging.quarantine import count_reasons
from pipeline.imaging.roster import NO_MATCH, NO_ROW
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
    chosen, unlabelled = (None if p.task == "multilabel" else p.classes), NO_MATCH if p.pattern else NO_ROW
    index, refused = roster.admit(files, given, chosen, key, p.frames, unlabelled)
    attributes.check(index)
    index, note = findings.without_absent(index, p)
    if note:
        log.info(note)
    quarantine = refused + strays + strange
    artifacts.save_quarantine("index", quarantine, alone=True)
    admission.check(index, quarantine, root, p.task)
    admission.check_loss(index, roster.lost(refused, given) + strays, p.max_quarantined)
    artifacts.save_quarantine("index", quarantine)
    artifacts.save_index(index)
    _log(index, quarantine, side)


def _labels(p: Data, files: pd.DataFrame, root: Path, key: bytes) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Label of each file that has one, and quarantine rows for labels without a file."""
    if p.labels == "folders":
        paths = files["path"]
        given = (
            foldered.from_pattern(paths, p.pattern, p.attributes, key) if p.pattern else foldered.from_folders(paths)
        )
        return findings.take_apart(given, p, root)[0], []
    path = Path(os.path.expanduser(p.labels))
    names = labels.Columns(findings.columns(p), p.path, p.id, p.patient, p.split, tuple(p.attributes))
    table, notes = findings.take_apart(labels.read_csv(path, names), p, path)
    for note in notes:
        log.info(note)
    return labels.match(table, files, root, key, path.name)


def _log(index: pd.DataFrame, quarantine: list[dict[str, str]], side: Counter[str]) -> None:
    log.info("index: %d images of %d patients (%s)", len(index), index["group"].nunique(), admission.counts(index))
    by_exam, alone = roster.count_without_patient(index)
    if by_exam or alone:
        log.info("no patient: %d DICOM images are grouped by exam, %d stand alone", by_exam, alone)
    log.info("set aside: %s", count_reasons(quarantine))
    if others := ", ".join(f"{side[kind]} {kind}" for kind in sorted(side) if side[kind]):
        log.info("files of other kinds: %s", others)
    if joined := admission.note(index):
        log.warning(joined)
    for flag in flags.flags(index):
        log.warning("%s: %s", flag.name, flag.words)


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
