"""Over-samplers from later work: rows mixed with those of other classes, and Gaussians in place of segments."""

from typing import Annotated

import numpy as np
from pydantic import Field

from pipeline.features.neighbours import nearest
from pipeline.heads.resampling.drawing import Drawn, allocate, kin, plan_of, planned, repeated
from pipeline.heads.resampling.rows import PART, Resampled, Rows, Strategy
from pipeline.heads.resampling.smotes import Neighbours, smote_class
from pipeline.heads.resampling.strategy import lacking

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]


def remix(
    rows: Rows,
    random_state: np.random.RandomState,
    k_neighbors: Neighbours = 5,
    alpha: Positive = 1.0,
    kappa: Annotated[float, Field(ge=1)] = 3.0,
    tau: Share = 0.5,
    strategy: Strategy = "full",
    cross_patient: bool = False,
) -> Resampled:
    """Mixup of a row with one of its k nearest rows of any class, under the label of the smaller class.

    The rule of Remix (Chou et al. 2020, arXiv:2007.03943, equation 10) for labels that can't be mixed: the label is
    that of the row x_i alone where the class of x_j has at least kappa times as many rows and the share of x_j is below
    tau. So a neighbour x_j is used if it is of the same class, with any share, or of a class kappa times as large, with
    a share below tau; other mixtures would need mixed labels and are not made. Shares are drawn from
    Beta(alpha, alpha), cut off at tau for the second kind. Remix itself takes x_j from the whole batch; here it is a
    neighbour. A class with no such neighbour takes SMOTE.
    """
    from scipy.special import betainc, betaincinv

    labels, counts = np.unique(rows.y, return_counts=True)
    size_of = counts[np.searchsorted(labels, rows.y)]

    def draw(label: int, size: int) -> Drawn:
        own, table = _around(rows, label, k_neighbors, cross_patient)
        usable = (table >= 0) & ((rows.y[table] == label) | (size_of[table] >= kappa * len(own)))
        if not usable.any():
            why = "no neighbour to mix with, smote instead of remix"
            return smote_class(rows, label, size, random_state, k_neighbors, cross_patient, why)
        parents = _pairs(own, table, usable, size, random_state)
        limit = np.where(rows.y[parents[:, 1]] == label, 1.0, tau)
        shares = betaincinv(alpha, alpha, random_state.uniform(size=size) * betainc(alpha, alpha, limit))
        return Drawn(parents, shares)

    return planned(rows, strategy, draw).written()


def eos(
    rows: Rows,
    random_state: np.random.RandomState,
    k_neighbors: Neighbours = 10,
    strategy: Strategy = "full",
    cross_patient: bool = False,
) -> Resampled:
    """Expansive over-sampling: from a row of the class towards its nearest enemies.

    Dablain et al. 2022, arXiv:2207.06080: of the rows that have one of another class among their k nearest, one is
    drawn, then one of these enemies, then a uniform share. A class with no enemy nearby takes SMOTE.
    """

    def draw(label: int, size: int) -> Drawn:
        own, table = _around(rows, label, k_neighbors, cross_patient)
        enemies = (table >= 0) & (rows.y[table] != label)
        if not enemies.any():
            why = "no neighbour of another class, smote instead of eos"
            return smote_class(rows, label, size, random_state, k_neighbors, cross_patient, why)
        return Drawn(_pairs(own, table, enemies, size, random_state), random_state.uniform(size=size))

    return planned(rows, strategy, draw).written()


def mgs(
    rows: Rows,
    random_state: np.random.RandomState,
    k_neighbors: Neighbours = 5,
    strategy: Strategy = "full",
    cross_patient: bool = False,
) -> Resampled:
    """Multivariate Gaussian SMOTE: a draw from the Gaussian of a row and its k nearest rows of the class.

    Sakho et al. 2024, arXiv:2402.03819: mean and covariance are those of the k + 1 rows; the paper takes as many as
    there are dimensions, so that the covariance has full rank. A draw is their mean plus their deviations from it, each
    times a standard normal number, over √(k + 1); it has that covariance without the matrix. So a row lies on no
    segment: its parents are the row and, of the neighbours, the one with the largest weight in the sum, and its share
    is that weight.
    """
    sizes, notes = lacking(rows.y, strategy)
    X = allocate(rows, np.arange(len(rows.y)), sum(sizes.values()))
    drawn, start = {}, len(rows.X)
    for label, size in sizes.items():
        drawn[label] = _gaussian(rows, label, size, random_state, k_neighbors, cross_patient, X[start : start + size])
        start += size
    plan = plan_of(rows, drawn, notes)
    kept = np.arange(len(rows.y))
    return Resampled(X, plan.y, kept, plan.parents, plan.shares.astype(np.float32), plan.notes)


def _gaussian(
    rows: Rows,
    label: int,
    size: int,
    random_state: np.random.RandomState,
    k_neighbors: int,
    cross_patient: bool,
    out: np.ndarray,
) -> Drawn:
    family = kin(rows, label, k_neighbors, cross_patient)
    if not family.k:
        drawn = repeated(rows, label, size, random_state, f"{family.note}, random_over instead of mixtures")
        out[:] = rows.X[drawn.parents[:, 0]]
        return drawn
    members = np.concatenate([family.own[:, None], family.table()], axis=1)
    base = random_state.randint(0, len(members), size)
    parents, shares = np.empty((size, 2), np.int64), np.empty(size)
    for begin in range(0, size, PART // 16):
        part = slice(begin, min(begin + PART // 16, size))
        among = members[base[part]]
        normal = random_state.standard_normal(among.shape)
        weights = 1 / among.shape[1] + (normal - normal.mean(axis=1, keepdims=True)) / np.sqrt(among.shape[1])
        out[part] = np.einsum("ij,ijd->id", weights.astype(np.float32), rows.X[among])
        most = np.abs(weights[:, 1:]).argmax(axis=1) + 1
        each = np.arange(len(among))
        parents[part], shares[part] = np.stack([among[:, 0], among[each, most]], axis=1), weights[each, most]
    return Drawn(parents, shares, family.note)


def _around(rows: Rows, label: int, k: int, cross_patient: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a class and the k nearest of any class of each, -1 where there are fewer."""
    own = np.flatnonzero(rows.y == label)
    owners = rows.patients if cross_patient else None
    return own, nearest(rows.X, min(k, len(rows.y) - 1), own, owners=owners)


def _pairs(
    own: np.ndarray, table: np.ndarray, usable: np.ndarray, size: int, random_state: np.random.RandomState
) -> np.ndarray:
    """A row that has a usable neighbour, all as likely, and one of these, all as likely, (size, 2)."""
    starts = np.flatnonzero(usable.any(axis=1))
    row = starts[random_state.randint(0, len(starts), size)]
    many = usable[row].sum(axis=1)
    wanted = np.floor(random_state.uniform(size=size) * many).astype(int)
    column = np.argmax(usable[row].cumsum(axis=1) > wanted[:, None], axis=1)
    return np.stack([own[row], table[row, column]], axis=1)
