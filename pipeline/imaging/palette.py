"""Palette colour: from indices to RGB; PS3.3 C.7.6.3.1.5 and C.7.9."""

import numpy as np
import pydicom
from pydicom.pixels.processing import apply_color_lut

from pipeline.imaging import render

COLOURS = ("Red", "Green", "Blue")


def colours(indices: np.ndarray, dataset: pydicom.Dataset, little_endian: bool) -> np.ndarray:
    """RGB of palette indices.

    Plain tables are read here, since pydicom 3.0 refuses an odd number of 8-bit entries with their padding, counts
    positions in 8 bits where entries have 8, and takes the byte order of the machine for that of the file.

    Args:
        indices: (n,) integers.
        dataset: with the Palette Color Lookup Table module.
        little_endian: byte order of the file.

    Returns:
        (n, 3) float32 in 0…1.
    """
    entries, first, bits = (int(number) for number in dataset.RedPaletteColorLookupTableDescriptor)
    entries = entries or 2**16
    if "RedPaletteColorLookupTableData" in dataset:
        order = "<" if little_endian else ">"
        data = [dataset[f"{colour}PaletteColorLookupTableData"].value for colour in COLOURS]
        kinds = [f"{order}u2" if len(part) >= 2 * entries else "u1" for part in data]
        tables = [np.frombuffer(part, kind)[:entries] for part, kind in zip(data, kinds, strict=True)]
        table = np.stack(tables, axis=-1)
    else:
        table = apply_color_lut(np.arange(first, first + entries), dataset)[..., :3]
    white = 2 ** (16 if table.max() >= 1 << bits else bits) - 1
    return (render.look_up(indices, table, first) / white).astype(np.float32)
