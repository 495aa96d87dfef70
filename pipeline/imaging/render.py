"""From values to a small picture: window, invert, resize, fit. Arrays in, arrays out."""

import numpy as np
from PIL import Image

# Percentiles of the values that become black and white where a file says nothing of display.
DARKEST, BRIGHTEST = 0.5, 99.5
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


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

    PS3.3 C.11.1.1 and C.11.2.1.1. Written here because pydicom 3.0 counts positions in the type of the entries, which
    wraps around at 256 for tables of 8 bits.
    """
    return table[np.clip(np.rint(values).astype(np.int64) - first, 0, len(table) - 1)]


def stretch(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Values to 0…1 so that the percentiles 0.5 and 99.5 of the valid ones are black and white.

    Where both are the same value, the least and the greatest take their place.
    """
    low, high = np.percentile(values[valid], (DARKEST, BRIGHTEST))
    if low == high:
        low, high = values[valid].min(), values[valid].max()
    return np.clip((values - low) / max(high - low, np.finfo(np.float32).tiny), 0, 1)


def fit(picture: np.ndarray, size: int, how: str) -> np.ndarray:
    """A picture of `size` × `size`, uint8.

    Args:
        picture: (H, W) or (H, W, 3), float in 0…1.
        size: pixels.
        how: `pad` keeps the aspect and centres on black; `squash` does not.
    """
    height, width = picture.shape[:2]
    scale = size / max(height, width)
    rows, columns = (max(1, round(height * scale)), max(1, round(width * scale))) if how == "pad" else (size, size)
    small = resize(picture, rows, columns)
    canvas = np.zeros((size, size, *picture.shape[2:]), np.uint8)
    top, left = (size - rows) // 2, (size - columns) // 2
    canvas[top : top + rows, left : left + columns] = np.rint(np.clip(small, 0, 1) * 255)
    return canvas


def resize(picture: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Resize with a triangle filter whose support grows with the reduction, so that nothing aliases; float32."""
    if picture.shape[:2] == (rows, columns):
        return picture
    if picture.ndim == 3:
        return np.stack([resize(picture[..., channel], rows, columns) for channel in range(3)], axis=-1)
    image = Image.fromarray(np.ascontiguousarray(picture, np.float32))
    return np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR))
