"""The pixels of one frame as the file stores them, decoded."""

import contextlib
import io
import struct
from dataclasses import dataclass, replace
from functools import lru_cache
from mmap import mmap

import numpy as np
import pydicom
from pydicom.datadict import dictionary_description
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.pixels.utils import get_expected_length
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pipeline.errors import PipelineError
from pipeline.imaging import codestream, files, jpeg_lossless, palette
from pipeline.imaging.quarantine import AGAIN

MOST_PIXELS = 2**28  # a header that asks for more is damaged: the largest detectors have 2**25
GREY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
IN_COLOUR = (*COLOUR, PALETTE)


@dataclass(frozen=True)
class Stored:
    """A decoded frame.

    Attributes:
        pixels: (H, W) or (H, W, 3), C-contiguous, uint8 or uint16 whose lowest `bits` hold the value; for values that
            need more than 16 bits, (H, W) of their own type.
        bits: that hold the value.
        signed: whether the highest of these bits is the sign.
        colours: of palette indices: RGB of each code, (n, 3) float32 in 0…1.
    """

    pixels: np.ndarray
    bits: int
    signed: bool
    colours: np.ndarray | None = None

    @property
    def coded(self) -> bool:
        """Whether pixels are codes of at most 16 bits, of which a table can be made."""
        return self.pixels.dtype in (np.uint8, np.uint16)

    def values(self, codes: np.ndarray) -> np.ndarray:
        """What codes (or pixels, where they are none) stand for, float64, same shape."""
        if not self.coded:
            return codes.astype(np.float64)
        low = codes.astype(np.int64) & (1 << self.bits) - 1
        return (low - ((low >> self.bits - 1) << self.bits) if self.signed else low).astype(np.float64)


@dataclass(frozen=True)
class Source:
    """A DICOM object that `read` can decode.

    Uncompressed pixels stay where they are, and out of the dataset; values may lie some bits `above` their place.
    """

    dataset: pydicom.Dataset
    syntax: UID
    decoder: Decoder
    pixels: memoryview | None
    above: int = 0

    @property
    def frames(self) -> int:
        """At least 1."""
        return files.frames(self.dataset)


def load(content: bytes | mmap, name: str) -> Source:
    """A DICOM object, checked before anything is decoded: that would take all memory, or give other pixels than meant.

    That of a mapped file is kept for the next call: its frames come one after the other.

    Raises:
        PipelineError: naming what is wrong.
        Exception: of pydicom, where it can't read it.
    """
    return _load_mapped(content, name) if isinstance(content, mmap) else _load(content, name)


@lru_cache(maxsize=1)
def _load_mapped(content: mmap, name: str) -> Source:
    return _load(content, name)


def _load(content: bytes | mmap, name: str) -> Source:
    dataset, end = _read_header(content, name)
    syntax = files.transfer_syntax(dataset)
    decoder = _decoder(syntax, name)
    pixels = _locate(content, end, syntax)
    if pixels is None:
        dataset = files.read_dicom(io.BytesIO(content[:]), name)
    source = Source(dataset, syntax, decoder, pixels)
    _check(source, name)
    return replace(source, above=_raise_bits(dataset))


def _read_header(content: bytes | mmap, name: str) -> tuple[pydicom.Dataset, int]:
    """All but the pixels, and where they begin."""
    if isinstance(content, mmap):
        # pydicom reads beyond the end of a damaged file, which a mapping refuses.
        with contextlib.suppress(ValueError):
            return files.read_dicom(content, name, stop_before_pixels=True), content.tell()  # type: ignore[arg-type]
    file = io.BytesIO(content[:])
    return files.read_dicom(file, name, stop_before_pixels=True), file.tell()


def _raise_bits(dataset: pydicom.Dataset) -> int:
    """By how many bits (0028,0102) High Bit lies above its place; Bits Stored is raised to it.

    PS3.5 section 8.1.1 wants 0. Files older than that hold their values shifted; others only say so.
    """
    high, bits = dataset.get("HighBit"), dataset.get("BitsStored")
    if high is None or bits is None or not bits <= high < dataset.BitsAllocated or dataset.PixelRepresentation:
        return 0
    dataset.BitsStored = high + 1
    return high + 1 - bits


def _lower_bits(found: Stored, bits: int, above: int) -> Stored:
    """Values in their place: shifted down where one of them needs the bits above."""
    lowest = found.pixels & np.asarray((1 << bits + above) - 1, found.pixels.dtype)
    return replace(found, pixels=lowest >> above if (lowest >> bits).any() else lowest, bits=bits)


