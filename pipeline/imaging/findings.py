"""Several labels per image: a column of 0 and 1 for each, or one column of joined labels such as `Mass|Nodule`.

A column may leave a label open: an empty cell, and -1, by which CheXpert (arXiv:1901.07031) marks what its report left
uncertain, are artifacts.MISSING. Joined labels, as those of NIH ChestX-ray14 (arXiv:1705.02315), leave nothing open.
"""

import difflib
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import artifacts
from pipeline.artifacts import ABSENT, JOINT, LABEL, MISSING, NO_FINDING, PRESENT
from pipeline.errors import PipelineError
from pipeline.params import Data

OTHER_MARKS = (";", ",")
LIKE_ENOUGH = 0.85  # of 1: a chosen label that no row has is taken for another one misspelt
CODES = {"1": PRESENT, "1.0": PRESENT, "0": ABSENT, "0.0": ABSENT}
CODES |= dict.fromkeys(["", "nan", "-1", "-1.0"], MISSING)
MOST_WRONG = 0.5  # share of the filled cells of a column above which it is no column of 0 and 1
LINES_TOLD = 3
_WRONG = -2


def from_columns(table: pd.DataFrame, names: Sequence[str], path: Path) -> pd.DataFrame:
    """Replace the text of label columns by PRESENT, ABSENT or MISSING, and tell `label` and `fault`.

    Args:
        table: line, and a column `label_<name>` of text for each name.
        names: of the labels, in order.
        path: the CSV.

    Returns:
        `label` names the labels that are present, NO_FINDING if none is, and is empty if all are missing; `fault` is
        the reason for which the row can't be used, or empty.

    Raises:
        PipelineError: more than half of a column is neither 0, 1, -1 nor empty.
    """
    columns = [LABEL + name for name in names]
    codes = np.column_stack([table[column].map(_codes(table[column])).to_numpy(np.int8) for column in columns])
    faults = np.full(len(table), "", object)
    for number, column in reversed([*enumerate(columns)]):
        wrong = codes[:, number] == _WRONG
        _refuse_column(names[number], table[column], wrong, table["line"], path)
        kinds = {text: _kind(text) for text in table[column][wrong].unique()}
        reasons = f"label is not 0 or 1: column {names[number]!r} holds " + table[column][wrong].map(kinds)
        faults[wrong] = reasons.to_numpy(object)
    return _replace(table, np.where(codes == _WRONG, MISSING, codes), names, faults)


def from_joined(table: pd.DataFrame, chosen: Sequence[str] | None) -> tuple[pd.DataFrame, Counter[str]]:
    """Take the joined labels of column `label` apart, as `from_columns` does.

    Args:
        table: `label` is text, such as `Mass|Nodule`, or `No Finding` in any case.
        chosen: the labels to look at, in order; None for all, sorted.

    Returns:
        The table, and how many rows have each label that is not chosen: it is ignored, the row is not.

    Raises:
        PipelineError: `No Finding` is chosen, or there is nothing else; the column is one of 0 and 1, or joined by
            another mark; a chosen label is another one misspelt.
    """
    texts, rows = np.unique(table["label"].to_numpy(object), return_inverse=True)
    parts = [_parts(text) for text in texts]
    found = {name for of in parts for name in of if not _is_none(name)}
    _refuse_codes(texts, found)
    _refuse_other_marks(found)
    names = _names(found, chosen)
    codes = np.array([[PRESENT if name in of else ABSENT for name in names] for of in parts], np.int8)  # (U, L)
    codes[[not of for of in parts]] = MISSING
    faults = np.array([_contradiction(of) for of in parts], object)
    counts = np.bincount(rows, minlength=len(texts)).tolist()
    ignored = Counter(dict.fromkeys(found - set(names), 0))
    for of, count in zip(parts, counts, strict=True):
        ignored.update(dict.fromkeys(of & ignored.keys(), count))
    return _replace(table, codes[rows], names, faults[rows]), ignored


