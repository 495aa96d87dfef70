"""Calibrators by name: (probabilities, labels, shares) of validation rows → what maps probabilities to better ones.

Probabilities are (n, K) with rows that sum to 1 and labels (n,) int; or, of labels of which a row may have several,
probabilities (n, L) and marks (n, L): 1 present, 0 absent, -1 missing. Each label is then a task of two classes on the
rows where it is known. What is fitted is a small object that can be pickled; its fields are its parameters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

FLOOR = 1e-12  # least probability under a logarithm, as in scikit-learn's temperature scaling
TEMPERATURES = 0.01, 100.0  # beyond these, rows are all told right or probabilities say nothing
STEPS = 100  # of Newton's method, which takes about ten
ENOUGH = 1e-12  # of the loss, or of the temperature: a step that gains or moves less is the last


@dataclass(frozen=True)
class Shares:
    """Shares of the classes among training rows, (K,) float64 each; of labels that of being present, (L,)."""

    natural: np.ndarray
    fitted: np.ndarray  # after resampling and class weights: what the head took for the truth

    def of_label(self, label: int) -> "Shares":
        """Shares of being absent and present, (2,) each."""
        natural, fitted = self.natural[label], self.fitted[label]
        return Shares(np.array([1 - natural, natural]), np.array([1 - fitted, fitted]))


class Calibrator(Protocol):
    """From probabilities to probabilities of the same shape."""

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrated float64."""
        ...


@dataclass(frozen=True)
class Unchanged:
    """The probabilities as they are."""

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """As given."""
        return probabilities


@dataclass(frozen=True)
class Scaled:
    """Softmax of scale ∘ log probabilities + offset."""

    scale: np.ndarray  # () or (K,)
    offset: np.ndarray  # () or (K,)

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """(n, K)."""
        return _softmax(self.scale * _logs(probabilities) + self.offset)


@dataclass(frozen=True)
class Steps:
    """Of each class a rising function, linear between points; rows are divided by their sum."""

    x: tuple[np.ndarray, ...]  # none for a class that keeps its probability
    y: tuple[np.ndarray, ...]

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """(n, K)."""
        given = probabilities.T[1:] if len(self.x) == 1 else probabilities.T
        each = [np.interp(p, x, y) if len(x) else p for p, x, y in zip(given, self.x, self.y, strict=True)]
        if len(each) == 1:
            return np.stack([1 - each[0], each[0]], axis=1)
        mapped = np.stack(each, axis=1)
        total = mapped.sum(axis=1, keepdims=True)
        return np.divide(mapped, total, out=np.full(mapped.shape, 1 / mapped.shape[1]), where=total > 0)


@dataclass(frozen=True)
class Ratios:
    """Probabilities times a ratio for each class, divided by their sum."""

    ratios: np.ndarray  # (K,)

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """(n, K)."""
        times = probabilities * self.ratios
        total = times.sum(axis=1, keepdims=True)
        return np.divide(times, total, out=probabilities.astype(np.float64), where=total > 0)


@dataclass(frozen=True)
class PerLabel:
    """A calibrator of absent and present for each label."""

    each: tuple[Calibrator, ...]

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """(n, L)."""
        both = zip(self.each, probabilities.T, strict=True)
        return np.stack([of(np.stack([1 - p, p], axis=1))[:, 1] for of, p in both], axis=1)


def fit(name: str, probabilities: np.ndarray, labels: np.ndarray, shares: Shares) -> Calibrator:
    """The calibrator of this name for classes (labels (n,)) or for labels of which a row may have several (n, L)."""
    make = CALIBRATORS[name]
    if labels.ndim == 1:
        return make(probabilities.astype(np.float64), labels, shares)
    each = []
    for number, (marks, present) in enumerate(zip(labels.T, probabilities.T.astype(np.float64), strict=True)):
        known = marks >= 0
        both = np.stack([1 - present, present], axis=1)[known]
        each.append(make(both, marks[known].astype(int), shares.of_label(number)))
    return PerLabel(tuple(each))


def none(probabilities: np.ndarray, labels: np.ndarray, shares: Shares) -> Calibrator:
    """No change."""
    return Unchanged()


def temperature(probabilities: np.ndarray, labels: np.ndarray, shares: Shares) -> Calibrator:
    """All logs divided by the one temperature of least log loss (Guo et al. 2017, arXiv:1706.04599).

    The loss is convex in the inverse temperature: Newton's method, halving the bracket where it would leave it.
    """
    if not len(labels):
        return Unchanged()
    logs = _logs(probabilities)
    own = np.take_along_axis(logs, labels[:, None], axis=1).sum()
    low, high = (1 / limit for limit in reversed(TEMPERATURES))
    inverse = 1.0
    for _ in range(STEPS):
        weights = _softmax(inverse * logs)
        mean = (weights * logs).sum(axis=1)
        slope = mean.sum() - own
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        curvature = (weights * logs**2).sum() - (mean**2).sum()
        step = inverse - slope / curvature if curvature > 0 else low
        moved = step if low < step < high else np.sqrt(low * high)
        if abs(moved - inverse) <= ENOUGH * inverse:
            break
        inverse = moved
    return Scaled(np.asarray(inverse), np.zeros(()))


