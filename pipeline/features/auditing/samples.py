"""Whether two samples of features can be told apart, where patients, not rows, are independent."""

from dataclasses import dataclass

import numpy as np

from pipeline.features.auditing.learning import auc, dealt, out_of_fold

LEAST_ROWS, LEAST_PATIENTS = 10, 5  # of each sample, below which nothing can be said
MOST = 1_500  # rows of a sample that a classifier learns from
MOST_IN_KERNEL = 400  # rows of a sample that kernels are computed of
DRAWS = 199  # permutations


@dataclass(frozen=True, eq=False)
class Told:
    """Whether a classifier tells the rows of two samples apart.

    Attributes:
        auc: area under its curve, in patients that it has not learned from.
        p: p-value of that, of means by patient.
        rows: places of the rows that were looked at, (n,) int.
        scores: of them, higher for the second sample, comparable across the folds, (n,) float64.
    """

    auc: float
    p: float
    rows: np.ndarray
    scores: np.ndarray


def comparable(second: np.ndarray, groups: np.ndarray) -> bool:
    """Whether both samples have enough rows and patients.

    Args:
        second: which rows are of the second sample, (n,) bool.
        groups: patients, (n,) int.
    """
    return all(
        side.sum() >= LEAST_ROWS and len(np.unique(groups[side])) >= LEAST_PATIENTS for side in (second, ~second)
    )


def told_apart(Z: np.ndarray, second: np.ndarray, groups: np.ndarray) -> Told:
    """Classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv:1610.06545) with logistic regression, by patient.

    Args:
        Z: reduced features, (n, d) float32.
        second: which rows are of the second sample, (n,) bool.
        groups: patients, (n,) int.
    """
    from scipy.stats import mannwhitneyu

    rows = _sampled(second, MOST)
    side, of = second[rows], groups[rows]
    fold = dealt(side.astype(int), of)
    probability = out_of_fold(Z[rows], side.astype(int), of, 2, fold=fold)[:, 1]
    scores = np.log(np.clip(probability, 1e-9, 1 - 1e-9)) - np.log(np.clip(1 - probability, 1e-9, 1 - 1e-9))
    for number in np.unique(fold):  # regressions that learned from other rows have other scales
        here = fold == number
        scores[here] = (scores[here] - np.median(scores[here])) / max(float(scores[here].std()), 1e-9)
    means = [_means(scores[here], of[here]) for here in (~side, side)]
    p = float(mannwhitneyu(means[1], means[0], alternative="greater").pvalue)
    return Told(auc(scores, side), p, rows, scores)


def discrepancy(Z: np.ndarray, second: np.ndarray, groups: np.ndarray, draws: int = DRAWS) -> tuple[float, float]:
    """Maximum mean discrepancy (Gretton et al. 2012, JMLR 13) of two samples, and its p-value.

    The kernel is a Gaussian whose width is the median distance; each patient weighs the same, and patients are
    permuted. The biased estimate of the squared discrepancy is permuted, its root is returned.

    Args:
        Z: reduced features, (n, d) float32.
        second: which rows are of the second sample, (n,) bool.
        groups: patients, (n,) int.
        draws: permutations.
    """
    rows = _sampled(second, MOST_IN_KERNEL)
    _, of = np.unique(groups[rows], return_inverse=True)
    kernel = _gaussian(Z[rows].astype(np.float64))
    size = np.bincount(of)
    side = np.zeros(len(size), bool)
    side[of[second[rows]]] = True  # a patient in both would be leakage, and is looked for elsewhere
    by_row = np.zeros((len(size), len(of)))
    by_row[of, np.arange(len(of))] = 1 / size[of]
    G = by_row @ kernel @ by_row.T
    rng = np.random.default_rng(0)
    sides = np.stack([side, *(rng.permutation(side) for _ in range(draws))])  # (1 + draws, patients)
    weights = sides / sides.sum(axis=1, keepdims=True) - ~sides / (~sides).sum(axis=1, keepdims=True)
    squared = np.einsum("ij,ij->i", weights @ G, weights)
    return float(np.sqrt(max(0.0, squared[0]))), float((squared >= squared[0] - 1e-12).mean())


def holm(p: np.ndarray) -> np.ndarray:
    """p-values of several tests, corrected for their number (Holm 1979), (n,) float64."""
    order = np.argsort(p)
    corrected = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    out = np.empty(len(p))
    out[order] = np.minimum(1, corrected)
    return out


def _sampled(second: np.ndarray, most: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    sides = [np.flatnonzero(~second), np.flatnonzero(second)]
    return np.sort(np.concatenate([rows if len(rows) <= most else rng.choice(rows, most, False) for rows in sides]))


def _means(scores: np.ndarray, groups: np.ndarray) -> np.ndarray:
    _, of = np.unique(groups, return_inverse=True)
    return np.bincount(of, scores) / np.bincount(of)


def _gaussian(Z: np.ndarray) -> np.ndarray:
    lengths = np.square(Z).sum(axis=1)
    squared = np.maximum(lengths[:, None] + lengths - 2 * Z @ Z.T, 0)
    return np.exp(-squared / max(2 * float(np.median(squared[np.triu_indices(len(Z), 1)])), 1e-12))
