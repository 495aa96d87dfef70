"""What a file shows by pydicom's own functions, slowly and plainly: the measure of the fast path.

Stored value → modality LUT or rescale → VOI LUT or window → photometric interpretation (PS3.4 N.2).
"""

import copy
import io
import warnings

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi, apply_windowing
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

RESCALE = ("RescaleIntercept", "RescaleSlope")
WINDOW = ("WindowCenter", "WindowWidth", "VOILUTFunction")


def full(content: bytes, frame: int, look) -> np.ndarray:
    """The full-size picture of a DICOM file: (H, W) or (H, W, 3), float64 in 0…1.

    Args:
        content: of the file.
        frame: from 1; 0 takes the greatest value over all frames.
        look: `window` and `voi` are used.
    """
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore", UserWarning)
        dataset = _read(content)
        frames = [frame] if frame else range(1, max(1, int(dataset.get("NumberOfFrames") or 1)) + 1)
        if dataset.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2"):
            return np.max([_colour(dataset, number) for number in frames], axis=0)
        values, valid = zip(*[_values(dataset, number) for number in frames], strict=True)
        valid = np.array(valid)
        inverted = (
            "INVERSE" in str(dataset.get("PresentationLUTShape")) or dataset.PhotometricInterpretation == "MONOCHROME1"
        )
        worst, brightest = (np.inf, np.min) if inverted else (-np.inf, np.max)
        greatest = brightest(np.where(valid, values, worst), axis=0)
        return _grey(greatest, valid.any(axis=0), _of_frame(dataset, frames[0]), look)


def show(picture: np.ndarray, look) -> np.ndarray:
    """A full-size picture in 0…1 as the look wants it, uint8 or uint16; crop and face are left alone."""
    small = fit(picture, look.size, look.fit)
    rows, columns = small.shape[:2]
    canvas = np.zeros((look.size, look.size, *picture.shape[2:]), look.dtype)
    top, left = (look.size - rows) // 2, (look.size - columns) // 2
    canvas[top : top + rows, left : left + columns] = np.rint(np.clip(small, 0, 1) * (2**look.bits - 1))
    return np.repeat(canvas[..., None], 3, axis=-1) if look.channels == 3 and canvas.ndim == 2 else canvas


def fit(picture: np.ndarray, size: int, how: str) -> np.ndarray:
    """Resized to `size` at its longer side, at both, or at those of the square in its centre."""
    height, width = picture.shape[:2]
    if how == "pad":
        scale = size / max(height, width)
        return resize(picture, max(1, round(height * scale)), max(1, round(width * scale)))
    if how == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        picture = picture[top : top + side, left : left + side]
    return resize(picture, size, size)


