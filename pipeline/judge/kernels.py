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
