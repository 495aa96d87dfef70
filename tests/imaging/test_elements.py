"""Where the fast reader answers, it answers as pydicom does."""

import io
import random
import struct
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from dicoms import dataset, to_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from pipeline.imaging import elements, files, headers

KEY = b"k"
RAMP = np.arange(6, dtype=np.uint16).reshape(2, 3)
BUNDLED = [path for path in Path(pydicom.data.__file__).parent.rglob("*") if path.is_file() and path.suffix != ".py"]


def fast(content):
    """Fields by the fast reader, or None."""
    values = elements.read(io.BytesIO(content))
    return None if values is None else headers.dicom_fields(values, KEY)


def slow(content):
    """Fields by pydicom."""
    with files.quiet():
        return headers.dicom_fields(headers.read_slowly(io.BytesIO(content), "x"), KEY)


def syntax_of(made, syntax):
    made.file_meta.TransferSyntaxUID = syntax
    return to_bytes(made)


def test_the_wanted_elements_are_those_of_the_dictionary():
    for tag, (keyword, vr) in elements.WANTED.items():
        assert (keyword_for_tag(tag), dictionary_VR(tag).encode()) == (keyword, vr)


def test_all_of_the_files_that_come_with_pydicom():
    answers = {path: fast(path.read_bytes()) for path in BUNDLED}
    answered = {path: fields for path, fields in answers.items() if fields is not None}
    assert len(answered) >= 92
    for path, fields in answered.items():
        assert fields == slow(path.read_bytes()), path


TEXTS = ["", " ", "P1", " P 7  ", "A\\B", "\0x", "x\0", "a\x1b$B", "é", "Zoë^", "\x7f", "tab\t", "ﾔﾏﾀﾞ", "x" * 70]
VALUES = {
    b"CS": [
        "",
        "MG",
        "MONOCHROME1",
        "RGB ",
        "L",
        "YES",
        "FOR PROCESSING",
        "lower case",
        "A\\B",
        "DERIVED\\SECONDARY\\",
    ],
    b"UI": ["1.2.3", "1.2.3\0", "", "1.2.840.10008.5.1.4.1.1.7", "no uid", "1.2\\1.3"],
    b"SH": TEXTS,
    b"LO": TEXTS,
    b"US": [0, 1, 2, 12, 512, 65535],
    b"IS": ["1", "12", " 7 ", "", "-3", "1.0", "x", "1\\2"],
}
SETS = [*python_encoding, "latin-1", "nonsense", "\\ISO 2022 IR 87", "ISO 2022 IR 6\\ISO 2022 IR 149", "ISO_IR 100 "]
RARE = {b"US": [b"", b"\1\0\2\0", b"\1"], b"IS": [b"\0 5", b"\xff"]}


