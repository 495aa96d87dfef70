"""From stored values of a grey file to brightness in 0…1, in the order that DICOM sets.

Stored value → modality LUT or rescale → VOI LUT or window → presentation (PS3.4 N.2). Everything here works on values,
be they all pixels of a picture or one of each kind.
"""

from dataclasses import dataclass, replace

import numpy as np
import pydicom
from pydicom.multival import MultiValue

from pipeline.errors import PipelineError
from pipeline.imaging import files, render


@dataclass(frozen=True)
class Table:
    """Entries of a lookup table, the value of the first, and bits of an entry."""

    entries: np.ndarray  # (n,) unsigned integers
    first: int
    bits: int


@dataclass(frozen=True)
class Window:
    """Centre, width and function of a window."""

    center: float
    width: float
    function: str = "LINEAR"


@dataclass(frozen=True)
class Tone:
    """How stored values become brightness.

    Attributes:
        padding: least and greatest stored value that mean "no pixel".
        modality: table, or slope and intercept.
        voi: table, window, or None for percentiles.
        words: for `voi`.
        inverted: whether the greatest value is black.
    """

    padding: tuple[float, float] | None = None
    modality: Table | tuple[float, float] = (1.0, 0.0)
    voi: Table | Window | None = None
    words: str = "percentiles"
    inverted: bool = False


def read(dataset: pydicom.Dataset, index: int, window: str | tuple[float, float], voi: int, name: str) -> Tone:
    """Tone of frame `index`, from 0, of a grey DICOM; `window` and `voi` as in `picture.Look`.

    Raises:
        PipelineError: the VOI LUT Function is none of the standard.
    """
    transformation = _group(dataset, index, "PixelValueTransformationSequence")
    signed = dataset.get("PixelRepresentation") == 1
    if window == "file":
        found, words = _voi(_group(dataset, index, "FrameVOILUTSequence"), dataset, voi - 1, name)
    else:
        found, words = (None, "percentiles") if isinstance(window, str) else asked(window)
    shape = str(dataset.get("PresentationLUTShape") or "").strip().upper()
    return Tone(
        _padding(dataset, signed),
        _modality(transformation, dataset, signed, name),
        found,
        words,
        # MONOCHROME1 comes with INVERSE (PS3.3 C.8.11.3.1.2): both say the same thing, once.
        dataset.PhotometricInterpretation == "MONOCHROME1" or shape == "INVERSE",
    )


def asked(window: tuple[float, float]) -> tuple[Window, str]:
    """The window that params ask for, and its words."""
    return Window(*window, "LINEAR_EXACT"), f"{window[0]:g} / {window[1]:g}"


def to_modality(tone: Tone, stored: np.ndarray) -> np.ndarray:
    """Stored values to those of the modality, float64; NaN where they are padding."""
    if isinstance(tone.modality, Table):
        values = render.look_up(stored, tone.modality.entries, tone.modality.first).astype(np.float64)
    else:
        slope, intercept = tone.modality
        values = stored if tone.modality == (1, 0) else stored * slope + intercept
    if tone.padding is None:
        return values
    return np.where((stored >= tone.padding[0]) & (stored <= tone.padding[1]), np.nan, values)


def stretch(tone: Tone, values: np.ndarray, counts: np.ndarray | None = None) -> Tone:
    """The tone with the window that a file without one gets: its percentiles; see `render.limits`.

    Args:
        tone: without VOI.
        values: (n,) of the modality; those that are not finite do not count.
        counts: (n,) how often each occurs; once where None.
    """
    valid = np.isfinite(values)
    low, high = render.limits(values[valid], None if counts is None else counts[valid])
    width = high - low or 1.0  # of a single value, which is black
    if not np.isfinite(width):
        raise OverflowError("the range of the values")
    found = Window(low + width / 2, width, "LINEAR_EXACT")
    return replace(tone, voi=found, words=f"percentiles {low:g}…{high:g}")


def to_brightness(tone: Tone, values: np.ndarray) -> np.ndarray:
    """Values of the modality to 0…1, float32; what is not finite becomes black. The tone must have a VOI."""
    valid = np.isfinite(values)
    whole = bool(valid.all())
    safe = values if whole else np.where(valid, values, 0)
    if isinstance(tone.voi, Table):
        shown = render.look_up(safe, tone.voi.entries, tone.voi.first) / (2**tone.voi.bits - 1)
    elif tone.voi:
        shown = render.window(safe, tone.voi.center, tone.voi.width, tone.voi.function)
    else:
        raise ValueError("a tone without VOI must be stretched first")
    shown = 1 - shown if tone.inverted else shown
    return (shown if whole else np.where(valid, shown, 0)).astype(np.float32)


