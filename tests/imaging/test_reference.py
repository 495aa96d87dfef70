import contextlib
import dataclasses
import struct

import numpy as np
import pytest
from dicoms import to_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from imaging import reference
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from pipeline.errors import PipelineError
from pipeline.imaging import picture
from pipeline.imaging.picture import Look

LOOK = Look(size=7, fit="squash", window="file", voi=1, crop="none", face="as_is", bits=8, channels=1)
NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
SEQUENCES = (ExplicitVRLittleEndian, ExplicitVRBigEndian)
PLUGINS = {RLELossless: "pydicom", JPEGLSLossless: "pyjpegls", JPEG2000Lossless: "pylibjpeg"}

looks = st.builds(
    Look,
    size=st.sampled_from([3, 7, 12]),
    fit=st.sampled_from(["pad", "squash", "crop"]),
    window=st.sampled_from(["file", "file", "file", "percentile", (30.0, 50.0), (-5.5, 0.5)]),
    voi=st.integers(1, 3),
    crop=st.just("none"),
    face=st.just("as_is"),
    bits=st.sampled_from([8, 16]),
    channels=st.sampled_from([1, 3]),
)


def check(made: Dataset, frame: int, look: Look) -> None:
    """The picture is that of the reference, or refused because it shows nothing."""
    content = to_bytes(made)
    expected = reference.full(content, frame, look)
    if _spread(expected) == 0:
        with pytest.raises(PipelineError, match=r"every pixel|leaves every pixel"):
            picture.show(content, "x.dcm", frame, look)
        return
    with _refusal_only_if(_spread(expected) < 0.01):
        np.testing.assert_allclose(picture.full(content, "x.dcm", frame, look), expected, rtol=0, atol=1e-6)
    with _refusal_only_if(_spread(reference.fit(expected, look.size, look.fit)) < 0.01):
        shown = picture.show(content, "x.dcm", frame, look).picture
        assert (shown.dtype, shown.shape) == (look.dtype, look.shape)
        difference = np.abs(shown.astype(int) - reference.show(expected, look)).max()
        assert difference <= (1 if look.bits == 8 else 257)


def _spread(shown: np.ndarray) -> float:
    assert np.isfinite(shown).all()
    return np.ptp(shown, axis=(0, 1)).max()


def _refusal_only_if(nearly_blank: bool):
    """Where next to nothing is shown, rounding decides whether it is nothing."""
    return contextlib.suppress(PipelineError) if nearly_blank else contextlib.nullcontext()


def image(pixels: np.ndarray, syntax: UID, bits: int, **tags) -> Dataset:
    """Frames (n, H, W) or (n, H, W, 3) in a native syntax; Bits Allocated is that of the type, and 1 for bool."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    made.Rows, made.Columns = pixels.shape[1:3]
    made.SamplesPerPixel = 1 if pixels.ndim == 3 else 3
    made.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 3 else "RGB"
    if len(pixels) > 1:
        made.NumberOfFrames = len(pixels)
    if pixels.ndim == 4:
        made.PlanarConfiguration = 0
    made.BitsAllocated = 1 if pixels.dtype == bool else 8 * pixels.dtype.itemsize
    if pixels.dtype.kind == "f":
        word = "FloatPixelData" if pixels.dtype.itemsize == 4 else "DoubleFloatPixelData"
    else:
        word = "PixelData"
        made.BitsStored, made.HighBit, made.PixelRepresentation = bits, bits - 1, int(pixels.dtype.kind == "i")
    order = "<" if syntax.is_little_endian else ">"
    data = (
        pack_bits(pixels.ravel()) if pixels.dtype == bool else pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    )
    setattr(made, word, data + b"\0" * (len(data) % 2))
    if word == "PixelData":
        made["PixelData"].VR = "OB" if made.BitsAllocated <= 8 else "OW"
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    return made


def item(**tags) -> list[Dataset]:
    made = Dataset()
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    return [made]


def number(value: float) -> str:
    """A decimal string of at most 16 characters."""
    return f"{value:.9g}"


@st.composite
def stored(draw, most=32, least_side=1):
    """Frames of random stored values, the bits that are used, and the least and greatest value that they can hold."""
    allocated = draw(st.sampled_from([kind for kind in (1, 8, 8, 16, 16, 16, 32) if kind <= most]))
    side = st.integers(max(2, least_side), max(12, least_side + 3))
    shape = draw(st.integers(1, 3)), draw(side) - (least_side == 1), draw(side)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    if allocated == 1:
        return rng.integers(0, 2, shape).astype(bool), 1, (0, 1)
    bits = draw(st.integers(1, allocated))
    signed = draw(st.booleans())
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    narrow = draw(st.sampled_from([1, 1, 8, 1000]))  # values of real pictures seldom fill their range
    pixels = rng.integers(low // narrow, high // narrow, shape, endpoint=True)
    return pixels.astype(f"{'i' if signed else 'u'}{allocated // 8}"), bits, (low, high)


def with_junk(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Random bits above those stored, as overlays left them there."""
    if pixels.dtype == bool or 8 * pixels.dtype.itemsize == bits:
        return pixels
    rng = np.random.default_rng(0)
    junk = rng.integers(0, 2 ** (8 * pixels.dtype.itemsize - bits), pixels.shape) << bits
    return ((pixels.astype(np.int64) & (1 << bits) - 1) | junk).astype(f"u{pixels.dtype.itemsize}").view(pixels.dtype)


