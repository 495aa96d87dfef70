"""The decoder against an encoder of its own making: every predictor and every length of difference."""

import contextlib
import os
import struct
import subprocess
import sys

import imagecodecs
import numpy as np
import pytest
from dicoms import dataset, encapsulated, to_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from imports import ROOT
from pydicom.uid import JPEGLosslessSV1

from pipeline.errors import PipelineError
from pipeline.imaging import codestream, jpeg_lossless, stored

# Codes of 2…16 bits for the sizes 0…16, so that short, long and the longest codes occur.
COUNTS = [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3]
PREDICTORS = {
    1: lambda a, b, c: a,
    2: lambda a, b, c: b,
    3: lambda a, b, c: c,
    4: lambda a, b, c: a + b - c,
    5: lambda a, b, c: a + ((b - c) >> 1),
    6: lambda a, b, c: b + ((a - c) >> 1),
    7: lambda a, b, c: (a + b) >> 1,
}


def codes():
    """Code and length of each size, in the order of annex C."""
    found, code, size = {}, 0, 0
    for length, count in enumerate(COUNTS, 1):
        for _ in range(count):
            found[size] = f"{code:0{length}b}"
            code, size = code + 1, size + 1
        code <<= 1
    return found


CODES = codes()


def encode(pixels, predictor, precision=16, restart=0):
    bits = []
    for y, x in np.ndindex(*pixels.shape):
        a, b, c = (int(pixels[y - dy, x - dx]) if y >= dy and x >= dx else 0 for dy, dx in ((0, 1), (1, 0), (1, 1)))
        inner = PREDICTORS[predictor](a, b, c) if y else a
        expected = inner if x else b if y else 1 << (precision - 1)
        difference = (int(pixels[y, x]) - expected) & 0xFFFF
        difference -= (difference > 32768) << 16
        size = abs(difference).bit_length()
        raw = difference if difference >= 0 else difference + (1 << size) - 1
        bits.append(CODES[size] + (f"{raw:0{size}b}" if 0 < size < 16 else ""))
    stream = "".join(bits)
    stream += "1" * (-len(stream) % 8)
    data = int(stream, 2).to_bytes(len(stream) // 8, "big").replace(b"\xff", b"\xff\x00")
    rows, columns = pixels.shape
    return b"".join(
        [
            b"\xff\xd8",
            b"\xff\xc3" + struct.pack(">HBHHB3B", 11, precision, rows, columns, 1, 1, 0x11, 0),
            b"\xff\xc4" + struct.pack(">HB", 2 + 17 + 17, 0) + bytes(COUNTS) + bytes(range(17)),
            b"\xff\xdd" + struct.pack(">HH", 4, restart),
            b"\xff\xda" + struct.pack(">HB2B3B", 8, 1, 1, 0, predictor, 0, 0),
            data,
            b"\xff\xd9",
        ]
    )


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.sampled_from(sorted(PREDICTORS)))
def test_every_predictor_and_every_difference_is_decoded(pixels, predictor):
    np.testing.assert_array_equal(jpeg_lossless.decode(encode(pixels, predictor)), pixels)


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint16, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.integers(0, 4095)))
def test_another_encoder_is_understood(pixels):
    np.testing.assert_array_equal(jpeg_lossless.decode(imagecodecs.ljpeg_encode(pixels, bitspersample=12)), pixels)


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 2000), st.binary(max_size=3))
def test_a_scan_that_ends_early_is_never_shown(cut, end):
    noise = np.random.default_rng(cut).integers(0, 4096, (40, 40), np.uint16)
    code = encode(noise, 1, 12)
    with pytest.raises(jpeg_lossless.DamagedError):
        jpeg_lossless.decode(code[:-cut] + b"\xff" + end.replace(b"\0", b"\1"))


def damaged(count):
    """Codestreams of 20 × 20 pixels with up to five bytes changed."""
    whole, random = encode(np.arange(400, dtype=np.uint16).reshape(20, 20) * 7, 1, 12), np.random.default_rng(0)
    for _ in range(count):
        code = bytearray(whole)
        for at in random.integers(2, len(code), random.integers(1, 6)):
            code[at] = random.integers(256)
        yield bytes(code)


def decode_damaged(count):
    """Decode these as `stored` would; the errors are those that it expects."""
    for code in damaged(count):
        found = codestream.describe(code)
        if found and (found.rows, found.columns) == (20, 20):
            with contextlib.suppress(jpeg_lossless.DamagedError, struct.error, IndexError, KeyError, ValueError):
                shown = jpeg_lossless.decode(code)
                assert shown is None or shown.shape == (20, 20)


def test_a_damaged_codestream_gives_a_picture_or_an_expected_error():
    decode_damaged(2000)


@pytest.mark.slow
def test_a_damaged_codestream_never_reads_or_writes_out_of_bounds(tmp_path):
    """Compiled anew with checks, under which a step out of bounds is an IndexError that ends the process."""
    code = (
        "import importlib.util, sys; from pipeline.imaging import jpeg_lossless as j;"
        f"spec = importlib.util.spec_from_file_location('t', {__file__!r});"
        "t = importlib.util.module_from_spec(spec); spec.loader.exec_module(t);"
        "plain = j._decode\n"
        "def checked(*args):\n"
        "    try: return plain(*args)\n"
        "    except IndexError: sys.exit('out of bounds')\n"
        "j._decode = checked; t.decode_damaged(20000)"
    )
    environment = {
        **os.environ,
        "NUMBA_BOUNDSCHECK": "1",
        "NUMBA_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
    }
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


@pytest.mark.parametrize("counts", [[17] + [0] * 15, [0, 5, 4, 8] + [0] * 12])
def test_a_table_with_more_codes_than_there_can_be_is_refused(counts):
    code = encode(np.arange(4, dtype=np.uint16).reshape(2, 2), 1).replace(bytes(COUNTS), bytes(counts))
    with pytest.raises(jpeg_lossless.DamagedError):
        jpeg_lossless.decode(code)


def test_what_it_does_not_know_is_left_to_others():
    assert jpeg_lossless.decode(encode(np.zeros((2, 2), np.uint16), 1, restart=1)) is None
    assert jpeg_lossless.decode(imagecodecs.jpeg8_encode(np.zeros((8, 8), np.uint8))) is None


def test_a_truncated_scan_in_a_whole_file_is_refused():
    noise = np.random.default_rng(0).integers(0, 4096, (40, 40), np.uint16)
    code = imagecodecs.ljpeg_encode(noise, bitspersample=12)
    made = encapsulated(dataset(noise, BitsStored=12), code[: len(code) // 2] + b"\xff\xd9", JPEGLosslessSV1)
    with pytest.raises(PipelineError, match="truncated or damaged: its codestream does not hold all pixels"):
        stored.read(stored.load(to_bytes(made), "x.dcm"), 0, "x.dcm")
