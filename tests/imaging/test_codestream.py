import struct

import imagecodecs
import numpy as np
import pytest
from dicoms import dataset, encapsulated, to_bytes
from pydicom.encaps import get_frame
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from pipeline.errors import PipelineError
from pipeline.imaging import codestream, jpeg_lossless, stored
from pipeline.imaging.codestream import Description

SMOOTH = (np.add.outer(np.arange(48), np.arange(40)) * 40 + 100).astype(np.uint16)  # 12 bits


def rle(pixels):
    made = dataset(pixels)
    made.compress(RLELossless, generate_instance_uid=False)
    return get_frame(made.PixelData, 0, number_of_frames=1)


CODES = {
    JPEGLosslessSV1: lambda pixels: imagecodecs.ljpeg_encode(pixels, bitspersample=12),
    JPEGLSLossless: lambda pixels: imagecodecs.jpegls_encode(pixels),
    JPEG2000Lossless: lambda pixels: imagecodecs.jpeg2k_encode(
        pixels, codecformat="j2k", reversible=True, level=0, bitspersample=12
    ),
    RLELossless: rle,
}


@pytest.mark.parametrize("syntax", [syntax for syntax in CODES if syntax != RLELossless])
def test_a_codestream_tells_its_size_and_depth(syntax):
    bits = 16 if syntax == JPEGLSLossless else 12  # its encoder knows no other
    assert codestream.describe(CODES[syntax](SMOOTH)) == Description(48, 40, 1, bits)


def test_a_jp2_file_and_a_baseline_jpeg_tell_theirs():
    colour = np.zeros((8, 16, 3), np.uint8)
    assert codestream.describe(imagecodecs.jpeg2k_encode(colour, codecformat="jp2")) == Description(8, 16, 3, 8)
    assert codestream.describe(imagecodecs.jpeg8_encode(colour)) == Description(8, 16, 3, 8)


@pytest.mark.parametrize(
    "code", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\x00", b"film" * 99, b"\xff\x4f\xff\x51\x00"]
)
def test_what_is_no_codestream_tells_nothing(code):
    assert codestream.describe(code) is None


@pytest.mark.parametrize("syntax", CODES)
def test_a_grey_frame_is_decoded(syntax):
    bits = 16 if syntax in (JPEGLSLossless, RLELossless) else 12
    found = codestream.decode(CODES[syntax](SMOOTH), syntax, Description(48, 40, 1, 16), bits)
    np.testing.assert_array_equal(found, SMOOTH)
    assert found.dtype == np.uint16


@pytest.mark.parametrize("syntax", CODES)
def test_what_differs_from_the_header_is_left_to_pydicom(syntax):
    code = CODES[syntax](SMOOTH)
    bits = 16 if syntax in (JPEGLSLossless, RLELossless) else 12
    assert codestream.decode(code, syntax, Description(40, 41, 1, 16), bits) is None
    assert codestream.decode(code, syntax, Description(48, 40, 3, 16), bits) is None
    if syntax != RLELossless:  # which does not tell its bits
        assert codestream.decode(code, syntax, Description(48, 40, 1, 16), bits + 1) is None
    assert codestream.decode(code, JPEGBaseline8Bit, Description(48, 40, 1, 16), bits) is None


@pytest.mark.parametrize("syntax", CODES)
@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
def test_half_a_codestream_is_not_decoded(syntax, end):
    code = CODES[syntax](SMOOTH)
    bits = 16 if syntax in (JPEGLSLossless, RLELossless) else 12
    cut, wanted = code[: len(code) // 2] + end, Description(48, 40, 1, 16)
    if syntax == JPEGLosslessSV1 and end:  # no other decoder may have a try
        with pytest.raises(jpeg_lossless.DamagedError):
            codestream.decode(cut, syntax, wanted, bits)
    else:
        assert codestream.decode(cut, syntax, wanted, bits) is None


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1])
def test_a_codestream_that_claims_more_pixels_than_the_header_is_refused_before_it_is_decoded(syntax):
    code = bytearray(CODES[syntax](SMOOTH))
    if syntax == JPEG2000Lossless:
        struct.pack_into(">2I", code, 8, 100_000, 100_000)
    else:
        marker = code.index(b"\xff\xf7" if syntax == JPEGLSLossless else b"\xff\xc3")
        struct.pack_into(">2H", code, marker + 5, 65_535, 65_535)
    source = stored.load(to_bytes(encapsulated(dataset(SMOOTH, BitsStored=12), bytes(code), syntax)), "x.dcm")
    with pytest.raises(PipelineError, match=r"its codestream says \d{5,6}, \(0028,0010\) Rows is 48"):
        stored.read(source, 0, "x.dcm")
