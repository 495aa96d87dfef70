"""The same picture in another encoding is the same picture."""

import copy
import io

import imagecodecs
import numpy as np
import pytest
from dicoms import dataset, encapsulated, to_bytes
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.pixels.processing import convert_color_space
from pydicom.sequence import Sequence
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from pipeline.imaging import picture
from pipeline.imaging.picture import Look

LOOK = Look(size=16, fit="pad", window="file", voi=1, crop="none", face="as_is", bits=8, channels=1)
SIZE = (48, 40)


def smooth(bits: int) -> np.ndarray:
    """A smooth picture with some grain, (48, 40) uint8 or uint16, that reaches both ends of its range."""
    y, x = np.mgrid[0:1:48j, 0:1:40j]
    grain = np.random.default_rng(0).uniform(0, 0.05, SIZE)
    values = np.clip(0.5 + 0.5 * np.sin(5 * x + 3 * y) + grain - 0.02, 0, 1)
    return np.rint(values * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)


def grey(stored: np.ndarray, bits: int, center=None, width=None, **tags) -> Dataset:
    """With a window of 4/5 of the range, unless it is given."""
    made = dataset(stored, BitsStored=bits, VOILUTFunction="LINEAR_EXACT", **tags)
    made.WindowCenter = 2 ** (bits - 1) if center is None else center
    made.WindowWidth = width or int(0.8 * 2**bits)
    return made


def colour() -> np.ndarray:
    """(48, 40, 3) uint8."""
    return np.stack([smooth(8), smooth(8)[::-1], smooth(8)[:, ::-1]], axis=-1)


def full(content: Dataset | bytes, frame: int = 1) -> np.ndarray:
    return picture.full(content if isinstance(content, bytes) else to_bytes(content), "x.dcm", frame, LOOK)


def small(content: Dataset | bytes, frame: int = 1) -> np.ndarray:
    return picture.show(content if isinstance(content, bytes) else to_bytes(content), "x.dcm", frame, LOOK).picture


def check_same(one: Dataset | bytes, other: Dataset | bytes, tolerance: float = 0) -> None:
    np.testing.assert_allclose(full(one), full(other), rtol=0, atol=tolerance)
    np.testing.assert_allclose(small(one).astype(int), small(other), rtol=0, atol=np.ceil(255 * tolerance))


TWELVE = smooth(12)


@pytest.fixture(scope="module")
def plain() -> bytes:
    return to_bytes(grey(TWELVE, 12))


# Values that mean the same

ENCODINGS = {
    "inverted for MONOCHROME1": grey(4095 - TWELVE, 12, 4095 - 2048, 3276, PhotometricInterpretation="MONOCHROME1"),
    "signed": grey(TWELVE.astype(np.int16) - 2048, 12, RescaleIntercept=2048, RescaleSlope=1),
    "signed, without rescale": grey(TWELVE.astype(np.int16) - 2048, 12, 0, 3276),
    "rescaled": grey(TWELVE, 12, 0.5 * 2048 - 1024, 0.5 * 3276, RescaleSlope="0.5", RescaleIntercept="-1024"),
    "turned round by a slope": grey(4095 - TWELVE, 12, RescaleSlope=-1, RescaleIntercept=4095),
    "shifted within 16 bits": grey(TWELVE * 16, 16, 2048, 3276, RescaleSlope="0.0625", RescaleIntercept=0),
    "junk above the bits stored": grey(TWELVE | 0xA000, 12),
    "in 32 bits": grey(TWELVE.astype(np.uint32), 12),
    "in 32 bits with sign": grey(
        TWELVE.astype(np.int32) - 10**6, 32, 2048, 3276, RescaleSlope=1, RescaleIntercept=10**6
    ),
    "two windows": grey(TWELVE, 12, [2048, 9], [3276, 9]),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_values_that_mean_the_same_show_the_same(name, plain):
    check_same(ENCODINGS[name], plain, 1e-6)


def test_a_window_may_be_written_as_a_table(plain):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 16])
    shown = np.clip((np.arange(4096) - 2048) / 3276 + 0.5, 0, 1)
    item.add_new("LUTData", "OW", np.rint(shown * 65535).astype("<u2").tobytes())
    check_same(dataset(TWELVE, BitsStored=12, VOILUTSequence=Sequence([item])), plain, 1e-5)


