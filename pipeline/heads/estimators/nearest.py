"""Nearest class mean, with probabilities."""

from typing import Any, Literal

import numpy as np

from pipeline.heads.estimators.losses import log_softmax
from pipeline.heads.estimators.softmax import SoftmaxHead


class NearestMean(SoftmaxHead):
    """Softmax of the negative squared distances from the class means, times a scale.

    With the metric `cosine`, rows and means have length 1 (Kang et al. 2020, arXiv:1910.09217, section 4.2). A scale of
    None is fitted: the log loss is least where each row is judged by means without it, and each class weighs the same.
    """

    def __init__(self, metric: Literal["euclidean", "cosine"] = "euclidean", scale: float | None = None) -> None:
        self.metric = metric
        self.scale = scale

    def _learn(self, X: np.ndarray, numbers: np.ndarray) -> None:
        rows, counts = self._rows(X), np.bincount(numbers)
        totals = np.stack([rows[numbers == number].sum(axis=0) for number in range(len(counts))])
        self.means_ = self._rows(totals / counts[:, None].astype(X.dtype))
        self.scale_ = self._fitted_scale(rows, numbers, totals) if self.scale is None else self.scale

    def _logits(self, X: np.ndarray) -> np.ndarray:
        return self.scale_ * _closeness(self._rows(X), self.means_)

    def _rows(self, X: np.ndarray) -> np.ndarray:
        if self.metric == "euclidean":
            return X
        lengths = np.linalg.norm(X, axis=1, keepdims=True)
        return X / np.where(lengths > 0, lengths, 1)

    def _fitted_scale(self, rows: np.ndarray, numbers: np.ndarray, totals: np.ndarray) -> float:
        """Of rows that are not the only one of their class; without any of these, a scale that separates little."""
        from scipy.optimize import minimize_scalar

        closeness, counts = _closeness(rows, self.means_).astype(np.float64), np.bincount(numbers)
        unit = 1 / max(float(np.ptp(closeness, axis=1).mean()), 1e-30)
        judged = np.flatnonzero(counts[numbers] > 1)
        if not len(judged) or len(counts) == 1:
            return unit
        own = numbers[judged]
        closeness[judged, own] = self._without(rows, numbers, totals)[judged]
        closeness = closeness[judged]

        def log_loss(log_scale: float) -> float:
            log_p = log_softmax(np.exp(log_scale) * closeness)[np.arange(len(own)), own]
            return float(-np.average(log_p, weights=1 / counts[own]))

        found: Any = minimize_scalar(log_loss, bounds=np.log(unit) + np.log([1e-3, 1e3]), method="bounded")
        return float(np.exp(found.x))

    def _without(self, rows: np.ndarray, numbers: np.ndarray, totals: np.ndarray) -> np.ndarray:
        """Closeness of each row to the mean of the others of its class, (n,) float64; NaN without others.

        From the products of rows with totals, so that no other array has the size of the rows.
        """
        own = np.einsum("ij,ij->i", rows, rows).astype(np.float64)
        with_total = (rows @ totals.T).astype(np.float64)[np.arange(len(rows)), numbers]
        length = np.square(totals.astype(np.float64)).sum(axis=1)[numbers] - 2 * with_total + own
        others = np.bincount(numbers)[numbers] - 1.0
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.metric == "cosine":
                return 2 * (with_total - own) / np.sqrt(length) - 1
            return 2 * (with_total - own) / others - length / others**2


def _closeness(rows: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Squared length of each row less its squared distance from each mean, (m, K): to a softmax, the distance."""
    return 2 * rows @ means.T - np.square(means).sum(axis=1)
