"""A file of features from elsewhere → audit.json, audit/ and audit.html in a folder of their own; no other artifact."""

import dataclasses
import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import artifacts, splitting, storage
from pipeline.errors import PipelineError
from pipeline.features import checks, foreign
from pipeline.features.auditing.evidence import Evidence
from pipeline.imaging import featured, findings, identity, labels, roster
from pipeline.inspection import invented, outcome
from pipeline.params import Data, Params
from pipeline.report import audit_page
from pipeline.report.auditing.audited import Audited

log = logging.getLogger(__name__)


def run(params: Params, features: str, out: str | None) -> None:
    """Audit features that lie in a file, with the labels, patients and roles that it or data.labels has.

    Images are named by their row, such as `row 12`.

    Args:
        params: of params.yaml; section data names columns.
        features: .npy, .npz, .parquet or .csv.
        out: folder to write to; None: `audit-<name of the file>`.

    Raises:
        PipelineError: the file can't be read, or a check or verdict is one of audit.fail_on.
    """
    outcome.refuse_unknown(params.audit.fail_on)
    path = Path(os.path.expanduser(features))
    found = foreign.read(path, featured.metadata(params.data))
    index = _index(found, path, params.data)
    classes = artifacts.classes(index, params.data.classes) if (index["label"] != "").any() else []
    evidence = _evidence(found.values, index, _roles(index, classes, params), classes)
    evidence = dataclasses.replace(evidence, synthetic=invented.synthetic(evidence, params))
    answers = checks.run(evidence, dataclasses.asdict(params.audit))
    root = Path(out or f"audit-{path.stem}")
    outcome.save(evidence, answers, root)
    _show(root, index, params)
    outcome.tell(answers)
    log.info("audit: %s", root / artifacts.AUDIT_PAGE.name)
    outcome.stop(answers, params.audit.fail_on, root / artifacts.AUDIT.name, "mend the file, then run again")


def _index(found: foreign.Foreign, path: Path, p: Data) -> pd.DataFrame:
    """image_id (`row 1` …), label or a column for each label, group, split and attributes of each row."""
    try:
        rows, notes = featured.labelled(found.columns, len(found.values), p, path)
    except PipelineError as error:
        if found.columns:
            raise
        log.warning("no labels: %s %s", error.where, error.what)
        return _bare(len(found.values))
    key = identity.load_key()
    files = featured.as_files(rows, found.values, key)
    given, _ = labels.match(rows, files, Path(), key, path.name)
    index, _ = roster.admit(files, given, None if p.task == "multilabel" else p.classes, key, "first")
    index, note = findings.without_absent(index, p)
    for line in [*found.notes, *notes, *([note] if note else [])]:
        log.info(line)
    if (rows["patient"] == "").all():
        log.warning("no data.patient: each row is taken for a patient of its own")
    return _by_row(index, rows, found.values)


def _by_row(index: pd.DataFrame, rows: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    """Every row of the file in its order; one that has no usable label is of no class and no patient but its own."""
    numbers = index["path"].map(dict(zip(rows["path"], range(len(rows)), strict=True)))
    known = index.assign(number=numbers).set_index("number").reindex(range(len(values)))
    bare = _bare(len(values))
    whole = dict.fromkeys(artifacts.label_columns(index), artifacts.MISSING)
    kept = [*artifacts.label_columns(index), *artifacts.attribute_columns(index)]
    text = known[["label", "group", "split"]].fillna(bare.set_index(known.index))
    return bare[["image_id", "path"]].join([text, known[kept].fillna({name: whole.get(name, "") for name in kept})])


def _bare(count: int) -> pd.DataFrame:
    ids = [f"row {number}" for number in range(1, count + 1)]
    return pd.DataFrame({"image_id": ids, "path": "", "label": "", "group": ids, "split": ""}, dtype="str")


def _roles(index: pd.DataFrame, classes: list[str], params: Params) -> pd.DataFrame:
    """image_id, group, fold, role: as the file has them, else as the split stage would; else all are training rows."""
    splits = index[["image_id"]].assign(fold=0, role="train")
    if params.split.honour and (given := index["split"].isin(artifacts.ROLES)).any():
        splits = splits.assign(role=index["split"])[given]  # as it is: shared patients are for the audit to find
    elif classes:
        try:
            splits, _ = splitting.split(index[index["label"] != ""], classes, params.split)
        except PipelineError as error:
            log.warning("no validation and test rows: %s", error.what)
    return splits.merge(index[["image_id", "group"]], on="image_id")


def _evidence(values: np.ndarray, index: pd.DataFrame, roles: pd.DataFrame, classes: list[str]) -> Evidence:
    rows = index[["image_id"]].assign(fingerprint=index["image_id"], view=0)
    attributes = artifacts.attribute_columns(index)
    joined = artifacts.join_rows(rows, index, roles[roles["fold"] == roles["fold"].min()], classes)
    return Evidence(
        features={"shared": values},
        rows=rows,
        pictures=rows,
        expected=frozenset(rows["image_id"]),
        roles=roles,
        made_from={"shared": {}},
        on_disk={"shared": {}},
        imported=True,
        classes=classes,
        targets=artifacts.targets(joined, classes),
        nuisances=index[["image_id", *attributes]],
    )


def _show(root: Path, index: pd.DataFrame, params: Params) -> None:
    found, tables, arrays = artifacts.load_audit(root)
    audited = Audited(
        title=params.report.title,
        checks=found,
        tables=tables,
        arrays=arrays,
        index=index,
        params=frozenset(field.name for field in dataclasses.fields(params.audit)),
        gallery=params.report.gallery,
        ordered=params.evaluate.kappa != "none" and params.data.task == "multiclass",
    )
    storage.write_atomic(root / artifacts.AUDIT_PAGE.name, audit_page.render(audited).encode())
