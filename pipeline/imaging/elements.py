"""The wanted elements of a usual DICOM file, several times faster than a full parser.

Usual is: preamble, meta header, explicit or implicit VR little endian, elements in ascending order, pixel data after
them. Of anything else nothing is returned, and pydicom decides; where there is an answer, it is that of pydicom.
"""

import struct
from functools import lru_cache
from typing import BinaryIO

from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.uid import AllTransferSyntaxes, ImplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

# Of a DICOM file, these elements are read and no other; PS3.6.
WANTED = {
    0x00080008: ("ImageType", b"CS"),
    0x00080016: ("SOPClassUID", b"UI"),
    0x00080018: ("SOPInstanceUID", b"UI"),
    0x00080050: ("AccessionNumber", b"SH"),
    0x00080060: ("Modality", b"CS"),
    0x00080068: ("PresentationIntentType", b"CS"),
    0x00080070: ("Manufacturer", b"LO"),
    0x00100020: ("PatientID", b"LO"),
    0x00185101: ("ViewPosition", b"CS"),
    0x0020000D: ("StudyInstanceUID", b"UI"),
    0x00200060: ("Laterality", b"CS"),
    0x00200062: ("ImageLaterality", b"CS"),
    0x00280004: ("PhotometricInterpretation", b"CS"),
    0x00280008: ("NumberOfFrames", b"IS"),
    0x00280010: ("Rows", b"US"),
    0x00280011: ("Columns", b"US"),
    0x00280100: ("BitsAllocated", b"US"),
    0x00280101: ("BitsStored", b"US"),
    0x00280103: ("PixelRepresentation", b"US"),
    0x00280301: ("BurnedInAnnotation", b"CS"),
}
NUMBERS = frozenset(keyword for keyword, vr in WANTED.values() if vr in (b"US", b"IS"))

_NEEDED = {"Rows", "Columns", "PhotometricInterpretation"}
_CHARACTER_SET = 0x00080005
_ALL = {**WANTED, _CHARACTER_SET: ("SpecificCharacterSet", b"CS")}
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_SHORT = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_16)
_LONG = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_32)
_READS = (2**16, 2**20)  # bytes; the header of most files ends within the first
_DEEPEST = 16  # sequences in sequences

_explicit = struct.Struct("<HH2sH").unpack_from
_implicit = struct.Struct("<HHI").unpack_from
_length = struct.Struct("<I").unpack_from

Values = dict[str, str | int]


class _Unusual(Exception):  # noqa: N818 - no error: the slow way is taken
    """The file is not of the usual kind."""


def read(file: BinaryIO) -> Values | None:
    """Values of the wanted elements by keyword, and `TransferSyntaxUID`; None for an unusual file.

    An element that is absent has no entry. Numbers are int, all else is text without the spaces around it; of the
    elements only (0008,0008) Image Type may have several values, with backslashes between them.
    """
    file.seek(0)
    start = b""
    for size in _READS:
        more = file.read(size - len(start))
        start += more
        try:
            return _values(start)
        except _Unusual:
            return None
        except struct.error:  # the header does not end here
            if not more:
                return None
    return None


def _values(start: bytes) -> Values:
    if start[128:132] != b"DICM":
        raise _Unusual
    uid, at = _syntax(start)
    raw = _elements_implicit(start, at) if uid == ImplicitVRLittleEndian else _elements_explicit(start, at)
    _check_character_set(raw.pop(_CHARACTER_SET, b""))
    values: Values = {"TransferSyntaxUID": uid}
    for tag, value in raw.items():
        keyword, vr = WANTED[tag]
        values[keyword] = _number(value, vr) if keyword in NUMBERS else _text(value, keyword == "ImageType")
    if not values.keys() >= _NEEDED:
        raise _Unusual
    return values


def _syntax(data: bytes) -> tuple[str, int]:
    """(0002,0010) Transfer Syntax UID, and where the meta header ends; PS3.10 section 7.1."""
    if data[132:140] != b"\x02\x00\x00\x00UL\x04\x00":
        raise _Unusual
    at, before, uid = 144, 0, b""
    while True:
        group, element, vr, length = _explicit(data, at)
        if group != 2:
            break
        if element <= before:
            raise _Unusual
        before = element
        at, length = _value_of(data, at, vr, length)
        if element == 0x0010 and vr == b"UI":
            uid = data[at : at + length]
        at += length
    name = uid.rstrip(b" \0").decode("latin-1")
    if name not in _usual_syntaxes():
        raise _Unusual
    return name, at


def _value_of(data: bytes, at: int, vr: bytes, length: int) -> tuple[int, int]:
    """Where the value of an explicit element begins, and its length; `length` is what a short VR has for it."""
    if vr in _SHORT:
        return at + 8, length
    if vr in _LONG:
        return at + 12, _length(data, at + 8)[0]
    raise _Unusual


@lru_cache(maxsize=1)
def _usual_syntaxes() -> frozenset[str]:
    """Standard transfer syntaxes in little endian whose header is not compressed."""
    return frozenset(uid for uid in AllTransferSyntaxes if uid.is_little_endian and not uid.is_deflated)


