"""The pixels of one frame as the file stores them, decoded."""

import io
import struct
from dataclasses import dataclass, replace
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

MOST_PIXELS = 2**28  # a header that asks for more is damaged: the largest detectors have 2**25
AGAIN = "export the file again, or drop its row from the labels"
GREY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


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
    """A DICOM object that `read` can decode: uncompressed pixels stay where they are, and out of the dataset."""

    dataset: pydicom.Dataset
    syntax: UID
    decoder: Decoder
    pixels: memoryview | None

    @property
    def frames(self) -> int:
        """At least 1."""
        return files.frames(self.dataset)


def load(content: bytes | mmap, name: str) -> Source:
    """A DICOM object, checked before anything is decoded: that would take all memory, or give other pixels than meant.

    Raises:
        PipelineError: naming what is wrong.
        Exception: of pydicom, where it can't read it.
    """
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    dataset = files.read_dicom(file, name, stop_before_pixels=True)  # type: ignore[arg-type] - mmap is a file too
    syntax = files.transfer_syntax(dataset)
    decoder = _decoder(syntax, name)
    pixels = _locate(content, file.tell(), syntax)
    if pixels is None:
        dataset = files.read_dicom(file, name)  # type: ignore[arg-type]
    source = Source(dataset, syntax, decoder, pixels)
    _check(source, name)
    return source


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
    if actual not in (expected, expected + expected % 2):
        cause = "truncated" if actual < expected else "pixel data does not fit the header"
        what = f"{cause}: (7FE0,0010) Pixel Data has {actual} bytes, Rows × Columns need {expected}"
        raise PipelineError(name, what, AGAIN)


def _contradiction(dataset: pydicom.Dataset, floating: bool) -> str:
    """What is impossible in the Image Pixel module (PS3.3 C.7.6.3); empty if nothing."""
    photometric, samples = dataset.PhotometricInterpretation, dataset.get("SamplesPerPixel")
    if photometric not in (*GREY, *COLOUR, PALETTE):
        return "(0028,0004) Photometric Interpretation is none that is supported"
    if samples != (3 if photometric in COLOUR else 1):
        return f"(0028,0002) Samples per Pixel is {samples}, which does not fit {photometric}"
    allocated, bits = dataset.get("BitsAllocated"), dataset.get("BitsStored")
    if allocated not in (1, 8, 16, 32, 64):
        return f"(0028,0100) Bits Allocated is {allocated}"
    if floating:
        return ""
    needed = ["BitsStored", "PixelRepresentation", *(["PlanarConfiguration"] if samples == 3 else [])]
    for keyword in needed:
        if dataset.get(keyword) is None:
            tag = Tag(keyword)
            return f"({tag.group:04X},{tag.element:04X}) {dictionary_description(tag)} is missing"
    if not 1 <= bits <= allocated:
        return f"(0028,0101) Bits Stored is {bits} of (0028,0100) Bits Allocated {allocated}"
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
    return found if dataset.PhotometricInterpretation != PALETTE else _with_colours(found, source)


def _with_colours(found: Stored, source: Source) -> Stored:
    indices = found.values(np.arange(2 ** (8 * found.pixels.dtype.itemsize)))
    return replace(found, colours=palette.colours(indices, source.dataset, source.syntax.is_little_endian))


def _extended_offsets(dataset: pydicom.Dataset) -> tuple[bytes, bytes] | None:
    words = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
    return tuple(dataset[word].value for word in words) if all(word in dataset for word in words) else None


def _check_code(code: bytes, dataset: pydicom.Dataset, name: str) -> None:
    """A decoder allocates what the codestream asks for, whatever the header says."""
    found = codestream.describe(code)
    if found and (found.rows, found.columns) != (dataset.Rows, dataset.Columns):
        what = (
            f"pixel data does not fit the header: its codestream has {found.rows} × {found.columns} pixels, "
            f"Rows × Columns are {dataset.Rows} × {dataset.Columns}"
        )
        raise PipelineError(name, what, AGAIN)


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
    # Of files older than the standard, the value may lie above its place; the bits below are overlays.
    above = int(dataset.get("HighBit", dataset.BitsStored - 1)) + 1 - dataset.BitsStored
    return Stored(pixels >> above if above > 0 else pixels, dataset.BitsStored, dataset.PixelRepresentation == 1)


def _ask_pydicom(source: Source, index: int) -> Stored:
    dataset = source.dataset
    if source.pixels is not None:
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
    return Stored(codes, 8 * codes.dtype.itemsize if codes.ndim == 2 else bits, pixels.dtype.kind == "i")


def _decoder(syntax: UID, name: str) -> Decoder:
    try:
        return get_decoder(syntax)
    except NotImplementedError:
        what = f"no decoder: its transfer syntax is {syntax.name if syntax.type else 'unknown'}"
        raise PipelineError(name, what, "export the file again as Explicit VR Little Endian") from None
