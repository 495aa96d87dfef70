"""Decision rules by name: (probabilities, labels, context, **values) of validation rows → what decides other rows.

Of classes a rule decides one for each row, (n,) int; of labels of which a row may have several, yes or no to each,
(n, L) bool. A rule is a small object that can be pickled; its fields are its parameters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pipeline.errors import PipelineError
from pipeline.heads.deciding import cuts
from pipeline.heads.deciding.calibration import Shares

TAUS = np.round(np.arange(-1, 2.01, 0.05), 2)  # 0: no change; 1: as if all classes were equally frequent
HALF = np.nextafter(0.5, 1)  # a label is present above one half


@dataclass(frozen=True)
class Context:
    """What a rule may know beside the rows.

    Attributes:
        shares: of the classes or labels among the training rows.
        kappa: weighting of kappa.
    """

    shares: Shares
    kappa: str


class Rule(Protocol):
    """From probabilities to decisions."""

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Decided classes (n,) int or labels (n, L) bool."""
        ...

    def certainty(self, probabilities: np.ndarray) -> np.ndarray:
        """What orders decisions from the least certain to the most: of each row (n,), of each label (n, L)."""
        ...


@dataclass(frozen=True)
class Weights:
    """The class of highest weight × probability; its share of their sum is the certainty."""

    weights: np.ndarray  # (K,)

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Decided classes."""
        return (self.weights * probabilities).argmax(axis=1)

    def certainty(self, probabilities: np.ndarray) -> np.ndarray:
        """As if the classes were as frequent as the weights make them."""
        weighted = self.weights * probabilities
        total = weighted.sum(axis=1)
        return np.divide(weighted.max(axis=1), total, out=np.zeros(len(total)), where=total > 0)


@dataclass(frozen=True)
class Thresholds:
    """A label is present from its threshold on; the certainty is the share of the way from it to 0 or 1."""

    thresholds: np.ndarray  # (L,)

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Decided labels."""
        return probabilities >= self.thresholds

    def certainty(self, probabilities: np.ndarray) -> np.ndarray:
        """0 to 1."""
        gap = probabilities - self.thresholds
        way = np.where(gap >= 0, 1 - self.thresholds, self.thresholds)
        return np.divide(np.abs(gap), way, out=np.zeros(gap.shape), where=way > 0).clip(0, 1)


@dataclass(frozen=True)
class Cut:
    """One class from a threshold on, else the most probable of the others."""

    number: int
    threshold: float

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Decided classes."""
        others = probabilities.copy()
        others[:, self.number] = -1
        return np.where(probabilities[:, self.number] >= self.threshold, self.number, others.argmax(axis=1))

    def certainty(self, probabilities: np.ndarray) -> np.ndarray:
        """Probability of the decided class: little where a low threshold brought it forward, whatever others have."""
        return np.take_along_axis(probabilities, self(probabilities)[:, None], axis=1)[:, 0]


@dataclass(frozen=True)
class Cheapest:
    """The class of least expected cost."""

    matrix: np.ndarray  # (K, K): cost by label (rows) and decision

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Decided classes."""
        return (probabilities @ self.matrix).argmin(axis=1)

    def certainty(self, probabilities: np.ndarray) -> np.ndarray:
        """The less the expected cost, the greater."""
        return -(probabilities @ self.matrix).min(axis=1)


def argmax(probabilities: np.ndarray, labels: np.ndarray, context: Context | None = None) -> Rule:
    """The most probable class, the first of equals; a label above one half."""
    number = probabilities.shape[1]
    return Weights(np.ones(number)) if labels.ndim == 1 else Thresholds(np.full(number, HALF))


def tilt(probabilities: np.ndarray, labels: np.ndarray, context: Context, metric: str) -> Rule:
    """Probabilities divided by the natural shares of the training rows to the power of tau, the best of TAUS.

    One number for all classes or labels, which few rows can bear: post-hoc logit adjustment (Menon et al. 2021,
    arXiv:2007.07314). Of equally good ones the one next to 0. A negative tau takes back what resampling did.
    """
    goals = _goals(labels, probabilities.shape[1], metric, context.kappa)
    values = [_value(_tilted(tau, context.shares, labels.ndim), probabilities, labels, goals) for tau in TAUS.tolist()]
    good = np.flatnonzero(np.array(values) >= max(values) - cuts.SAME)
    return _tilted(float(TAUS[good[np.abs(TAUS[good]).argmin()]]), context.shares, labels.ndim)


def thresholds(probabilities: np.ndarray, labels: np.ndarray, context: Context, metric: str) -> Rule:
    """A weight for each class by coordinate ascent over all cuts; of two classes, or of each label, the best cut."""
    given = probabilities.astype(np.float64)
    if labels.ndim == 1:
        (goal,) = _goals(labels, given.shape[1], metric, context.kappa)
        return Weights(cuts.ascend(given, labels, goal))
    each = []
    for of, own, goal in _labels(given, labels, metric, context.kappa):
        weight = cuts.ascend(of, own, goal)[1] if goal.true.all() else 1.0
        each.append(HALF if weight == 1 else 1 / (1 + weight))
    return Thresholds(np.array(each))


