"""Rows of features from elsewhere, in the place of files: who they are, and which labels they have."""

import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import artifacts
from pipeline.errors import PipelineError
from pipeline.imaging import findings, headers, identity, labels
from pipeline.params import Data

ARRAYS = (".npy", ".npz")  # have no names of columns


def metadata(p: Data) -> list[str]:
    """Columns that are no features."""
    names = [p.label] if isinstance(p.label, str) else p.label
    return [*names, *(name for name in (p.path, p.id, p.patient, p.split) if name), *p.attributes]


def labelled(columns: Mapping[str, list[str]], count: int, p: Data, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """What `labels.match` wants of each row: its labels, patient and split, from the file or from data.labels.

    Args:
        columns: text by name, of `features.foreign`.
        count: number of rows.
        p: names the columns.
        path: the file.

    Returns:
        The table, whose paths are such as `features.npy row 1`, and what is worth a line of the log.

    Raises:
        PipelineError: a column is missing, the rows of the labels are not those of the features, or an id stands twice.
    """
    given = _roles(columns, p, path)
    source, notes = path, []
    if not any(role.startswith("label") for role in given) and (path.suffix in ARRAYS or "id" in given):
        source = Path(os.path.expanduser(p.labels))
        table = _beside(p, source, given.get("id"), path, count).assign(**given)
        if given.get("id") is None or p.id is None:
            notes = [f"no ids tell which row is which: {path.name} and {source.name} are taken to be in the same order"]
    else:
        _refuse_absent(given, p, path)
        table = pd.DataFrame({"label": "", "id": "", "patient": "", "split": "", **given, "line": range(1, count + 1)})
    twice = table["id"][(table["id"] != "") & table["id"].duplicated(keep=False)]
    if len(twice):
        what = f"{twice.nunique()} ids stand in several rows, the first in row {int(twice.index[0]) + 1}"
        raise PipelineError(path, what, "give each image an id of its own; its patient belongs in data.patient")
    table["path"] = [f"{path.name} row {number}" for number in range(1, count + 1)]
    table, more = findings.take_apart(table, p, source)
    return table, notes + more


def as_files(rows: pd.DataFrame, values: np.ndarray, key: bytes) -> pd.DataFrame:
    """Rows as the scan has them of files whose header is empty; an id that is no UID is hidden."""
    ids, paths = rows["id"].tolist(), rows["path"].tolist()
    named = [identity.pseudonym(key, f"image {text or path}") for text, path in zip(ids, paths, strict=True)]
    marks = [blake2b(values[row].tobytes() + name.encode(), digest_size=16) for row, name in enumerate(named)]
    hidden = [f"id-{name}" if text else "" for text, name in zip(ids, named, strict=True)]
    uids = [text if headers.is_valid_uid(text) else other for text, other in zip(ids, hidden, strict=True)]
    own = {"path": paths, "fingerprint": [mark.hexdigest() for mark in marks], "sop_uid": uids, "frames": 1}
    empty = {name: "" if kind == "str" else 0 for name, kind in artifacts.SCAN_COLUMNS.items()}
    return pd.DataFrame(empty | own).astype(artifacts.SCAN_COLUMNS)


def _roles(columns: Mapping[str, list[str]], p: Data, path: Path) -> dict[str, list[str]]:
    """The columns of a file by their role: label, or `label_<name>` for several labels; id, patient, split."""
    roles = _columns(p).roles()
    if path.suffix in ARRAYS:
        own = [p.label] if isinstance(p.label, str) else p.label
        arrays = [name for name in columns if name.startswith("label ")]
        if arrays and len(arrays) != len(own):
            what = f"array labels has {len(arrays)} columns, but data.label names {len(own)}"
            raise PipelineError(path, what, "name each column of the array in data.label, with data.task: multilabel")
        named = {f"label {number}": artifacts.LABEL + name for number, name in enumerate(own)}
        wanted = {*roles, "label", "id", "patient", "split"}
        return {named.get(name, name): of for name, of in columns.items() if named.get(name, name) in wanted}
    return {role: columns[name] for role, name in roles.items() if name in columns}


def _columns(p: Data) -> labels.Columns:
    return labels.Columns(findings.columns(p), None, p.id, p.patient, p.split, tuple(p.attributes))


def _refuse_absent(given: Mapping[str, list[str]], p: Data, path: Path) -> None:
    roles, remedy = _columns(p).roles(), "mend the names in section data of params.yaml (null: none), or add the column"
    if path.suffix in ARRAYS:
        roles = {role: name for role, name in roles.items() if role.startswith("label")}
        remedy = "save `labels` with a column for each name in data.label"
    absent = [f"{name!r} (data.{labels.param_of(role)})" for role, name in roles.items() if role not in given]
    if absent:
        raise PipelineError(path, f"has no column {', '.join(absent)}", remedy)


def _beside(p: Data, source: Path, ids: list[str] | None, path: Path, count: int) -> pd.DataFrame:
    """Rows of the labels CSV: by id where the file has ids and the CSV too, else in the order of the features."""
    if p.labels == "folders":
        raise PipelineError("data.labels", "folders of images have no labels for features", "name a CSV of labels")
    table = labels.read_csv(source, _columns(p)).drop(columns="path")
    if ids is None or p.id is None:
        if len(table) != count:
            what = f"has {count} rows of features, but {source.name} has {len(table)} rows of labels"
            raise PipelineError(path, what, "give both in the same order, or save ids beside the features (.npz)")
        return table
    twice = table["id"][table["id"].duplicated()]
    if len(twice):
        what = f"{twice.nunique()} ids of column {p.id!r} stand in several rows, the second in line "
        raise PipelineError(source, what + str(table["line"][twice.index[0]]), "keep one of them")
    known = pd.Index(table["id"]).get_indexer(pd.Index(ids))
    if not (known >= 0).any():
        raise PipelineError(source, f"none of its ids (data.id) is one of the {count} of {path.name}", "mend data.id")
    rows = table.iloc[known].reset_index(drop=True)
    kept = pd.Series(known >= 0)
    return rows.where(kept, "").assign(line=rows["line"].where(kept, 0), id=ids)
