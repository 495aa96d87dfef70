"""Compressed frames: what they say of themselves, and their decoding where it is simple and safe.

pydicom's own plug-ins stay the way for everything else. What they care for beyond decoding (sign, unused bits,
colour) is left to them by taking only grey frames whose codestream agrees with the header.
"""

import struct
from dataclasses import dataclass

import imagecodecs
import numpy as np
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from pipeline.imaging import jpeg_lossless

# Start-of-frame markers: ITU-T T.81 table B.1 without DHT, JPG and DAC, and T.87 (JPEG-LS).
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
BARE = (b"\xff\xd8", b"\xff\x4f")  # SOI of JPEG and JPEG-LS, SOC of JPEG 2000; a JP2 file begins with a box
_SIZE = b"\xff\x4f\xff\x51"  # SOC and SIZ, which open a JPEG 2000 codestream; ITU-T T.800 A.5.1
_END = b"\xff\xd9"
_DECODERS = {
    JPEGLossless: jpeg_lossless.decode,
    JPEGLosslessSV1: jpeg_lossless.decode,
    JPEGLSLossless: imagecodecs.jpegls_decode,
    JPEGLSNearLossless: imagecodecs.jpegls_decode,
    JPEG2000Lossless: imagecodecs.jpeg2k_decode,
    JPEG2000: imagecodecs.jpeg2k_decode,
    JPEGExtended12Bit: imagecodecs.jpeg8_decode,  # pydicom has no decoder for 12 bits, and its own way for 8
}

_LOSSY = (JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000)


@dataclass(frozen=True)
class Description:
    """What a codestream holds."""

    rows: int
    columns: int
    components: int
    precision: int
    signed: bool = False


def describe(code: bytes) -> Description | None:
    """Size and depth of a JPEG, JPEG-LS or JPEG 2000 codestream; None where they can't be found."""
    try:
        if code.startswith(b"\xff\xd8"):
            return _describe_jpeg(code)
        start = code.find(_SIZE, 0, 4096)  # after the boxes of a JP2 file, if any
        return _describe_jpeg2000(code, start) if start >= 0 else None
    except (struct.error, IndexError):  # it ends within its header
        return None


def decode(code: bytes, syntax: UID, wanted: Description, stored: int) -> np.ndarray | None:
    """One grey frame, (rows, columns) of unsigned integers; None where pydicom has to decide.

    Args:
        code: codestream of the frame.
        syntax: transfer syntax.
        wanted: what the header says of the frame; `precision` is Bits Allocated.
        stored: Bits Stored.

    Raises:
        DamagedError: the frame ends early.
    """
    if wanted.precision not in (8, 16) or wanted.components != 1:
        return None
    if syntax == RLELossless:
        return _decode_rle(code, wanted)
    found = describe(code) if syntax in _DECODERS and _END in code[-64:] else None
    if found is None or (found.rows, found.columns, found.components) != (wanted.rows, wanted.columns, 1):
        return None
    if not _agrees(found, syntax, wanted, stored):
        return None
    try:
        frame = _DECODERS[syntax](code)
    except (jpeg_lossless.DamagedError, MemoryError):
        raise
    except Exception:  # each codec has an error of its own; pydicom's decoders will say what is wrong
        return None
    if (
        frame is None
        or frame.shape != (wanted.rows, wanted.columns)
        or frame.dtype.itemsize > 2
        or frame.dtype.kind not in "iu"
    ):
        return None
    codes = frame.view(f"u{frame.dtype.itemsize}")
    return codes if found.precision == stored or _fits(codes, stored, found.precision, wanted.signed) else None


def _fits(codes: np.ndarray, stored: int, precision: int, signed: bool) -> bool:
    """Whether the lowest bits say it all: the others are 0, or repeat the sign."""
    if int(codes.max()) >> stored == 0:
        return True
    low = codes.astype(np.int64) & (1 << stored) - 1
    extended = (low - (low >> stored - 1 << stored)) & (1 << precision) - 1
    return signed and bool(((codes == extended) | (codes == low)).all())


def _agrees(found: Description, syntax: UID, wanted: Description, stored: int) -> bool:
    """Frames often come with 16 bits of precision, of which the header says that fewer are used.

    Without loss, the lowest bits hold the value then, and the highest of these its sign; with loss, values may exceed
    these bits, and cutting them would turn white into black.
    """
    if found.signed != wanted.signed and syntax in (JPEG2000, JPEG2000Lossless):
        return False
    if syntax == JPEGExtended12Bit and found.precision == 8:
        return False
    return found.precision == stored or (found.precision > stored and syntax not in _LOSSY)


def _describe_jpeg(code: bytes) -> Description | None:
    at = 2
    while at < len(code):
        if code[at] != 0xFF:
            return None
        marker = code[at + 1]
        if marker in _FRAME_MARKERS:
            precision, rows, columns, components = struct.unpack_from(">BHHB", code, at + 4)
            return Description(rows, columns, components, precision)
        if marker == 0xFF:
            at += 1
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + struct.unpack_from(">H", code, at + 2)[0]
    return None


def _describe_jpeg2000(code: bytes, start: int) -> Description:
    x, y, x_offset, y_offset = struct.unpack_from(">4I", code, start + 8)
    components, depth = struct.unpack_from(">HB", code, start + 40)
    return Description(y - y_offset, x - x_offset, components, (depth & 0x7F) + 1, bool(depth >> 7))


def _decode_rle(code: bytes, wanted: Description) -> np.ndarray | None:
    """PS3.5 annex G."""
    if len(code) < 64 or struct.unpack_from("<I", code)[0] != wanted.precision // 8:
        return None
    kind = np.dtype(f"<u{wanted.precision // 8}")
    try:
        frame = np.frombuffer(imagecodecs.dicomrle_decode(code, kind), kind)
    except imagecodecs.DicomrleError:
        return None
    return frame.reshape(wanted.rows, wanted.columns) if frame.size == wanted.rows * wanted.columns else None
