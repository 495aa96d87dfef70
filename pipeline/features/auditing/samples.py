"""Whether two samples of features can be told apart, where patients, not rows, are independent."""

from dataclasses import dataclass

import numpy as np

from pipeline.features.auditing.learning import FOLDS, auc

LEAST_ROWS, LEAST_PATIENTS = 10, 5  # of each sample, below which nothing can be said
MOST = 1_500  # rows of a sample that are looked at
MOST_IN_KERNEL = 400  # rows of a sample that kernels are computed of
DRAWS = 199  # permutations


@dataclass(frozen=True, eq=False)
class Told:
    """Whether a classifier tells the rows of two samples apart.

    Attributes:
        auc: area under its curve, in patients that it has not learned from.
        p: p-value of that.
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


def told_apart(Z: np.ndarray, second: np.ndarray, groups: np.ndarray, draws: int = DRAWS) -> Told:
    """Classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv:1610.06545) by patient.

    The classifier is Fisher's discriminant with a ridge, cross-validated over patients. Patients are permuted between
    the samples and the classifier is learned anew, all permutations at once; the p-value is that of the normal
    distribution which the areas under the curve then have, so that it can be small after few permutations.

    Args:
        Z: reduced features, (n, d) float32.
        second: which rows are of the second sample, (n,) bool.
        groups: patients, (n,) int.
        draws: permutations.
    """
    from scipy.stats import norm, rankdata

    rng, rows = np.random.default_rng(0), _sampled(second, MOST)
    _, of = np.unique(groups[rows], return_inverse=True)
    sides = _sides(second[rows], of, draws, rng)
    fold = (rng.permutation(len(sides)) % FOLDS)[of]
    scores = _discriminants(Z[rows].astype(np.float64), sides[of], fold)
    count = sides.sum(axis=0)
    above = (rankdata(_means(scores, of), axis=0) * sides).sum(axis=0) - count * (count + 1) / 2
    areas = above / (count * (len(sides) - count))
    spread = max(float(areas[1:].std()), 1e-9)
    p = float(norm.sf((areas[0] - areas[1:].mean()) / spread))
    return Told(auc(scores[:, 0], second[rows]), p, rows, scores[:, 0])


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
    rng, rows = np.random.default_rng(0), _sampled(second, MOST_IN_KERNEL)
    _, of = np.unique(groups[rows], return_inverse=True)
    kernel = _means(_means(_gaussian(Z[rows].astype(np.float64)), of).T, of)  # (patients, patients)
    sides = _sides(second[rows], of, draws, rng)
    weights = sides / sides.sum(axis=0) - ~sides / (~sides).sum(axis=0)
    squared = np.einsum("ij,ij->j", weights, kernel @ weights)
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


def _sides(second: np.ndarray, of: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Which patients are in the second sample: as they are, then permuted, (patients, 1 + draws) bool.

    A patient in both counts to the second: that would be leakage, which is looked for elsewhere.
    """
    side = np.zeros(int(of.max()) + 1, bool)
    side[of[second]] = True
    return np.stack([side, *(rng.permutation(side) for _ in range(draws))], axis=1)


def _discriminants(Z: np.ndarray, sides: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Scores out of fold for each of several assignments to two samples, (n, 1 + draws) float64.

    In a fold they have mean 0 and deviation 1: those of different folds come from different classifiers.

    Args:
        Z: (n, d) float64.
        sides: which rows are of the second sample, (n, 1 + draws) bool.
        fold: of each row, (n,) int.
    """
    out = np.zeros(sides.shape)
    for number in np.unique(fold):
        held, rest = fold == number, fold != number
        here, mean = sides[rest], Z[rest].mean(axis=0)
        away = Z[rest] - mean
        contrast = here / np.maximum(here.sum(axis=0), 1) - ~here / np.maximum((~here).sum(axis=0), 1)
        ridge = Z.shape[1] / max(1, len(away))
        spread = away.T @ away / max(1, len(away)) + ridge * np.eye(Z.shape[1])
        scores = (Z[held] - mean) @ np.linalg.solve(spread, away.T @ contrast)
        out[held] = (scores - scores.mean(axis=0)) / np.maximum(scores.std(axis=0), 1e-12)
    return out


def _means(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Means of rows by patient, (patients, columns) float64."""
    order = np.argsort(of, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(of[order]) > 0])
    return np.add.reduceat(values[order], starts, axis=0) / np.bincount(of)[:, None]


def _gaussian(Z: np.ndarray) -> np.ndarray:
    lengths = np.square(Z).sum(axis=1)
    squared = np.maximum(lengths[:, None] + lengths - 2 * Z @ Z.T, 0)
    return np.exp(-squared / max(2 * float(np.median(squared[np.triu_indices(len(Z), 1)])), 1e-12))