def _locate(content: bytes | mmap, at: int, syntax: UID) -> memoryview | None:
    """The value of (7FE0,0010) Pixel Data, whose element starts there; None for all but plain little endian."""
    layout = {ExplicitVRLittleEndian: "<HH4xI", ImplicitVRLittleEndian: "<HHI"}.get(syntax)
    if layout is None or at + 12 > len(content):
        return None
    group, element, length = struct.unpack_from(layout, content, at)
    start = at + struct.calcsize(layout)
    if (group, element) != (0x7FE0, 0x0010) or start + length > len(content):
        return None
    return memoryview(content)[start : start + length]


def _check(source: Source, name: str) -> None:
    dataset = source.dataset
    check_size(int(dataset.Rows), int(dataset.Columns), name)
    floating = any(word in dataset for word in ("FloatPixelData", "DoubleFloatPixelData"))
    fault = _contradiction(dataset, floating)
    if fault:
        raise PipelineError(name, fault, "export the file again as RGB or MONOCHROME2, or drop its row from the labels")
    words = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
    if source.pixels is None and not any(word in dataset for word in words):
        raise PipelineError(name, "truncated: (7FE0,0010) Pixel Data is missing or has no end", AGAIN)
    if source.pixels is None and ("PixelData" not in dataset or source.syntax.is_encapsulated):
        return
    actual = len(dataset.PixelData if source.pixels is None else source.pixels)
    expected = get_expected_length(dataset)
    surplus = source.pixels[expected:] if source.pixels is not None else dataset.get("PixelData", b"")[expected:]
    padded = actual - expected < dataset.Columns and not any(surplus)  # as some writers do
    if actual < expected or not (actual <= expected + 1 or padded):
        cause = "truncated" if actual < expected else "pixel data does not fit the header"
        needed = "Rows × Columns" + (f" × {source.frames} frames" if source.frames > 1 else "")
        what = f"{cause}: (7FE0,0010) Pixel Data has {actual} bytes, {needed} need {expected}"
        raise PipelineError(name, what, AGAIN)


def _contradiction(dataset: pydicom.Dataset, floating: bool) -> str:
    """What is unknown or impossible in the Image Pixel module (PS3.3 C.7.6.3); empty if nothing."""
    photometric, samples = dataset.PhotometricInterpretation, dataset.get("SamplesPerPixel")
    if photometric not in (*GREY, *COLOUR, PALETTE):
        return f"unknown photometric interpretation: {str(photometric)[:16]}"
    if samples != (3 if photometric in COLOUR else 1):
        seen = samples if isinstance(samples, int) else "no number"
        return f"impossible header: (0028,0002) Samples per Pixel is {seen}, which does not fit {photometric}"
    allocated, bits = dataset.get("BitsAllocated"), dataset.get("BitsStored")
    if allocated not in (1, 8, 16, 32, 64):
        seen = allocated if isinstance(allocated, int) else "no number"
        return f"impossible header: (0028,0100) Bits Allocated is {seen}"
    if floating:
        return ""
    needed = ["BitsStored", "PixelRepresentation", *(["PlanarConfiguration"] if samples == 3 else [])]
    for keyword in needed:
        if dataset.get(keyword) is None:
            tag = Tag(keyword)
            return f"impossible header: ({tag.group:04X},{tag.element:04X}) {dictionary_description(tag)} is missing"
    if not isinstance(bits, int) or not 1 <= bits <= allocated:
        return f"impossible header: (0028,0101) Bits Stored is {bits} of (0028,0100) Bits Allocated {allocated}"
    return ""


def check_size(rows: int, columns: int, name: str) -> None:
    """Refuse a picture that is larger than any detector."""
    if rows * columns > MOST_PIXELS:
        raise PipelineError(name, f"absurd size: {rows} × {columns} pixels", AGAIN)


def read(source: Source, index: int, name: str) -> Stored:
    """Decode frame `index`, from 0; colour becomes RGB.

    Raises:
        PipelineError: the codestream is not what the header says.
        Exception: of a decoder.
    """
    dataset, found = source.dataset, None
    if "PixelData" in dataset and source.syntax.is_encapsulated:
        offsets = _extended_offsets(dataset)
        code = get_frame(dataset.PixelData, index, number_of_frames=source.frames, extended_offsets=offsets)
        _check_code(code, dataset, name)
        found = _decode(code, source, name)
    elif source.pixels is not None:
        found = _view(dataset, source.pixels, index)
    found = found or _ask_pydicom(source, index)
    if source.above and found.coded:
        found = _lower_bits(found, dataset.BitsStored - source.above, source.above)
    return found if dataset.PhotometricInterpretation != PALETTE else _with_colours(found, source)


