"""What folds and repeats say of the difference between two arms.

Figures of folds are not independent, since their training rows overlap; the variance of their mean is corrected for
it by the ratio of test to training rows (Nadeau & Bengio 2003, doi:10.1023/A:1024068626366).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

LEAST = 2  # folds


class Told(NamedTuple):
    """p of the corrected resampled t-test, and posterior probabilities; NaN where folds or their ratio lack."""

    p_folds: float
    better: float
    same: float
    worse: float


def figures(of: Mapping[str, Mapping[str, Any]], metric: str) -> np.ndarray:
    """A test figure of every fold, (J,) float64, from `Judged.figures["folds"]`."""
    return np.array([fold["test"][metric] for fold in of.values()], np.float64)


def tell(differences: np.ndarray, ratio: float, rope: float) -> Told:
    """The corrected resampled t-test, and the Bayesian correlated t-test of the same folds.

    The posterior of the mean difference is Student's t with the test's degrees of freedom, mean and standard error
    (Corani & Benavoli 2015, doi:10.1007/s10994-015-5486-z): better is its mass above the region of practical
    equivalence, same that within, worse that below. A difference that is the same in every fold is taken as known.

    Args:
        differences: (J,) float64, arm less reference in each fold; NaN in one that lacks the figure.
        ratio: test rows to training rows of a fold; NaN where it is not known.
        rope: half width of the region of practical equivalence, in the units of the figure.
    """
    from scipy.special import stdtr

    found = differences[~np.isnan(differences)]
    if len(found) < LEAST or np.isnan(ratio):
        return Told(*[np.nan] * 4)
    mean, freedom = found.mean(), len(found) - 1
    error = np.sqrt((1 / len(found) + ratio) * found.var(ddof=1))
    ends = np.array([-abs(mean), -rope - mean, rope - mean])
    if error <= 1e-9 * abs(mean) or mean == error == 0:  # what rounding leaves of no spread at all
        return Told(float(mean == 0), *_known(float(mean), rope))
    tail, worse, not_better = stdtr(freedom, ends / error).tolist()
    return Told(2 * tail, 1 - not_better, not_better - worse, worse)


def _known(mean: float, rope: float) -> tuple[float, float, float]:
    better, worse = float(mean > rope), float(mean < -rope)
    return better, 1 - better - worse, worse