def sensitivity(probabilities: np.ndarray, labels: np.ndarray, context: Context, number: int, least: float) -> Rule:
    """The highest threshold of one class or label that finds this share of its rows; without rows, argmax."""
    scores, own = _one(probabilities, labels, number)
    found = np.sort(scores[own])[::-1]
    if not len(found):
        return argmax(probabilities, labels)
    return _cut(probabilities, labels, number, found[int(np.ceil(least * len(found) - cuts.SAME)) - 1])


def specificity(probabilities: np.ndarray, labels: np.ndarray, context: Context, number: int, least: float) -> Rule:
    """The lowest threshold of one class or label that leaves this share of the others' rows alone; likewise."""
    scores, own = _one(probabilities, labels, number)
    alarms = np.sort(scores[~own])[::-1]
    if not len(alarms):
        return argmax(probabilities, labels)
    spared = int(np.ceil(least * len(alarms) - cuts.SAME))
    return _cut(probabilities, labels, number, np.nextafter(alarms[len(alarms) - spared], np.inf))


def cost(probabilities: np.ndarray, labels: np.ndarray, context: Context, matrix: Sequence[Sequence[float]]) -> Rule:
    """The decision of least expected cost (Elkan 2001, IJCAI 17, 973-978): right where the probabilities are.

    Args:
        probabilities: calibrate them.
        labels: play no part.
        context: likewise.
        matrix: cost by label (rows) and decision, K by K; of labels 2 by 2, absent and present, the same for each.

    Raises:
        PipelineError: another shape; or, of labels, a wrong decision that costs no more than the right one.
    """
    given, size = np.asarray(matrix, np.float64), 2 if labels.ndim == 2 else probabilities.shape[1]
    if given.shape != (size, size):
        kind = "absent and present" if labels.ndim == 2 else "the classes in their order"
        raise PipelineError(
            "params.yaml, evaluate.decisions: cost",
            f"the matrix has shape {given.shape} and must have {(size, size)}",
            f"give a row for each label and a column for each decision: {kind}",
        )
    if labels.ndim == 1:
        return Cheapest(given)
    alarm, miss = given[0, 1] - given[0, 0], given[1, 0] - given[1, 1]
    if min(alarm, miss) <= 0:
        raise PipelineError(
            "params.yaml, evaluate.decisions: cost",
            "a wrong decision costs no more than the right one",
            "let the numbers off the diagonal be the larger ones",
        )
    return Thresholds(np.full(probabilities.shape[1], alarm / (alarm + miss)))


def _labels(
    probabilities: np.ndarray, labels: np.ndarray, metric: str, kappa: str
) -> list[tuple[np.ndarray, np.ndarray, cuts.Objective]]:
    """Of each label, on the rows where it is known: absent and present, (m, 2) and (m,), and the objective."""
    parts = []
    for marks, present in zip(labels.T, probabilities.T, strict=True):
        known = marks >= 0
        own = marks[known].astype(int)
        both = np.stack([1 - present, present], axis=1)[known]
        parts.append((both, own, cuts.objective(metric, own, 2, kappa, label=True)))
    return parts


def _goals(labels: np.ndarray, classes: int, metric: str, kappa: str) -> list[cuts.Objective]:
    if labels.ndim == 1:
        return [cuts.objective(metric, labels, classes, kappa)]
    return [cuts.objective(metric, marks[marks >= 0].astype(int), 2, kappa, label=True) for marks in labels.T]


def _value(rule: Rule, probabilities: np.ndarray, labels: np.ndarray, goals: Sequence[cuts.Objective]) -> float:
    """The metric of a rule's decisions; of labels the mean over those both present and absent."""
    decided = rule(probabilities)
    if labels.ndim == 1:
        return goals[0](decided, labels)
    values = []
    for marks, chosen, goal in zip(labels.T, decided.T.astype(int), goals, strict=True):
        known = marks >= 0
        if goal.true.all():
            values.append(goal(chosen[known], marks[known].astype(int)))
    return float(np.mean(values)) if values else 0.0


def _tilted(tau: float, shares: Shares, dimensions: int) -> Rule:
    natural = shares.natural
    if dimensions == 1:
        there = natural > 0
        powers = np.power(natural, -tau, out=np.ones(len(natural)), where=there)
        return Weights(powers / powers.max())
    odds = np.divide(natural, 1 - natural, out=np.ones(len(natural)), where=(natural > 0) & (natural < 1)) ** tau
    return Thresholds(np.nextafter(odds / (1 + odds), 1))


def _one(probabilities: np.ndarray, labels: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Probability of one class or label, and whether it is there, on the rows where that is known."""
    if labels.ndim == 1:
        return probabilities[:, number], labels == number
    known = labels[:, number] >= 0
    return probabilities[known, number], labels[known, number] == 1


def _cut(probabilities: np.ndarray, labels: np.ndarray, number: int, threshold: float) -> Rule:
    if labels.ndim == 1:
        return Cut(number, float(threshold))
    each = np.full(probabilities.shape[1], HALF)
    each[number] = threshold
    return Thresholds(each)


RULES: dict[str, Callable[..., Rule]] = {
    "argmax": argmax,
    "tilt": tilt,
    "thresholds": thresholds,
    "sensitivity": sensitivity,
    "specificity": specificity,
    "cost": cost,
}