class Maker:
    """Writes files with random content, most of them usual."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.implicit = self.random.random() < 0.4
        self.character_set = self.random.choice(SETS)

    def rarely(self):
        return self.random.random() < 0.01

    def file(self):
        """All of it."""
        meta = b"".join(
            element(0x00020000 + number, b"UI", uid)
            for number, uid in [(2, b"1.2.840.10008.5.1.4.1.1.7\0"), (3, b"1.2.3\0"), (16, self.syntax())]
        )
        if not self.rarely():
            meta = element(0x00020000, b"UL", struct.pack("<I", len(meta))) + meta
        return bytes(128) + b"DICM" + meta + b"".join(self.main())

    def syntax(self):
        if self.implicit:
            return b"1.2.840.10008.1.2\0"
        return self.random.choice([b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5 ", b"1.2.840.10008.1.2.4.70"])

    def main(self):
        """Elements of the data set, in order."""
        needed = {"Rows", "Columns", "PhotometricInterpretation"}
        parts = {
            tag: self.element(tag, vr, self.value(vr))
            for tag, (word, vr) in elements.WANTED.items()
            if (word in needed and not self.rarely()) or self.random.random() < 0.6
        }
        if self.random.random() < 0.7:
            parts[0x00080005] = self.element(0x00080005, b"CS", self.character_set.encode())
        for tag in (0x00081140, 0x00191002, 0x00400555, 0x00540220):
            if self.random.random() < 0.6:
                parts[tag] = self.sequence(tag, 2)
        for tag in (0x00080000, 0x00190010, 0x00191001, 0x00280106, 0x7FE00000):
            if self.random.random() < 0.4:
                vr = self.random.choice([b"LO", b"OB", b"UN", b"UT", b"XX" if self.rarely() else b"DS"])
                parts[tag] = self.element(tag, vr, self.random.randbytes(self.random.choice([0, 2, 8, 300])))
        if not self.rarely():
            parts[0x7FE00010] = self.element(0x7FE00010, b"OW", bytes(12))
        order = sorted(parts)
        if self.rarely():
            self.random.shuffle(order)
        return [parts[tag] for tag in order]

    def value(self, vr):
        if self.rarely() and vr in RARE:
            return self.random.choice(RARE[vr])
        value = self.random.choice(VALUES[vr][:4] if self.random.random() < 0.95 else VALUES[vr])
        if isinstance(value, int):
            return struct.pack("<H", value)
        encoding = python_encoding.get(self.character_set.partition("\\")[0], "latin-1")
        content = value.encode(encoding, errors="replace")
        return content + self.random.choice([b" ", b"\0"]) * (len(content) % 2)

    def sequence(self, tag, depth):
        """A sequence with items in it, each of defined or undefined length."""
        parts = b"".join(self.item(depth) for _ in range(self.random.choice([0, 1, 2])))
        if self.random.random() < 0.5:
            return self.element(tag, b"SQ", parts)
        vr = b"UN" if self.rarely() else b"SQ"
        return self.element(tag, vr, parts + b"\xfe\xff\xdd\xe0\0\0\0\0", length=0xFFFFFFFF)

    def item(self, depth):
        parts = [self.element(0x00080100, b"SH", b"R-1 ")]
        if self.rarely():
            parts.insert(0, self.element(0x00080005, b"CS", b"ISO_IR 100"))
        if self.random.random() < 0.3:
            parts.append(self.element(0x00100020, b"LO", b"within"))
        if depth and self.random.random() < 0.7:
            parts.append(self.sequence(0x0040A043, depth - 1))
        content = b"".join(parts) if self.random.random() < 0.8 else b""
        if self.random.random() < 0.5:
            return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(content) + 2 * self.rarely()) + content
        return b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + content + b"\xfe\xff\x0d\xe0\0\0\0\0"

    def element(self, tag, vr, value, length=None):
        if self.implicit:
            vr = b""
        elif self.rarely():
            vr = self.random.choice([b"UN", b"LT", b"\0\0"])
        return element(tag, vr, value, length)

    def damaged(self):
        """A file with bytes changed, taken out or put in, or without its end."""
        content = self.file()
        place = self.random.randrange(132, len(content))
        new = self.random.choice([b"", b"", self.random.randbytes(self.random.randrange(4)), b"\xff\xff\xff\xff"])
        return content[:place] + new + content[place + self.random.randrange(6) :][: 99 if self.rarely() else None]


def element(tag, vr, value, length=None):
    """An element, in implicit VR where `vr` is empty."""
    length = len(value) if length is None else length
    start = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if not vr:
        return start + struct.pack("<I", length) + value
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return start + vr + struct.pack("<HI", 0, length) + value
    return start + vr + struct.pack("<H", length & 0xFFFF) + value


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32))
def test_generated_headers(seed):
    content = Maker(seed).file()
    found = fast(content)
    assert found is None or found == slow(content)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32))
def test_damaged_headers(seed):
    content = Maker(seed).damaged()
    found = fast(content)
    assert found is None or found == slow(content)


def test_a_good_part_of_the_generated_headers_is_answered():
    answered = sum(fast(Maker(seed).file()) is not None for seed in range(300))
    assert answered > 150


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_usual_file_is_answered(syntax):
    made = dataset(RAMP, PatientID="P1", SpecificCharacterSet=["", "ISO 2022 IR 87"], ImageType=["ORIGINAL", "PRIMARY"])
    item = Dataset()
    item.CodeValue = "x"
    made.ViewCodeSequence = Sequence([item, Dataset()])
    made["ViewCodeSequence"].is_undefined_length = True
    made.add_new(0x00191002, "SQ", Sequence([item]))
    made[0x00191002].is_undefined_length = True
    values = elements.read(io.BytesIO(syntax_of(made, syntax)))
    assert values is not None
    assert (values["PatientID"], values["Rows"], values["Columns"], values["ImageType"]) == (
        "P1",
        2,
        3,
        "ORIGINAL\\PRIMARY",
    )
    assert values["TransferSyntaxUID"] == syntax


def test_a_header_longer_than_the_first_read_is_answered():
    made = dataset(RAMP, PatientID="P1")
    made.add_new(0x00191001, "OB", b"\0" * 2**17)
    assert fast(to_bytes(made)) == slow(to_bytes(made))
    made[0x00191001].value = b"\0" * 2**21
    assert fast(to_bytes(made)) is None


def swapped(content, one, other):
    start, end = content.index(one), content.index(other) + len(other)
    return content[:start] + other + content[start + len(one) : end - len(other)] + one + content[end:]


ROWS, COLUMNS = element(0x00280010, b"US", b"\2\0"), element(0x00280011, b"US", b"\3\0")
UNUSUAL = {
    "deflated": lambda: syntax_of(dataset(RAMP), DeflatedExplicitVRLittleEndian),
    "without preamble": lambda: to_bytes(dataset(RAMP))[132:],
    "out of order": lambda: swapped(to_bytes(dataset(RAMP)), ROWS, COLUMNS),
    "twice": lambda: to_bytes(dataset(RAMP)).replace(ROWS, ROWS + ROWS),
    "another VR": lambda: to_bytes(dataset(RAMP)).replace(ROWS, element(0x00280010, b"UN", b"\2\0")),
    "truncated": lambda: to_bytes(dataset(RAMP))[:-20],
    "not ASCII": lambda: to_bytes(dataset(RAMP, PatientID="Zoë", SpecificCharacterSet="ISO_IR 100")),
    "two patients": lambda: to_bytes(dataset(RAMP)).replace(b"LO\x02\x00P1", b"LO\x04\x00P1\\2"),
    "no DICOM": lambda: b"text" * 99,
    "empty": lambda: b"",
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_file_is_left_to_pydicom(name):
    assert elements.read(io.BytesIO(UNUSUAL[name]())) is None


def test_big_endian_is_left_to_pydicom():
    made = dataset(RAMP)
    made.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    made["PixelData"].VR = "OW"
    assert fast(to_bytes(made)) is None


def test_no_pixels_are_left_to_pydicom():
    made = dataset(RAMP)
    del made.PixelData
    assert fast(to_bytes(made)) is None


def test_sequences_without_end_do_not_exhaust_the_stack():
    deep = (b"\x40\x00\x43\xa0SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 5000
    content = to_bytes(dataset(RAMP))
    assert fast(content.replace(b"\xe0\x7f\x10\x00", deep + b"\xe0\x7f\x10\x00")) is None
