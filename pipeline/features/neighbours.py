"""Nearest rows in feature space: exact, Euclidean.

Candidates come from inner products in float32 of centred rows, in blocks that fit the cache of a matrix product; each
pair is multiplied once for both of its rows. The candidates are then ranked by their exact distances in float64, and
rows whose last candidate is too near to be sure are searched in float64. So the result is that of scikit-learn, with
one rule added: of equally near rows the first.

A synthetic row p + share · (q - p) needs no product of its own: <z, p + share · (q - p)> is a mixture of <z, p> and
<z, q>. A data set that SMOTE has doubled takes a quarter of the products, and its synthetic rows need not exist yet.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from pipeline.features.searching import BUDGET, Group, Parents, Search
from pipeline.features.searching import mixed as mixed


def nearest(
    X: np.ndarray,
    k: int,
    queries: np.ndarray | None = None,
    pool: np.ndarray | None = None,
    owners: np.ndarray | None = None,
) -> np.ndarray:
    """The k nearest other rows of each row, nearest first, (q, k) int32; of equally near rows, the first.

    Args:
        X: (n, D) float32, finite.
        k: at most the rows of the pool without the one that asks.
        queries: positions of the rows that ask, (q,) int; None: all of the pool.
        pool: positions of the rows to be found, (p,) int; None: all.
        owners: rows of the same owner do not find each other, (n,) int, such as patients; -1 stands where fewer than
            k rows are left. None: a row does not find itself.
    """
    found_in = Group(np.arange(len(X)) if pool is None else pool)
    search = Search(X, k, found_in.plain, owners, BUDGET)
    if queries is None:
        search.measure(found_in.plain)
        search.pairs(found_in, found_in)
        return search.ranked(found_in.plain)
    search.measure(np.union1d(queries, found_in.plain))
    search.pairs(Group(queries), found_in, both=False)
    return search.ranked(queries)


def nearest_of_classes(
    X: np.ndarray,
    y: np.ndarray,
    labels: Sequence[int],
    k_any: int,
    k_own: int,
    owners: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Two tables of the rows of some classes from the same products: their nearest of any class, and of their own.

    Args:
        X: (n, D) float32, finite.
        y: class numbers, (n,) int.
        labels: classes whose rows ask.
        k_any: at most n - 1.
        k_own: of a class with fewer other rows, -1 stands after them.
        owners: rows of the same owner do not find each other within a class, (n,) int.

    Returns:
        (n, k_any) and (n, k_own) int32, -1 in the rows of other classes.
    """
    everything = np.arange(len(X))
    asked = np.flatnonzero(np.isin(y, labels))
    of_any, of_own = Search(X, k_any, everything, None, BUDGET), Search(X, k_own, everything, owners, BUDGET, y)
    of_any.measure(everything)
    of_own.halves = of_any.halves
    groups = [Group(np.flatnonzero(y == label)) for label in labels]
    others = Group(np.flatnonzero(~np.isin(y, labels)))
    for one, other in _pairs(groups):
        of_any.pairs(one, other, also=of_own if one is other else None)
    for one in groups:
        of_any.pairs(one, others, both=False)
    tables = np.full((len(X), k_any), -1, np.int32), np.full((len(X), k_own), -1, np.int32)
    for table, search in zip(tables, (of_any, of_own), strict=True):
        table[asked] = search.ranked(asked)
    return tables


def nearest_with_mixtures(X: np.ndarray, k: int, groups: Sequence[Group], budget: int = BUDGET) -> np.ndarray:
    """The k nearest other rows of each row and mixture, as `nearest`, (m, k) int32.

    Args:
        X: (n, D) float32, finite.
        k: at most m - 1.
        groups: every row of X is in one of them, such as a class; their mixtures take the positions n to m.
        budget: bytes of inner products held at once. Where a group with mixtures takes more, some of its products are
            computed more than once.
    """
    everything = np.arange(sum(len(group.rows[0]) for group in groups))
    search = Search(X, k, everything, None, budget, parents=_parents(groups))
    search.measure(everything)
    for one, other in _pairs(groups):
        rows, columns = (one, other) if len(one.mixtures) <= len(other.mixtures) else (other, one)
        search.pairs(rows, columns)
    return search.ranked(everything)


def _pairs(groups: Sequence[Group]) -> list[tuple[Group, Group]]:
    """Each group with itself first: with near candidates at hand, fewer of those that follow are looked at."""
    return [*((one, one) for one in groups), *itertools.combinations(groups, 2)]


def _parents(groups: Sequence[Group]) -> Parents:
    """Positions of both parents and share of every position; a row of X is its own."""
    size = sum(len(group.rows[0]) for group in groups)
    first, second, share = np.arange(size), np.arange(size), np.zeros(size)
    for group in groups:
        first[group.mixtures] = group.plain[group.first]
        second[group.mixtures] = group.plain[group.second]
        share[group.mixtures] = group.share
    return first, second, share