def _group(dataset: pydicom.Dataset, index: int, sequence: str) -> pydicom.Dataset:
    """The item of a functional group of the frame (PS3.3 C.7.6.16), else of all frames, else the dataset itself."""
    for frames, at in (("PerFrameFunctionalGroupsSequence", index), ("SharedFunctionalGroupsSequence", 0)):
        groups = dataset.get(frames) or []
        if at < len(groups) and groups[at].get(sequence):
            return groups[at][sequence].value[0]
    return dataset


def _padding(dataset: pydicom.Dataset, signed: bool) -> tuple[float, float] | None:
    """(0028,0120) Pixel Padding Value up to (0028,0121) Pixel Padding Range Limit; PS3.3 C.7.5.1.1.2, C.7.6.24."""
    kind = next((kind for kind in ("DoubleFloat", "Float") if f"{kind}PixelData" in dataset), "")
    ends = [dataset.get(f"{kind}PixelPadding{word}") for word in ("Value", "RangeLimit")]
    if ends[0] is None:
        return None
    if not kind:
        ends = [end if end is None else _as_pixel(end, dataset, signed) for end in ends]
    limits = [end for end in ends if end is not None]
    return min(limits), max(limits)


def _as_pixel(value: float, dataset: pydicom.Dataset, signed: bool) -> float:
    """The value in the sign of the pixels, which writers confuse, or write in the code of the stored bits."""
    if not signed:
        return value + 2**dataset.BitsAllocated if value < 0 else value
    if 2 ** (dataset.BitsStored - 1) <= value < 2**dataset.BitsStored:
        return value - 2**dataset.BitsStored
    return _as_stored(value, signed)


def _as_stored(value: float, signed: bool) -> float:
    """The value in the sign of the pixels: writers confuse VR US and SS."""
    return value - 2**16 if signed and value >= 2**15 else value


def _modality(item: pydicom.Dataset, dataset: pydicom.Dataset, signed: bool, name: str) -> Table | tuple[float, float]:
    """(0028,3000) Modality LUT Sequence or rescale."""
    if dataset.get("ModalityLUTSequence"):
        return _table(dataset.ModalityLUTSequence[0], dataset, signed, name)
    slope, intercept = item.get("RescaleSlope"), item.get("RescaleIntercept")
    numbers = (1.0 if slope in (None, "") else float(slope)), float(intercept or 0)
    if not np.isfinite(numbers).all() or numbers[0] == 0:
        what = f"impossible rescale: (0028,1053) Rescale Slope {numbers[0]:g}, (0028,1052) Intercept {numbers[1]:g}"
        raise PipelineError(name, what, "export the file again, or drop its row from the labels")
    return numbers


def _voi(item: pydicom.Dataset, dataset: pydicom.Dataset, choice: int, name: str) -> tuple[Table | Window | None, str]:
    """The chosen VOI LUT, else the chosen window; None without one, or with an impossible width."""
    tables = [table for table in item.get("VOILUTSequence") or [] if "LUTDescriptor" in table and "LUTData" in table]
    if tables:
        choice = min(choice, len(tables) - 1)
        return _table(tables[choice], dataset, False, name), f"VOI LUT {choice + 1}"
    center, width = (_number(item.get(word), choice) for word in ("WindowCenter", "WindowWidth"))
    function = str(item.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function not in render.FUNCTIONS:
        raise PipelineError(name, "(0028,1056) VOI LUT Function is unknown", "set render.window: percentile")
    if center is None or width is None or width < (1 if function == "LINEAR" else np.finfo(np.float32).tiny):
        return None, "percentiles"
    return Window(center, width, function), f"{center:g} / {width:g} {function}"


def _table(item: pydicom.Dataset, dataset: pydicom.Dataset, signed: bool, name: str) -> Table:
    """(0028,3002) LUT Descriptor and (0028,3006) LUT Data, which is a list or packed words."""
    entries, first, bits = (int(number) for number in item.LUTDescriptor)
    if not 1 <= bits <= 16:
        what = f"(0028,3002) LUT Descriptor: entries of {bits} bits"
        raise PipelineError(name, what, "set render.window: percentile, or drop its row from the labels")
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if files.transfer_syntax(dataset).is_little_endian else ">"
        data = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * (entries or 2**16) else "u1")
    return Table(np.asarray(data)[: entries or 2**16].astype(np.int64), int(_as_stored(first, signed)), bits)


def _number(value: object, choice: int = 0) -> float | None:
    """A number, or the chosen of several, the last where there are fewer; None where it is none."""
    if isinstance(value, MultiValue):
        value = value[min(choice, len(value) - 1)] if len(value) else None
    if value is None or value == "":
        return None
    number = float(value)  # type: ignore[arg-type]
    return number if np.isfinite(number) else None