def test_a_rescale_may_be_written_as_a_table(plain):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 16])
    item.add_new("LUTData", "OW", (np.arange(4096) * 2 + 7).astype("<u2").tobytes())
    made = grey(TWELVE, 12, 2 * 2048 + 7, 2 * 3276, ModalityLUTSequence=Sequence([item]))
    check_same(made, plain, 1e-6)


def test_floating_point_shows_the_same(plain):
    made = grey(TWELVE, 12)
    for word in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(made, word)
    made.BitsAllocated, made.FloatPixelData = 32, TWELVE.astype("<f4").tobytes()
    check_same(made, plain, 1e-6)


# Files that hold the same

FILES = {
    "implicit": ImplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}


def rewritten(made: Dataset, syntax: str) -> Dataset:
    """Native in another syntax."""
    made = copy.deepcopy(made)
    made.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian and made.BitsAllocated == 16:
        made.PixelData = np.frombuffer(made.PixelData, "<u2").byteswap().tobytes()
    return made


@pytest.mark.parametrize("name", FILES)
def test_a_native_syntax_shows_the_same(name, plain):
    check_same(rewritten(grey(TWELVE, 12), FILES[name]), plain)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", FILES)
def test_a_native_syntax_of_colour_shows_the_same(name, bits):
    made = dataset(colour().astype(f"u{bits // 8}") << (bits - 8))
    check_same(rewritten(made, FILES[name]), made)


def test_bytes_of_big_endian_may_be_swapped_as_words():
    # PS3.5 section 7.3 and A.3: VR OW in big endian holds two pixels of 8 bits in each word
    made = rewritten(grey(smooth(8), 8), ExplicitVRBigEndian)
    made.PixelData = np.frombuffer(made.PixelData, "u2").byteswap().tobytes()
    made["PixelData"].VR = "OW"
    check_same(made, grey(smooth(8), 8))


def test_without_preamble_it_shows_the_same(plain):
    check_same(plain[132:], plain)


@pytest.mark.parametrize("implicit", [True, False])
def test_without_meta_header_it_shows_the_same(implicit, plain):
    made = grey(TWELVE, 12)
    del made.file_meta
    buffer = io.BytesIO()
    made.save_as(buffer, implicit_vr=implicit, little_endian=True)
    assert buffer.getvalue()[128:132] != b"DICM"
    check_same(buffer.getvalue(), plain)


