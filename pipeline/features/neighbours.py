"""Nearest rows in feature space: exact, Euclidean, one table for all that ask."""

import numpy as np


def nearest(X: np.ndarray, k: int, queries: np.ndarray | None = None) -> np.ndarray:
    """The k nearest other rows of each row, nearest first, (n, k) int32; of equally near rows, the first.

    Args:
        X: (n, D) float32.
        k: at most n - 1.
        queries: positions of the rows that ask, (q,) int; None: all of them.
    """
    from sklearn.neighbors import NearestNeighbors

    asked = np.arange(len(X)) if queries is None else queries
    found = NearestNeighbors(n_neighbors=k + 1).fit(X).kneighbors(X[asked], return_distance=False)
    itself = found == asked[:, None]
    itself[~itself.any(axis=1), -1] = True  # a row that stands k + 1 times need not find itself
    return found[~itself].reshape(len(asked), k).astype(np.int32)
