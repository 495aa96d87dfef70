"""From values to a small picture: window, crop, resize, fit. Arrays in, arrays out."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from pipeline.imaging import kernels

# Percentiles of the values that become black and white where a file says nothing of display.
DARKEST, BRIGHTEST = 0.5, 99.5
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
THIN = 256  # the foreground is looked for in a picture of about this side, pixels

Box = tuple[int, int, int, int]  # top, left, height, width


@dataclass(frozen=True)
class Full:
    """A full-size picture: codes with the brightness of each, or brightness itself.

    Attributes:
        pixels: (H, W) or (H, W, 3), C-contiguous: codes of uint8 or uint16, or float32 in 0…1.
        table: (n,) float32 in 0…1, indexed by the codes, or (n, 3) for colours; empty for brightness.
    """

    pixels: np.ndarray
    table: np.ndarray

    def part(self, box: Box, step: int = 1) -> np.ndarray:
        """Every `step`-th pixel of a part of the picture, float32."""
        top, left, height, width = box
        pixels = self.pixels[top : top + height : step, left : left + width : step]
        return self.table[pixels] if self.table.size else pixels

    @property
    def box(self) -> Box:
        """All of it."""
        return 0, 0, *self.pixels.shape[:2]


def window(values: np.ndarray, center: float, width: float, function: str = "LINEAR") -> np.ndarray:
    """The VOI LUT function of PS3.3 C.11.2.1.2 and C.11.2.1.3: values to 0…1, same shape.

    Raises:
        ValueError: the function is unknown, or the width impossible for it.
    """
    if width < 1 if function == "LINEAR" else width <= 0:
        raise ValueError(f"(0028,1051) Window Width {width:g} is impossible for {function}")
    if function == "LINEAR":
        if width == 1:
            return (values > center - 0.5).astype(values.dtype)
        return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0, 1)
    if function == "SIGMOID":
        with np.errstate(over="ignore"):  # far below the window, exp is infinite and the value 0
            return 1 / (1 + np.exp(-4 * (values - center) / width))
    raise ValueError(f"(0028,1056) VOI LUT Function {function!r} is unknown")


def look_up(values: np.ndarray, table: np.ndarray, first: int) -> np.ndarray:
    """Entries of a lookup table whose first entry stands for the value `first`; beyond its ends, its end entries.

    PS3.3 C.11.1.1 and C.11.2.1.1. Fractions are cut, as pydicom does. Written here because pydicom 3.0 counts
    positions in the type of the entries, which wraps around at 256 for tables of 8 bits.
    """
    return table[np.clip(np.floor(values).astype(np.int64) - first, 0, len(table) - 1)]


def limits(values: np.ndarray, counts: np.ndarray | None = None) -> tuple[float, float]:
    """What becomes black and white without a window: the percentiles 0.5 and 99.5, interpolated as NumPy does.

    Where both are the same value, the least and the greatest.

    Args:
        values: (n,) float, at least one.
        counts: (n,) how often each occurs; once where None.
    """
    if counts is None:
        low, high = np.percentile(values, (DARKEST, BRIGHTEST))
    else:
        order = np.argsort(values[counts > 0])
        values, counts = values[counts > 0][order], counts[counts > 0][order]
        ranks = np.array((DARKEST, BRIGHTEST)) / 100 * (counts.sum() - 1)
        ends = np.cumsum(counts) - 1  # rank of the last of each value
        below, above = (values[np.searchsorted(ends, step(ranks))] for step in (np.floor, np.ceil))
        low, high = below + (above - below) * (ranks - np.floor(ranks))
    return (float(values.min()), float(values.max())) if low == high else (float(low), float(high))


def foreground(full: Full) -> Box:
    """Box around the largest bright object, for pictures on a dark background such as mammograms.

    Otsu's threshold (1979) finds the object; its dim rim, as the skin line, is followed down to what stands out of the
    background, by three robust standard deviations. Letters and markers are other, smaller objects.

    The whole picture where there is no dark background: at a quarter of the border, and even, so that the mean of what
    is bright stands out by six of these deviations.
    """
    step = max(1, min(full.pixels.shape[:2]) // THIN)
    thin = full.part(full.box, step)
    thin = thin.max(axis=-1) if thin.ndim == 3 else thin
    threshold = _otsu(thin)
    bright = thin > threshold
    if bright.all() or not bright.any():
        return full.box
    dark = thin[~bright]
    middle = np.median(dark)
    deviation = 1.4826 * np.median(np.abs(dark - middle))
    border = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
    if border.mean() > 0.75 or thin[bright].mean() - middle < 6 * deviation:
        return full.box
    floor = middle + 3 * deviation
    regions, _ = ndimage.label(thin > min(floor, threshold))  # type: ignore[misc]
    largest = np.bincount(regions[bright]).argmax()  # a bright pixel is never in region 0
    rows, columns = ndimage.find_objects(regions)[largest - 1]
    top, left = rows.start * step, columns.start * step
    height = min(rows.stop * step, full.pixels.shape[0]) - top
    width = min(columns.stop * step, full.pixels.shape[1]) - left
    return top, left, height, width


def centre_square(box: Box) -> Box:
    """The largest square in the middle of a box."""
    top, left, height, width = box
    side = min(height, width)
    return top + (height - side) // 2, left + (width - side) // 2, side, side


def brighter_on_the_right(full: Full) -> bool:
    """Whether the right half of a picture is brighter than the left one."""
    thin = full.part(full.box, max(1, min(full.box[2:]) // THIN))
    half = thin.shape[1] // 2
    return bool(thin[:, thin.shape[1] - half :].sum(dtype=np.float64) > thin[:, :half].sum(dtype=np.float64))


def shape_in(box: Box, size: int, how: str) -> tuple[int, int]:
    """Rows and columns of a part on a canvas of `size`: `pad` keeps the aspect, `squash` and `crop` fill it."""
    if how != "pad":
        return size, size
    scale = size / max(box[2:])
    return max(1, round(box[2] * scale)), max(1, round(box[3] * scale))


def resize(full: Full, box: Box, rows: int, columns: int) -> np.ndarray:
    """A part of the picture in another size, (rows, columns) or (rows, columns, 3) float32.

    Reduced by averaging over areas; where a side grows, by a triangle filter whose support is never less than a pixel
    of the source, so that nothing aliases either way.
    """
    if rows > box[2] or columns > box[3]:
        return _enlarge(full.part(box), rows, columns)
    if full.table.ndim == 2:
        tables = np.ascontiguousarray(full.table.T)
        return np.stack([resize(Full(full.pixels, table), box, rows, columns) for table in tables], axis=-1)
    channels = full.pixels.shape[2] if full.pixels.ndim == 3 else 1
    lines = full.pixels.reshape(len(full.pixels), -1)
    lines.flags.writeable = False  # one compiled kernel, whether pixels come from bytes or a codec
    small = kernels.area(lines, full.table, box, rows, columns, channels)
    return small.reshape(rows, columns, channels) if channels > 1 else small


def on_canvas(small: np.ndarray, size: int, bits: int) -> np.ndarray:
    """A picture in 0…1, centred on black: (size, size) or (size, size, 3), uint8 or uint16."""
    rows, columns = small.shape[:2]
    canvas = np.zeros((size, size, *small.shape[2:]), f"uint{bits}")
    top, left = (size - rows) // 2, (size - columns) // 2
    canvas[top : top + rows, left : left + columns] = np.rint(np.clip(small, 0, 1) * (2**bits - 1))
    return canvas


def _enlarge(picture: np.ndarray, rows: int, columns: int) -> np.ndarray:
    if picture.ndim == 3:
        return np.stack([_enlarge(picture[..., channel], rows, columns) for channel in range(3)], axis=-1)
    image = Image.fromarray(np.ascontiguousarray(picture, np.float32))
    return np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR))


def _otsu(picture: np.ndarray) -> float:
    """Threshold in 0…1 that parts the values into the two classes with the greatest variance between them."""
    counts, edges = np.histogram(picture, 256, (0, 1))
    weight, moment = np.cumsum(counts), np.cumsum(counts * (edges[:-1] + edges[1:]) / 2)
    product = weight * (weight[-1] - weight)
    between = (moment[-1] * weight / weight[-1] - moment) ** 2 / np.maximum(product, 1)
    return float(edges[1:][between.argmax()])
