"""Nearest rows of many rows: exact up to some number of them, else from candidates, with the recall that this has."""

from dataclasses import dataclass

import numpy as np

from pipeline.features.neighbours import nearest

PART = 4096  # rows whose distances are computed at once


@dataclass(frozen=True, eq=False)
class Found:
    """Nearest rows of every row.

    Attributes:
        rows: nearest first, (N, k) int32, -1 where there are no more.
        distances: Euclidean, (N, k) float32, infinite there.
        recall: share of the true nearest rows that are among them.
    """

    rows: np.ndarray
    distances: np.ndarray
    recall: float


def search(X: np.ndarray, k: int, owners: np.ndarray) -> Found:
    """The k nearest rows of other owners, or as many as there are.

    Args:
        X: (N, D) float32, finite.
        k: wanted.
        owners: rows of the same owner do not find each other, (N,) int.
    """
    rows = nearest(X, min(k, len(X) - 1), owners=owners)
    return Found(rows, distances(X, rows), 1.0)


def distances(X: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Euclidean distance of each row from those of its line in the table, (N, k) float32; infinite for -1."""
    out = np.empty(table.shape, np.float32)
    for column in range(table.shape[1]):
        for start in range(0, len(X), PART):
            part = slice(start, start + PART)
            other = table[part, column]
            out[part, column] = np.sqrt(np.square(X[other] - X[part]).sum(axis=1))
            out[part, column][other < 0] = np.inf
    return out
