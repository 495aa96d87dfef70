"""What small models can tell from features, judged on patients that they have not seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.features.auditing.evidence import Evidence, stratified

WIDTH = 64  # principal components that small models learn from
SAMPLE = 5_000  # rows that the components are computed from
MOST = 10_000  # rows that one small model learns from
FOLDS = 5
PENALTY = 0.3  # C of logistic regression on components of unit variance
PART = 4096  # rows at once


@dataclass(frozen=True, eq=False)
class Question:
    """One label to be told: the class of an image, or whether it has one of several labels.

    Attributes:
        name: of the label; "" where an image has one class.
        y: class number of each feature row, (N,) int, -1 where it is not known.
        classes: names by number.
    """

    name: str
    y: np.ndarray
    classes: Sequence[str]


def questions(evidence: Evidence) -> Iterator[Question]:
    """The labels, to be looked at one by one: a single one for classes, one for each of several labels; or none."""
    if not len(evidence.targets) or not evidence.classes:
        return
    if not evidence.multilabel:
        yield Question("", evidence.targets, list(evidence.classes))
        return
    for number, name in enumerate(evidence.classes):
        yield Question(name, evidence.targets[:, number].astype(int), [f"no {name}", name])


def labelled(evidence: Evidence, question: Question) -> np.ndarray:
    """Positions of the rows of pictures as they are, that are in the first fold and whose class is known, (n,) int."""
    return np.flatnonzero(evidence.natural & (question.y >= 0) & (evidence.role() != ""))


@dataclass(frozen=True, eq=False)
class Axes:
    """Principal components of features.

    Attributes:
        mean: (D,) float32.
        axes: (D, d) float32, the largest component first; each of unit variance.
    """

    mean: np.ndarray
    axes: np.ndarray

    def of(self, X: np.ndarray) -> np.ndarray:
        """Components of rows, (n, d) float32."""
        return np.concatenate([(X[at : at + PART] - self.mean) @ self.axes for at in range(0, max(1, len(X)), PART)])


def axes(evidence: Evidence) -> Axes:
    """Of the features of the first fold."""
    rows = np.flatnonzero(evidence.natural & (evidence.role() != ""))
    return evidence.once("axes", lambda: principal(evidence.space(evidence.file), rows))


def components(evidence: Evidence) -> np.ndarray:
    """Principal components of the features of the first fold, (N, at most WIDTH) float32."""
    return evidence.once("components", lambda: axes(evidence).of(evidence.space(evidence.file)))


def principal(X: np.ndarray, rows: np.ndarray) -> Axes:
    """The largest WIDTH principal components of features, of a sample where there are more than SAMPLE rows.

    Args:
        X: (N, D) float32, finite.
        rows: positions of those that the components are of, (n,) int.
    """
    from scipy.linalg import eigh

    if len(rows) > SAMPLE:
        rows = np.sort(np.random.default_rng(0).choice(rows, SAMPLE, replace=False))
    sample = X[rows]
    mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    sample -= mean
    covariance = (sample.T @ sample).astype(np.float64) / max(1, len(rows) - 1)
    last = X.shape[1] - 1
    variance, found = eigh(covariance, subset_by_index=(max(0, last + 1 - WIDTH), last))
    kept = variance > 1e-6 * max(variance[-1], 1e-12)  # the rest is rounding
    return Axes(mean, (found[:, kept] / np.sqrt(variance[kept])).astype(np.float32)[:, ::-1])


def dealt(y: np.ndarray, groups: np.ndarray, folds: int = FOLDS, seed: int = 0) -> np.ndarray:
    """Fold of each row, (n,) int: whole patients, dealt in turns so that each fold has about as many of each class.

    Args:
        y: class numbers, (n,) int, 0 or more.
        groups: patients, (n,) int.
        folds: number of them.
        seed: of the order in which patients of a class are dealt.
    """
    patients, of = np.unique(groups, return_inverse=True)
    rarity = np.argsort(np.argsort(np.bincount(y), kind="stable"), kind="stable")  # 0: the rarest class
    rarest = np.full(len(patients), len(rarity))
    np.minimum.at(rarest, of, rarity[y])
    turns = np.lexsort((np.random.default_rng(seed).permutation(len(patients)), -np.bincount(of), rarest))
    fold = np.empty(len(patients), int)
    fold[turns] = np.arange(len(patients)) % folds
    return fold[of]


def out_of_fold(
    Z: np.ndarray, y: np.ndarray, groups: np.ndarray, classes: int, most: int = MOST, fold: np.ndarray | None = None
) -> np.ndarray:
    """Probabilities of logistic regressions that have not seen a row's patient, (n, classes) float64.

    Args:
        Z: reduced features, (n, d) float32.
        y: class numbers, (n,) int.
        groups: patients, (n,) int.
        classes: number of them; one that a regression has not seen has probability 0.
        most: rows that one regression learns from: a sample in which classes have their shares.
        fold: of each row, (n,) int; None: as dealt.
    """
    fold = dealt(y, groups) if fold is None else fold
    out = np.zeros((len(y), classes))
    for number in np.unique(fold):
        held, rest = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        learned = rest[stratified(y[rest], most)]
        seen = np.unique(y[learned])
        if len(seen) < 2 or not Z.shape[1]:
            out[held] = np.bincount(y[learned], minlength=classes) / max(1, len(learned))
        else:
            out[np.ix_(held, seen)] = _logistic(Z[learned], y[learned], Z[held])
    return out


def _logistic(Z: np.ndarray, y: np.ndarray, held: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=PENALTY, max_iter=500, tol=1e-3).fit(Z, y).predict_proba(held)


def capped(y: np.ndarray, most: int, seed: int = 0) -> np.ndarray:
    """Positions of a sample in which no class has more than an equal part of so many rows, ascending, (m,) int.

    Args:
        y: class numbers, (n,) int, 0 or more.
        most: rows of the sample; all where there are no more.
        seed: of the draw.
    """
    if len(y) <= most:
        return np.arange(len(y))
    shuffled = np.random.default_rng(seed).permutation(len(y))
    members = [shuffled[y[shuffled] == label] for label in np.unique(y)]
    return np.sort(np.concatenate([rows[: max(1, most // len(members))] for rows in members]))


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Probability that a positive row has the higher score, ties halved; NaN where one side is empty."""
    from scipy.stats import rankdata

    count, other = int(positive.sum()), int((~positive).sum())
    if not count or not other:
        return float("nan")
    return float((rankdata(scores)[positive].sum() - count * (count + 1) / 2) / (count * other))


def counted(counts: dict[str, int]) -> str:
    """Names with their counts, the greatest first: `B 8, C 2`."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: -item[1]) if count)
