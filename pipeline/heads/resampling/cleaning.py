"""Rows that lie among other classes are removed, among real rows or after SMOTE; no class is emptied."""

from dataclasses import replace
from typing import Literal

import numpy as np

from pipeline.features.neighbours import BUDGET, Group, nearest, nearest_with_mixtures
from pipeline.heads.resampling.drawing import Plan
from pipeline.heads.resampling.rows import Resampled, Rows, Strategy, of_real
from pipeline.heads.resampling.smotes import Neighbours, smote_plan

Which = Literal["larger", "all"]
Kind = Literal["all", "mode"]


def tomek_links(rows: Rows, random_state: np.random.RandomState, which: Which = "larger") -> Resampled:
    """Without the rows of Tomek links: two rows of different classes that are each other's nearest.

    Tomek 1976, doi:10.1109/TSMC.1976.4309452. `which`: rows of all classes but the smallest, or of all.
    """
    if len(rows.y) < 2:
        return of_real(rows, np.arange(len(rows.y)))
    return _without(rows, _linked(rows.y, nearest(rows.X, 1)[:, 0]) & _cleaned(rows.y, which))


def edited_nearest_neighbours(
    rows: Rows,
    random_state: np.random.RandomState,
    n_neighbors: Neighbours = 3,
    kind: Kind = "all",
    which: Which = "larger",
) -> Resampled:
    """Without the rows that their neighbours contradict (Wilson 1972, doi:10.1109/TSMC.1972.4309137).

    `kind`: a row stays if all of its neighbours, or if most of them, are of its class. `which`: rows of all classes but
    the smallest are looked at, or of all.
    """
    k = min(n_neighbors, len(rows.y) - 1)
    if k < 1:
        return of_real(rows, np.arange(len(rows.y)))
    return _without(rows, _contradicted(rows.y, nearest(rows.X, k), kind) & _cleaned(rows.y, which))


def smote_tomek(
    rows: Rows,
    random_state: np.random.RandomState,
    k_neighbors: Neighbours = 5,
    strategy: Strategy = "full",
    cross_patient: bool = False,
) -> Resampled:
    """SMOTE, then without the rows of Tomek links of all classes (Batista et al. 2003)."""
    plan = smote_plan(rows, random_state, k_neighbors, strategy, cross_patient)
    if len(plan.y) < 2:
        return plan.written()
    return _clean(plan, _linked(plan.y, _neighbours(plan, 1)[:, 0]))


def smote_enn(
    rows: Rows,
    random_state: np.random.RandomState,
    k_neighbors: Neighbours = 5,
    n_neighbors: Neighbours = 3,
    kind: Kind = "all",
    strategy: Strategy = "full",
    cross_patient: bool = False,
) -> Resampled:
    """SMOTE, then without the rows that their neighbours contradict (Batista et al. 2004, doi:10.1145/1007730.1007735).

    `kind`: a row stays if all of its `n_neighbors` nearest, or if most of them, are of its class.
    """
    plan = smote_plan(rows, random_state, k_neighbors, strategy, cross_patient)
    k = min(n_neighbors, len(plan.y) - 1)
    return _clean(plan, _contradicted(plan.y, _neighbours(plan, k), kind)) if k else plan.written()


def _neighbours(plan: Plan, k: int) -> np.ndarray:
    """Neighbours of real and synthetic rows; the search holds about what they will take, and before they do."""
    budget = len(plan.y) * plan.rows.X[:1].nbytes
    return nearest_with_mixtures(plan.rows.X, k, _groups(plan), max(budget, BUDGET // 4))


def _groups(plan: Plan) -> list[Group]:
    """A class and its synthetic rows, for each class: both parents of each are in it."""
    real = len(plan.rows.y)
    place = np.zeros(real, np.int64)
    groups = []
    for label in np.unique(plan.y):
        plain, synthetic = np.flatnonzero(plan.y[:real] == label), np.flatnonzero(plan.y[real:] == label)
        place[plain] = np.arange(len(plain))
        first, second = place[plan.parents[synthetic]].T
        groups.append(Group(plain, real + synthetic, first, second, plan.shares[synthetic]))
    return groups


def _linked(y: np.ndarray, closest: np.ndarray) -> np.ndarray:
    return (y[closest] != y) & (closest[closest] == np.arange(len(y)))


def _contradicted(y: np.ndarray, table: np.ndarray, kind: Kind) -> np.ndarray:
    around = y[table]
    if kind == "all":
        return (around != y[:, None]).any(axis=1)
    labels = np.unique(y)
    votes = np.stack([(around == label).sum(axis=1) for label in labels], axis=1)
    return labels[votes.argmax(axis=1)] != y


def _cleaned(y: np.ndarray, which: Which) -> np.ndarray:
    labels, counts = np.unique(y, return_counts=True)
    return (y != labels[counts.argmin()]) | (which == "all")


def _spared(y: np.ndarray, removed: np.ndarray) -> tuple[np.ndarray, dict[int, str]]:
    """Positions that stay, all those of a class that would go altogether."""
    gone = [int(label) for label in np.unique(y) if removed[y == label].all()]
    kept = np.flatnonzero(~removed | np.isin(y, gone))
    return kept, dict.fromkeys(gone, "every row lies among other classes, all are kept")


def _without(rows: Rows, removed: np.ndarray) -> Resampled:
    return of_real(rows, *_spared(rows.y, removed))


def _clean(plan: Plan, removed: np.ndarray) -> Resampled:
    kept, notes = _spared(plan.y, removed)
    said = {label: "; ".join(filter(None, [plan.notes.get(label), note])) for label, note in notes.items()}
    return replace(plan, notes=plan.notes | said).written(kept)
