"""Weights of classes that are best for a metric, over all cuts of one class at a time.

A row is decided as the class of highest weight × probability. The figures are those of `judge.metrics`, from counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ROUNDS = 20  # through all classes; what can still gain by then is noise
SAME = 1e-9  # relative: two rows whose cuts are as close can't be parted


@dataclass(frozen=True)
class Counts:
    """What C ways to decide the same rows come to."""

    hits: np.ndarray  # (C, K) rows of each class decided as such
    predicted: np.ndarray  # (C, K) rows decided as each class
    cost: np.ndarray  # (C,) sum of the disagreement of label and decision


@dataclass(frozen=True)
class Objective:
    """A metric of decisions, to be raised.

    Attributes:
        metric: macro_f1, kappa or balanced_accuracy_adjusted.
        true: rows of each class, (K,).
        disagreement: of label and decision in kappa, (K, K).
        of: classes whose mean F1 is meant; of absent and present only the latter.
    """

    metric: str
    true: np.ndarray
    disagreement: np.ndarray
    of: Sequence[int]

    def __call__(self, counts: Counts) -> np.ndarray:
        """Figures, (C,) float64: as those of `judge.metrics`, but 0 where there is none; not adjusted for chance."""
        if self.metric == "kappa":
            chance = counts.predicted @ (self.true @ self.disagreement)
            return 1 - np.divide(counts.cost * self.true.sum(), chance, out=np.ones(len(chance)), where=chance > 0)
        there = [number for number in self.of if self.true[number]]
        if not there:
            return np.zeros(len(counts.hits))
        hits, true = counts.hits[:, there], self.true[there]
        if self.metric == "macro_f1":
            return (2 * hits / (true + counts.predicted[:, there])).mean(axis=1)
        return (hits / true).mean(axis=1)


def objective(metric: str, labels: np.ndarray, classes: int, kappa: str, label: bool = False) -> Objective:
    """The metric of rows with these labels (n,); `label` where the two classes are a label's absence and presence."""
    grade = np.arange(classes)
    distance = np.abs(grade[:, None] - grade).astype(float)
    weighted = {"quadratic": distance**2, "linear": distance, "none": (distance > 0).astype(float)}[kappa]
    of = [1] if label and metric == "macro_f1" else range(classes)
    return Objective(metric, np.bincount(labels, minlength=classes), weighted, of)


def count(decided: np.ndarray, labels: np.ndarray, goal: Objective) -> Counts:
    """Of one way to decide, (n,) int, as Counts of length 1."""
    classes = len(goal.true)
    hits = np.bincount(labels[decided == labels], minlength=classes)
    predicted = np.bincount(decided, minlength=classes)
    return Counts(hits[None], predicted[None], goal.disagreement[labels, decided].sum(keepdims=True))


def ascend(probabilities: np.ndarray, labels: np.ndarray, goal: Objective) -> np.ndarray:
    """Weights of the classes, (K,) float64, from ones: the best cut of one class after another, while that gains.

    Of two classes this is the best of all cuts. Of cuts that are equally good, the one next to no change is taken.

    Args:
        probabilities: (n, K) float64.
        labels: (n,) int.
        goal: what to raise.
    """
    classes = probabilities.shape[1]
    weights = np.ones(classes)
    best = goal(count((weights * probabilities).argmax(axis=1), labels, goal))[0]
    moved = [1] if classes == 2 else np.argsort(goal.true, kind="stable").tolist()  # rare classes first
    for _ in range(1 if classes == 2 else ROUNDS):
        before = best
        for number in moved:
            cut, value = _best_cut(probabilities, labels, weights, number, goal)
            if value > best + SAME:
                weights[number], best = cut, value
        if best <= before:
            break
    return weights / weights[0]


def _best_cut(
    probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray, number: int, goal: Objective
) -> tuple[float, float]:
    """The best weight of class `number` beside these of the others, and what it comes to.

    A row turns to the class when the weight passes the ratio of the best other's weighted probability to its own.
    """
    others = weights * probabilities
    others[:, number] = -1
    other = others.argmax(axis=1)
    rivals, own = np.take_along_axis(others, other[:, None], axis=1)[:, 0], probabilities[:, number]
    turning = np.flatnonzero(own > 0)
    ratios = rivals[turning] / own[turning]
    order = np.argsort(ratios, kind="stable")
    turning, ratios = turning[order], ratios[order]
    values = goal(_swept(other, labels, turning, number, goal))
    cuts, ends = _between(ratios)
    values = values[ends]
    good = np.flatnonzero(values >= values.max() - SAME)
    near = good[np.abs(np.log(cuts[good] / weights[number])).argmin()]
    return float(cuts[near]), float(values[near])


def _swept(other: np.ndarray, labels: np.ndarray, turning: np.ndarray, number: int, goal: Objective) -> Counts:
    """Counts as the first 0, 1, … of the rows `turning` are decided as class `number` and the rest as `other`."""
    start = count(other, labels, goal)
    label, left = labels[turning], other[turning]
    classes = np.arange(len(goal.true))
    lost_hits = (left == label)[:, None] & (label[:, None] == classes)
    hits = (label == number)[:, None] & (classes == number)
    gains = (
        hits.astype(int) - lost_hits,
        (classes == number).astype(int) - (left[:, None] == classes),
        goal.disagreement[label, number] - goal.disagreement[label, left],
    )
    parts = zip((start.hits, start.predicted, start.cost), gains, strict=True)
    return Counts(*(np.concatenate([first, first + np.cumsum(gain, axis=0)]) for first, gain in parts))


def _between(ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights below, between and above rising ratios, (c,), and how many ratios each has passed, (c,).

    Rows of ratio 0 turn at any weight, and rows of equal ratios turn together.
    """
    free = int(np.searchsorted(ratios, 0, side="right"))
    positive = ratios[free:]
    if not len(positive):
        return np.ones(1), np.array([len(ratios)])
    apart = np.flatnonzero(np.diff(positive) > SAME * positive[1:])
    middle = np.sqrt(positive[apart]) * np.sqrt(positive[apart + 1])
    cuts = np.concatenate([positive[:1] / 2, middle, positive[-1:] * 2])
    return cuts, np.concatenate([[free], free + apart + 1, [len(ratios)]])
