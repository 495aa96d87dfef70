"""Intervals by a bootstrap over patients.

Images of one patient are not independent, so patients are drawn, with replacement, and an image counts as often
as its patient (Field & Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x). The same seed gives every arm the same
draws: differences between arms are paired.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from pipeline.judge.metrics import Metric, measure
from pipeline.judge.tally import Multilabel, Predictions

CELLS = 2**19  # rows times draws held at once: 2 MB of float32, which a core's cache takes


def codes(groups: np.ndarray) -> np.ndarray:
    """Number of each row's patient, (n,) int, by first appearance: names of patients play no part."""
    return pd.factorize(np.asarray(groups, dtype=object))[0]


def draw(patients: np.ndarray, draws: int, seed: int, cells: int = CELLS) -> Iterator[np.ndarray]:
    """How often each row counts, a column per draw, in blocks (n, b) float32 of at most `cells` numbers.

    Args:
        patients: (n,) int, as `codes` gives them.
        draws: columns in all.
        seed: of the draws; they do not depend on `cells`.
        cells: bound on the memory of a block.
    """
    rng, count = np.random.default_rng(seed), int(patients.max()) + 1
    step = max(1, cells // len(patients))
    for start in range(0, draws, step):
        width = min(step, draws - start)
        drawn = rng.integers(0, count, (width, count)) * width + np.arange(width)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * width).reshape(count, width)
        yield times.astype(np.float32)[patients]


def bootstrap(
    given: Predictions | Multilabel, patients: np.ndarray, metrics: Mapping[str, Metric], draws: int, seed: int
) -> dict[str, np.ndarray]:
    """Figures of every draw, by name: (draws,) or (draws, K) float64."""
    with threadpool_limits(1, "blas"):  # its threads wait for each other where cores are busy: 10 times the time
        blocks = [measure(given, weights, metrics) for weights in draw(patients, draws, seed)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in metrics}


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
