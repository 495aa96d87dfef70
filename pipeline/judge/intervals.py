"""Intervals by a bootstrap over patients.

Images of one patient are not independent, so patients are drawn, with replacement, and an image counts as often
as its patient (Field & Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x). The same seed gives every arm the same
draws: differences between arms are paired.
"""

from collections.abc import Mapping
from functools import cache
from statistics import NormalDist

import numpy as np
import pandas as pd
from threadpoolctl import ThreadpoolController

from pipeline.judge.counts import Counts, drawn, left_out
from pipeline.judge.metrics import Metric, measure
from pipeline.judge.tally import Multilabel, Predictions

NORMAL = NormalDist()
ALIKE = 1e-18  # squares of gaps that are rounding alone
FEW = 10  # patients of a class: below, figures of the class are marked as of few


def codes(groups: np.ndarray) -> np.ndarray:
    """Number of each row's patient, (n,) int, by first appearance: names of patients play no part."""
    return pd.factorize(np.asarray(groups, dtype=object))[0]


def bootstrap(
    given: Predictions | Multilabel, patients: np.ndarray, metrics: Mapping[str, Metric], draws: int, seed: int
) -> dict[str, np.ndarray]:
    """Figures of every draw, by name: (draws,) or (draws, K) float64.

    Args:
        given: predictions of n rows.
        patients: (n,) int, as `codes` gives them.
        metrics: by name.
        draws: how many.
        seed: of the draws.
    """
    return _measured(given, Counts(drawn(int(patients.max()) + 1, draws, seed), draws, patients), metrics)


def jackknife(
    given: Predictions | Multilabel, patients: np.ndarray, metrics: Mapping[str, Metric]
) -> dict[str, np.ndarray]:
    """Figures with each patient left out, or each group of them (`counts.GROUPS`), by name: (g,) or (g, K) float64."""
    return _measured(given, Counts(*left_out(int(patients.max()) + 1), patients), metrics)


def _measured(given: Predictions | Multilabel, by: Counts, metrics: Mapping[str, Metric]) -> dict[str, np.ndarray]:
    with _threads().limit(limits=1, user_api="blas"):  # which wait for each other where cores are busy
        return measure(given, by, metrics)


@cache  # a look at every loaded library, which takes longer than small bootstraps
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


def ends(
    draws: np.ndarray,
    point: np.ndarray,
    left_out: np.ndarray | None,
    confidence: float,
    patients: np.ndarray | int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval of each of m figures, twice (m,) float64, or () of one: percentiles or BCa.

    A difference between arms has the differences of their draws, figures and jackknives.

    Args:
        draws: (draws, m) float64, or (draws,) of one figure; NaN does not count.
        point: the figures of the sample itself, (m,) or ().
        left_out: their `jackknife`, (g, m) or (g,), for intervals that are corrected for bias and acceleration
            (BCa; Efron 1987, doi:10.1080/01621459.1987.10478410); None for plain percentiles.
        confidence: of the intervals.
        patients: that each figure rests on (`means.rests_on`), (m,) or (), for intervals that are wider where these are
            few, as Student's t is wider than the normal curve (expanded percentiles; Hesterberg 2015,
            doi:10.1080/00031305.2015.1089789).
    """
    points = np.ravel(point)
    reach = (
        np.full(len(points), NORMAL.inv_cdf((1 + confidence) / 2))
        if patients is None
        else _far(np.ravel(patients), confidence)
    )
    columns = draws.reshape(len(draws), -1).T
    left = [None] * len(points) if left_out is None else left_out.reshape(len(left_out), -1).T
    found = [_ends(*column) for column in zip(columns, points, left, reach, strict=True)]
    low, high = np.array(found).T.reshape(2, *draws.shape[1:])
    return low, high


def _ends(draws: np.ndarray, point: float, left_out: np.ndarray | None, reach: float) -> np.ndarray:
    """Ends of one interval that would be `reach` standard errors to each side if the draws were normal, (2,)."""
    known = draws[~np.isnan(draws)]
    if not len(known):
        return np.full(2, np.nan)
    bias, rate = (0.0, 0.0) if left_out is None else (_bias(known, point), acceleration(left_out))
    shifted = [bias - reach, bias + reach]
    return np.quantile(known, [NORMAL.cdf(bias + z / (1 - rate * z)) for z in shifted])


def _bias(draws: np.ndarray, point: float) -> float:
    """How far the figure is from the median of its draws, in standard errors; draws that equal it count half."""
    equal = np.abs(draws - point) < 1e-9  # the same figure may be summed in another order
    below = (np.sum((draws < point) & ~equal) + equal.sum() / 2) / len(draws)
    return NORMAL.inv_cdf(float(np.clip(below, 0.5 / len(draws), 1 - 0.5 / len(draws))))


def _far(patients: np.ndarray, confidence: float) -> np.ndarray:
    """Standard errors to each side, (m,) float64: beyond all draws for a single patient."""
    from scipy.special import stdtrit

    count = np.maximum(patients, 2)
    reach = np.sqrt(count / (count - 1)) * stdtrit(count - 1, (1 + confidence) / 2)
    return np.where(patients > 1, reach, 40.0)


def percentiles(values: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the middle `confidence` of the draws (axis 0); a draw without a figure does not count."""
    return ends(values, np.zeros(values.shape[1:]), None, confidence)


def acceleration(left_out: np.ndarray) -> float:
    """How fast the standard error of a figure changes with it: a sixth of the skewness of its jackknife (g,).

    The same is estimated by leaving out groups: a sum over groups of m patients is sqrt(m) times less skewed, and
    there are m times fewer of them.
    """
    known = left_out[~np.isnan(left_out)]
    gaps = known.mean() - known if len(known) else known
    spread = np.sum(gaps**2)
    return float(np.sum(gaps**3) / (6 * spread**1.5)) if spread > ALIKE else 0.0


def centred(values: np.ndarray, point: float, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Percentiles of the draws, moved so that their median is the figure; for a figure that is not negative.

    Noise pushes some figures one way, and a draw adds noise to that of the sample, so that all of the draws may lie
    beyond the figure. Their median less the figure estimates that bias (Efron & Tibshirani 1993, chapter 10,
    doi:10.1201/9780429246593), which is taken off the ends. Efron's bias-corrected percentiles (1981,
    doi:10.2307/3314608) don't serve: they hold the figure only where the plain percentiles do. The interval is that
    of the figure's long-run value at this number of images, whose own bias it keeps.

    Args:
        values: (draws,) float64.
        point: the figure of the sample itself.
        confidence: of the interval.
    """
    low, high = percentiles(values, confidence)
    bias = np.median(values) - point
    return np.maximum(low - bias, 0), high - bias
