"""Patients counted as often as a draw of the bootstrap takes them, or left out by turns."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from pipeline.judge.tally import Ranking

WIDTH = 64  # draws in a block, walked side by side; a patient's counts in it fill one line of the cache
GROUPS = 200  # of patients left out by turns: the skewness of more tells no more that an interval would show


@dataclass(frozen=True, eq=False)
class Counts:
    """How often each row counts in each of B draws: as often as its patient. A weighting for `Tally`."""

    times: np.ndarray  # (blocks, P, WIDTH) uint8, as `drawn` and `left_out` give them
    draws: int  # B; what the last block holds beyond is no draw
    patients: np.ndarray  # (n,) int

    def of(self, rows: slice | np.ndarray) -> "Counts":
        """The same draws of some of the rows."""
        return Counts(self.times, self.draws, self.patients[rows])

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums over the rows of (n, C) values, (B, C) float64: first of each patient, then over patients.

        Single precision holds sums of counts exactly up to 2^24 rows.
        """
        order, there, begins = self._by_patient
        of_patients = np.add.reduceat(values[order], begins, axis=0) if len(order) else values
        across = np.ascontiguousarray(of_patients.T, np.float32)  # (C, m)
        blocks = [across @ times[there].astype(np.float32) for times in self.times]
        return np.concatenate(blocks, axis=1)[:, : self.draws].T.astype(np.float64)

    def areas(self, ranking: Ranking) -> tuple[np.ndarray, np.ndarray]:
        """Area under the ROC curve and average precision of one class, twice (B,) float64."""
        from pipeline.judge import kernels  # late: a point figure needs no compiled loop

        auc, precision = kernels.areas(self.times, self.patients[ranking.order], ranking.middles, ranking.ends)
        return auc[: self.draws], precision[: self.draws]

    def ranges(self, ranking: Ranking, fpr: np.ndarray, recall: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest true positive rate at each fpr, and precision at each recall, (2, B, m) each."""
        from pipeline.judge import kernels

        found = kernels.ranges(self.times, self.patients[ranking.order], ranking.middles, ranking.ends, fpr, recall)
        return found[0][:, : self.draws], found[1][:, : self.draws]

    @cached_property
    def _by_patient(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows in the order of their patients, (n,); the m patients that have rows; where theirs begin, (m,)."""
        order = np.argsort(self.patients, kind="stable")
        return order, *np.unique(self.patients[order], return_index=True)


@lru_cache(maxsize=2)  # those of validation and of test serve all arms
def drawn(patients: int, draws: int, seed: int) -> np.ndarray:
    """How often each of P patients is among P drawn with replacement, (blocks, P, WIDTH) uint8, not to be written.

    The first draws of two calls with one seed are the same.
    """
    rng = np.random.default_rng(seed)
    times = np.zeros((-(-draws // WIDTH), patients, WIDTH), np.uint8)
    for number, block in enumerate(times):
        width = min(WIDTH, draws - number * WIDTH)
        taken = rng.integers(0, patients, (width, patients)) * width + np.arange(width)[:, None]
        block[:, :width] = np.bincount(taken.ravel(), minlength=patients * width).reshape(patients, width)
    times.flags.writeable = False
    return times


def left_out(patients: int) -> tuple[np.ndarray, int]:
    """Each of P patients left out once, or each of GROUPS groups of them where there are more.

    Returns:
        (blocks, P, WIDTH) uint8 of 0 and 1, and how many draws these are.
    """
    groups = min(patients, GROUPS)
    times = np.ones((-(-groups // WIDTH), patients, WIDTH), np.uint8)
    own = np.arange(patients) % groups
    times[own // WIDTH, np.arange(patients), own % WIDTH] = 0
    return times, groups