@st.composite
def rescales(draw):
    slope = draw(st.sampled_from([1, 2, 0.5, 0.1, -1, -0.37, 1e-3, 812.5]))
    intercept = draw(st.sampled_from([0, -1024, 1000, 0.25, -3.7]))
    return {"RescaleSlope": number(slope), "RescaleIntercept": number(intercept)}


@st.composite
def windows(draw, low, high, count):
    """Windows around a range of values."""
    spread = abs(high - low) or 1
    centers = [number(low + (high - low) * draw(st.floats(-0.2, 1.2))) for _ in range(count)]
    widths = [number(max(1, spread * draw(st.floats(0, 2)))) for _ in range(count)]
    tags = {"WindowCenter": centers if count > 1 else centers[0], "WindowWidth": widths if count > 1 else widths[0]}
    function = draw(st.sampled_from([None, "LINEAR", "LINEAR_EXACT", "SIGMOID"]))
    return tags | ({"VOILUTFunction": function} if function else {})


@st.composite
def tables(draw, low, high, depths, little):
    """An item with LUT Descriptor and LUT Data around a range of values."""
    bits = draw(st.sampled_from(depths))
    entries = draw(st.sampled_from([2, 50, 256, 300, 1000]))
    first = min(max(int(low) + draw(st.integers(-60, 60)), -(2**15)), 2**15 - 1)
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 2**bits, entries)
    made = Dataset()
    made.add_new("LUTDescriptor", "SS" if first < 0 else "US", [entries, first, bits])
    packed = draw(st.booleans())
    data = struct.pack(f"{'<' if little else '>'}{entries}H", *values) if packed else values.tolist()
    made.add_new("LUTData", "OW" if packed else "US", data)
    return made


@st.composite
def grey(draw, native=True):
    """A grey file with any of the tags that change how it looks."""
    pixels, bits, (low, high) = draw(stored())
    tabled = draw(st.sampled_from(["", "", "modality", "voi", "voi"])) if bits <= 16 else ""
    syntax = draw(st.sampled_from(SEQUENCES if tabled else NATIVE))
    made = image(with_junk(pixels, bits) if draw(st.booleans()) else pixels, syntax, bits)
    tags: dict = {}
    low, high = float(pixels.min()), float(pixels.max())
    if tabled == "modality":
        tags["ModalityLUTSequence"] = [draw(tables(low, high, [8, 16], syntax.is_little_endian))]
        low, high = 0, 2 ** tags["ModalityLUTSequence"][0].LUTDescriptor[2] - 1
    elif draw(st.booleans()):
        tags |= draw(rescales())
        low, high = (end * float(tags["RescaleSlope"]) + float(tags["RescaleIntercept"]) for end in (low, high))
    if tabled == "voi":
        count = draw(st.integers(1, 2))
        around = min(low, high), max(low, high)
        depths = [8, 10, 12, 16]
        tags["VOILUTSequence"] = [draw(tables(*around, depths, syntax.is_little_endian)) for _ in range(count)]
    if draw(st.booleans()):
        tags |= draw(windows(low, high, draw(st.integers(1, 3))))
    tags["PhotometricInterpretation"] = draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"]))
    if shape := draw(st.sampled_from(["", "IDENTITY", "INVERSE"])):
        tags["PresentationLUTShape"] = shape
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    if bits <= 16 and draw(st.booleans()):
        _pad(draw, made, pixels)
    return made