def _elements_explicit(data: bytes, at: int) -> dict[int, bytes]:
    """Raw values of the wanted elements by tag, up to the pixel data; PS3.5 section 7.1.2."""
    found, before = {}, 0x0002FFFF
    while True:
        group, element, vr, length = _explicit(data, at)
        tag = group << 16 | element
        if tag <= before:
            raise _Unusual
        before = tag
        at, length = _value_of(data, at, vr, length)
        if tag >= _PIXELS[0]:
            return _at_pixels(tag, found)
        if length == _UNDEFINED:
            if vr != b"SQ" or tag in _ALL:
                raise _Unusual
            at = _end_of_sequence(data, at, False, _DEEPEST)
            continue
        if tag in _ALL:
            if vr != _ALL[tag][1]:
                raise _Unusual
            found[tag] = data[at : at + length]
        at += length


def _elements_implicit(data: bytes, at: int) -> dict[int, bytes]:
    """As `_elements_explicit`, without VRs; PS3.5 section 7.1.3."""
    if b"A" <= data[at + 4 : at + 5] <= b"Z" and b"A" <= data[at + 5 : at + 6] <= b"Z":
        raise _Unusual  # explicit against what the meta header says
    found, before = {}, 0x0002FFFF
    while True:
        group, element, length = _implicit(data, at)
        tag = group << 16 | element
        if tag <= before:
            raise _Unusual
        before = tag
        at += 8
        if tag >= _PIXELS[0]:
            return _at_pixels(tag, found)
        if length == _UNDEFINED:
            at = _end_of_undefined(data, at, tag, _DEEPEST)
            continue
        if tag in _ALL:
            found[tag] = data[at : at + length]
        at += length


def _at_pixels(tag: int, found: dict[int, bytes]) -> dict[int, bytes]:
    if tag not in _PIXELS:
        raise _Unusual
    return found


def _end_of_undefined(data: bytes, at: int, tag: int, depth: int) -> int:
    """End of an element of undefined length in implicit VR, whose value begins at `at`, if it is a sequence."""
    try:
        vr = dictionary_VR(tag)
    except KeyError:  # a private sequence shows itself by its first item
        vr = "SQ" if data[at : at + 4] == b"\xfe\xff\x00\xe0" else ""
    if vr != "SQ":
        raise _Unusual
    return _end_of_sequence(data, at, True, depth)


def _end_of_sequence(data: bytes, at: int, implicit: bool, depth: int) -> int:
    """End of a sequence of undefined length whose first item begins at `at`; PS3.5 section 7.5."""
    if not depth:
        raise _Unusual
    while True:
        group, element, length = _implicit(data, at)
        tag = group << 16 | element
        at += 8
        if tag == _END_OF_SEQUENCE:
            return at
        if tag != _ITEM:
            raise _Unusual
        if length == _UNDEFINED:
            at = _end_of_item(data, at, implicit, depth)
        elif length:
            end = _end_of_item(data, at, implicit, depth, at + length)
            if end != at + length:
                raise _Unusual
            at = end


def _end_of_item(data: bytes, at: int, implicit: bool, depth: int, end: int = -1) -> int:
    """End of an item: the first element border at or behind `end`, or behind the delimiter where `end` is negative."""
    while end < 0 or at < end:
        group, element, length = _implicit(data, at)
        tag = group << 16 | element
        if tag == _END_OF_ITEM and end < 0:
            return at + 8
        if group == 0xFFFE or tag == _CHARACTER_SET:
            raise _Unusual
        vr = b"" if implicit else data[at + 4 : at + 6]
        if implicit:
            at += 8
        elif vr in _SHORT:
            length >>= 16
            at += 8
        elif vr in _LONG:
            length = _length(data, at + 8)[0]
            at += 12
        else:
            raise _Unusual
        if length != _UNDEFINED:
            at += length
        elif implicit:
            at = _end_of_undefined(data, at, tag, depth - 1)
        elif vr == b"SQ":
            at = _end_of_sequence(data, at, False, depth - 1)
        else:
            raise _Unusual
    return at


@lru_cache(maxsize=256)
def _check_character_set(value: bytes) -> None:
    """Refuse a (0008,0005) Specific Character Set that is not known to leave ASCII as it is."""
    names = value.rstrip(b" \0").decode("latin-1").split("\\")
    if not all(name in python_encoding for name in names):
        raise _Unusual


def _text(value: bytes, several: bool) -> str:
    text = value.rstrip(b" \0").decode("latin-1")
    if not (text.isascii() and text.isprintable()) or ("\\" in text and not several):
        raise _Unusual
    return text.strip()


def _number(value: bytes, vr: bytes) -> int:
    if vr == b"US" and len(value) == 2:
        return int.from_bytes(value, "little")
    if vr == b"IS" and (text := _text(value, False)).isdigit():
        return int(text)
    raise _Unusual
