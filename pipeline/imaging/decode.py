"""From a file to a full-size picture in 0…1, in the order that DICOM sets.

Stored value → modality LUT or rescale → VOI LUT or window → photometric interpretation (PS3.4 N.2).
"""

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pydicom
from PIL import Image, ImageOps
from pydicom.dataset import FileMetaDataset
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import UID

from pipeline.errors import PipelineError
from pipeline.imaging import files, render

MOST_PIXELS = 2**28  # a header that asks for more is damaged: the largest detectors have 2**25
_AGAIN = "export the file again, or drop its row from the labels"


@dataclass(frozen=True)
class Window:
    """VOI of a grey file: a window, or a lookup table with the value of its first entry."""

    center: float = 0.0
    width: float = 0.0
    function: str = "LINEAR"
    table: np.ndarray | None = None  # (entries,) float32 in 0…1
    first: int = 0


def picture(file: BinaryIO, name: str, window: str) -> np.ndarray:
    """Picture of a DICOM, PNG, JPEG or TIFF file: (H, W) or (H, W, 3), float in 0…1.

    Args:
        file: open for reading.
        name: of the file, for errors.
        window: `file` takes the window of the file, and percentiles where it has none; `percentile` always those.

    Raises:
        PipelineError: the file can be read, but shows nothing or can't be trusted.
        Exception: of pydicom, Pillow or a decoder, where they can't read it.
    """
    if files.kind(file) in ("PNG", "JPEG", "TIFF"):
        shown = _from_picture(file, name, window)
    else:
        shown = _from_dicom(files.read_dicom(file, name), name, window)
    if (shown == shown[:1, :1]).all():
        what = "its window leaves every pixel with the same brightness"
        raise PipelineError(name, what, "set render.window: percentile, or drop its row from the labels")
    return shown


def _from_dicom(dataset: pydicom.Dataset, name: str, window: str) -> np.ndarray:
    syntax = files.transfer_syntax(dataset)
    decoder = _decoder(syntax, name)
    _check(dataset, name)
    if not getattr(dataset, "file_meta", None):
        dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    stored, properties = decoder.as_array(
        dataset,
        index=0,
        allow_excess_frames=False,  # type: ignore[arg-type] - typed as all options at once
    )
    _refuse_constant(stored, name)
    if stored.ndim == 3:
        return stored.astype(np.float32) / (2 ** int(properties["bits_stored"]) - 1)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        colour = apply_color_lut(stored, dataset)[..., :3]
        return colour.astype(np.float32) / np.iinfo(colour.dtype).max
    padding = _padding(stored, dataset)
    values = _modality(stored, dataset)
    voi = _voi(dataset, name) if window == "file" else None
    return _grey(values, ~padding, voi, dataset.PhotometricInterpretation == "MONOCHROME1", name)


def _decoder(syntax: UID, name: str) -> Decoder:
    try:
        return get_decoder(syntax)
    except NotImplementedError:
        what = f"no decoder: its transfer syntax is {syntax.name if syntax.type else 'unknown'}"
        raise PipelineError(name, what, "export the file again as Explicit VR Little Endian") from None


def _from_picture(file: BinaryIO, name: str, window: str) -> np.ndarray:
    with files.open_picture(file) as image:
        _check_size(image.height, image.width, name)
        if image.mode not in files.GREY_BITS:
            opaque = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image.convert("RGBA"))
            opaque.getexif().update(image.getexif())
            stored = np.asarray(ImageOps.exif_transpose(opaque).convert("RGB"))
        else:
            stored = np.asarray(ImageOps.exif_transpose(image.convert("L") if image.mode == "1" else image))
    _refuse_constant(stored, name)
    if stored.ndim == 3:
        return stored.astype(np.float32) / 255
    voi = Window(127.5, 255, "LINEAR_EXACT") if window == "file" and stored.dtype == np.uint8 else None
    return _grey(_float(stored), np.ones(stored.shape, bool), voi, False, name)


