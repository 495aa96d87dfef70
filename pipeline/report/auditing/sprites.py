"""Thumbnails of many pictures on few sheets, so that ten thousand of them fit into a page."""

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from pipeline.artifacts import Pictures

COLUMNS = 16  # thumbnails beside each other, and below
SIDES = (96, 64, 48)  # pixels; the largest with which all sheets fit
FIT = 9 * 10**6  # bytes; in the page, they take a third more
QUALITY = 70  # of WebP


def sheets(pictures: Pictures, places: np.ndarray) -> dict[str, Any]:
    """`side`, `columns` and `sheets`, data URIs; thumbnail i is number i % columns² of sheet i // columns².

    Args:
        pictures: the store.
        places: positions in it of n pictures, (n,) int; -1 leaves its thumbnail empty.
    """
    parts = [places[start : start + COLUMNS**2] for start in range(0, len(places), COLUMNS**2)]
    side = min(_side(pictures, places), max(pictures.manifest["shape"][1:3]))
    with ThreadPoolExecutor() as threads:
        drawn = list(threads.map(lambda part: _sheet(pictures, part, side), parts))
    uris = [f"data:image/webp;base64,{base64.b64encode(sheet).decode()}" for sheet in drawn]
    return {"side": side, "columns": COLUMNS, "sheets": uris}


def thumbnail(picture: np.ndarray, side: int) -> Image.Image:
    """A picture (H, W) or (H, W, 3), uint8 or uint16, not larger than `side`, RGB."""
    shown = (picture >> 8).astype(np.uint8) if picture.dtype == np.uint16 else picture
    image = Image.fromarray(shown)
    image.thumbnail((side, side), Image.Resampling.BOX)
    return image.convert("RGB")


def _side(pictures: Pictures, places: np.ndarray) -> int:
    """What fits, judged by one sheet of pictures from all over."""
    some = places[np.linspace(0, len(places) - 1, COLUMNS**2).astype(int)]
    times = len(places) / len(some)
    return next((side for side in SIDES[:-1] if times * len(_sheet(pictures, some, side)) <= FIT), SIDES[-1])


def _sheet(pictures: Pictures, places: np.ndarray, side: int) -> bytes:
    """WebP of up to 256 thumbnails."""
    sheet = Image.new("RGB", (COLUMNS * side, -(-len(places) // COLUMNS) * side))
    there = np.flatnonzero(places >= 0)
    for number, picture in zip(there.tolist(), pictures.take(places[there]), strict=True):
        sheet.paste(thumbnail(picture, side), (number % COLUMNS * side, number // COLUMNS * side))
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", quality=QUALITY, method=2)
    return buffer.getvalue()
