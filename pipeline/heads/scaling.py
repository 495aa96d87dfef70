"""Features on one scale, by mean and standard deviation of training rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

BLOCK = 4096  # rows that are worked on at once: what is needed besides the copy stays small


@dataclass(frozen=True)
class Scaling:
    """What was learned of the training rows.

    Attributes:
        mean: (D,) float32.
        deviation: (D,) float32; 1 where the feature is constant.
    """

    mean: np.ndarray
    deviation: np.ndarray

    def scale(self, X: np.ndarray) -> np.ndarray:
        """`X`, (n, D) float32, changed in place; a missing value (NaN) becomes the mean of the training rows."""
        for block in _blocks(X):
            block -= self.mean
            block /= self.deviation
            np.nan_to_num(block, copy=False, nan=0.0)
        return X


def take(X: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """A copy of these rows, (r, D) float32, out of an array that may be memory-mapped."""
    return np.take(np.asarray(X), rows, axis=0).astype(np.float32, copy=False)


def fit(X: np.ndarray) -> Scaling:
    """Mean and deviation of rows, (n, D) float32, summed in float64; NaN is left out.

    A feature whose deviation is not more than the rounding of its mean is constant.
    """
    count, total, squares = (np.zeros(X.shape[1]) for _ in range(3))
    for block in _blocks(X):
        count += len(block) - np.isnan(block).sum(axis=0)
        total += np.nansum(block, axis=0, dtype=np.float64)
    mean = total / np.maximum(count, 1)
    for block in _blocks(X):
        squares += np.nansum(np.square(block - mean.astype(np.float32)), axis=0, dtype=np.float64)
    deviation = np.sqrt(squares / np.maximum(count, 1))
    deviation[deviation <= np.finfo(np.float32).eps * np.abs(mean)] = 1.0
    return Scaling(mean.astype(np.float32), deviation.astype(np.float32))


def _blocks(X: np.ndarray) -> Iterator[np.ndarray]:
    return (X[start : start + BLOCK] for start in range(0, len(X), BLOCK))
