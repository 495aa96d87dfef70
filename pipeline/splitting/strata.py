"""What a split has to keep in balance, counted by patient."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.artifacts import ABSENT, LABEL, PRESENT, ROLES, label_columns

TRAIN, VAL, TEST = 0, 1, 2
FEWEST_JUDGED = 10  # patients per role below which a ratio says nothing: whole patients can't be dealt out evenly


@dataclass(frozen=True)
class Strata:
    """Rows of each class or label in each group of images (a patient).

    Attributes:
        kind: `class` or `label`.
        groups: number of each row's group, (n,) int, in order of appearance.
        images: rows of each group, (P,) int.
        counts: rows of each stratum in each group, (P, S) int. The strata are the classes; or the presence of each
            label, then rows with no label at all, then the known absence of those labels for which it is missing in
            some rows, or rarer than presence.
        names: of the strata.
        classes: how many of them, at the front, are classes or labels.
    """

    kind: str
    groups: np.ndarray
    images: np.ndarray
    counts: np.ndarray
    names: list[str]
    classes: int

    def told(self, stratum: int) -> str:
        """A stratum in words, such as `label Hernia`."""
        return f"{self.kind} {self.names[stratum]}" if stratum < self.classes else self.names[stratum]

    @property
    def patients(self) -> np.ndarray:
        """Groups with a row of each stratum, (S,) int."""
        return (self.counts > 0).sum(0)

    @property
    def essential(self) -> np.ndarray:
        """Strata that must be learned from and tested, (S,) bool: all but the rows with no label."""
        return (np.arange(len(self.names)) != self.classes) | (self.kind == "class")


def count(index: pd.DataFrame, classes: Sequence[str]) -> Strata:
    """Strata of an index with one class, or several labels, per row."""
    groups = pd.factorize(index["group"])[0]
    if label_columns(index):
        codes = index[[LABEL + name for name in classes]].to_numpy()  # (n, L) int8
        kind, rows, names = "label", *_of_labels(codes, groups, classes)
    else:
        codes = pd.Categorical(index["label"], categories=list(classes)).codes
        kind, rows, names = "class", codes[:, None] == np.arange(len(classes)), list(classes)
    return Strata(kind, groups, np.bincount(groups), _sum(rows, groups), names, len(classes))


def _of_labels(codes: np.ndarray, groups: np.ndarray, classes: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    present, absent = codes == PRESENT, codes == ABSENT
    open_somewhere = (present | absent).sum(0) < len(codes)
    rarer = (_sum(absent, groups) > 0).sum(0) <= (_sum(present, groups) > 0).sum(0)
    told = np.flatnonzero(open_somewhere | rarer)
    names = [*classes, "no label", *(f"absence of label {classes[label]}" for label in told.tolist())]
    return np.column_stack([present, ~present.any(1), absent[:, told]]), names


def _sum(rows: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Rows (n, S) bool that are true, by group: (P, S) int."""
    counts = np.zeros((groups.max() + 1, rows.shape[1]), int)
    np.add.at(counts, groups, rows)
    return counts


def role_counts(counts: np.ndarray, roles: np.ndarray) -> np.ndarray:
    """Rows of each stratum in each role, (3, S) int."""
    return np.stack([counts[roles == role].sum(0) for role in range(len(ROLES))])


def absent(strata: Strata, roles: np.ndarray, folds: int, required: bool) -> Iterator[tuple[int, int]]:
    """(role, stratum) without a row; with `required`, only those that enough patients could have filled.

    Training needs every class. Validation and test need a class that has a patient for each of the roles and folds; of
    two folds, each needs two patients, since they do for training and validation of the other.
    """
    patients, essential = strata.patients, strata.essential
    enough = 4 if folds == 2 else max(len(ROLES), folds)
    for role, stratum in zip(*np.nonzero(role_counts(strata.counts, roles) == 0), strict=True):
        fillable = role == TRAIN or patients[stratum] >= enough
        if essential[stratum] and (fillable or not required):
            yield int(role), int(stratum)


def worst_drift(strata: Strata, roles: np.ndarray) -> tuple[float, int | None]:
    """Largest relative difference of a stratum's share in a role from its share in all rows, and the stratum.

    Only strata with at least FEWEST_JUDGED patients per role are judged. Where none is, the answer is (0, None).
    """
    table, images = role_counts(strata.counts, roles), role_counts(strata.images[:, None], roles)  # (3, S), (3, 1)
    overall = strata.counts.sum(0) / strata.images.sum()
    judged = strata.patients >= FEWEST_JUDGED * len(ROLES)
    if not judged.any():
        return 0.0, None
    with np.errstate(divide="ignore", invalid="ignore"):
        drift = np.nanmax(np.abs(table / images / overall - 1)[:, judged], axis=0)
    worst = int(drift.argmax())
    return float(drift[worst]), int(np.flatnonzero(judged)[worst])
