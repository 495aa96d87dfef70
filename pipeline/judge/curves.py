"""ROC and precision-recall curves, thinned for drawing, with bands of a bootstrap over patients."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pipeline.judge.counts import Counts, drawn
from pipeline.judge.tally import Multilabel, Predictions, Ranking, passed

POINTS = 200  # at most, per curve: more than a figure can show


class Curves(NamedTuple):
    """One class against the rest, from the highest threshold to the lowest; empty where it has all rows or none.

    The last two columns are a band: the middle of the draws, at each point alone, not of the curve as a whole.
    """

    roc: np.ndarray  # (m, 4) float64: false positive rate, true positive rate, lowest and highest at this rate
    pr: np.ndarray  # (m, 4) float64: recall, precision, lowest and highest at this recall


def each(
    given: Predictions | Multilabel, patients: np.ndarray, draws: int, confidence: float, seed: int
) -> dict[int, Curves]:
    """Curves by number of every class that is told from the rest (of two the second), or of every label.

    Args:
        given: predictions of n rows.
        patients: (n,) int, as `intervals.codes` gives them.
        draws: of the bootstrap.
        confidence: of the bands.
        seed: of the draws, which are those of the intervals of the same rows.
    """
    of = Counts(drawn(int(patients.max()) + 1, draws, seed), draws, patients)
    return {number: _curves(*ranked, confidence) for number, ranked in _rankings(given, of)}


def _rankings(given: Predictions | Multilabel, by: Counts) -> Iterator[tuple[int, tuple[Ranking, Counts]]]:
    if isinstance(given, Predictions):
        yield from ((number, (of, by)) for number, of in zip(given.against_rest, given.rankings, strict=True))
    else:
        yield from ((number, (of.rankings[0], by.of(rows))) for number, (rows, of) in enumerate(given.each))


def _curves(ranking: Ranking, by: Counts, confidence: float) -> Curves:
    """Points within straight pieces of the ROC curve are left out, then the others are thinned to POINTS."""
    hits, alarms = (of[:, 0] for of in passed(ranking, np.ones((len(ranking.order), 1))))
    if hits[-1] == 0 or alarms[-1] == 0:
        return Curves(np.empty((0, 4)), np.empty((0, 4)))
    kept = _corners(alarms, hits)
    hits, alarms = hits[kept], alarms[kept]
    tpr, fpr, precision = hits / hits[-1], alarms / alarms[-1], hits[1:] / (hits[1:] + alarms[1:])
    roc, pr = (_band(of, confidence) for of in by.ranges(ranking, fpr, tpr))
    pr[0] = pr[1]  # where nothing is called the class there is no precision: that of the next point is drawn
    return Curves(
        np.column_stack([fpr, tpr, roc]), np.column_stack([tpr, np.concatenate([precision[:1], precision]), pr])
    )


def _band(ranges: np.ndarray, confidence: float) -> np.ndarray:
    """Low and high, (m, 2), of least and greatest values in each draw (2, draws, m); draws without a curve are NaN."""
    tail, there = (1 - confidence) / 2, ~np.isnan(ranges[0, :, -1])
    if not there.any():
        return np.full((ranges.shape[2], 2), np.nan)
    ends = [np.quantile(of[there], level, axis=0) for of, level in zip(ranges, (tail, 1 - tail), strict=True)]
    return np.stack(ends, axis=1)


def _corners(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    dx, dy = np.diff(x), np.diff(y)
    turns = dx[:-1] * dy[1:] != dx[1:] * dy[:-1]
    corners = np.flatnonzero(np.concatenate([[True], turns, [True]]))
    return corners[np.unique(np.linspace(0, len(corners) - 1, POINTS).round().astype(int))]
