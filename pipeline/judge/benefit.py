"""Decision curves: whether acting on the probabilities is worth more than acting on everyone or on no one.

Whoever acts from a probability of t on holds one miss to be as bad as (1 - t) / t needless actions; the net benefit
is the share of hits less that of alarms, weighed so (Vickers & Elkin 2006, doi:10.1177/0272989X06295361).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from pipeline.judge import intervals, questions
from pipeline.judge.arms import Rows
from pipeline.judge.counts import Counts, drawn
from pipeline.judge.questions import Question

THRESHOLDS = np.arange(1, 100) / 100
AROUND = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # times the prevalence, where a rare class is decided
COLUMNS = ["class", "threshold", "model", "all", "low", "high"]


def table(rows: Rows, names: Sequence[str], draws: int, confidence: float, seed: int) -> pd.DataFrame:
    """Net benefit by class and threshold, with a band over patients; that of acting on no one is 0.

    Returns:
        columns COLUMNS: `model` and, from low to high, its band; `all`: acting on everyone. No row of a class that all
        or none have.
    """
    times = drawn(int(rows.patients.max()) + 1, draws, seed)
    parts = [_curve(one, Counts(times, draws, one.patients), confidence) for one in questions.each(rows, names)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=pd.Index(COLUMNS))


def thresholds(prevalence: float) -> np.ndarray:
    """From 0.01 to 0.99, and below that around the prevalence of a rare class, (T,) float64."""
    around = prevalence * np.array(AROUND)
    return np.concatenate([around[around < THRESHOLDS[0]], THRESHOLDS])


def worth(probability: np.ndarray, own: np.ndarray, at: np.ndarray) -> np.ndarray:
    """What each row adds to the net benefit, (n, T): 1 for a hit, t / (t - 1) for an alarm, 0 where nothing is done."""
    return np.where(probability[:, None] >= at, np.where(own[:, None], 1.0, -at / (1 - at)), 0.0)


def _curve(one: Question, counts: Counts, confidence: float) -> pd.DataFrame:
    prevalence = float(one.own.mean())
    at = thresholds(prevalence)
    gains = worth(one.probability, one.own, at)
    with threadpool_limits(1, "blas"):  # as in `intervals`
        sums = counts.sums(np.column_stack([gains, np.ones(len(gains))]))
    with np.errstate(invalid="ignore"):  # a draw without a row where a label is known
        low, high = intervals.percentiles(sums[:, :-1] / sums[:, -1:], confidence)
    everyone = prevalence - (1 - prevalence) * at / (1 - at)
    return pd.DataFrame(
        {"class": one.name, "threshold": at, "model": gains.mean(axis=0), "all": everyone, "low": low, "high": high}
    )
