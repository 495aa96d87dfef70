"""Probabilities of several images, or exams, of which one decision is made."""

from typing import Literal

import numpy as np

Pool = Literal["mean", "max", "vote"]


def pool(probabilities: np.ndarray, unit: np.ndarray, how: Pool, several: bool) -> np.ndarray:
    """Probabilities of units, (u, K) float64.

    Args:
        probabilities: of classes or labels, (n, K) float.
        unit: of each row, (n,) int from 0 on, each number in use.
        how: `mean`; `max`: the greatest of each class, divided by their sum; `vote`: share of the rows of which it is
            the most probable class, the first of equals.
        several: whether they are labels of which a row may have several: then the greatest stand as they are, and a
            row votes for each above one half.
    """
    order = np.argsort(unit, kind="stable")
    starts = np.flatnonzero(np.diff(unit[order], prepend=-1))
    taken = probabilities[order].astype(np.float64)
    if how == "max":
        most = np.maximum.reduceat(taken, starts, axis=0)
        return most if several else most / most.sum(axis=1, keepdims=True)
    if how == "vote":
        taken = taken > 0.5 if several else taken.argmax(axis=1)[:, None] == np.arange(taken.shape[1])
    sums = np.add.reduceat(taken.astype(np.float64), starts, axis=0)
    return sums / np.diff(starts, append=len(unit))[:, None]
