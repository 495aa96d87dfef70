"""Loops over blocks of inner products, compiled. They release the interpreter's lock."""

import numpy as np
from numba import njit

STRIP = 32  # columns that are compared at once before any is looked at alone
LOOSE = {"nnan", "nsz", "reassoc", "contract"}  # infinite values occur


@njit(cache=True, nogil=True)
def _enter(values, found, value, column):
    """Put a column in the place of a row's worst candidate, (c,) both; the worst that is left."""
    place = 0
    for i in range(1, len(values)):
        if values[i] > values[place]:
            place = i
    values[place], found[place] = value, column
    most = values[0]
    for i in range(1, len(values)):
        most = max(most, values[i])
    return most


@njit(cache=True, nogil=True, fastmath=LOOSE)
def _mix(one, other, share, out):
    for j in range(len(out)):
        out[j] = one[j] + share * (other[j] - one[j])


@njit(cache=True, nogil=True, fastmath=LOOSE)
def _distances(own, lengths, products, out):
    for j in range(len(out)):
        out[j] = own + lengths[j] - products[j]


@njit(cache=True, nogil=True, fastmath=LOOSE)
def _distances_to_mixtures(own, lengths, products, first, second, share, out):
    for j in range(len(out)):
        p, q = products[first[j]], products[second[j]]
        out[j] = own + lengths[j] - (p + share[j] * (q - p))


@njit(cache=True, nogil=True, fastmath=LOOSE)
def _gain(distances, limit):
    most = limit - distances[0]
    for j in range(1, len(distances)):
        most = max(most, limit - distances[j])
    return most


@njit(cache=True, nogil=True, fastmath=LOOSE)
def _gain_of_both(distances, limit, limits):
    most = limit - distances[0]
    for j in range(len(distances)):
        most = max(most, max(limit, limits[j]) - distances[j])
    return most


@njit(cache=True, nogil=True)
def offer(
    products: np.ndarray,
    rows: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    begin: np.ndarray,
    columns: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    halves: np.ndarray,
    owners: np.ndarray,
    values: np.ndarray,
    found: np.ndarray,
    worst: np.ndarray,
    column_values: np.ndarray,
    column_found: np.ndarray,
) -> None:
    """Offer every column of a block to every row as a neighbour, and every row to every column.

    Calls with different rows may run at once: what columns learn goes to tables of the call, which `merge` takes up.
    A row or column stands for a mixture p + share · (q - p) of two rows or columns of the block, so that its inner
    products are mixtures too; what is no mixture has p = q.

    Args:
        products: inner products, (P, Q) float32.
        rows: position in X, p and q (both in 0…P), share; of R rows.
        begin: first column that is offered, of each row, (R,) int.
        columns: position in X, p and q (both in 0…Q), share; of C columns. The first of them are those of the block
            in their order, as many as have p = q = place.
        halves: half the squared length of every row of X, (n,) float32.
        owners: rows of the same owner are not offered to each other, (n,) int.
        values: half the squared distances of the candidates, (n, c) float32, changed in these rows.
        found: positions of the candidates, (n, c) int32, likewise.
        worst: greatest of `values` of each row, (n,) float32, likewise.
        column_values: infinite, (C, c) float32, changed; without rows where columns are to learn nothing.
        column_found: (C, c) int32, changed.
    """
    ids, first, second, share = rows
    column_ids, column_first, column_second, column_share = columns
    plain = min(products.shape[1], len(column_ids))
    mixed = np.empty(products.shape[1], np.float32)
    distance = np.empty(len(column_ids), np.float32)
    lengths, limits, both = halves[column_ids], worst[column_ids], len(column_values) > 0
    for i in range(len(ids)):
        row, start = ids[i], begin[i]
        lower = start if plain == len(column_ids) else 0
        _mix(products[first[i], lower:plain], products[second[i], lower:plain], share[i], mixed[lower:plain])
        if start < plain:
            _distances(halves[row], lengths[start:plain], mixed[start:plain], distance[start:plain])
        rest = slice(max(start, plain), len(column_ids))
        _distances_to_mixtures(
            halves[row],
            lengths[rest],
            mixed,
            column_first[rest],
            column_second[rest],
            column_share[rest],
            distance[rest],
        )
        for low in range(start, len(column_ids), STRIP):
            high, limit = min(low + STRIP, len(column_ids)), worst[row]
            if both:
                gain = _gain_of_both(distance[low:high], limit, limits[low:high])
            else:
                gain = _gain(distance[low:high], limit)
            if gain <= 0:
                continue
            for j in range(low, high):
                column = column_ids[j]
                if owners[column] == owners[row]:
                    continue
                if distance[j] < worst[row]:
                    worst[row] = _enter(values[row], found[row], distance[j], column)
                if both and distance[j] < limits[j]:
                    limits[j] = min(limits[j], _enter(column_values[j], column_found[j], distance[j], row))


@njit(cache=True, nogil=True)
def merge(
    ids: np.ndarray,
    column_values: np.ndarray,
    column_found: np.ndarray,
    values: np.ndarray,
    found: np.ndarray,
    worst: np.ndarray,
) -> None:
    """Take the candidates that columns got in `offer` up in those of their rows, whose positions are `ids`."""
    for j in range(len(column_values)):
        row = ids[j]
        for i in range(column_values.shape[1]):
            if column_values[j, i] < worst[row]:
                worst[row] = _enter(values[row], found[row], column_values[j, i], column_found[j, i])


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _squared(x, z):
    total = 0.0
    for i in range(len(x)):
        difference = np.float64(x[i]) - np.float64(z[i])
        total += difference * difference
    return total


@njit(cache=True, nogil=True)
def _row(X, first, second, share, out):
    if share == 0:
        out[:] = X[first]
    else:
        for i in range(len(out)):  # rounded twice, as `neighbours.mixed` does
            out[i] = X[second, i] - X[first, i]
            out[i] = np.float64(X[first, i]) + share * np.float64(out[i])


@njit(cache=True, nogil=True)
def rank(
    X: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    share: np.ndarray,
    asked: np.ndarray,
    found: np.ndarray,
    k: int,
    order: np.ndarray,
) -> np.ndarray:
    """Order candidates by their exact distance, then by position.

    Args:
        X: (n, D).
        first: position in X of the row that each of m rows starts from, itself if it is none between two, (m,) int.
        second: that of the row it goes to, (m,) int.
        share: how far, (m,) float64.
        asked: positions of the rows that ask, (q,) int.
        found: positions of the candidates of every row, -1 for none, (m, c) int32.
        k: how many to keep.
        order: the nearest, nearest first, -1 where there are fewer, (q, k) int32, changed.

    Returns:
        Squared distance of the k-th, infinite where there are fewer, (q,) float64.
    """
    last, count = np.empty(len(asked)), found.shape[1]
    squared, row, other = np.empty(count), np.empty(X.shape[1], X.dtype), np.empty(X.shape[1], X.dtype)
    for i in range(len(asked)):
        candidates = np.sort(found[asked[i]])
        _row(X, first[asked[i]], second[asked[i]], share[asked[i]], row)
        for j in range(count):
            c = candidates[j]
            if c < 0:
                squared[j] = np.inf
            else:
                _row(X, first[c], second[c], share[c], other)
                squared[j] = _squared(row, other)
        best = np.argsort(squared, kind="mergesort")
        last[i] = squared[best[k - 1]]
        for j in range(k):
            order[i, j] = candidates[best[j]]
    return last
