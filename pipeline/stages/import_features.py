"""A file of features from elsewhere → what the stages from fit on read: index, splits, features; and no pictures."""

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import artifacts, provenance, splitting, storage
from pipeline.errors import PipelineError
from pipeline.features import foreign
from pipeline.imaging import admission, attributes, featured, findings, identity, labels, roster
from pipeline.imaging.quarantine import count_reasons
from pipeline.params import Data, Params

log = logging.getLogger(__name__)
STAGE = "import-features"
PACKAGES = ("numpy", "pandas")
SOURCES = provenance.sources(__file__, foreign)
NEXT = "dvc repro --downstream fit audit"


def run(params: Params, file: str) -> None:
    """Read, check and join the features with their labels; split by patient; then write."""
    path, p = Path(os.path.expanduser(file)), params.data
    _refuse_pictures()
    found = foreign.read(path, featured.metadata(p))
    rows, notes = featured.labelled(found.columns, len(found.values), p, path)
    index, quarantine = _admit(rows, found.values, p, path)
    splits, summary = splitting.split(index, artifacts.classes(index, p.classes), params.split)
    artifacts.save_quarantine("index", quarantine, alone=True)
    artifacts.save_quarantine("pixels", [])
    artifacts.save_index(index)
    artifacts.save_splits(splits, summary)
    places = index["path"].map(dict(zip(rows["path"], range(len(rows)), strict=True)))
    _save_features(found.values[places], index, provenance.checksum(path))
    for line in [*found.notes, *notes, *_told(index, quarantine, found.values.shape[1]), *splitting.lines(summary)]:
        log.info(line)
    for warning in summary["warnings"]:
        log.warning(warning)
    log.info("Next, without images: %s", NEXT)


def _refuse_pictures() -> None:
    """Pictures that were rendered are hours of work, and this stage puts an empty store in their place."""
    try:
        made_by = storage.load_json(artifacts.PIXELS / "manifest.json", "pixels")["made_by"]
    except PipelineError:
        return
    if made_by["stage"] != STAGE:
        remedy = f"import in another copy of the project, or move {artifacts.ROOT} away first"
        raise PipelineError(artifacts.PIXELS, "holds pictures, which have features of their own", remedy)


def _admit(rows: pd.DataFrame, values: np.ndarray, p: Data, path: Path) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """The index, and what is set aside, as the index stage has them of files."""
    key = identity.load_key()
    files = featured.as_files(rows, values, key)
    given, _ = labels.match(rows, files, Path(), key, path.name)
    index, quarantine = roster.admit(files, given, None if p.task == "multilabel" else p.classes, key, "first")
    index, note = findings.without_absent(index, p)
    if note:
        log.info(note)
    attributes.check(index)
    artifacts.save_quarantine("index", quarantine, alone=True)
    admission.check(index, quarantine, path, p.task)
    admission.check_loss(index, roster.lost(quarantine, given), p.max_quarantined)
    if (rows["patient"] == "").all():
        log.warning("no data.patient: each row is taken for a patient of its own; rows of one may be in train and test")
    return index, quarantine


def _save_features(values: np.ndarray, index: pd.DataFrame, file: str) -> None:
    """Features in the order of the index, and an empty picture store and backbone, which say where they come from."""
    made_by = provenance.of(STAGE, {"dtype": "float32", "features": values.shape[1]}, {"file": file}, PACKAGES, SOURCES)
    none = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in artifacts.PIXEL_ROWS.items()})
    artifacts.save_pixels(none, (0, 0), np.dtype(np.uint8), {}, made_by, [])
    name = artifacts.backbone_name(None)
    artifacts.save_backbone(name, b"", pd.DataFrame(columns=["epoch"]), made_by)
    for stale in set(artifacts.backbone_names()) - {name}:
        shutil.rmtree(artifacts.BACKBONE / stale)
    inputs = {**made_by["inputs"], **artifacts.feature_inputs(name)}
    rows = index[["image_id", "fingerprint"]].assign(view=0)
    artifacts.save_features({name: values}, rows, {name: {**made_by, "inputs": inputs}})


def _told(index: pd.DataFrame, quarantine: Sequence[Mapping[str, str]], features: int) -> list[str]:
    patients, counts = index["group"].nunique(), admission.counts(index)
    return [
        f"{STAGE}: {len(index)} rows of {patients} patients, {features} features ({counts})",
        f"set aside: {count_reasons(quarantine)}",
    ]
