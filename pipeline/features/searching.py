"""A search for nearest rows: inner products in blocks, candidates from them, exact distances of these."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

SPARE = 4  # candidates beyond k that are ranked too
BLOCK = 1024  # rows of a block
BUDGET = 32 << 20  # bytes of inner products held at once
Result = TypeVar("Result")
Parents = tuple[np.ndarray, np.ndarray, np.ndarray]
Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _none() -> np.ndarray:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Group:
    """Rows that are searched together, and the mixtures of pairs of them.

    Attributes:
        plain: positions in X, (n,) int.
        mixtures: positions, behind those in X, of the rows that lie between two of them, (s,) int.
        first: place in `plain` of the row that a mixture starts from, (s,) int.
        second: place in `plain` of the row that it goes to, (s,) int.
        share: how far it goes, (s,) float64.
    """

    plain: np.ndarray
    mixtures: np.ndarray = field(default_factory=_none)
    first: np.ndarray = field(default_factory=_none)
    second: np.ndarray = field(default_factory=_none)
    share: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @cached_property
    def rows(self) -> Rows:
        """Positions in X, p, q and share of all of them, those that are no mixtures first."""
        own = np.arange(len(self.plain))
        return (
            np.concatenate([self.plain, self.mixtures]).astype(np.int64),
            np.concatenate([own, self.first]).astype(np.int32),
            np.concatenate([own, self.second]).astype(np.int32),
            np.concatenate([np.zeros(len(own), np.float32), self.share.astype(np.float32)]),
        )


def mixed(X: np.ndarray, first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Rows X[first] + share · (X[second] - X[first]), rounded as imbalanced-learn rounds them, (s, D)."""
    one = X[first]
    return (one + share[:, None] * (X[second] - one)).astype(X.dtype)


