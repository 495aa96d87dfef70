"""Softmax losses of heads, and their gradients: numpy, since a head must not wait for an import of torch."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

LossName = Literal["cross_entropy", "focal", "class_balanced", "balanced_softmax", "ldam"]


@dataclass(frozen=True)
class Loss:
    """The loss of a row with logits z (K,) and class y.

    weights[y] × (1 - p)^gamma × -log p, where p = softmax(scale × z + shift, less scale × margins[y] at y)[y].

    Attributes:
        weights: class weights, (K,).
        shift: added to the logits, (K,).
        margins: taken off the logit of the true class, (K,).
        scale: factor of the logits, by which a model that learned with it predicts, too.
        gamma: focus on rows that are not yet right.
    """

    weights: np.ndarray
    shift: np.ndarray
    margins: np.ndarray
    scale: float = 1.0
    gamma: float = 0.0

    def values(self, logits: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Loss of each row, (B,), in the type of the logits (B, K); y (B,) int."""
        surprise = -log_softmax(self._moved(logits, y))[np.arange(len(y)), y]
        return self.weights[y].astype(logits.dtype) * (-np.expm1(-surprise)) ** self.gamma * surprise

    def gradient(self, logits: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Derivative of the mean loss with respect to the logits, (B, K), in their type."""
        rows = np.arange(len(y))
        log_p = log_softmax(self._moved(logits, y))
        by_surprise = self.weights[y].astype(logits.dtype)
        if self.gamma:
            by_surprise = by_surprise * _focused_slope(-log_p[rows, y], self.gamma)
        slope = np.exp(log_p)
        slope[rows, y] -= 1
        slope *= (by_surprise * (self.scale / len(y)))[:, None]
        return slope

    def _moved(self, logits: np.ndarray, y: np.ndarray) -> np.ndarray:
        moved = self.scale * logits + self.shift.astype(logits.dtype)
        moved[np.arange(len(y)), y] -= (self.scale * self.margins).astype(logits.dtype)[y]
        return moved


def of(
    name: LossName,
    counts: np.ndarray,
    class_weights: np.ndarray,
    gamma: float,
    beta: float,
    margin: float,
    scale: float,
) -> Loss:
    """A loss for training rows with these counts of the classes.

    focal: Lin et al. 2017, arXiv:1708.02002. class_balanced: class weights (1 - beta) / (1 - beta^n_c), Cui et al.
    2019, arXiv:1901.05555. balanced_softmax: logits + log n_c, Ren et al. 2020, arXiv:2007.10740. ldam: a margin on the
    true class, `margin` × (n_min / n_c)^(1/4), of cosines that are scaled by `scale`, Cao et al. 2019,
    arXiv:1906.07413.

    Args:
        name: of the loss.
        counts: training rows of each class, (K,) int, none 0.
        class_weights: on top of the loss, (K,). All weights are scaled such that their mean over the rows is 1: a step
            length means the same for each loss.
        gamma: of focal.
        beta: of class_balanced.
        margin: of ldam.
        scale: of ldam.
    """
    none = np.zeros(len(counts))
    plain = Loss(_to_mean_one(class_weights, counts), none, none)
    if name == "focal":
        return replace(plain, gamma=gamma)
    if name == "class_balanced":
        effective = -1 / np.expm1(counts * np.log(beta))
        return replace(plain, weights=_to_mean_one(class_weights * effective, counts))
    if name == "balanced_softmax":
        return replace(plain, shift=np.log(counts / counts.sum()))
    if name == "ldam":
        return replace(plain, margins=margin * (counts.min() / counts) ** 0.25, scale=scale)
    return plain


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (B, K), in the type of the logits (B, K)."""
    return np.exp(log_softmax(logits))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities (B, K), in the type of the logits (B, K)."""
    less = logits - logits.max(axis=1, keepdims=True)
    return less - np.log(np.exp(less).sum(axis=1, keepdims=True))


def _focused_slope(surprise: np.ndarray, gamma: float) -> np.ndarray:
    """Derivative of (1 - p)^gamma × s with respect to s = -log p; the floor keeps it finite at p = 1."""
    p = np.exp(-surprise)
    missing = np.maximum(-np.expm1(-surprise), np.finfo(surprise.dtype).tiny)
    return missing**gamma * (1 + gamma * p * surprise / missing)


def _to_mean_one(weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return weights * counts.sum() / (weights * counts).sum()
