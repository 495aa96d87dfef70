"""Loops over the draws of a bootstrap, compiled. They release the interpreter's lock."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def areas(times: np.ndarray, patients: np.ndarray, middles: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Area under the ROC curve and average precision of one class in every draw.

    One walk down the ranking per block of draws, in which every row counts as often as its patient.

    Args:
        times: how often each patient counts in each draw, (blocks, P, WIDTH) uint8.
        patients: of the rows from the highest to the lowest probability, (n,) int64.
        middles: where, in each run of equal probability, rows of other classes begin, (r,) int64.
        ends: where each run ends, (r,) int64.

    Returns:
        (2, blocks · WIDTH) float64; NaN where a draw has no row of the class, or for the area none of another.
    """
    blocks, _, width = times.shape
    found = np.full((2, blocks * width), np.nan)
    hits, alarms, gained = np.zeros(width, np.int32), np.zeros(width, np.int32), np.zeros(width, np.int32)
    losses, precision = np.zeros(width), np.zeros(width)
    for number in range(blocks):
        hits[:], alarms[:], losses[:], precision[:] = 0, 0, 0, 0
        start = 0
        for run in range(len(ends)):
            middle, end = middles[run], ends[run]
            if middle > start:
                gained[:] = 0
                for i in range(start, middle):
                    patient = patients[i]
                    for b in range(width):
                        gained[b] += np.int32(times[number, patient, b])
                for b in range(width):
                    losses[b] += float(gained[b]) * alarms[b]
            for i in range(middle, end):
                patient = patients[i]  # looked up here: inside, it would keep the loop from running on vectors
                for b in range(width):
                    alarms[b] += np.int32(times[number, patient, b])
            if middle > start:
                for b in range(width):
                    hits[b] += gained[b]
                    losses[b] += float(gained[b]) * alarms[b]
                    precision[b] += float(gained[b]) * hits[b] / max(hits[b] + alarms[b], 1)
            start = end
        for b in range(width):
            if hits[b]:
                found[1, number * width + b] = precision[b] / hits[b]
                if alarms[b]:
                    found[0, number * width + b] = 1 - losses[b] / 2 / (float(hits[b]) * alarms[b])
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def ranges(
    times: np.ndarray,
    patients: np.ndarray,
    middles: np.ndarray,
    ends: np.ndarray,
    fpr: np.ndarray,
    recall: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Where the ROC curve of each draw passes a false positive rate, and its precision-recall curve a recall.

    A curve that is upright there has a range. Between two points of the ROC curve it is straight, and that of precision
    follows from it (Davis & Goadrich 2006, doi:10.1145/1143844.1143874).

    Args:
        times: as in `areas`, and so are patients, middles and ends.
        fpr: ascending, 0 to 1, (m,) float64.
        recall: likewise.

    Returns:
        Least and greatest true positive rate at each fpr, and precision at each recall, (2, blocks · WIDTH, m) float64
        each; NaN where a draw has no row of the class or no other, and for precision at recall 0.
    """
    blocks, _, width = times.shape
    roc = np.full((2, blocks * width, len(fpr)), np.nan)
    pr = np.full((2, blocks * width, len(recall)), np.nan)
    hits, alarms = np.zeros(len(ends) + 1), np.zeros(len(ends) + 1)
    low, high = np.empty(max(len(fpr), len(recall))), np.empty(max(len(fpr), len(recall)))
    for draw in range(blocks * width):
        weights = times[draw // width, :, draw % width].copy()
        start = 0
        for run in range(len(ends)):
            gained = 0
            for i in range(start, middles[run]):
                gained += weights[patients[i]]
            hits[run + 1] = hits[run] + gained
            gained = 0
            for i in range(middles[run], ends[run]):
                gained += weights[patients[i]]
            alarms[run + 1] = alarms[run] + gained
            start = ends[run]
        if hits[-1] == 0 or alarms[-1] == 0:
            continue
        _crossings(alarms, hits, fpr * alarms[-1], low, high)
        for j in range(len(fpr)):
            roc[0, draw, j], roc[1, draw, j] = low[j] / hits[-1], high[j] / hits[-1]
        _crossings(hits, alarms, recall * hits[-1], low, high)
        for j in range(len(recall)):
            found = recall[j] * hits[-1]
            if found > 0:
                pr[0, draw, j], pr[1, draw, j] = found / (found + high[j]), found / (found + low[j])
    return roc, pr


@njit(cache=True, nogil=True, error_model="numpy")
def _crossings(x, y, targets, low, high):
    """Least and greatest y of a rising line of straight pieces at each of ascending x; results go to `low`, `high`."""
    first, last = 0, 0  # the first point that is not left of the target, and the last that is not right of it
    for j in range(len(targets)):
        target = targets[j]
        if abs(target - round(target)) < 1e-6:  # points have whole x
            target = round(target)
        while x[first] < target:
            first += 1
        low[j] = y[first]
        if x[first] > target:
            low[j] -= (y[first] - y[first - 1]) * (x[first] - target) / (x[first] - x[first - 1])
        while last + 1 < len(x) and x[last + 1] <= target:
            last += 1
        high[j] = y[last]
        if x[last] < target:
            high[j] += (y[last + 1] - y[last]) * (target - x[last]) / (x[last + 1] - x[last])