def _with_colours(found: Stored, source: Source) -> Stored:
    indices = found.values(np.arange(2 ** (8 * found.pixels.dtype.itemsize)))
    return replace(found, colours=palette.colours(indices, source.dataset, source.syntax.is_little_endian))


def _extended_offsets(dataset: pydicom.Dataset) -> tuple[bytes, bytes] | None:
    words = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
    return tuple(dataset[word].value for word in words) if all(dataset.get(word) for word in words) else None


def _check_code(code: bytes, dataset: pydicom.Dataset, name: str) -> None:
    """A decoder allocates what the codestream asks for, whatever the header says, and some abort where they differ."""
    found = codestream.describe(code)
    if not found:
        return
    boxed = not code.startswith(codestream.BARE)  # a JP2 file may have a palette of its own
    pairs = [
        ("(0028,0010) Rows", found.rows, dataset.Rows),
        ("(0028,0011) Columns", found.columns, dataset.Columns),
        ("(0028,0002) Samples per Pixel", found.components, dataset.SamplesPerPixel if not boxed else found.components),
    ]
    for what, there, here in pairs:
        if there != here:
            text = f"pixel data does not fit the header: its codestream says {there}, {what} is {here}"
            raise PipelineError(name, text, AGAIN)
    if found.precision > dataset.BitsAllocated:
        text = f"pixel data does not fit the header: {found.precision} bits, Bits Allocated is {dataset.BitsAllocated}"
        raise PipelineError(name, text, AGAIN)


def _decode(code: bytes, source: Source, name: str) -> Stored | None:
    dataset, signed = source.dataset, source.dataset.PixelRepresentation == 1
    if dataset.PhotometricInterpretation not in (*GREY, PALETTE):
        return None
    wanted = codestream.Description(dataset.Rows, dataset.Columns, 1, dataset.BitsAllocated, signed)
    try:
        pixels = codestream.decode(code, source.syntax, wanted, dataset.BitsStored)
    except jpeg_lossless.DamagedError:
        raise PipelineError(name, "truncated or damaged: its codestream does not hold all pixels", AGAIN) from None
    return None if pixels is None else Stored(pixels, dataset.BitsStored, signed)


def _view(dataset: pydicom.Dataset, data: memoryview, index: int) -> Stored | None:
    """Uncompressed pixels where they lie; None for what is not whole bytes of one channel or of RGB."""
    photometric, allocated = dataset.PhotometricInterpretation, dataset.BitsAllocated
    channels = {**dict.fromkeys((*GREY, PALETTE), 1), "RGB": 3}.get(photometric)
    if channels is None or allocated not in (8, 16) or (channels == 3 and dataset.PlanarConfiguration != 0):
        return None
    count, kind = dataset.Rows * dataset.Columns * channels, np.dtype(f"<u{allocated // 8}")
    shape = (dataset.Rows, dataset.Columns, 3)[: 3 if channels == 3 else 2]
    pixels = np.frombuffer(data, kind, count, index * count * kind.itemsize).reshape(shape)
    return Stored(pixels, dataset.BitsStored, dataset.PixelRepresentation == 1)


def _ask_pydicom(source: Source, index: int) -> Stored:
    dataset = source.dataset
    if source.pixels is not None and "PixelData" not in dataset:
        dataset.PixelData = bytes(source.pixels)
    if not getattr(dataset, "file_meta", None):
        dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = source.syntax
    packed = dataset.BitsAllocated == 1 and source.frames > 1  # a frame may begin within a byte, where pydicom errs
    pixels, properties = source.decoder.as_array(
        dataset,
        index=None if packed else index,
        allow_excess_frames=False,  # type: ignore[arg-type] - typed as all options at once
    )
    pixels = pixels[index] if packed else pixels
    bits = int(properties.get("bits_stored", 0))
    if pixels.dtype.kind == "f" or pixels.dtype.itemsize > 2:
        return Stored(pixels, 8 * pixels.dtype.itemsize, pixels.dtype.kind != "u")
    codes = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("=")).view(f"u{pixels.dtype.itemsize}")
    signed = pixels.dtype.kind == "i"
    # Values of lossy frames may exceed the bits stored, and are clipped later.
    return Stored(codes, 8 * codes.dtype.itemsize if codes.ndim == 2 else bits, signed)


def _decoder(syntax: UID, name: str) -> Decoder:
    try:
        return get_decoder(syntax)
    except NotImplementedError:
        what = f"no decoder: its transfer syntax is {syntax.name if syntax.type else 'unknown'}"
        raise PipelineError(name, what, "export the file again as Explicit VR Little Endian") from None
