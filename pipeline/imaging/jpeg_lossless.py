"""JPEG Lossless (ITU-T T.81 annex H), the most frequent compression of radiographs, decoded for one grey component.

Several times faster than the libraries at hand: code and difference of a pixel come out of one table in most cases,
and nothing but a shift and that lookup lies between two pixels.
"""

import struct

import numpy as np
from numba import njit

PEEK = 12  # bits: the table stays in the fastest cache
_SHARES = 2.0 ** np.arange(1, 17)  # codes of 1…16 bits that a complete table could have
_SLOW = 255  # length of an entry whose difference does not fit


class DamagedError(ValueError):
    """The scan ends early, or holds a code that its table does not have."""


def decode(code: bytes) -> np.ndarray | None:
    """Pixels (rows, columns) uint16, in their precision; None for what is not one component in one scan.

    Raises:
        DamagedError: it can't hold this picture. Other decoders show what is left of it, without a word.
        struct.error, IndexError: it ends within its header.
    """
    at, frame, lengths = 2, None, {}
    while True:
        marker, size = struct.unpack_from(">HH", code, at)
        body = code[at + 4 : at + 2 + size]
        if marker == 0xFFC3:
            if frame is not None:
                return None
            frame = struct.unpack(">BHHB", body[:6])
        elif marker == 0xFFC4:
            lengths |= _tables(body)
        elif marker == 0xFFDD and struct.unpack(">H", body)[0]:
            return None  # restart intervals
        elif marker == 0xFFDA:
            break
        elif marker >> 8 != 0xFF or marker in (0xFFC0, 0xFFC1, 0xFFC2):
            return None
        at += 2 + size
    if frame is None or frame[3] != 1 or body[0] != 1 or not 1 <= body[3] <= 7 or body[5]:
        return None
    precision, rows, columns, _ = frame
    counts, symbols = lengths[body[2] >> 4]
    if min(rows, columns) < 1 or not 2 <= precision <= 16 or (counts / _SHARES).sum() > 1 or (symbols > 16).any():
        raise DamagedError  # compiled code trusts these
    words, bits = _unstuff(np.frombuffer(code, np.uint8), at + 2 + size)
    out = np.empty((rows, columns), np.uint16)
    if not _decode(words, bits, *_peek_table(counts, symbols), counts, symbols, body[3], precision, out):
        raise DamagedError
    return out


def _tables(body: bytes) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """By destination: how many codes of 1…16 bits, and the symbols in their order (B.2.4.2)."""
    found, at = {}, 0
    while at < len(body):
        counts = np.frombuffer(body, np.uint8, 16, at + 1).astype(np.int64)
        symbols = np.frombuffer(body, np.uint8, counts.sum(), at + 17).astype(np.int64)
        found[body[at]] = counts, symbols
        at += 17 + len(symbols)
    return found


@njit(cache=True)
def _unstuff(code: np.ndarray, start: int) -> tuple[np.ndarray, int]:
    """The scan without the zero behind each 0xFF, as big-endian words of 32 bits with zeros behind, and its bits."""
    words = np.zeros((code.size - start) // 4 + 4, np.uint32)
    count, at = 0, start
    while at < code.size:
        byte = code[at]
        if byte == 0xFF:
            if at + 1 >= code.size or code[at + 1] != 0:
                break
            at += 1
        words[count >> 2] |= np.uint32(byte) << np.uint32(24 - 8 * (count & 3))
        count += 1
        at += 1
    return words, 8 * count


@njit(cache=True)
def _peek_table(counts: np.ndarray, symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For the next PEEK bits: the bits that a pixel takes (0: none has these, 255: more), and its difference."""
    taken, differences = np.zeros(1 << PEEK, np.uint8), np.zeros(1 << PEEK, np.int32)
    code, which = 0, 0
    for length in range(1, 17):
        for _ in range(counts[length - 1]):
            extra = symbols[which] if symbols[which] < 16 else 0
            for rest in range(1 << max(0, PEEK - length)):
                peeked = (code << (PEEK - length) | rest) if length <= PEEK else code >> (length - PEEK)
                if length + extra > PEEK:
                    taken[peeked] = _SLOW
                else:
                    taken[peeked] = length + extra
                    raw = rest >> (PEEK - length - extra)
                    differences[peeked] = _extend(raw, symbols[which])
            code += 1
            which += 1
        code <<= 1
    return taken, differences


@njit(cache=True, inline="always")
def _extend(raw, size):
    """The difference that `size` bits stand for (F.2.2.1 and table H.2)."""
    if size == 16:
        return 32768
    return raw if size == 0 or raw >> (size - 1) else raw - (1 << size) + 1


@njit(cache=True, nogil=True)
def _decode(
    words: np.ndarray,
    bits: int,
    taken: np.ndarray,
    differences: np.ndarray,
    counts: np.ndarray,
    symbols: np.ndarray,
    predictor: int,
    precision: int,
    out: np.ndarray,
) -> bool:
    """Fill `out`; whether the scan held it all. Predictors: table H.1; the first line and column have their own."""
    buffer, held, next_word = np.uint64(0), 0, 0
    used = 0
    for y in range(out.shape[0]):
        line = out[y]
        above = out[max(y - 1, 0)]
        left = np.int64(1 << (precision - 1)) if y == 0 else np.int64(above[0])
        for x in range(out.shape[1]):
            if held < 32:
                if next_word >= words.size:
                    return False
                buffer |= np.uint64(words[next_word]) << np.uint64(32 - held)
                held += 32
                next_word += 1
            peeked = buffer >> np.uint64(64 - PEEK)
            length = np.int64(taken[peeked])
            difference = np.int64(differences[peeked])
            if length == _SLOW or length == 0:
                length, difference = _decode_long(buffer, counts, symbols)
                if length == 0:
                    return False
            buffer <<= np.uint64(length)
            held -= length
            used += length
            if predictor == 1 or y == 0 or x == 0:
                expected = left
            else:
                expected = _predict(predictor, left, np.int64(above[x]), np.int64(above[x - 1]))
            left = (expected + difference) & 0xFFFF
            line[x] = left
    return bool(used <= bits)


@njit(cache=True)
def _decode_long(buffer: int, counts: np.ndarray, symbols: np.ndarray) -> tuple[int, int]:
    """Bits and difference of a pixel whose code and difference are longer than the table; 0 bits: no such code."""
    code, first, which = 0, 0, 0
    for length in range(1, 17):
        code = np.int64(buffer >> np.uint64(64 - length))
        if code - first < counts[length - 1]:
            size = symbols[which + code - first]
            extra = size if size < 16 else 0
            raw = np.int64(buffer << np.uint64(length) >> np.uint64(64 - extra)) if extra else np.int64(0)
            return length + extra, _extend(raw, size)
        which += counts[length - 1]
        first = (first + counts[length - 1]) << 1
    return 0, 0


@njit(cache=True, inline="always")
def _predict(predictor, left, above, corner):
    if predictor == 2:
        return above
    if predictor == 3:
        return corner
    if predictor == 4:
        return left + above - corner
    if predictor == 5:
        return left + ((above - corner) >> 1)
    if predictor == 6:
        return above + ((left - corner) >> 1)
    return (left + above) >> 1