def resize(picture: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Average over the area that a pixel covers, with fractional edges; Pillow's BILINEAR where a side grows."""
    if rows > picture.shape[0] or columns > picture.shape[1]:
        channels = [
            Image.fromarray(channel.astype(np.float32)).resize((columns, rows), Image.Resampling.BILINEAR)
            for channel in np.moveaxis(np.atleast_3d(picture), -1, 0)
        ]
        return np.stack(channels, axis=-1).reshape(rows, columns, *picture.shape[2:])
    return _average(_average(picture, rows).swapaxes(0, 1), columns).swapaxes(0, 1)


def _average(picture: np.ndarray, rows: int) -> np.ndarray:
    """Integrate along the first axis, read the integral at the edges of the new pixels, and take differences."""
    height = len(picture)
    integral = np.concatenate([np.zeros_like(picture[:1]), np.cumsum(picture, axis=0)])
    edges = np.linspace(0, height, rows + 1)
    below = np.minimum(edges.astype(int), height - 1)
    share = (edges - below).reshape(-1, *[1] * (picture.ndim - 1))
    return np.diff(integral[below] * (1 - share) + integral[below + 1] * share, axis=0) * (rows / height)


def _read(content: bytes) -> Dataset:
    dataset = pydicom.dcmread(io.BytesIO(content), force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def _of_frame(dataset: Dataset, number: int) -> Dataset:
    """The header with rescale and window of one frame at its root: per frame before shared before root (PS3.3 A.1.2).

    pydicom's functions look at the root alone.
    """
    header = copy.copy(dataset)
    for name, place in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", number - 1)):
        groups = dataset[name].value[place] if dataset.get(name) else Dataset()
        for group, words in (("PixelValueTransformationSequence", RESCALE), ("FrameVOILUTSequence", WINDOW)):
            for item in groups.get(group) or []:
                for word in words:
                    header.pop(word, None)
                    if word in item:
                        header[word] = item[word]
    return header


def _stored(dataset: Dataset, number: int) -> np.ndarray:
    if dataset.BitsAllocated > 1 or int(dataset.get("NumberOfFrames") or 1) == 1:
        return pixel_array(dataset, index=number - 1)
    return pixel_array(dataset)[number - 1]  # alone, pydicom 3.0 does not find a frame that begins within a byte


def _colour(dataset: Dataset, number: int) -> np.ndarray:
    stored = _stored(dataset, number)
    if dataset.PhotometricInterpretation != "PALETTE COLOR":
        return stored / (2.0**dataset.BitsStored - 1)
    entries, first, bits = dataset.RedPaletteColorLookupTableDescriptor
    held = np.clip(stored.astype(np.int64), first, first + (entries or 2**16) - 1)
    return apply_color_lut(held, _with_wide_palette(dataset))[..., :3] / (2.0**bits - 1)


def _with_wide_palette(dataset: Dataset) -> Dataset:
    """The header with tables of 16-bit words in this machine's order.

    pydicom 3.0 counts entries in their own type, which wraps around at 256 for those of 8 bits, stumbles over their
    pad byte, and does not turn round words of big endian.
    """
    header = copy.deepcopy(dataset)
    entries = header.RedPaletteColorLookupTableDescriptor[0] or 2**16
    order = "<" if header.file_meta.TransferSyntaxUID.is_little_endian else ">"
    for colour in ("Red", "Green", "Blue"):
        word = f"{colour}PaletteColorLookupTableData"
        if word in header:
            data = header[word].value
            table = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * entries else "u1")
            header[word].value = table[:entries].astype("=u2").tobytes()
    return header


def _values(dataset: Dataset, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of the modality (H, W), and which are neither padding nor no numbers."""
    stored = _stored(dataset, number)
    words = ("FloatPixelPadding", "DoubleFloatPixelPadding") if stored.dtype.kind == "f" else ("PixelPadding",)
    valid = np.isfinite(stored)
    for word in words:
        value = dataset.get(f"{word}Value")
        if value is not None:
            ends = value, dataset.get(f"{word}RangeLimit", value)
            valid &= (stored < min(ends)) | (stored > max(ends))
    # pydicom 3.0 counts entries of a modality LUT in the type of the pixels, which wraps around for 8 bits.
    wide = stored.astype(np.int64) if stored.dtype.kind in "iu" else stored
    return apply_modality_lut(wide, _of_frame(dataset, number)).astype(np.float64), valid


def _grey(values: np.ndarray, valid: np.ndarray, header: Dataset, look) -> np.ndarray:
    if not valid.any():
        return np.zeros(values.shape)
    values = np.where(valid, values, 0)
    if look.window == "file" and header.get("VOILUTSequence"):
        shown = _voi_lut(values, header, look.voi)
    elif window := _window(header, look):
        # Unsigned values of 16 bits without rescale: pydicom's result is then in 0…65535.
        plain = Dataset()
        plain.PhotometricInterpretation, plain.PixelRepresentation, plain.BitsStored = "MONOCHROME2", 0, 16
        plain.WindowCenter, plain.WindowWidth, plain.VOILUTFunction = window
        with np.errstate(over="ignore"):
            shown = apply_windowing(values, plain) / 65535
    else:
        low, high = np.percentile(values[valid], (0.5, 99.5))
        if low == high:
            low, high = values[valid].min(), values[valid].max()
        with np.errstate(over="ignore"):
            shown = np.clip((values - low) / max(high - low, 1e-300), 0, 1)
    # Not apply_presentation_lut, which turns round the brightest value of the picture and not white. MONOCHROME1 has
    # the shape INVERSE (PS3.3 C.8.11.3.1.2), so that both together invert once.
    if header.PhotometricInterpretation == "MONOCHROME1" or header.get("PresentationLUTShape") == "INVERSE":
        shown = 1 - shown
    return np.where(valid, shown, 0)


def _window(header: Dataset, look) -> tuple[float, float, str] | None:
    """Centre, width, function; None where there is none that is possible."""
    if look.window == "percentile":
        return None
    if look.window != "file":
        return *look.window, "LINEAR_EXACT"
    function = header.get("VOILUTFunction") or "LINEAR"
    ends = [header.get(word) for word in ("WindowCenter", "WindowWidth")]
    if any(end is None or end == "" for end in ends):
        return None
    lists = [list(end) if isinstance(end, pydicom.multival.MultiValue) else [end] for end in ends]
    center, width = (float(numbers[min(look.voi, len(numbers)) - 1]) for numbers in lists)
    return (center, width, function) if (width >= 1 if function == "LINEAR" else width > 0) else None


def _voi_lut(values: np.ndarray, header: Dataset, voi: int) -> np.ndarray:
    """pydicom 3.0 counts entries in their own type, which wraps around at 256 for those of 8 bits, and takes no depth
    of 9 bits: the copy says 16, and values beyond the ends are held to them first.
    """
    item = copy.deepcopy(header.VOILUTSequence[min(voi, len(header.VOILUTSequence)) - 1])
    entries, first, bits = item.LUTDescriptor
    item.LUTDescriptor = [entries, first, 16]
    held = np.clip(np.floor(values).astype(np.int64), first, first + (entries or 2**16) - 1)
    plain = Dataset()
    plain.file_meta, plain.VOILUTSequence = header.file_meta, [item]
    return apply_voi(held, plain) / (2.0**bits - 1)
