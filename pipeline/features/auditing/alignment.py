"""How alike two small pictures are under the shift that suits them best, compiled."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, fastmath=True)
def _window(picture, top, left, height, width):
    """Mean and the square root of the sum of squares around it."""
    total = squares = np.float32(0)
    for y in range(top, top + height):
        for x in range(left, left + width):
            total += picture[y, x]
            squares += picture[y, x] * picture[y, x]
    mean = total / (height * width)
    return mean, np.sqrt(max(squares - mean * total, np.float32(0)))


@njit(cache=True, nogil=True, fastmath=True)
def _best(one, other, margin):
    height, width = one.shape[0] - 2 * margin, one.shape[1] - 2 * margin
    mean, length = _window(one, margin, margin, height, width)
    best = np.float32(-1)
    for top in range(2 * margin + 1):
        for left in range(2 * margin + 1):
            product = np.float32(0)
            for y in range(height):
                for x in range(width):
                    product += (one[margin + y, margin + x] - mean) * other[top + y, left + x]
            scale = length * _window(other, top, left, height, width)[1]
            if scale > 0:
                best = max(best, product / scale)
    return best


def aligned(pictures: np.ndarray, pairs: np.ndarray, margin: int, mirrored: bool) -> np.ndarray:
    """Greatest correlation of the middle of one picture with a window of the other, (p,) float32.

    Args:
        pictures: (n, S, S), of any float type.
        pairs: (p, 2) int.
        margin: pixels that the window may be moved by, each way.
        mirrored: the second picture is turned left to right.
    """
    out = np.empty(len(pairs), np.float32)
    for number, (first, second) in enumerate(pairs.tolist()):
        one, other = pictures[first].astype(np.float32), pictures[second].astype(np.float32)
        out[number] = _best(one, np.ascontiguousarray(other[:, ::-1]) if mirrored else other, margin)
    return out
