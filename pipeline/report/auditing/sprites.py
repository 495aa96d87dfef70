"""Thumbnails of many pictures on few sheets, so that ten thousand of them fit into a page."""

import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from pipeline.artifacts import Pictures

COLUMNS = 16  # thumbnails beside each other, and below
MANY = 3_000  # pictures above which thumbnails are small
LARGE, SMALL = 96, 64  # side, pixels
QUALITY = 70  # of WebP: 0.5 to 1 kB for a thumbnail of 64 × 64


def sheets(pictures: Pictures, places: np.ndarray) -> dict[str, Any]:
    """`side`, `columns` and `sheets`, data URIs; thumbnail i is number i % columns² of sheet i // columns².

    Args:
        pictures: the store.
        places: positions in it of n pictures, (n,) int; -1 leaves its thumbnail empty.
    """
    height, width = pictures.manifest["shape"][1:3]
    side = min(LARGE if len(places) <= MANY else SMALL, max(height, width))
    parts = [places[start : start + COLUMNS**2] for start in range(0, len(places), COLUMNS**2)]
    with ThreadPoolExecutor() as threads:
        drawn = list(threads.map(lambda part: _sheet(pictures, part, side), parts))
    return {"side": side, "columns": COLUMNS, "sheets": drawn}


def thumbnail(picture: np.ndarray, side: int) -> Image.Image:
    """A picture (H, W) or (H, W, 3), uint8 or uint16, not larger than `side`, RGB."""
    shown = (picture >> 8).astype(np.uint8) if picture.dtype == np.uint16 else picture
    image = Image.fromarray(shown)
    image.thumbnail((side, side), Image.Resampling.BOX)
    return image.convert("RGB")


def _sheet(pictures: Pictures, places: np.ndarray, side: int) -> str:
    rows = -(-len(places) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * side, rows * side))
    for number, picture in _taken(pictures, places):
        sheet.paste(thumbnail(picture, side), (number % COLUMNS * side, number // COLUMNS * side))
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", quality=QUALITY, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _taken(pictures: Pictures, places: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    there = np.flatnonzero(places >= 0)
    return zip(there.tolist(), pictures.take(places[there]), strict=True)
