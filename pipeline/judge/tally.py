"""Predictions, and their weighted sums for many weightings of the rows at once.

What depends on decisions takes the decided class or labels; rankings, losses and calibration take the probabilities.

Classes of which each row has one are `Predictions`; labels of which it may have several are `Multilabel`: for each
label, the `Predictions` of absent (0) and present (1) on the rows where it is known.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

SMALLEST = float(np.finfo(np.float64).eps)  # the least probability in log loss, as in scikit-learn
BINS = 15  # of the calibration error, equally wide (Guo et al. 2017, arXiv:1706.04599)


class Ranking(NamedTuple):
    """Rows from the highest to the lowest probability of one class, in runs of equal probability."""

    order: np.ndarray  # (n,) rows, highest first; in each run those of the class before the others
    middles: np.ndarray  # (r,) where the others begin in each run
    ends: np.ndarray  # (r,) where each run ends


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
        own = self.labels == number
        first = np.argsort(~own, kind="stable")
        order = first[np.argsort(-self.probabilities[first, number], kind="stable")]
        ends = np.flatnonzero(np.diff(self.probabilities[order, number], append=-np.inf)) + 1
        hits = np.concatenate([[0], np.cumsum(own[order])])[np.concatenate([[0], ends])]
        return Ranking(order, np.concatenate([[0], ends[:-1]]) + np.diff(hits), ends)


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


class Weighting(Protocol):
    """B weightings of n rows."""

    def of(self, rows: slice | np.ndarray) -> "Weighting":
        """Those of some of the rows."""
        ...

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Weighted sums over the rows of (n, C) values, (B, C) float64."""
        ...

    def areas(self, ranking: Ranking) -> tuple[np.ndarray, np.ndarray]:
        """Area under the ROC curve and average precision of one class, twice (B,) float64."""
        ...


@dataclass(frozen=True, eq=False)
class Weights:
    """Each row's own weights."""

    values: np.ndarray  # (n, B) float, not negative; a column per weighting

    def of(self, rows: slice | np.ndarray) -> "Weights":
        """Those of some of the rows."""
        return Weights(self.values[rows])

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Weighted sums over the rows of (n, C) values, (B, C) float64."""
        return self.values.T @ values

    def areas(self, ranking: Ranking) -> tuple[np.ndarray, np.ndarray]:
        """Area under the ROC curve and average precision of one class, twice (B,) float64."""
        hits, alarms = passed(ranking, self.values)
        gained, every, others = np.diff(hits, axis=0), hits[-1], alarms[-1]
        wins = gained * (others - (alarms[:-1] + alarms[1:]) / 2)
        there = gained * hits[1:] / np.maximum(hits[1:] + alarms[1:], np.finfo(np.float64).tiny)
        return ratio(wins.sum(axis=0), every * others), ratio(there.sum(axis=0), every)


def passed(ranking: Ranking, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight of the rows of the class, and of the others, before the first run and after each, twice (r + 1, B)."""
    sums = np.zeros((len(weights) + 1, weights.shape[1]))
    np.cumsum(weights[ranking.order], axis=0, out=sums[1:])
    begins = np.concatenate([[0], ranking.ends[:-1]])
    gained = sums[ranking.middles] - sums[begins], sums[ranking.ends] - sums[ranking.middles]
    hits, alarms = (np.concatenate([np.zeros_like(sums[:1]), np.cumsum(of, axis=0)]) for of in gained)
    return hits, alarms


@dataclass(frozen=True, eq=False)
class Tally:
    """Predictions under B weightings of their rows, with the sums that several figures share."""

    predictions: Predictions
    weighting: Weighting

    @cached_property
    def sample(self) -> "Tally":
        """The same predictions with every row counted once."""
        return Tally(self.predictions, Weights(np.ones((len(self.predictions.labels), 1))))

    @cached_property
    def total(self) -> np.ndarray:
        """Sum of the weights, (B,) float64."""
        return self.confusion.sum(axis=(1, 2))

    @cached_property
    def confusion(self) -> np.ndarray:
        """Weight by label (rows) and prediction (columns), (B, K, K) float64."""
        count = self.predictions.classes
        return self.weighting.sums(self.predictions.cells).reshape(-1, count, count)

    @cached_property
    def losses(self) -> np.ndarray:
        """Weighted sums of squares and of nats, (B, 2) float64."""
        return self.weighting.sums(np.column_stack([self.predictions.squares, self.predictions.nats]))

    @cached_property
    def gaps(self) -> np.ndarray:
        """Weighted sums of probability minus target by class that is told from the rest and bin, (B, R · BINS)."""
        return self.weighting.sums(self.predictions.gaps)

    @cached_property
    def areas(self) -> tuple[np.ndarray, np.ndarray]:
        """Area under the ROC curve and average precision of each class that is told from the rest, twice (B, R)."""
        auc, precision = zip(*(self.weighting.areas(of) for of in self.predictions.rankings), strict=True)
        return np.stack(auc, axis=1), np.stack(precision, axis=1)


def ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """Quotient, NaN where there is nothing to divide by."""
    return np.divide(over, under, out=np.full(np.shape(over), np.nan), where=under != 0)