def vector(probabilities: np.ndarray, labels: np.ndarray, shares: Shares) -> Calibrator:
    """A scale and an offset of the logs for each class (vector scaling, Guo et al. 2017, arXiv:1706.04599).

    Of two classes: a scale and an offset of the log odds, fitted to targets a little off 0 and 1 (Platt 1999). Of more,
    each scale and offset is pulled to 1 and 0 as by one row: a class of few rows that are told apart would have none.
    """
    if len(np.unique(labels)) < 2:
        return Unchanged()
    logs, classes = _logs(probabilities), probabilities.shape[1]
    if classes == 2:
        odds = logs[:, 1] - logs[:, 0]
        slope, offset = _platt(odds, labels)
        return Scaled(np.asarray(slope), np.array([0.0, offset]))
    given = _newton(logs, np.eye(classes)[labels])
    return Scaled(given[:classes], given[classes:])


def isotonic(probabilities: np.ndarray, labels: np.ndarray, shares: Shares) -> Calibrator:
    """A rising step function for each class against the rest, then rows divided by their sum.

    Zadrozny & Elkan 2002, doi:10.1145/775047.775151. It takes some hundred rows of a class; one without rows, or with
    all of them, keeps its probability.
    """
    from sklearn.isotonic import IsotonicRegression

    classes = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    x, y = [], []
    for number in classes:
        own = labels == number
        if own.any() and not own.all():
            fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probabilities[:, number], own)
            x.append(fitted.X_thresholds_)
            y.append(fitted.y_thresholds_)
        else:
            x.append(np.empty(0))
            y.append(np.empty(0))
    return Steps(tuple(x), tuple(y))


def prior(probabilities: np.ndarray, labels: np.ndarray, shares: Shares) -> Calibrator:
    """From the class shares that the head was fitted on back to the natural ones, in closed form; labels play no part.

    Saerens et al. 2002, doi:10.1162/089976602753284446. Right for a head whose probabilities follow the shares, as
    logistic regression's do; wrong for boosted trees and forests, whose probabilities do not: calibrate these.
    """
    ratios = np.divide(shares.natural, shares.fitted, out=np.ones(len(shares.natural)), where=shares.fitted > 0)
    return Ratios(ratios)


def _logs(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, FLOOR))


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _platt(odds: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the log odds: Newton's method on the log loss of Platt's targets."""
    counts = np.bincount(labels, minlength=2)
    targets = np.where(labels == 1, (counts[1] + 1) / (counts[1] + 2), 1 / (counts[0] + 2))
    features = np.stack([odds, np.ones(len(odds))], axis=1)

    def loss(at: np.ndarray) -> float:
        scores = features @ at
        return float((np.logaddexp(0, scores) - targets * scores).sum())

    def step(at: np.ndarray) -> np.ndarray:
        given = (1 + np.tanh(features @ at / 2)) / 2
        curvature = features.T @ (features * (given * (1 - given))[:, None])
        return np.linalg.lstsq(curvature, features.T @ (given - targets))[0]

    slope, offset = _descend(loss, step, np.array([1.0, 0.0]))
    return float(slope), float(offset)


def _newton(logs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Scales and offsets, (2K,), of least log loss plus half the squared distance from 1 and 0."""
    classes = logs.shape[1]
    start = np.repeat([1.0, 0.0], classes)

    def scores(at: np.ndarray) -> np.ndarray:
        return at[:classes] * logs + at[classes:]

    def loss(at: np.ndarray) -> float:
        own = scores(at)
        top = own.max(axis=1)
        normal = top + np.log(np.exp(own - top[:, None]).sum(axis=1))
        return float((normal - (own * targets).sum(axis=1)).sum() + ((at - start) ** 2).sum() / 2)

    def step(at: np.ndarray) -> np.ndarray:
        given = _softmax(scores(at))
        features = np.concatenate([given * logs, given], axis=1)  # (n, 2K)
        gap = given - targets
        slope = np.concatenate([(gap * logs).sum(axis=0), gap.sum(axis=0)]) + at - start
        parts = [np.diag((given * power).sum(axis=0)) for power in (logs**2, logs, np.ones_like(logs))]
        curvature = np.block([[parts[0], parts[1]], [parts[1], parts[2]]]) - features.T @ features
        return np.linalg.solve(curvature + np.eye(2 * classes), slope)

    return _descend(loss, step, start)


def _descend(
    loss: Callable[[np.ndarray], float], step: Callable[[np.ndarray], np.ndarray], at: np.ndarray
) -> np.ndarray:
    """Newton's steps, halved until they lower a convex loss, to where no step gains."""
    best = loss(at)
    for _ in range(STEPS):
        whole = step(at)
        share = next((half for half in 0.5 ** np.arange(30) if loss(at - half * whole) <= best), 0.0)
        at = at - share * whole
        gained, best = best - loss(at), loss(at)
        if gained <= ENOUGH * max(abs(best), 1.0):
            break
    return at


CALIBRATORS: dict[str, Callable[[np.ndarray, np.ndarray, Shares], Calibrator]] = {
    "none": none,
    "temperature": temperature,
    "vector": vector,
    "isotonic": isotonic,
    "prior": prior,
}