def joined(codes: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The labels that are present, (n,) str, of (n, L) int8; NO_FINDING if none is, empty if all are missing."""
    kinds, rows = np.unique(codes, axis=0, return_inverse=True)
    texts = [JOINT.join(np.array(names, object)[kind == PRESENT]) or NO_FINDING for kind in kinds]
    texts = ["" if (kind == MISSING).all() else text for kind, text in zip(kinds, texts, strict=True)]
    return np.array(texts, object)[rows.reshape(-1)]


def against_rest(table: pd.DataFrame, classes: Sequence[str], rest: str) -> pd.DataFrame:
    """Make one class of column `label`, which may hold joined labels: the one of `classes` that it names, else `rest`.

    An empty label stays empty; one that names several of the classes is told in column `fault`.

    Raises:
        PipelineError: a class is a label of the table misspelt.
    """
    named = [name for name in classes if name != rest]
    texts, rows = np.unique(table["label"].to_numpy(object), return_inverse=True)
    parts = [_parts(text) for text in texts]
    _refuse_misspelt(named, set().union(*parts))
    found = [[name for name in named if name in of] for of in parts]
    one = [(own[0] if own else rest) if of else "" for own, of in zip(found, parts, strict=True)]
    several = ["label names several of data.classes: " + " and ".join(own) if own[1:] else "" for own in found]
    told = {"label": np.array(one, object)[rows], "fault": np.array(several, object)[rows]}
    return table.assign(**told).astype({"label": "str", "fault": "str"})


def columns(p: Data) -> str | tuple[str, ...]:
    """The columns of the labels to read: one, or those of several that data.classes chooses, in its order.

    Raises:
        PipelineError: data.classes names a column that data.label lacks.
    """
    if isinstance(p.label, str):
        return p.label
    strange = [name for name in p.classes or () if name not in p.label]
    if strange:
        what = f"{', '.join(strange)} are no columns of data.label, which has {', '.join(p.label)}"
        raise PipelineError("data.classes", what, "choose among data.label, or add them there")
    return tuple(p.classes or p.label)


def take_apart(table: pd.DataFrame, p: Data, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The table with label columns, if an image may have several labels, and what is worth a line of the log."""
    names = columns(p)
    if isinstance(names, tuple):
        return from_columns(table, names, path), []
    if p.task != "multilabel":
        return (table, []) if p.rest is None else (against_rest(table, p.classes or [], p.rest), [])
    table, ignored = from_joined(table, p.classes)
    counts = ", ".join(f"{name} {count}" for name, count in sorted(ignored.items()))
    return table, [f"labels that data.classes leaves out (rows): {counts}"] if ignored else []


def without_absent(index: pd.DataFrame, p: Data) -> tuple[pd.DataFrame, str]:
    """The index without the columns of joined labels that no image has, of a CSV for more images, and a note of them.

    Labels that the params name stay.
    """
    columns = [column for column in artifacts.label_columns(index) if not (index[column] == PRESENT).any()]
    if not columns or index.empty or p.classes or not isinstance(p.label, str):
        return index, ""
    names = ", ".join(column.removeprefix(LABEL) for column in columns)
    return index.drop(columns=columns), f"labels that no usable image has: {names}"


def count(index: pd.DataFrame) -> tuple[dict[str, int], dict[str, int], int]:
    """Images that have each label, images for which it is missing, and images that have none of the labels."""
    columns = artifacts.label_columns(index)
    names = [column.removeprefix(LABEL) for column in columns]
    codes = index[columns].to_numpy()  # (n, L) int8
    present, missing = ((codes == code).sum(0).tolist() for code in (PRESENT, MISSING))
    without = int((codes != PRESENT).all(1).sum())
    return dict(zip(names, present, strict=True)), dict(zip(names, missing, strict=True)), without


def _codes(cells: pd.Series) -> dict[str, int]:
    return {text: CODES.get(text.casefold(), _WRONG) for text in cells.unique()}


def _kind(text: str) -> str:
    try:
        return "another number" if math.isfinite(float(text)) else "a number that is not finite"
    except ValueError:
        return "text"


def _refuse_column(name: str, cells: pd.Series, wrong: np.ndarray, lines: pd.Series, path: Path) -> None:
    filled = int((cells != "").sum())
    if wrong.sum() > MOST_WRONG * filled:
        kinds = " or ".join(sorted({_kind(text) for text in cells[wrong].unique()}))
        some = ", ".join(map(str, lines[wrong].head(LINES_TOLD)))
        what = f"column {name!r} holds {kinds} in {wrong.sum()} of {filled} filled cells, such as those of lines {some}"
        remedy = "name columns of 0 and 1 in data.label (empty or -1: not known), or one column such as `Mass|Nodule`"
        raise PipelineError(path, what, remedy)


def _refuse_codes(texts: np.ndarray, found: set[str]) -> None:
    if found and found <= CODES.keys() and not any(JOINT in text for text in texts):
        what = f"holds {', '.join(sorted(found))}, as a column of one label does, and not names such as `Mass|Nodule`"
        remedy = "name several columns of 0 and 1 in data.label, or for this one set data.task: binary"
        raise PipelineError("data.label", what, remedy)


def _refuse_other_marks(found: set[str]) -> None:
    for name in sorted(found):
        for mark in OTHER_MARKS:
            parts = {part.strip() for part in name.split(mark)} - {""}
            if mark in name and all(part in found or _is_none(part) for part in parts):
                what = f"{name!r} looks like labels that are joined by {mark!r}"
                raise PipelineError("data.label", what, f"join them by {JOINT!r} in the labels")


def _names(found: set[str], chosen: Sequence[str] | None) -> list[str]:
    if chosen and any(map(_is_none, chosen)):
        what = f"{NO_FINDING!r} is no label: it says that every label is absent"
        raise PipelineError("data.classes", what, "leave it out of data.classes")
    if not chosen and not found:
        raise PipelineError("data.label", f"no row has a label other than {NO_FINDING!r}", "name another column")
    _refuse_misspelt(chosen or (), found)
    return list(chosen) if chosen else artifacts.classes(pd.DataFrame({"label": sorted(found)}), None)


def _refuse_misspelt(chosen: Sequence[str], found: set[str]) -> None:
    spellings = {name.casefold(): name for name in found}
    for name in chosen:
        near = difflib.get_close_matches(name.casefold(), spellings, n=1, cutoff=LIKE_ENOUGH)
        if name not in found and near:
            what = f"no row has the label {name!r}; did you mean {spellings[near[0]]!r}?"
            raise PipelineError("data.classes", what, "spell it as the labels do, or leave it out")


def _parts(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(JOINT) if part.strip() and text != "nan")


def _is_none(name: str) -> bool:
    return name.casefold() == NO_FINDING.casefold()


def _contradiction(parts: frozenset[str]) -> str:
    none = any(map(_is_none, parts))
    return f"label contradicts itself: {NO_FINDING} beside a finding" if none and not all(map(_is_none, parts)) else ""


def _replace(table: pd.DataFrame, codes: np.ndarray, names: Sequence[str], faults: np.ndarray) -> pd.DataFrame:
    columns = {LABEL + name: codes[:, number] for number, name in enumerate(names)}
    rest = table.drop(columns=[name for name in columns if name in table])
    told = pd.DataFrame({"label": joined(codes, names), "fault": faults, **columns}, index=table.index)
    return rest.drop(columns="label").join(told.astype({"label": "str", "fault": "str"}))