class Search:
    """Candidates of the rows of X while blocks of inner products are offered."""

    def __init__(
        self,
        X: np.ndarray,
        k: int,
        pool: np.ndarray,
        owners: np.ndarray | None,
        budget: int,
        classes: np.ndarray | None = None,  # a row finds those of its class only
        parents: Parents | None = None,  # of every position, where there are mixtures
    ) -> None:
        itself = np.arange(len(X))
        self.X, self.k, self.pool, self.budget, self.classes = X, k, pool, budget, classes
        self.parents = parents or (itself, itself, np.zeros(len(X)))
        self.pools, size = ThreadpoolController(), len(self.parents[0])
        self.threads = _threads(self.pools)
        self.owners = np.arange(size) if owners is None else owners.astype(np.int64)
        total = sum((X[ids].sum(axis=0, dtype=np.float64) for ids in _parts(pool[pool < len(X)])), np.zeros(X.shape[1]))
        self.mean = (total / (pool < len(X)).sum()).astype(np.float32)
        self.halves = np.zeros(size, np.float32)
        self.values = np.full((size, k + SPARE), np.inf, np.float32)
        self.found = np.full((size, k + SPARE), -1, np.int32)
        self.worst = np.full(size, np.inf, np.float32)

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Rows or mixtures, (len(ids), D)."""
        if (ids < len(self.X)).all():
            return self.X[ids]
        return np.concatenate([mixed(self.X, *(of[part] for of in self.parents)) for part in _parts(ids, BLOCK // 4)])

    def block(self, ids: np.ndarray) -> np.ndarray:
        """Centred rows, (len(ids), D) float32: products of rows far from the origin would hide their differences."""
        rows = self.rows(ids).astype(np.float32, copy=False)
        rows -= self.mean
        return rows

    def measure(self, ids: np.ndarray) -> None:
        """Half the squared length of rows."""
        for part in _parts(ids):
            rows = self.block(part)
            self.halves[part] = np.einsum("ij,ij->i", rows, rows) / 2

    def pairs(self, one: Group, other: Group, both: bool = True, also: "Search | None" = None) -> None:
        """Offer the rows of the second group to those of the first, if `both` the other way round, and `also` there."""
        if not len(one.plain) or not len(other.plain):
            return
        same = one is other
        ids, first, second, share = other.rows
        for rows, left, number in self.tiles(one, len(other.plain)):
            skip = int(number.min()) if same and not len(other.mixtures) else 0
            columns = (ids[skip:], first[skip:] - skip, second[skip:] - skip, share[skip:])
            begin = number + 1 - skip if same else np.zeros(len(number), np.int64)
            products = self.products(left, other.plain[skip:])
            for search in filter(None, (self, also)):
                search.offer(products, rows, begin, columns, both)
            del products  # before there is another one

    def offer(self, products: np.ndarray, rows: Rows, begin: np.ndarray, columns: Rows, both: bool) -> None:
        """Offer the columns of a block to its rows, which threads share, and if `both` the rows to the columns."""
        from pipeline.features.nearest_kernels import merge, offer

        count, c = len(columns[0]) if both else 0, self.values.shape[1]

        def work(part: slice) -> tuple[np.ndarray, np.ndarray]:
            learned = np.full((count, c), np.inf, np.float32), np.empty((count, c), np.int32)
            some = (rows[0][part], rows[1][part], rows[2][part], rows[3][part])
            tables = (self.values, self.found, self.worst)
            offer(products, some, begin[part], columns, self.halves, self.owners, *tables, *learned)
            return learned

        # Interleaved: of a triangle, later rows have fewer columns.
        for learned in self.at_once(work, [slice(number, None, self.threads) for number in range(self.threads)]):
            merge(columns[0], *learned, self.values, self.found, self.worst)

    def at_once(self, work: Callable[[slice], Result], parts: Sequence[slice]) -> list[Result]:
        """Results in the order of the parts."""
        if len(parts) == 1:
            return [work(parts[0])]
        with ThreadPoolExecutor(len(parts)) as pool:
            return list(pool.map(work, parts))

    def tiles(self, group: Group, width: int) -> Iterator[tuple[Rows, np.ndarray, np.ndarray]]:
        """Parts of a group: its rows, the positions in X that products are taken of, and the rows' numbers in it.

        A part takes products of the rows that its mixtures come from, or of the mixtures themselves where these are
        fewer.
        """
        ids, first, second, share = group.rows
        most = max(64, self.budget // (4 * width))
        if not len(group.mixtures):
            most = min(most, BLOCK)
        order, start = np.argsort(first, kind="stable"), 0
        while start < len(order):
            rest = order[start:]
            count = _most_rows(first[rest], second[rest], most)
            part = rest[: max(count, most)]
            places, local = np.unique(np.concatenate([first[part], second[part]]), return_inverse=True)
            if len(places) < len(part):
                p, q = local.reshape(2, -1)
                yield (ids[part], p.astype(np.int32), q.astype(np.int32), share[part]), group.plain[places], part
            else:
                own = np.arange(len(part), dtype=np.int32)
                yield (ids[part], own, own, np.zeros(len(part), np.float32)), ids[part], part
            start += len(part)

    def products(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Inner products of rows, (len(left), len(right)) float32."""
        out, square = np.empty((len(left), len(right)), np.float32), np.array_equal(left, right)
        rounds = -(-len(right) // (BLOCK * self.threads))  # each thread has as many blocks
        step = -(-len(right) // (rounds * self.threads))

        def work(part: slice) -> None:
            for begin in range(0, len(right), step)[part]:
                columns = self.block(right[begin : begin + step]).T
                for top in range(0, begin + 1 if square else len(left), step):
                    here = out[top : top + step, begin : begin + step]
                    np.matmul(self.block(left[top : top + step]), columns, out=here)

        # Blocks side by side take less time than each of them shared by threads.
        with self.pools.limit(limits=1, user_api="blas") if self.threads > 1 else nullcontext():
            self.at_once(work, [slice(number, None, self.threads) for number in range(self.threads)])
        if square:
            for top in range(step, len(left), step):
                out[top : top + step, :top] = out[:top, top : top + step].T
        return out

    def ranked(self, asked: np.ndarray) -> np.ndarray:
        """The k nearest of the rows that ask, by exact distances."""
        from pipeline.features.nearest_kernels import rank

        order, size = np.empty((len(asked), self.k), np.int32), -(-len(asked) // self.threads) or 1
        parts = [slice(start, start + size) for start in range(0, len(asked), size)] or [slice(0)]
        last = np.concatenate(
            self.at_once(lambda of: rank(self.X, *self.parents, asked[of], self.found, self.k, order[of]), parts)
        )
        # Rounding errors of a sum of D products grow with √D; this is eight times what is expected of them.
        largest = np.sqrt(self.halves.max())
        error = 8 * np.sqrt(self.X.shape[1]) * np.finfo(np.float32).eps * np.sqrt(self.halves[asked]) * largest
        unsure = np.flatnonzero(np.isfinite(self.worst[asked]) & (last / 2 >= self.worst[asked] - error))
        for part in _parts(unsure, 64):
            order[part] = self.exactly(asked[part], last[part] / 2 + 2 * error[part])
        return order

    def exactly(self, asked: np.ndarray, limits: np.ndarray) -> np.ndarray:
        """The k nearest of a few rows, searched in float64 among all that float32 puts within these limits of one."""
        rows, pool = self.rows(asked) - self.mean.astype(np.float64), self.within(asked, limits)
        squared = np.empty((len(asked), len(pool)))
        for begin in range(0, len(pool), BLOCK):
            columns = self.rows(pool[begin : begin + BLOCK]) - self.mean.astype(np.float64)
            lengths = (rows**2).sum(axis=1)[:, None] + (columns**2).sum(axis=1)
            squared[:, begin : begin + BLOCK] = lengths - 2 * rows @ columns.T
        squared[self.owners[asked][:, None] == self.owners[pool]] = np.inf
        if self.classes is not None:
            squared[self.classes[asked][:, None] != self.classes[pool]] = np.inf
        limits = np.partition(squared, self.k - 1, axis=1)[:, self.k - 1] + 1e-9 * float(self.halves.max())
        near = [pool[np.isfinite(row) & (row <= limit)] for row, limit in zip(squared, limits, strict=True)]
        return np.stack([self._first(*each) for each in zip(asked, near, strict=True)])

    def within(self, asked: np.ndarray, limits: np.ndarray) -> np.ndarray:
        """Positions of the pool whose half squared distance to any row that asks is in its limit, ascending."""
        plain = self.pool[self.pool < len(self.X)]
        products = self.products(asked, plain)
        if len(plain) < len(self.pool):
            first, second, share = self.parents
            products = products[:, first] + share.astype(np.float32) * (products[:, second] - products[:, first])
        near = self.halves[asked][:, None] + self.halves[self.pool] - products <= limits[:, None]
        return np.sort(self.pool[near.any(axis=0)])

    def _first(self, row: int, near: np.ndarray) -> np.ndarray:
        distances = ((self.rows(near).astype(np.float64) - self.rows(np.array([row]))) ** 2).sum(axis=1)
        found = near[np.lexsort((near, distances))][: self.k]
        return np.pad(found, (0, self.k - len(found)), constant_values=-1)


def _threads(pools: ThreadpoolController) -> int:
    """As many as matrix products take."""
    return max((pool["num_threads"] for pool in pools.select(user_api="blas").info()), default=1)


def _parts(ids: np.ndarray, size: int = BLOCK) -> Iterator[np.ndarray]:
    return (ids[begin : begin + size] for begin in range(0, len(ids), size))


def _most_rows(first: np.ndarray, second: np.ndarray, most: int) -> int:
    """How many of the first mixtures come from at most so many rows."""
    low, high = 0, len(first)
    if len(np.unique(np.concatenate([first, second]))) <= most:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if len(np.unique(np.concatenate([first[:middle], second[:middle]]))) <= most:
            low = middle
        else:
            high = middle - 1
    return low
