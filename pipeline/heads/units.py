"""Images of one exam or patient learned and judged as one: their features pooled, their labels joined."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd

from pipeline.errors import PipelineError

Pool = Literal["mean", "max", "side_by_side"]
AT_ONCE = 1 << 14  # rows copied out of a memory-mapped table at a time


def number(keys: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows with equal keys are one unit.

    Args:
        keys: columns (n,), such as patient, exam and number of the augmented view.

    Returns:
        unit of each row, (n,) int, numbered by first appearance; position of each unit's first row, (u,) int.
    """
    unit = pd.MultiIndex.from_arrays(list(keys)).factorize()[0]
    return unit, np.unique(unit, return_index=True)[1]


def pool(X: np.ndarray, rows: np.ndarray, unit: np.ndarray, how: Pool, slots: np.ndarray) -> np.ndarray:
    """Features of units.

    Args:
        X: (n, D) float32; may be memory-mapped.
        rows: positions of the images, (r,) int.
        unit: of each of them, (r,) int from 0 on, each number in use.
        how: `mean` and `max` over the images; `side_by_side`: the mean of each slot's images, slot by slot.
        slots: view of each image, (r,) int from 0 on, -1 for one that has no place; for `side_by_side` alone.

    Returns:
        (u, D) float32, or (u, S·D) with NaN where a unit has no image of a view.
    """
    units = unit.max() + 1
    if how != "side_by_side":
        return _reduced(X, rows, unit, units, how)
    out = np.empty((units, (slots.max() + 1) * X.shape[1]), np.float32)
    for slot, part in enumerate(np.split(out, slots.max() + 1, axis=1)):
        part[:] = _reduced(X, rows[slots == slot], unit[slots == slot], units, "mean")
    return out


def slots(views: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Place of each image among the views that training images have, -1 for another one, and the views in order.

    Args:
        views: laterality and view position as one text, (r,) str.
        train: whether it is a training image, (r,) bool.

    Raises:
        PipelineError: the training images have one view, so that nothing stands side by side.
    """
    names = sorted(set(views[train]))
    if len(names) < 2:
        what = f"the training images have one view ({names[0] or 'empty'!s}), so that nothing stands side by side"
        raise PipelineError("fit.pool", what, "use mean or max, or give the index columns laterality and view")
    return pd.Index(names).get_indexer(pd.Index(views)), names


def class_of(y: np.ndarray, unit: np.ndarray, kind: str, where: str = "fit.unit") -> np.ndarray:
    """Class number of each unit, (u,) int, of those of its images, (r,) int.

    Args:
        y: class numbers.
        unit: of each image, (r,) int from 0 on, each number in use.
        kind: exam or patient.
        where: param that asks for units.

    Raises:
        PipelineError: images of one unit are of different classes.
    """
    units = unit.max() + 1
    most, least = np.full(units, -1), np.full(units, np.iinfo(np.int64).max)
    np.maximum.at(most, unit, y)
    np.minimum.at(least, unit, y)
    if mixed := int((most != least).sum()):
        what = f"{mixed} of {units} {kind}s have images of more than one class"
        raise PipelineError(where, what, f"use {where}: image, or give all images of one the same label")
    return most


def marks_of(marks: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Labels of each unit, (u, L) int8: present in any of its images, missing if in all of them, else absent.

    That is the greatest of present (1), absent (0) and missing (-1).
    """
    most = np.full((unit.max() + 1, marks.shape[1]), -1, np.int8)
    np.maximum.at(most, unit, marks)
    return most


def _reduced(X: np.ndarray, rows: np.ndarray, unit: np.ndarray, units: int, how: Literal["mean", "max"]) -> np.ndarray:
    out = np.full((units, X.shape[1]), np.nan, np.float32)
    order = np.argsort(unit, kind="stable")
    rows, unit = rows[order], unit[order]
    present, starts, counts = np.unique(unit, return_index=True, return_counts=True)
    for part in _parts(starts, len(rows)):
        first, last = starts[part.start], (starts[part.stop] if part.stop < len(starts) else len(rows))
        taken = np.take(np.asarray(X), rows[first:last], axis=0)
        if how == "max":
            out[present[part]] = np.maximum.reduceat(taken, starts[part] - first, axis=0)
        else:
            out[present[part]] = np.add.reduceat(taken, starts[part] - first, axis=0) / counts[part, None]
    return out


def _parts(starts: np.ndarray, rows: int) -> Iterator[slice]:
    """Slices of the units, each of about AT_ONCE rows and at least one unit."""
    cuts = [int(np.searchsorted(starts, row)) for row in range(0, rows, AT_ONCE)]
    cuts = sorted({*cuts, len(starts)})
    return (slice(first, last) for first, last in pairwise(cuts))