def _pad(draw, made: Dataset, pixels: np.ndarray) -> None:
    kind = "SS" if made.PixelRepresentation else "US"
    values = [int(value) for value in np.unique(pixels)[[0, len(np.unique(pixels)) // 3, -1]]]
    made.add_new("PixelPaddingValue", kind, draw(st.sampled_from(values)))
    if draw(st.booleans()):
        made.add_new("PixelPaddingRangeLimit", kind, draw(st.sampled_from(values)))


@settings(max_examples=250, deadline=None)
@given(grey(), looks, st.integers(0, 3))
def test_grey_files_of_any_depth_sign_order_and_display(made, look, frame):
    check(made, min(frame, int(made.get("NumberOfFrames") or 1)), look)


@settings(max_examples=60, deadline=None)
@given(stored(most=16, least_side=32), st.sampled_from(list(PLUGINS)), st.booleans(), looks, st.integers(0, 3))
def test_compressed_grey_files(values, syntax, rescaled, look, frame):
    pixels, bits, _ = values
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    # JPEG-LS has at least 2 bits, and pydicom 3.0 writes RLE of 8 bits in 16 with half of the segments' length.
    bits = max(bits, 2 if pixels.dtype.itemsize == 1 else 9)
    tags = {"RescaleSlope": "2", "RescaleIntercept": "-100"} if rescaled else {}
    made = image(pixels, ExplicitVRLittleEndian, bits, WindowCenter=20, WindowWidth=60, **tags)
    made.compress(syntax, encoding_plugin=PLUGINS[syntax], generate_instance_uid=False)
    check(made, min(frame, len(pixels)), look)


@settings(max_examples=40, deadline=None)
@given(
    pixels=stored().map(lambda found: found[0].astype(float)),
    kind=st.sampled_from([np.float32, np.float64]),
    syntax=st.sampled_from(NATIVE),
    tags=st.one_of(st.just({}), rescales(), windows(0, 100, 1)),
    padded=st.booleans(),
    hole=st.sampled_from([None, np.nan, np.inf]),
    look=looks,
    frame=st.integers(0, 3),
)
def test_pixels_in_floating_point(pixels, kind, syntax, tags, padded, hole, look, frame):
    pixels = (pixels / 8).astype(kind)
    word = "FloatPixelPadding" if kind is np.float32 else "DoubleFloatPixelPadding"
    if padded:
        tags = tags | {f"{word}Value": float(pixels.min()), f"{word}RangeLimit": float(np.median(pixels)) - 1}
    if hole is not None:
        pixels[:, 0, 0] = hole
    check(image(pixels, syntax, 0, **tags), min(frame, len(pixels)), look)


@st.composite
def colour(draw, syntaxes=NATIVE, least_side=2, least_bits=2):
    """RGB and YBR in every arrangement."""
    syntax = draw(st.sampled_from(syntaxes))
    photometric = draw(st.sampled_from(["RGB", "RGB", "YBR_FULL", "YBR_FULL_422"]))
    allocated = draw(st.sampled_from([8, 16])) if photometric == "RGB" else 8
    bits = draw(st.integers(min(least_bits, allocated), allocated)) if photometric == "RGB" else 8
    frames, rows = draw(st.integers(1, 3)), draw(st.integers(least_side, least_side + 8))
    columns = 2 * draw(st.integers(least_side // 2, least_side // 2 + 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    pixels = rng.integers(0, 2**bits, (frames, rows, columns, 3)).astype(f"u{allocated // 8}")
    planar = photometric != "YBR_FULL_422" and draw(st.booleans())
    made = image(pixels, syntax, bits, PhotometricInterpretation=photometric)
    data = pixels.astype(pixels.dtype.newbyteorder("<" if syntax.is_little_endian else ">"))
    if planar:
        made.PlanarConfiguration, data = 1, data.transpose(0, 3, 1, 2)
    if photometric == "YBR_FULL_422":  # Y Y CB CR of two neighbours; PS3.3 C.7.6.3.1.2
        pairs = data.reshape(frames, rows, columns // 2, 6)
        data = pairs[..., [0, 3, 1, 2]]
    made.PixelData = data.tobytes()
    return made


@settings(max_examples=80, deadline=None)
@given(colour(), looks.map(lambda look: dataclasses.replace(look, channels=3)), st.integers(0, 3))
def test_colour_files_in_any_arrangement(made, look, frame):
    check(made, min(frame, int(made.get("NumberOfFrames") or 1)), look)


@settings(max_examples=30, deadline=None)
@given(
    colour([ExplicitVRLittleEndian], 32, 9).filter(lambda made: made.PhotometricInterpretation == "RGB"),
    st.sampled_from(list(PLUGINS)),
    looks.map(lambda look: dataclasses.replace(look, channels=3)),
    st.integers(0, 3),
)
def test_compressed_colour_files(made, syntax, look, frame):
    made.compress(syntax, encoding_plugin=PLUGINS[syntax], generate_instance_uid=False)
    check(made, min(frame, int(made.get("NumberOfFrames") or 1)), look)


@st.composite
def palette(draw):
    """Palette colour with tables of 8 or 16 bits, whole or in segments (PS3.3 C.7.9.2)."""
    syntax = draw(st.sampled_from(NATIVE))
    allocated = draw(st.sampled_from([8, 16]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    entries, first = draw(st.sampled_from([3, 64, 256, 300])), draw(st.integers(0, 40))
    shape = draw(st.integers(1, 3)), draw(st.integers(1, 8)), draw(st.integers(2, 8))
    pixels = rng.integers(0, min(2**allocated, entries + 60), shape).astype(f"u{allocated // 8}")
    made = image(pixels, syntax, 8 * pixels.dtype.itemsize, PhotometricInterpretation="PALETTE COLOR")
    bits, wide, segmented = draw(st.sampled_from([(8, 1, False), (16, 2, False), (8, 2, False), (16, 2, True)]))
    order = "<" if syntax.is_little_endian else ">"
    for name in ("Red", "Green", "Blue"):
        made.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [entries, first, bits])
        if segmented:  # one entry, then a straight line to another value
            data = struct.pack(f"{order}6H", 0, 1, int(rng.integers(2**16)), 1, entries - 1, int(rng.integers(2**16)))
        else:
            data = rng.integers(0, 2**bits, entries).astype(f"{order}u{wide}").tobytes()
        data += b"\0" * (len(data) % 2)
        made.add_new(f"{'Segmented' * segmented}{name}PaletteColorLookupTableData", "OW", data)
    return made


@settings(max_examples=60, deadline=None)
@given(palette(), looks.map(lambda look: dataclasses.replace(look, channels=3)), st.integers(0, 3))
def test_palette_colour_files(made, look, frame):
    check(made, min(frame, int(made.get("NumberOfFrames") or 1)), look)


places = st.sampled_from(["root", "shared", "frames"])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 99),
    frames=st.integers(1, 3),
    transformations=st.dictionaries(places, st.lists(rescales(), min_size=3, max_size=3), max_size=3),
    display=st.dictionaries(places, st.lists(windows(0, 200, 2), min_size=3, max_size=3), max_size=3),
    look=looks,
    frame=st.integers(0, 3),
)
def test_functional_groups_of_the_frame_come_before_those_of_all_and_before_the_root(
    seed, frames, transformations, display, look, frame
):
    pixels = np.random.default_rng(seed).integers(0, 256, (frames, 6, 5)).astype(np.uint8)
    made = image(pixels, ExplicitVRLittleEndian, 8)
    made.SharedFunctionalGroupsSequence = [Dataset()]
    made.PerFrameFunctionalGroupsSequence = [Dataset() for _ in range(frames)]
    for group, given_tags in (("PixelValueTransformationSequence", transformations), ("FrameVOILUTSequence", display)):
        for keyword, value in given_tags.get("root", [{}])[0].items():
            setattr(made, keyword, value)
        if "shared" in given_tags:
            setattr(made.SharedFunctionalGroupsSequence[0], group, item(**given_tags["shared"][0]))
        if "frames" in given_tags:
            for groups, tags in zip(made.PerFrameFunctionalGroupsSequence, given_tags["frames"], strict=False):
                setattr(groups, group, item(**tags))
    check(made, min(frame, frames), look)


RAMP = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)


@pytest.mark.parametrize(
    ("photometric", "shape", "first"),
    [
        ("MONOCHROME2", None, 0.0),
        ("MONOCHROME2", "IDENTITY", 0.0),
        ("MONOCHROME2", "INVERSE", 1.0),
        ("MONOCHROME1", None, 1.0),
        ("MONOCHROME1", "IDENTITY", 1.0),
        ("MONOCHROME1", "INVERSE", 1.0),
    ],
)
def test_black_and_white_change_places_once(photometric, shape, first):
    tags = {"PresentationLUTShape": shape} if shape else {}
    tags |= {"PhotometricInterpretation": photometric, "WindowCenter": 32, "WindowWidth": 64}
    made = image(RAMP, ExplicitVRLittleEndian, 8, **tags)
    found = picture.full(to_bytes(made), "x.dcm", 1, LOOK)
    assert (found[0, 0], found[-1, -1]) == (first, 1 - first)
    check(made, 1, LOOK)


@pytest.mark.parametrize(
    ("voi", "low", "high"), [(1, 0, 8), (2, 10, 18), (3, 20, 28), (4, 20, 28)], ids=["first", "second", "last", "fewer"]
)
def test_one_of_several_windows_is_chosen_and_the_last_where_there_are_fewer(voi, low, high):
    made = image(RAMP, ExplicitVRLittleEndian, 8, WindowCenter=[4, 14, 24], WindowWidth=[8, 8, 8])
    made.VOILUTFunction = "LINEAR_EXACT"
    look = dataclasses.replace(LOOK, voi=voi)
    np.testing.assert_allclose(
        picture.full(to_bytes(made), "x.dcm", 1, look),
        np.clip((RAMP[0].astype(float) - low) / (high - low), 0, 1),
        atol=1e-6,
    )
    check(made, 1, look)


# What pydicom would show, though it can't be right, and what takes all memory
@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ({"Rows": 60000, "Columns": 60000}, "absurd size: 60000 × 60000 pixels"),
        ({"Rows": 9}, "truncated"),
        ({"Rows": 7}, "does not fit the header"),
        ({"NumberOfFrames": 2}, "truncated"),
        ({"BitsStored": 9}, "Bits Stored"),
        ({"BitsStored": 0}, "Bits Stored"),
        ({"BitsAllocated": 12, "BitsStored": 12}, "Bits Allocated|does not fit the header|truncated"),
        ({"SamplesPerPixel": 3}, "Samples per Pixel|truncated"),
        ({"SamplesPerPixel": 2}, "Samples per Pixel|truncated"),
        ({"PhotometricInterpretation": "RGB"}, "Samples per Pixel|Photometric Interpretation"),
        ({"PhotometricInterpretation": "HSV"}, "unknown photometric interpretation: HSV"),
        ({"VOILUTFunction": "CUBIC", "WindowCenter": 30, "WindowWidth": 60}, "VOI LUT Function is unknown"),
        (
            {"VOILUTSequence": item(LUTDescriptor=[3, 0, 0], LUTData=b"\1\0\2\0\3\0")},
            "LUT Descriptor",
        ),  # entries of 0 bits
        ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 63}, "every pixel is padding"),
        ({"WindowCenter": 900, "WindowWidth": 2}, "leaves every pixel with the same brightness"),
    ],
)
def test_headers_that_contradict_their_pixels_are_refused(tags, what):
    made = image(RAMP, ExplicitVRLittleEndian, 8)
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    with pytest.raises((PipelineError, ValueError), match=what):
        picture.show(to_bytes(made), "x.dcm", 1, LOOK)


@pytest.mark.parametrize("frame", [3, 99])
def test_a_frame_that_does_not_exist_is_refused(frame):
    made = image(np.concatenate([RAMP, RAMP]), ExplicitVRLittleEndian, 8)
    with pytest.raises(PipelineError, match="frame"):
        picture.show(to_bytes(made), "x.dcm", frame, LOOK)


def test_the_reference_averages_over_areas_with_fractional_edges():
    # 3 pixels to 2: each covers one and a half
    np.testing.assert_allclose(reference.resize(np.array([[0.0, 3, 6]]), 1, 2), [[1, 5]])
    square = np.arange(9.0).reshape(3, 3)
    np.testing.assert_allclose(reference.resize(square, 1, 1), [[4]])
    np.testing.assert_allclose(reference.resize(square, 3, 3), square)