def test_a_frame_among_others_shows_the_same(plain):
    many = grey(TWELVE, 12, NumberOfFrames=3)
    many.PixelData = np.stack([TWELVE[::-1], TWELVE, TWELVE // 2]).tobytes()
    np.testing.assert_array_equal(full(many, 2), full(plain))
    np.testing.assert_array_equal(small(many, 2), small(plain))
    many.PixelData = np.stack([TWELVE // 2, TWELVE, TWELVE // 3]).tobytes()
    np.testing.assert_array_equal(full(many, 0), full(plain))


# Codestreams without loss

GREY_ENCODERS = {
    "RLE": (RLELossless, lambda stored, bits: rle(stored)),
    "JPEG lossless, predictor 6": (JPEGLossless, lambda stored, bits: imagecodecs.ljpeg_encode(stored)),
    "JPEG lossless, predictor 4": (
        JPEGLossless,
        lambda stored, bits: imagecodecs.jpeg8_encode(stored, lossless=True, predictor=4, bitspersample=bits),
    ),
    "JPEG lossless, predictor 1": (
        JPEGLosslessSV1,
        lambda stored, bits: imagecodecs.jpeg8_encode(stored, lossless=True, predictor=1, bitspersample=bits),
    ),
    "JPEG-LS": (JPEGLSLossless, lambda stored, bits: imagecodecs.jpegls_encode(stored)),
    "JPEG-LS that might be near-lossless": (JPEGLSNearLossless, lambda stored, bits: imagecodecs.jpegls_encode(stored)),
    "JPEG 2000": (JPEG2000Lossless, lambda stored, bits: jpeg2000(stored, bits)),
    "JPEG 2000 that might have loss": (JPEG2000, lambda stored, bits: jpeg2000(stored, bits)),
    "HTJ2K": (HTJ2KLossless, lambda stored, bits: imagecodecs.htj2k_encode(stored)),
    "HTJ2K RPCL": (HTJ2KLosslessRPCL, lambda stored, bits: imagecodecs.htj2k_encode(stored)),
    "HTJ2K that might have loss": (HTJ2K, lambda stored, bits: imagecodecs.htj2k_encode(stored)),
}


def rle(pixels: np.ndarray) -> bytes:
    made = dataset(pixels)
    made.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    return next(generate_frames(made.PixelData, number_of_frames=1))


def jpeg2000(stored: np.ndarray, bits: int) -> bytes:
    return imagecodecs.jpeg2k_encode(stored, codecformat="j2k", reversible=True, bitspersample=bits)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("name", GREY_ENCODERS)
def test_a_codestream_without_loss_shows_the_same(name, bits):
    syntax, encode = GREY_ENCODERS[name]
    made = grey(smooth(bits), bits)
    check_same(encapsulated(copy.deepcopy(made), encode(smooth(bits), bits), syntax), made)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("name", ["RLE", "JPEG lossless, predictor 6", "JPEG lossless, predictor 1", "JPEG-LS"])
def test_a_codestream_that_knows_no_sign_takes_that_of_the_header(name, bits):
    syntax, encode = GREY_ENCODERS[name]
    signed = (smooth(bits).astype(np.int32) - 2 ** (bits - 1)).astype(np.int8 if bits == 8 else np.int16)
    made = grey(signed, bits, 0)
    code = encode(signed.view(f"u{signed.dtype.itemsize}") & np.array(2**bits - 1, f"u{signed.dtype.itemsize}"), bits)
    check_same(encapsulated(copy.deepcopy(made), code, syntax), made)


@pytest.mark.parametrize("name", ["pylibjpeg", "of a wrong sign"])
def test_jpeg2000_of_signed_values_shows_the_same(name):
    made = grey(TWELVE.astype(np.int16) - 2048, 12, 0)
    other = copy.deepcopy(made)
    if name == "pylibjpeg":
        other.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    else:  # two's complement of 12 bits, called unsigned
        code = jpeg2000((TWELVE.astype(np.int16) - 2048).view(np.uint16) & 4095, 12)
        other = encapsulated(other, code, JPEG2000Lossless)
    check_same(other, made)


@pytest.mark.parametrize("name", ["JPEG lossless, predictor 6", "JPEG-LS", "JPEG 2000", "HTJ2K"])
def test_a_codestream_of_more_bits_than_are_stored_shows_the_same(name):
    # Common for writers that encode whole 16-bit words.
    syntax, encode = GREY_ENCODERS[name]
    made = grey(TWELVE, 12)
    check_same(encapsulated(copy.deepcopy(made), encode(np.maximum(TWELVE, 1), 16), syntax), made, 1 / 3276)


@pytest.mark.parametrize("name", GREY_ENCODERS)
def test_frames_in_codestreams_and_fragments_show_the_same(name):
    syntax, encode = GREY_ENCODERS[name]
    frames = [encode(stored, 12) for stored in (TWELVE[::-1].copy(), TWELVE, TWELVE // 2)]
    made = grey(TWELVE, 12, NumberOfFrames=3)
    for pieces in (1, 2):
        if pieces == 2 and syntax == RLELossless:  # one fragment per frame: PS3.5 A.4.2
            continue
        other = encapsulated(copy.deepcopy(made), frames[0], syntax)
        other.PixelData = encapsulate(frames, fragments_per_frame=pieces, has_bot=True)
        np.testing.assert_array_equal(full(other, 2), full(grey(TWELVE, 12)))
    other.PixelData, other.ExtendedOffsetTable, other.ExtendedOffsetTableLengths = encapsulate_extended(frames)
    np.testing.assert_array_equal(full(other, 3), full(grey(TWELVE // 2, 12)))


COLOUR_ENCODERS = {
    "RLE": (RLELossless, "RGB", lambda: rle(colour())),
    "RLE of YBR": (RLELossless, "YBR_FULL", lambda: rle(convert_color_space(colour(), "RGB", "YBR_FULL"))),
    "JPEG-LS": (JPEGLSLossless, "RGB", lambda: imagecodecs.jpegls_encode(colour())),
    "JPEG 2000": (JPEG2000Lossless, "RGB", lambda: jpeg2000_of_colour(mct=False)),
    "JPEG 2000 in components of its own": (JPEG2000Lossless, "YBR_RCT", lambda: jpeg2000_of_colour(mct=True)),
    "HTJ2K": (HTJ2KLossless, "YBR_RCT", lambda: imagecodecs.htj2k_encode(colour())),
}


def jpeg2000_of_colour(mct: bool) -> bytes:
    return imagecodecs.jpeg2k_encode(colour(), codecformat="j2k", reversible=True, mct=mct)


@pytest.mark.parametrize("name", COLOUR_ENCODERS)
def test_colour_in_a_codestream_shows_the_same(name):
    syntax, photometric, encode = COLOUR_ENCODERS[name]
    made = dataset(colour(), PhotometricInterpretation=photometric)
    made = encapsulated(made, encode(), syntax)
    # YBR of 8 bits is rounded once; PS3.3 C.7.6.3.1.2
    check_same(made, dataset(colour()), 2.5 / 255 if photometric == "YBR_FULL" else 1e-6)


def test_colour_by_plane_and_by_palette_shows_the_same():
    planar = dataset(colour(), PlanarConfiguration=1, PixelData=colour().transpose(2, 0, 1).tobytes())
    check_same(planar, dataset(colour()))
    table = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
    made = dataset(smooth(8), PhotometricInterpretation="PALETTE COLOR")
    for number, name in enumerate(("Red", "Green", "Blue")):
        made.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, 8])
        made.add_new(f"{name}PaletteColorLookupTableData", "OW", table[:, number].tobytes())
    check_same(made, dataset(table[smooth(8)]), 1e-6)


# Codestreams with loss


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


LOSSY = {
    "JPEG baseline": (8, JPEGBaseline8Bit, lambda stored: jpeg(stored), 10),
    "JPEG extended of 8 bits": (8, JPEGExtended12Bit, lambda stored: jpeg(stored), 10),
    "JPEG extended of 12 bits": (
        12,
        JPEGExtended12Bit,
        lambda stored: imagecodecs.jpeg8_encode(stored, level=98, bitspersample=12),
        160,
    ),
    "JPEG-LS near-lossless": (12, JPEGLSNearLossless, lambda stored: imagecodecs.jpegls_encode(stored, level=3), 3.01),
    "JPEG 2000": (
        12,
        JPEG2000,
        lambda stored: imagecodecs.jpeg2k_encode(stored, 60, codecformat="j2k", reversible=False, bitspersample=12),
        20,
    ),
    # The greatest values come back as more than 12 bits, and must not begin at black again.
    "JPEG 2000 of more bits than are stored": (
        12,
        JPEG2000,
        lambda stored: imagecodecs.jpeg2k_encode(stored, 60, codecformat="j2k", reversible=False, bitspersample=16),
        300,  # 60 dB of 16 bits are a deviation of 65
    ),
    "HTJ2K": (16, HTJ2K, lambda stored: imagecodecs.htj2k_encode(stored, 0.001, reversible=False), 400),
}


@pytest.mark.parametrize("name", LOSSY)
def test_a_codestream_with_loss_shows_nearly_the_same(name):
    bits, syntax, encode, most = LOSSY[name]
    made = grey(smooth(bits), bits)
    check_same(encapsulated(copy.deepcopy(made), encode(smooth(bits)), syntax), made, most / (0.8 * 2**bits))


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_FULL"])
def test_colour_of_jpeg_baseline_shows_nearly_the_same(photometric):
    made = dataset(colour(), PhotometricInterpretation=photometric)
    difference = np.abs(full(encapsulated(made, jpeg(colour()), JPEGBaseline8Bit)) - colour() / 255)
    assert difference.mean() < 0.02
    assert difference.max() < 0.15
