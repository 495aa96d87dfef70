"""ROC and precision-recall curves, thinned for drawing."""

import numpy as np

from pipeline.judge.tally import Multilabel, Predictions

POINTS = 200  # at most, per curve: more than a figure can show


def each(given: Predictions | Multilabel) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """`roc_and_pr` by number of every class that is told from the rest (of two the second), or of every label."""
    if isinstance(given, Predictions):
        return {number: roc_and_pr(given, number) for number in given.against_rest}
    return {number: roc_and_pr(of, 1) for number, (_, of) in enumerate(given.each)}


def roc_and_pr(predictions: Predictions, number: int) -> tuple[np.ndarray, np.ndarray]:
    """One class against the rest, from the highest threshold to the lowest.

    Points within straight pieces of the ROC curve are left out, then the others are thinned to POINTS.

    Args:
        predictions: labels and probabilities.
        number: of the class.

    Returns:
        (m, 2) float64 of false and true positive rate, and (m, 2) float64 of recall and precision; both empty
        where the class has all of the rows or none.
    """
    scores, own = predictions.probabilities[:, number], predictions.labels == number
    if own.all() or not own.any():
        return np.empty((0, 2)), np.empty((0, 2))
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf))  # the last row of each run of equal scores
    hits = np.concatenate([[0], np.cumsum(own[order])[ends]])
    alarms = np.concatenate([[0], ends + 1]) - hits
    kept = _corners(alarms, hits)
    hits, alarms = hits[kept], alarms[kept]
    precision = hits[1:] / (hits[1:] + alarms[1:])
    pr = np.column_stack([hits / own.sum(), np.concatenate([precision[:1], precision])])
    return np.column_stack([alarms / (~own).sum(), hits / own.sum()]), pr


def _corners(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    dx, dy = np.diff(x), np.diff(y)
    turns = dx[:-1] * dy[1:] != dx[1:] * dy[:-1]
    corners = np.flatnonzero(np.concatenate([[True], turns, [True]]))
    return corners[np.unique(np.linspace(0, len(corners) - 1, POINTS).round().astype(int))]
