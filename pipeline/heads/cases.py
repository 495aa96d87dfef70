"""What an arm learns from, and how its rows part by patient within the training rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

STOPPING = 5  # one patient in this many says when a head stops: 20 %, as is usual for validation


@dataclass(frozen=True)
class Cases:
    """The rows of one fold, or of one label of it, of which some are learned from and others predicted.

    Attributes:
        X: features, (n, D) float32; may be memory-mapped; NaN where a unit lacks a view.
        y: class numbers, (n,) int.
        patients: patient numbers, (n,) int.
        natural: whether a row is a picture itself and no augmented view of one, (n,) bool.
        classes: names, in the order of their numbers.
    """

    X: np.ndarray
    y: np.ndarray
    patients: np.ndarray
    natural: np.ndarray
    classes: Sequence[str]

    def counts(self, rows: np.ndarray) -> np.ndarray:
        """Rows of each class, (K,) int."""
        return np.bincount(self.y[rows], minlength=len(self.classes))


def patient_folds(y: np.ndarray, patients: np.ndarray, folds: int, seed: Sequence[int]) -> np.ndarray:
    """Folds by patient, each class as even as patients allow.

    Patients of the rarest class are dealt first, those with most of its rows in front, each to the fold with the
    fewest rows of that class (the greedy rule of Sechidis et al. 2011, doi:10.1007/978-3-642-23808-6_10).

    Args:
        y: class numbers, (n,) int.
        patients: patient numbers, (n,) int.
        folds: F; each gets a patient where there are F of them.
        seed: entropy of the order among equals.

    Returns:
        fold of each row, (n,) int.
    """
    _, patient = np.unique(patients, return_inverse=True)
    _, label = np.unique(y, return_inverse=True)
    classes = label.max() + 1
    counts = np.bincount(patient * classes + label, minlength=(patient.max() + 1) * classes).reshape(-1, classes)
    spread = (counts > 0).sum(axis=0)  # patients with each class
    rarest = np.where(counts > 0, spread, np.iinfo(np.int64).max).argmin(axis=1)
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.lexsort((-counts[order, rarest[order]], rarest[order], spread[rarest[order]]))]
    filled, total, fold_of = np.zeros((folds, classes), int), [0] * folds, np.zeros(len(counts), int)
    for one in order.tolist():
        own = filled[:, rarest[one]].tolist()
        fold = min(range(folds), key=lambda k: (own[k], total[k]))
        fold_of[one] = fold
        filled[fold] += counts[one]
        total[fold] += int(counts[one].sum())
    return fold_of[patient]


def carve(cases: Cases, rows: np.ndarray, seed: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the rows to learn from and of natural rows, of other patients, that say when to stop, (r,) bool each.

    A class that would lose every row keeps its patients; the second mask is empty where that leaves none.
    """
    y, patients = cases.y[rows], cases.patients[rows]
    aside = patient_folds(y, patients, STOPPING, seed) == 0
    for label in np.setdiff1d(y, y[~aside]):
        aside &= ~np.isin(patients, patients[y == label])
    return ~aside, aside & cases.natural[rows]
