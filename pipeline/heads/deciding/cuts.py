"""Weights of classes that are best for a metric, over all cuts of one class at a time.

A row is decided as the class of highest weight × probability. The figures are those of `judge.metrics`, from counts.
"""

from dataclasses import dataclass

import numpy as np

ROUNDS = 20  # through all classes
LITTLE = 1e-3  # what a round must gain for another one
SAME = 1e-9  # relative: two rows whose cuts are as close can't be parted


@dataclass(frozen=True)
class Objective:
    """A metric of decisions, to be raised.

    Figures are those of `judge.metrics`, but 0 where there is none, and balanced accuracy is not adjusted for chance.

    Attributes:
        metric: macro_f1, kappa or balanced_accuracy_adjusted.
        true: rows of each class, (K,).
        disagreement: of label and decision in kappa, (K, K).
        weights: of each class in the mean, (K,); 0 for one without rows.
    """

    metric: str
    true: np.ndarray
    disagreement: np.ndarray
    weights: np.ndarray

    def __call__(self, decided: np.ndarray, labels: np.ndarray) -> float:
        """Of decided classes and labels, (n,) int each."""
        classes = np.arange(len(self.true))
        hits = np.bincount(labels[decided == labels], minlength=len(classes))
        predicted = np.bincount(decided, minlength=len(classes))
        if self.metric == "kappa":
            seen = self.disagreement[labels, decided].sum(keepdims=True)
            return float(self.agreement(seen, (predicted @ self.chances)[None])[0])
        return float(self.terms(classes, hits, predicted).sum())

    @property
    def chances(self) -> np.ndarray:
        """What a row decided as each class disagrees with all labels, (K,)."""
        return self.true @ self.disagreement

    def agreement(self, seen: np.ndarray, chance: np.ndarray) -> np.ndarray:
        """Kappa, (C,), from the sums of disagreement with the own label and with all labels."""
        return 1 - np.divide(seen * self.true.sum(), chance, out=np.ones(len(chance)), where=chance > 0)

    def terms(self, numbers: np.ndarray, hits: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """What classes `numbers` (m,) add to the mean with these hits and predictions, (m,)."""
        true = self.true[numbers]
        over, under = (2 * hits, true + predicted) if self.metric == "macro_f1" else (hits, true)
        return self.weights[numbers] * over / np.maximum(under, 1)


def objective(metric: str, labels: np.ndarray, classes: int, kappa: str, label: bool = False) -> Objective:
    """The metric of rows with these labels (n,); `label` where the two classes are a label's absence and presence."""
    grade = np.arange(classes)
    distance = np.abs(grade[:, None] - grade).astype(float)
    weighted = {"quadratic": distance**2, "linear": distance, "none": (distance > 0).astype(float)}[kappa]
    true = np.bincount(labels, minlength=classes)
    meant = (true > 0) & (grade > 0 if label and metric == "macro_f1" else True)
    return Objective(metric, true, weighted, meant / max(meant.sum(), 1))


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
    best = goal((weights * probabilities).argmax(axis=1), labels)
    moved = [1] if classes == 2 else np.argsort(goal.true, kind="stable").tolist()  # rare classes first
    for _ in range(1 if classes == 2 else ROUNDS):
        before = best
        for number in moved:
            cut, value = _best_cut(probabilities, labels, weights, number, goal)
            if value > best + SAME:
                weights[number], best = cut, value
        if best <= before + LITTLE:
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
    cuts, ends = _between(ratios)
    values = _swept(other, labels, turning, number, goal)[ends]
    good = np.flatnonzero(values >= values.max() - SAME)
    near = good[np.abs(np.log(cuts[good] / weights[number])).argmin()]
    return float(cuts[near]), float(values[near])


def _swept(other: np.ndarray, labels: np.ndarray, turning: np.ndarray, number: int, goal: Objective) -> np.ndarray:
    """The metric, (m + 1,), as the first 0, 1, … m of the rows `turning` are decided as class `number`, not `other`."""
    label, left = labels[turning], other[turning]
    if goal.metric == "kappa":
        seen = goal.disagreement[labels, other].sum() + _running(
            goal.disagreement[label, number] - goal.disagreement[label, left]
        )
        chance = goal.chances[other].sum() + _running(goal.chances[number] - goal.chances[left])
        return goal.agreement(seen, chance)
    classes = np.arange(len(goal.true))
    hits = np.bincount(labels[other == labels], minlength=len(classes))
    predicted = np.bincount(other, minlength=len(classes))
    # Each row takes one prediction from its own class alone, so classes are gone through one after another.
    order = np.argsort(left, kind="stable")
    own, found = left[order], (label == left)[order].astype(int)
    starts = np.searchsorted(own, classes)
    gone = np.arange(len(own)) - starts[own]
    lost = _running(found)[:-1] - _running(found)[starts[own]]
    before, after = hits[own] - lost, predicted[own] - gone
    change = np.empty(len(own))
    change[order] = goal.terms(own, before - found, after - 1) - goal.terms(own, before, after)
    gained = goal.terms(np.full(len(own) + 1, number), _running(label == number), np.arange(len(own) + 1))
    return goal.terms(classes, hits, predicted).sum() + _running(change) + gained


def _running(values: np.ndarray) -> np.ndarray:
    """Sum of the first 0, 1, … n, (n + 1,)."""
    return np.concatenate([[0], np.cumsum(values)])


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
