"""Loops over every pixel of a full-size picture, compiled. They release the interpreter's lock.

Reading, lookup and area average in one pass: the full-size picture in floating point, many times larger than the
cache, never exists.
"""

import numpy as np
from numba import njit, types
from numba.extending import overload


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def area(
    source: np.ndarray,
    table: np.ndarray,
    box: tuple[int, int, int, int],
    rows: int,
    columns: int,
    channels: int,
) -> np.ndarray:
    """Part of a picture, reduced by averaging over areas with fractional edges.

    Args:
        source: (H, W · channels) unsigned integers, indices of `table`; or float32, to be averaged themselves.
        table: (n,) float32.
        box: top, left, height, width of the part, pixels.
        rows: of the result, at most the height of the part.
        columns: of the result, at most the width of the part.
        channels: interleaved.

    Returns:
        (rows, columns · channels) float32.
    """
    top, left, height, width = box
    edges = np.arange(columns + 1) * (width / columns)
    begin = edges[:-1].astype(np.int64)
    stop = np.minimum(np.ceil(edges[1:]).astype(np.int64), width)
    before = (edges[:-1] - begin).astype(np.float32)  # shares of the outer pixels that lie outside
    after = (stop - edges[1:]).astype(np.float32)
    out = np.empty((rows, columns * channels), np.float32)
    total = np.empty(width * channels, np.float32)
    scale = np.float32(rows / height * columns / width)
    for i in range(rows):
        start, end = i * height / rows, (i + 1) * height / rows
        total[:] = 0
        for y in range(int(start), min(int(np.ceil(end)), height)):
            weight = np.float32(min(end, y + 1) - max(start, y))
            line = source[top + y, left * channels : (left + width) * channels]
            for x in range(width * channels):
                total[x] += weight * _value(table, line[x])
        for j in range(columns):
            for channel in range(channels):
                first, last = begin[j] * channels + channel, (stop[j] - 1) * channels + channel
                value = -before[j] * total[first] - after[j] * total[last]
                for x in range(first, last + 1, channels):
                    value += total[x]
                out[i, j * channels + channel] = value * scale
    return out


@njit(cache=True, nogil=True)
def histogram(source: np.ndarray, size: int) -> np.ndarray:
    """How often each of 0…size-1 occurs in unsigned integers (H, W): (size,) int64."""
    counts = np.zeros(size, np.int64)
    for line in source:
        for value in line:
            counts[value] += 1
    return counts


def _value(table, pixel):
    raise NotImplementedError  # compiled code sees the overload below


@overload(_value, inline="always")
def _value_of(table, pixel):
    """Which of the two is chosen when `area` is compiled, by the type of the pixels."""
    if isinstance(pixel, types.Float):
        return lambda table, pixel: pixel
    return lambda table, pixel: table[pixel]
