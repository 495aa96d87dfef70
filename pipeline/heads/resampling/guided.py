"""SMOTE where another model says that it helps: support vectors, clusters. Draws are those of imbalanced-learn 0.14."""

import math
from typing import Annotated

import numpy as np
from pydantic import Field

from pipeline.features.neighbours import nearest
from pipeline.heads.resampling.drawing import Drawn, between, kin, planned
from pipeline.heads.resampling.rows import Resampled, Rows, Strategy
from pipeline.heads.resampling.smotes import Neighbours, smote_class
from pipeline.heads.resampling.strategy import lacking


def svm_smote(
    rows: Rows,
    random_state: np.random.RandomState,
    k_neighbors: Neighbours = 5,
    m_neighbors: Neighbours = 10,
    out_step: Annotated[float, Field(ge=0, le=1)] = 0.5,
    strategy: Strategy = "full",
    cross_patient: bool = False,
) -> Resampled:
    """SMOTE from support vectors (Nguyen et al. 2009, doi:10.1504/IJKESDP.2011.039875).

    From those in danger (half or more of the m nearest rows are of other classes) towards neighbours of the class; from
    safe ones away from them, by at most `out_step` of the way: these shares are negative. Support vectors among other
    classes altogether are left out; a class without others takes SMOTE.
    """
    from sklearn.svm import SVC

    support = np.zeros(0, np.int64)

    def draw(label: int, size: int) -> Drawn:
        nonlocal support
        if len(support):
            random_state.randint(np.iinfo("i").max)  # imbalanced-learn fits for every class, and each fit draws once
        else:
            support = SVC(random_state=random_state).fit(rows.X, rows.y).support_
        family = kin(rows, label, k_neighbors, cross_patient)
        own = support[rows.y[support] == label]
        m = min(m_neighbors, len(rows.y) - 1)
        enemies = (rows.y[nearest(rows.X, m, own)] != label).sum(axis=1)
        if not family.k or (enemies == m).all():
            why = "all support vectors lie among other classes, smote instead of svm_smote" if family.k else ""
            return smote_class(rows, label, size, random_state, k_neighbors, cross_patient, why)
        own, enemies = own[enemies < m], enemies[enemies < m]
        danger = enemies >= m / 2
        inward = int(random_state.beta(10, 10) * (size + 1))
        inward = size if danger.all() else inward if danger.any() else 0
        parts = [(own[danger], inward, 1.0), (own[~danger], size - inward, -out_step)]
        made = [
            between(starts, family.table(starts), count, random_state, step)
            for starts, count, step in parts
            if len(starts)
        ]
        parents, shares = (np.concatenate(each) for each in zip(*made, strict=True))
        return Drawn(parents, shares, family.note)

    return planned(rows, strategy, draw).written()


def kmeans_smote(
    rows: Rows,
    random_state: np.random.RandomState,
    k_neighbors: Neighbours = 2,
    clusters: Annotated[int, Field(ge=1)] = 8,
    strategy: Strategy = "full",
    cross_patient: bool = False,
) -> Resampled:
    """SMOTE within clusters of all rows where the class is not rare, more rows in sparser ones.

    Douzas et al. 2018, arXiv:1711.00837, with the thresholds of imbalanced-learn: a cluster counts if the class has
    half of its share of all rows wanted, and more than k rows in it. A class with no such cluster takes SMOTE.
    """
    from sklearn.cluster import MiniBatchKMeans

    wanted = sum(lacking(rows.y, strategy)[0].values())

    def draw(label: int, size: int) -> Drawn:
        n = min(clusters, len(rows.y))
        cluster = MiniBatchKMeans(n, random_state=random_state).fit_predict(rows.X)
        threshold = size / wanted / 2 if n > 1 else -math.inf
        inside = [np.flatnonzero(cluster == number) for number in range(n)]
        parts = [of[rows.y[of] == label] for of in inside if len(of) and (rows.y[of] == label).mean() >= threshold]
        families = [kin(_only(rows, part), label, k_neighbors, cross_patient) for part in parts]
        chosen = [(part, family) for part, family in zip(parts, families, strict=True) if family.k == k_neighbors]
        if not chosen:
            why = f"no cluster with more than {k_neighbors} of its rows, smote instead of kmeans_smote"
            return smote_class(rows, label, size, random_state, k_neighbors, cross_patient, why)
        sparsity = np.array([_sparsity(rows.X[part]) for part, _ in chosen])
        weights = sparsity / sparsity.sum() if sparsity.sum() else np.full(len(chosen), 1 / len(chosen))
        made = []
        for (part, family), weight in zip(chosen, weights, strict=True):
            parents, shares = between(family.own, family.table(), math.ceil(size * weight), random_state)
            made.append((part[parents], shares))
        parents, shares = (np.concatenate(each)[:size] for each in zip(*made, strict=True))
        return Drawn(parents, shares)

    return planned(rows, strategy, draw).written()


def _only(rows: Rows, part: np.ndarray) -> Rows:
    return Rows(rows.X[part], rows.y[part], rows.patients[part])


def _sparsity(X: np.ndarray) -> float:
    """Mean distance to a power that grows with the rows, by their number; as imbalanced-learn defines it."""
    from sklearn.metrics import pairwise_distances_chunked

    total = sum(float(part.sum(dtype=np.float64)) for part in pairwise_distances_chunked(X, working_memory=64))
    mean = total / (len(X) ** 2 - len(X))
    return mean ** (math.log(len(X), 1.6) ** 1.8 * 0.16) / len(X)
