"""Predictions, and their weighted sums for many weightings of the rows at once.

What depends on decisions takes the decided class or labels; rankings, losses and calibration take the probabilities.

Classes of which each row has one are `Predictions`; labels of which it may have several are `Multilabel`: for each
label, the `Predictions` of absent (0) and present (1) on the rows where it is known.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

SMALLEST = float(np.finfo(np.float64).eps)  # the least probability in log loss, as in scikit-learn
BINS = 15  # of the calibration error, equally wide (Guo et al. 2017, arXiv:1706.04599)


class Ranking(NamedTuple):
    """Rows from the highest to the lowest probability of one class; rows of equal probability stand together.

    The last four have one entry per row of the class, in that order.
    """

    order: np.ndarray  # (n,) rows, highest first
    positives: np.ndarray  # (p,) rows of the class, highest first
    above: np.ndarray  # (p,) rows with a higher probability
    through: np.ndarray  # (p,) rows with a probability as high or higher
    positives_above: np.ndarray  # (p,) likewise among the rows of the class
    positives_through: np.ndarray


@dataclass(frozen=True, eq=False)
class Predictions:
    """Labels and probabilities of n rows over K classes, and what follows from them before any weighting.

    Two classes are one question: whatever is said of a class against the rest is said of the second, the positive one.
    """

    labels: np.ndarray  # (n,) int, 0 … K-1
    probabilities: np.ndarray  # (n, K) float, rows sum to 1
    decided: np.ndarray | None = None  # (n,) int, where it is not the most probable class

    @property
    def classes(self) -> int:
        """K."""
        return self.probabilities.shape[1]

    @property
    def against_rest(self) -> list[int]:
        """The R classes that are told from the rest: all K, or the second of two."""
        return list(range(self.classes)) if self.classes > 2 else [self.classes - 1]

    @property
    def known(self) -> np.ndarray:
        """Whether it is known of each row that it has each class or not, (n, K) bool."""
        return np.ones(self.probabilities.shape, bool)

    @property
    def present(self) -> np.ndarray:
        """Whether each row has each class, (n, K) bool."""
        return self.labels[:, None] == np.arange(self.classes)

    @property
    def chosen(self) -> np.ndarray:
        """Whether each class is predicted of each row, (n, K) bool."""
        return self.predicted[:, None] == np.arange(self.classes)

    @cached_property
    def predicted(self) -> np.ndarray:
        """The decided class, (n,) int: if not given, that of highest probability; the first of equals."""
        return self.probabilities.argmax(axis=1) if self.decided is None else self.decided

    @property
    def confusion(self) -> np.ndarray:
        """Rows by label and prediction, (K, K) int."""
        cells = np.bincount(self.labels * self.classes + self.predicted, minlength=self.classes**2)
        return cells.reshape(self.classes, self.classes)

    @cached_property
    def cells(self) -> np.ndarray:
        """One-hot cell of the confusion matrix (label by prediction), (n, K²) float32."""
        cells = np.zeros((len(self.labels), self.classes**2), np.float32)
        cells[np.arange(len(cells)), self.labels * self.classes + self.predicted] = 1
        return cells

    @cached_property
    def targets(self) -> np.ndarray:
        """One-hot labels, (n, K) float64."""
        return np.eye(self.classes)[self.labels]

    @cached_property
    def squares(self) -> np.ndarray:
        """Squared distance of probabilities and targets, (n,) float64."""
        return ((self.probabilities - self.targets) ** 2).sum(axis=1)

    @cached_property
    def nats(self) -> np.ndarray:
        """Negative log of the probability of the label, clipped at SMALLEST, (n,) float64."""
        of_label = np.take_along_axis(self.probabilities, self.labels[:, None], axis=1)[:, 0].astype(np.float64)
        return -np.log(of_label.clip(SMALLEST, 1 - SMALLEST))

    @cached_property
    def gaps(self) -> np.ndarray:
        """Probability minus target in the bin of the probability, 0 in the others, (n, R · BINS) float64."""
        of = self.against_rest
        given = self.probabilities[:, of]
        columns = np.minimum((given * BINS).astype(int), BINS - 1) + np.arange(len(of)) * BINS
        gaps = np.zeros((len(self.labels), len(of) * BINS))
        np.put_along_axis(gaps, columns, given - self.targets[:, of], axis=1)
        return gaps

    @cached_property
    def rankings(self) -> list[Ranking]:
        """Ranking of the rows by the probability of each class that is told from the rest."""
        return [self._ranking(number) for number in self.against_rest]

    def _ranking(self, number: int) -> Ranking:
        descending = -self.probabilities[:, number]
        order = np.argsort(descending, kind="stable")
        positives = order[self.labels[order] == number]
        every, own = descending[order], descending[positives]
        sides = [np.searchsorted(sorted_, own, side) for sorted_ in (every, own) for side in ("left", "right")]
        return Ranking(order, positives, *sides)


@dataclass(frozen=True, eq=False)
class Multilabel:
    """What is known of n rows over L labels, and the probability that each is present."""

    labels: np.ndarray  # (n, L) int8: 1 present, 0 absent, -1 missing
    probabilities: np.ndarray  # (n, L) float, 0 to 1; rows need not sum to 1
    decided: np.ndarray | None = None  # (n, L) bool, where it is not a probability above one half

    @property
    def classes(self) -> int:
        """L."""
        return self.probabilities.shape[1]

    @property
    def known(self) -> np.ndarray:
        """Whether each label of each row is present or absent and not missing, (n, L) bool."""
        return self.labels >= 0

    @property
    def present(self) -> np.ndarray:
        """Whether each row has each label, (n, L) bool."""
        return self.labels == 1

    @property
    def chosen(self) -> np.ndarray:
        """Whether each label is predicted of each row where it is known, (n, L) bool."""
        return (self.probabilities > 0.5 if self.decided is None else self.decided) & self.known

    @property
    def confusion(self) -> np.ndarray:
        """Of each label, rows by being present and being predicted, (L, 2, 2) int."""
        return np.stack([of.confusion for _, of in self.each])

    @cached_property
    def each(self) -> list[tuple[slice | np.ndarray, Predictions]]:
        """Of each label, the rows where it is known, and absent or present as the two classes of these rows."""
        return [self._of(number) for number in range(self.classes)]

    def _of(self, number: int) -> tuple[slice | np.ndarray, Predictions]:
        known = self.labels[:, number] >= 0
        rows = slice(None) if known.all() else np.flatnonzero(known)  # a slice spares a copy of the weights
        positive = self.probabilities[rows, number]
        labels = self.labels[rows, number].astype(np.int64)
        decided = None if self.decided is None else self.decided[rows, number].astype(np.int64)
        return rows, Predictions(labels, np.stack([1 - positive, positive], axis=1), decided)


def predictions(
    labels: np.ndarray, probabilities: np.ndarray, decided: np.ndarray | None = None
) -> Predictions | Multilabel:
    """Predictions of labels (n,) int, or of a label each, (n, L) int8; `probabilities` (n, K) or (n, L).

    `decided` are classes (n,) int or labels (n, L) bool, where they are not those of highest probability.
    """
    return (Predictions if labels.ndim == 1 else Multilabel)(labels, probabilities, decided)


@dataclass(frozen=True, eq=False)
class Tally:
    """Predictions under B weightings of their rows, with the sums that several figures share.

    Whole numbers in float32 weights give the same counts as float64, for up to 2^23 rows.
    """

    predictions: Predictions
    weights: np.ndarray  # (n, B) float, not negative; a column per weighting

    @cached_property
    def total(self) -> np.ndarray:
        """Sum of the weights, (B,) float64."""
        return self.confusion.sum(axis=(1, 2))

    @cached_property
    def confusion(self) -> np.ndarray:
        """Weight by label (rows) and prediction (columns), (B, K, K) float64."""
        count = self.predictions.classes
        return self.weighted(self.predictions.cells).reshape(-1, count, count)

    @cached_property
    def areas(self) -> tuple[np.ndarray, np.ndarray]:
        """Area under the ROC curve and average precision of each class that is told from the rest, twice (B, R)."""
        auc, precision = zip(*(_areas(ranking, self.weights) for ranking in self.predictions.rankings), strict=True)
        return np.stack(auc, axis=1), np.stack(precision, axis=1)

    def weighted(self, values: np.ndarray) -> np.ndarray:
        """Weighted sums over the rows of (n, …) values, (B, …) float64."""
        return (self.weights.T @ values.astype(self.weights.dtype, copy=False)).astype(np.float64)


def _areas(ranking: Ranking, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Area under the ROC curve and average precision of one class, twice (B,): sums over its own rows."""
    own = weights[ranking.positives]  # (p, B)
    every, positive = _running(weights[ranking.order]), _running(own)
    alarms_above = every[ranking.above] - positive[ranking.positives_above]
    hits, alarms = positive[ranking.positives_through], every[ranking.through]
    precision_there = hits / np.maximum(alarms, np.finfo(weights.dtype).tiny)
    alarms -= hits
    negatives = every[-1] - positive[-1]
    wins = own * (negatives - (alarms_above + alarms) / 2)
    of_class, of_rest = positive[-1].astype(np.float64), negatives.astype(np.float64)
    auc = ratio(wins.sum(axis=0, dtype=np.float64), of_class * of_rest)
    return auc, ratio((own * precision_there).sum(axis=0, dtype=np.float64), of_class)


def _running(weights: np.ndarray) -> np.ndarray:
    """Sum of the first 0, 1, … n rows, (n + 1, B)."""
    sums = np.zeros((len(weights) + 1, weights.shape[1]), weights.dtype)
    np.cumsum(weights, axis=0, out=sums[1:])
    return sums


def ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """Quotient, NaN where there is nothing to divide by."""
    return np.divide(over, under, out=np.full(np.shape(over), np.nan), where=under != 0)