def _check(dataset: pydicom.Dataset, name: str) -> None:
    """Refuse before decoding what would take all memory or give other pixels than those meant."""
    _check_size(int(dataset.Rows), int(dataset.Columns), name)
    if files.frames(dataset) > 1:
        raise PipelineError(name, f"several frames: {files.frames(dataset)}", "write each frame to a file of its own")
    if not any(word in dataset for word in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise PipelineError(name, "truncated: (7FE0,0010) Pixel Data is missing or has no end", _AGAIN)
    if "PixelData" in dataset and not files.transfer_syntax(dataset).is_encapsulated:
        expected, actual = get_expected_length(dataset), len(dataset.PixelData)
        if actual not in (expected, expected + expected % 2):
            cause = "truncated" if actual < expected else "pixel data does not fit the header"
            what = f"{cause}: (7FE0,0010) Pixel Data has {actual} bytes, Rows × Columns need {expected}"
            raise PipelineError(name, what, _AGAIN)


def _check_size(rows: int, columns: int, name: str) -> None:
    if rows * columns > MOST_PIXELS:
        raise PipelineError(name, f"absurd size: {rows} × {columns} pixels", _AGAIN)


def _refuse_constant(stored: np.ndarray, name: str) -> None:
    first = stored[0, 0]
    if (stored == first).all():
        value = first.item() if first.ndim == 0 else tuple(first.tolist())
        raise PipelineError(name, f"blank: every pixel has the value {value}", _AGAIN)


def _padding(stored: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    """Mask (H, W) of (0028,0120) Pixel Padding Value up to (0028,0121) Pixel Padding Range Limit; PS3.3 C.7.5.1.1.2."""
    ends = [dataset.get(word) for word in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    limits = [_as_stored(int(end), stored.dtype) for end in ends if end is not None]
    if ends[0] is None:
        return np.zeros(stored.shape, bool)
    return (stored >= min(limits)) & (stored <= max(limits))


def _as_stored(value: int, kind: np.dtype) -> int:
    """The value in the sign of the pixels: writers confuse VR US and SS."""
    return value - 2**16 if kind.kind == "i" and value >= 2**15 else value


def _modality(stored: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    """(0028,3000) Modality LUT Sequence or rescale; float."""
    if dataset.get("ModalityLUTSequence"):
        table, first, _ = _table(dataset.ModalityLUTSequence[0], dataset)
        return _float(render.look_up(stored, table, _as_stored(first, stored.dtype)))
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    return _float(stored) * float(1 if slope is None else slope) + float(intercept or 0)


def _voi(dataset: pydicom.Dataset, name: str) -> Window | None:
    """The first VOI LUT, else the first window; None without one, or with an impossible width."""
    if dataset.get("VOILUTSequence"):
        table, first, bits = _table(dataset.VOILUTSequence[0], dataset)
        return Window(table=(table / (2**bits - 1)).astype(np.float32), first=first)
    center, width = (_first(dataset.get(word)) for word in ("WindowCenter", "WindowWidth"))
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    if function not in render.FUNCTIONS:
        raise PipelineError(name, "(0028,1056) VOI LUT Function is unknown", "set render.window: percentile")
    if center is None or width is None or width < (1 if function == "LINEAR" else np.finfo(np.float32).tiny):
        return None
    return Window(center, width, function)


def _table(item: pydicom.Dataset, dataset: pydicom.Dataset) -> tuple[np.ndarray, int, int]:
    """Entries, value of the first, and bits of (0028,3006) LUT Data, which is a list or packed 16-bit words."""
    entries, first, bits = (int(number) for number in item.LUTDescriptor)
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if files.transfer_syntax(dataset).is_little_endian else ">"
        data = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * (entries or 2**16) else "u1")
    return np.asarray(data)[: entries or 2**16], first, bits


def _first(value: object) -> float | None:
    if value is None or value == "":
        return None
    number = float(value[0] if isinstance(value, pydicom.multival.MultiValue) else value)  # type: ignore[arg-type]
    return number if np.isfinite(number) else None


def _grey(values: np.ndarray, valid: np.ndarray, voi: Window | None, inverted: bool, name: str) -> np.ndarray:
    """Values (H, W) through the VOI to 0…1; what is not valid becomes black."""
    valid = valid & np.isfinite(values)
    if not valid.any():
        raise PipelineError(name, "blank: every pixel is padding", _AGAIN)
    if voi is None:
        shown = render.stretch(values, valid)
    elif voi.table is not None:
        shown = render.look_up(values, voi.table, voi.first)
    else:
        shown = render.window(values, voi.center, voi.width, voi.function)
    return np.where(valid, 1 - shown if inverted else shown, 0)


def _float(values: np.ndarray) -> np.ndarray:
    """Float32 where it holds the integers exactly, else float64."""
    return values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
