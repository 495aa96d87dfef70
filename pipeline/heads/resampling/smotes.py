"""Rows between neighbours of a class. The draws are those of imbalanced-learn 0.14 for the same RandomState."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pipeline.features.neighbours import nearest, nearest_of_classes
from pipeline.heads.resampling.drawing import Drawn, Plan, between, kin, planned, repeated
from pipeline.heads.resampling.rows import Resampled, Rows, Strategy
from pipeline.heads.resampling.strategy import lacking

Neighbours = Annotated[int, Field(ge=1)]


def smote(
    rows: Rows,
    random_state: np.random.RandomState,
    k_neighbors: Neighbours = 5,
    strategy: Strategy = "full",
    cross_patient: bool = False,
) -> Resampled:
    """Synthetic rows between neighbours of a class (Chawla et al. 2002, doi:10.1613/jair.953).

    A class with fewer than k + 1 rows uses the neighbours it has; a class with one row is repeated.
    """
    return smote_plan(rows, random_state, k_neighbors, strategy, cross_patient).written()


def borderline_smote(
    rows: Rows,
    random_state: np.random.RandomState,
    k_neighbors: Neighbours = 5,
    m_neighbors: Neighbours = 10,
    kind: Literal[1, 2] = 1,
    strategy: Strategy = "full",
    cross_patient: bool = False,
) -> Resampled:
    """SMOTE from rows in danger: half or more, not all, of the m nearest rows are of other classes.

    Borderline-SMOTE1 and 2 of Han et al. 2005, doi:10.1007/11538059_91. Kind 1 goes to neighbours of the class; kind 2
    to neighbours of any class, to those of others at most half of the way. A class with no row in danger takes SMOTE.
    """

    m = min(m_neighbors, len(rows.y) - 1)
    around, known = _tables(rows, strategy, m, k_neighbors, cross_patient)

    def draw(label: int, size: int) -> Drawn:
        family = kin(rows, label, k_neighbors, cross_patient, known)
        enemies = (rows.y[around[family.own]] != label).sum(axis=1)
        danger = family.own[(enemies >= m / 2) & (enemies < m)]
        if not len(danger) or not family.k:
            why = "no row in danger, smote instead of borderline_smote" if family.k else ""
            return smote_class(rows, label, size, random_state, k_neighbors, cross_patient, why, known)
        if kind == 1:
            return Drawn(*between(danger, family.table(danger), size, random_state), family.note)
        owners = rows.patients if cross_patient else None
        parents, shares = between(danger, nearest(rows.X, family.k, danger, owners=owners), size, random_state)
        foreign = rows.y[parents[:, 1]] != label
        shares[foreign] *= random_state.uniform(0.0, 0.5, (foreign.sum(), 1))[:, 0]
        return Drawn(parents, shares, family.note)

    return planned(rows, strategy, draw).written()


def adasyn(
    rows: Rows,
    random_state: np.random.RandomState,
    n_neighbors: Neighbours = 5,
    strategy: Strategy = "full",
    cross_patient: bool = False,
) -> Resampled:
    """SMOTE with more rows from where more of the n nearest are of other classes.

    He et al. 2008, doi:10.1109/IJCNN.2008.4633969. Counts are rounded for each row, so that a class gets about as many
    as asked for. A class with no such neighbour takes SMOTE.
    """

    around, known = _tables(rows, strategy, min(n_neighbors, len(rows.y) - 1), n_neighbors, cross_patient)

    def draw(label: int, size: int) -> Drawn:
        family = kin(rows, label, n_neighbors, cross_patient, known)
        hardness = (rows.y[around[family.own]] != label).mean(axis=1)
        if not hardness.any() or not family.k:
            why = "no neighbour of another class, smote instead of adasyn" if family.k else ""
            return smote_class(rows, label, size, random_state, n_neighbors, cross_patient, why, known)
        each = np.rint(hardness / hardness.sum() * size).astype(int)
        if not each.any():
            why = f"{size} rows for {len(each)} hard ones, smote instead of adasyn"
            return smote_class(rows, label, size, random_state, n_neighbors, cross_patient, why, known)
        start = np.repeat(np.arange(len(each)), each)
        column = random_state.choice(family.k, len(start))
        parents = np.stack([family.own[start], family.table()[start, column]], axis=1)
        return Drawn(parents, random_state.uniform(size=len(start)), family.note)

    return planned(rows, strategy, draw).written()


def smote_plan(
    rows: Rows, random_state: np.random.RandomState, k_neighbors: int, strategy: Strategy, cross_patient: bool
) -> Plan:
    """The rows of `smote`, not written yet."""
    return planned(
        rows, strategy, lambda label, size: smote_class(rows, label, size, random_state, k_neighbors, cross_patient)
    )


def smote_class(
    rows: Rows,
    label: int,
    size: int,
    random_state: np.random.RandomState,
    k_neighbors: int,
    cross_patient: bool,
    why: str = "",
    known: np.ndarray | None = None,
) -> Drawn:
    """SMOTE of one class, or where it has no two rows to mix, its rows again; `why` it takes the place of another."""
    family = kin(rows, label, k_neighbors, cross_patient, known)
    note = "; ".join(filter(None, [why, family.note]))
    if not family.k:
        return repeated(rows, label, size, random_state, f"{note}, random_over instead of mixtures")
    return Drawn(*between(family.own, family.table(), size, random_state), note)


def _tables(
    rows: Rows, strategy: Strategy, k_any: int, k_own: int, cross_patient: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of the rows of the classes that lack some: of any class, and of their own."""
    labels = list(lacking(rows.y, strategy)[0])
    return nearest_of_classes(rows.X, rows.y, labels, k_any, k_own, rows.patients if cross_patient else None)
