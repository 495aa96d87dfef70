"""Intervals by a bootstrap over patients.

Images of one patient are not independent, so patients are drawn, with replacement, and an image counts as often
as its patient (Field & Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x). The same seed gives every arm the same
draws: differences between arms are paired.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from pipeline.judge.counts import Counts, drawn, left_out
from pipeline.judge.metrics import Metric, measure
from pipeline.judge.tally import Multilabel, Predictions


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
    with threadpool_limits(1, "blas"):  # its threads wait for each other where cores are busy: 10 times the time
        return measure(given, by, metrics)


def percentiles(values: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the middle `confidence` of the draws (axis 0); a draw without a figure does not count."""
    tail = (1 - confidence) / 2
    flat = np.atleast_2d(values.T)  # (…, draws)
    ends = [
        np.quantile(row[~np.isnan(row)], [tail, 1 - tail]) if not np.isnan(row).all() else (np.nan, np.nan)
        for row in flat
    ]
    low, high = np.array(ends).T.reshape(2, *values.shape[1:])
    return low, high


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
