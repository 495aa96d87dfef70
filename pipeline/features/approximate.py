"""Nearest rows of many rows: exact up to some number of them, else from candidates, with the recall that this has.

Candidates come from an inverted file (Sivic and Zisserman 2003, doi:10.1109/ICCV.2003.1238663): rows lie in cells
around k-means centres of their first principal components, and a row looks into the cells nearest to it. The candidates
are ranked by their distances in all dimensions. How many components and cells it takes is read off some rows whose true
neighbours are searched exactly; the recall is then measured on others.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.features.neighbours import nearest
from pipeline.features.searching import BUDGET, Group, Search

EXACT = 20_000  # rows up to which all pairs are looked at: about ten seconds
PART = 4096  # rows that are worked on at once
WANTED = 0.996  # of the true neighbours among the candidates, once for the components and once for the cells
ASKED = 400  # rows whose true neighbours tell how to search, and as many that tell the recall
COMPONENTS = (32, 64, 128, 256)
ROUNDS = 8  # of k-means
LEARNED = 64  # rows of each cell that k-means learns from


@dataclass(frozen=True, eq=False)
class Found:
    """Nearest rows of every row.

    Attributes:
        rows: nearest first, (N, k) int32, -1 where there are no more.
        distances: Euclidean, (N, k) float32, infinite there.
        recall: share of the true nearest rows that are among them, 1 where the search is exact.
    """

    rows: np.ndarray
    distances: np.ndarray
    recall: float


def search(X: np.ndarray, k: int, owners: np.ndarray, exact: int = EXACT, seed: int = 0) -> Found:
    """The k nearest rows of other owners, or as many as there are.

    Args:
        X: (N, D) float32, finite.
        k: wanted.
        owners: rows of the same owner do not find each other, (N,) int.
        exact: rows up to which no neighbour is missed.
        seed: of k-means and of the rows that are asked.
    """
    if len(X) <= exact:
        rows = nearest(X, min(k, len(X) - 1), owners=owners)
        return Found(rows, distances(X, rows), 1.0)
    rng = np.random.default_rng(seed)
    asked = rng.permutation(len(X))[: 2 * ASKED]
    truth = nearest(X, k, asked, owners=owners)
    how, test = np.split(np.arange(len(asked)), 2)
    reduced = _reduced(X, asked[how], truth[how], k, owners)
    rows = _ranked(X, _candidates(reduced, asked[how], truth[how], 2 * k, owners, rng), k)
    return Found(rows, distances(X, rows), recall(truth[test], rows[asked[test]]))


def recall(truth: np.ndarray, found: np.ndarray) -> float:
    """Share of the rows in the lines of one table, (q, k) int, that are in those of another, (q, c) int."""
    there = (truth[:, :, None] == found[:, None, :]).any(axis=2) & (truth >= 0)
    return float(there.sum() / max(1, (truth >= 0).sum()))


def distances(X: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Euclidean distance of each row from those of its line in the table, (N, k) float32; infinite for -1."""
    out = np.empty(table.shape, np.float32)
    for start in range(0, len(X), PART):
        part = slice(start, start + PART)
        for column in range(table.shape[1]):
            other = table[part, column]
            apart = X[other] - X[part]
            out[part, column] = np.where(other < 0, np.inf, np.sqrt(np.einsum("ij,ij->i", apart, apart)))
    return out


def principal(X: np.ndarray, components: int) -> np.ndarray:
    """Coordinates of rows (N, D) on their first principal axes, in the order of their variance, (N, components)."""
    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32)
    starts = range(0, len(X), PART)
    products = np.zeros((X.shape[1], X.shape[1]), np.float64)
    for start in starts:
        part = X[start : start + PART] - mean
        products += part.T @ part
    axes = np.linalg.eigh(products)[1][:, ::-1][:, :components].astype(np.float32)
    out = np.empty((len(X), axes.shape[1]), np.float32)
    for start in starts:
        np.matmul(X[start : start + PART] - mean, axes, out=out[start : start + PART])
    return out


def _reduced(X: np.ndarray, asked: np.ndarray, truth: np.ndarray, k: int, owners: np.ndarray) -> np.ndarray:
    """As few components as keep the true neighbours among 2 k; every dimension, where none of them does."""
    for count in COMPONENTS:
        if count >= X.shape[1]:
            break
        reduced = principal(X, count)
        if recall(truth, nearest(reduced, 2 * k, asked, owners=owners)) >= WANTED:
            return reduced
    return X


def _candidates(
    Z: np.ndarray, asked: np.ndarray, truth: np.ndarray, count: int, owners: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The nearest rows in the cells around each row, unordered, (N, count or some more) int32."""
    centres = _centres(Z, round(np.sqrt(len(Z))), rng)
    cell = _nearest_centres(Z, centres, 1)[:, 0]
    order = _nearest_centres(Z[asked], centres, len(centres))
    place = np.argsort(order, axis=1)[np.arange(len(asked))[:, None], cell[truth]]  # of each neighbour's cell
    looked = int(np.quantile(place[truth >= 0], WANTED, method="higher")) + 1
    around = _nearest_centres(Z, centres, looked)  # (N, looked)
    visits = np.argsort(around, axis=None, kind="stable")
    ends = np.cumsum(np.bincount(around.ravel(), minlength=len(centres)))
    members = np.split(np.argsort(cell, kind="stable"), np.cumsum(np.bincount(cell, minlength=len(centres)))[:-1])
    found = Search(Z, count, np.arange(len(Z)), owners, BUDGET)
    found.measure(np.arange(len(Z)))
    for one, visitors in zip(members, np.split(visits, ends[:-1]), strict=True):
        found.pairs(Group(visitors // looked), Group(one), both=False)
    return found.found


def _centres(Z: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Centres of cells by k-means (Lloyd) on some rows, (count, d) float32; a cell that empties keeps its centre."""
    some = Z[np.sort(rng.permutation(len(Z))[: LEARNED * count])]
    centres = some[rng.permutation(len(some))[:count]].copy()
    for _ in range(ROUNDS):
        cell = _nearest_centres(some, centres, 1)[:, 0]
        order, sizes = np.argsort(cell, kind="stable"), np.bincount(cell, minlength=count)
        full = np.flatnonzero(sizes)
        sums = np.add.reduceat(some[order], (np.cumsum(sizes) - sizes)[full], axis=0)
        centres[full] = sums / sizes[full, None]
    return centres


def _nearest_centres(Z: np.ndarray, centres: np.ndarray, count: int) -> np.ndarray:
    """The nearest centres of each row, nearest first, (N, count) int32."""
    halves, out = np.einsum("ij,ij->i", centres, centres) / 2, np.empty((len(Z), count), np.int32)
    for start in range(0, len(Z), PART):
        apart = halves - Z[start : start + PART] @ centres.T
        if count == 1:
            out[start : start + PART, 0] = apart.argmin(axis=1)
        else:
            near = np.argpartition(apart, count - 1, axis=1)[:, :count]
            inner = np.argsort(np.take_along_axis(apart, near, axis=1), axis=1, kind="stable")
            out[start : start + PART] = np.take_along_axis(near, inner, axis=1)
    return out


def _ranked(X: np.ndarray, candidates: np.ndarray, k: int) -> np.ndarray:
    """The k nearest of the candidates by their distances in all dimensions, (N, k) int32."""
    from pipeline.features.nearest_kernels import rank

    itself, order = np.arange(len(X)), np.empty((len(X), k), np.int32)
    rank(X, itself, itself, np.zeros(len(X)), itself, candidates, k, order)
    return order
