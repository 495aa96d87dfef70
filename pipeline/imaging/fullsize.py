"""From decoded frames to one picture of full size, its brightness in 0…1.

Frames whose pixels are codes of at most 16 bits stay codes: a table says how bright each is, and the kernels look it up
while they reduce. Deeper pixels are turned into brightness some lines at a time, so that what is in between stays in
the cache.
"""

from collections.abc import Callable, Iterator
from functools import reduce
from itertools import chain

import numpy as np

from pipeline.errors import PipelineError
from pipeline.imaging import kernels, tone
from pipeline.imaging.quarantine import AGAIN
from pipeline.imaging.render import Full
from pipeline.imaging.stored import Stored
from pipeline.imaging.tone import Tone

LINES = 32  # of a deep picture at once
_NO_TABLE = np.empty(0, np.float32)


def colour(frames: Iterator[Stored], name: str) -> Full:
    """RGB of one frame, by the bits that are stored; of several, the greatest value of each channel.

    Raises:
        PipelineError: every pixel has the same colour.
    """
    first, second = next(frames), next(frames, None)
    if second is not None:
        shown = reduce(np.maximum, (_rgb(frame) for frame in chain([second], frames)), _rgb(first))
        _refuse_constant(shown, name)
        return Full(shown, _NO_TABLE)
    _refuse_constant(first.pixels, name)
    if first.coded:
        return Full(first.pixels, _colours(first))
    return Full(_rgb(first), _NO_TABLE)


def grey(frames: Iterator[tuple[Stored, Tone]], name: str) -> tuple[Full, str]:
    """One frame, or the brightest value of several in the window of the first; and the words for its window.

    Raises:
        PipelineError: every pixel has the same value, or is padding.
    """
    (frame, how), second = next(frames), next(frames, None)
    if second is not None:
        brightest = np.fmin if how.inverted else np.fmax
        values = reduce(brightest, (_values(*pair) for pair in chain([second], frames)), _values(frame, how))
        _refuse_constant(values, name)
        return _by_lines(values, lambda lines: lines, how, name)
    if frame.coded:
        return _by_table(frame, how, name)
    _refuse_constant(frame.pixels, name)
    return _by_lines(frame.pixels, lambda lines: tone.to_modality(how, frame.values(lines)), how, name)


def _by_table(frame: Stored, how: Tone, name: str) -> tuple[Full, str]:
    low, high = int(frame.pixels.min()), int(frame.pixels.max())
    values = frame.values(np.arange(low, high + 1))
    if low == high:
        raise _blank(values[0], name)
    values = tone.to_modality(how, values)

    def counts() -> np.ndarray:
        return kernels.histogram(frame.pixels, high + 1)[low:]

    if not np.isfinite(values).all():
        _refuse_padding(values[counts() > 0], name)
    how = how if how.voi else tone.stretch(how, values, counts())
    table = np.concatenate([np.zeros(low, np.float32), tone.to_brightness(how, values)])
    return Full(frame.pixels, table), how.words


def _by_lines(
    pixels: np.ndarray, to_values: Callable[[np.ndarray], np.ndarray], how: Tone, name: str
) -> tuple[Full, str]:
    if how.voi is None:
        values = to_values(pixels)
        _refuse_padding(values, name)
        how = tone.stretch(how, values.ravel())
    shown, seen = np.empty(pixels.shape, np.float32), False
    for start in range(0, len(pixels), LINES):
        values = to_values(pixels[start : start + LINES])
        seen = seen or bool(np.isfinite(values).any())
        shown[start : start + LINES] = tone.to_brightness(how, values)
    if not seen:
        raise _all_padding(name)
    return Full(shown, _NO_TABLE), how.words


def _values(frame: Stored, how: Tone) -> np.ndarray:
    """Values of the modality of every pixel, (H, W) float64."""
    if not frame.coded:
        return tone.to_modality(how, frame.values(frame.pixels))
    return tone.to_modality(how, frame.values(_codes(frame)))[frame.pixels]


def _rgb(frame: Stored) -> np.ndarray:
    if frame.coded:
        return _colours(frame)[frame.pixels]
    return (frame.pixels / (2.0**frame.bits - 1)).astype(np.float32)


def _colours(frame: Stored) -> np.ndarray:
    """Brightness of each code, (n,) float32; (n, 3) for palette indices."""
    if frame.colours is not None:
        return frame.colours
    return (frame.values(_codes(frame)) / (2**frame.bits - 1)).astype(np.float32)


def _codes(frame: Stored) -> np.ndarray:
    return np.arange(2 ** (8 * frame.pixels.dtype.itemsize))


def _refuse_padding(values: np.ndarray, name: str) -> None:
    if not np.isfinite(values).any():
        raise _all_padding(name)


def _all_padding(name: str) -> PipelineError:
    return PipelineError(name, "blank: every pixel is padding", AGAIN)


def _refuse_constant(pixels: np.ndarray, name: str) -> None:
    first = pixels[:1, :1]
    if (pixels[::64, ::64] == first).all() and (pixels == first).all():  # the sample spares most pictures the rest
        raise _blank(first.squeeze(), name)


def _blank(value: np.ndarray, name: str) -> PipelineError:
    words = f"{value.item():g}" if value.size == 1 else str(tuple(value.tolist()))
    return PipelineError(name, f"blank: every pixel has the value {words}", AGAIN)
