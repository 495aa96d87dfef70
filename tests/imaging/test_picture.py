import io
import struct

import numpy as np
import pytest
from dicoms import dataset, encapsulated, to_bytes
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from pipeline.errors import PipelineError
from pipeline.imaging import picture
from pipeline.imaging.picture import Look, Shown

RAMP = np.array([[0, 1, 2, 3], [4, 5, 6, 7]], np.uint16)
SEVENTHS = RAMP / 7
SMOOTH = (np.add.outer(np.arange(48), np.arange(40)) * 40 + 100).astype(np.uint16)  # 12 bits


def look(**given) -> Look:
    usual = {"size": 16, "fit": "squash", "window": "file", "voi": 1, "crop": "none", "face": "as_is", "bits": 8}
    return Look(**{**usual, "channels": 1, **given})


def full(made: Dataset | bytes, frame: int = 1, **given) -> np.ndarray:
    content = made if isinstance(made, bytes) else to_bytes(made)
    return picture.full(content, "x.dcm", frame, look(**given))


def show(made: Dataset | bytes, frame: int = 1, **given) -> Shown:
    content = made if isinstance(made, bytes) else to_bytes(made)
    return picture.show(content, "x.dcm", frame, look(**given))


def close(picture, expected):
    np.testing.assert_allclose(picture, expected, atol=1e-6)


def lut(values, first, bits):
    item = Dataset()
    item.add_new("LUTDescriptor", "US" if first >= 0 else "SS", [len(values), first, bits])
    item.add_new("LUTData", "OW", struct.pack(f"<{len(values)}H", *values))
    return Sequence([item])


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_window_of_the_file():
    # c = 4, w = 8: y = (x - 3.5) / 7 + 0.5 = x / 7
    close(full(dataset(RAMP, BitsStored=12, WindowCenter=4, WindowWidth=8)), SEVENTHS)


def test_monochrome1_is_inverted_once():
    made = dataset(RAMP, WindowCenter=4, WindowWidth=8, PhotometricInterpretation="MONOCHROME1")
    close(full(made), 1 - SEVENTHS)


def test_rescale_comes_before_the_window():
    made = dataset(RAMP, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=-992.5, WindowWidth=15)
    close(full(made), SEVENTHS)  # values -1000…-986: y = (x + 993) / 14 + 0.5


def test_a_negative_slope_turns_the_picture_round():
    made = dataset(RAMP, RescaleSlope=-1, RescaleIntercept=7, WindowCenter=4, WindowWidth=8)
    close(full(made), 1 - SEVENTHS)


def test_signed_values():
    made = dataset(RAMP.astype(np.int16) - 4, WindowCenter=0, WindowWidth=8)
    close(full(made), SEVENTHS)


def test_bits_above_those_stored_are_ignored():
    made = dataset(RAMP | 0x8000, BitsStored=12, WindowCenter=4, WindowWidth=8)
    close(full(made), SEVENTHS)


def test_the_first_of_several_windows_is_taken():
    close(full(dataset(RAMP, WindowCenter=[4, 100], WindowWidth=[8, 3])), SEVENTHS)


@pytest.mark.parametrize("tags", [{}, {"WindowCenter": 4, "WindowWidth": 0}, {"WindowCenter": 3}])
def test_without_a_possible_window_percentiles_are_stretched(tags):
    # percentiles 0.5 and 99.5 of 0…7: 0.035 and 6.965
    close(full(dataset(RAMP, **tags)), np.clip((RAMP - 0.035) / 6.93, 0, 1))


def test_percentiles_may_be_asked_for():
    made = dataset(RAMP, WindowCenter=100, WindowWidth=1000)
    close(full(made, window="percentile"), np.clip((RAMP - 0.035) / 6.93, 0, 1))


def test_padding_is_black_and_left_out_of_the_percentiles():
    padded = np.concatenate([RAMP, np.full((2, 4), 60000, np.uint16)])
    shown = full(dataset(padded, PixelPaddingValue=60000))
    close(shown[:2], np.clip((RAMP - 0.035) / 6.93, 0, 1))
    assert not shown[2:].any()


def test_padding_of_monochrome1_is_black_too():
    padded = np.concatenate([RAMP, np.zeros((2, 4), np.uint16) + 4095])
    made = dataset(padded, PixelPaddingValue=4095, PhotometricInterpretation="MONOCHROME1")
    shown = full(made)
    close(shown[:2], 1 - np.clip((RAMP - 0.035) / 6.93, 0, 1))
    assert not shown[2:].any()


def test_padding_may_be_a_range_and_signed():
    padded = np.concatenate([RAMP.astype(np.int16), np.array([[-2000, -1999, -1998, -1997]], np.int16)])
    made = dataset(padded)
    made.add_new("PixelPaddingValue", "SS", -2000)
    made.add_new("PixelPaddingRangeLimit", "SS", -1997)
    shown = full(made)
    close(shown[:2], np.clip((RAMP - 0.035) / 6.93, 0, 1))
    assert not shown[2].any()


def test_modality_lut():
    made = dataset(RAMP, ModalityLUTSequence=lut([0, 10, 20, 30, 40, 50, 60, 70], 0, 16))
    made.WindowCenter, made.WindowWidth = 35.5, 71  # y = x / 70
    close(full(made), SEVENTHS)


def test_voi_lut_comes_before_a_window_and_is_scaled_by_its_own_bits():
    made = dataset(RAMP, VOILUTSequence=lut([0, 0, 4095, 4095, 2047, 0, 0, 1], 0, 12), WindowCenter=1, WindowWidth=2)
    close(full(made), np.array([[0, 0, 4095, 4095], [2047, 0, 0, 1]]) / 4095)


def test_voi_lut_with_a_negative_first_value_after_rescale():
    made = dataset(RAMP, RescaleSlope=1, RescaleIntercept=-6, VOILUTSequence=lut([0, 100, 200, 255], -4, 8))
    close(full(made), np.array([[0, 0, 0, 100], [200, 255, 255, 255]]) / 255)


def test_rgb_of_8_bits_stays_and_of_12_bits_is_scaled_by_its_bits():
    colours = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    close(full(dataset(colours)), colours / 255)
    deep = dataset(colours.astype(np.uint16) * 100, BitsStored=12)
    close(full(deep), colours * (100 / 4095))


def test_planar_rgb():
    colours = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    made = dataset(colours, PlanarConfiguration=1, PixelData=colours.transpose(2, 0, 1).tobytes())
    close(full(made), colours / 255)


def test_palette_becomes_rgb():
    made = dataset(np.array([[0, 1], [2, 2]], np.uint8), PhotometricInterpretation="PALETTE COLOR")
    for colour, entries in {"Red": [0, 65535, 0], "Green": [0, 0, 65535], "Blue": [13107, 0, 0]}.items():
        setattr(made, f"{colour}PaletteColorLookupTableDescriptor", [3, 0, 16])
        setattr(made, f"{colour}PaletteColorLookupTableData", struct.pack("<3H", *entries))
    close(full(made), [[[0, 0, 0.2], [1, 0, 0]], [[0, 1, 0], [0, 1, 0]]])


def test_ybr_becomes_rgb():
    # PS3.3 C.7.6.3.1.2: red 255, 0, 0 is Y 76, CB 85, CR 255
    made = dataset(np.array([[[76, 85, 255], [255, 128, 128]]], np.uint8), PhotometricInterpretation="YBR_FULL")
    np.testing.assert_allclose(full(made) * 255, [[[254, 0, 0], [255, 255, 255]]], atol=1)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_a_lossless_syntax_shows_the_same_as_none(syntax):
    plain = dataset(SMOOTH, BitsStored=12, WindowCenter=2048, WindowWidth=4096)
    squeezed = dataset(SMOOTH, BitsStored=12, WindowCenter=2048, WindowWidth=4096)
    squeezed.compress(syntax, generate_instance_uid=False)
    assert np.array_equal(full(plain), full(squeezed))
    close(full(plain), SMOOTH / 4095)


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.98])
def test_a_truncated_file_is_never_shown(syntax, share):
    made = dataset(SMOOTH, BitsStored=12)
    if syntax:
        made.compress(syntax, generate_instance_uid=False)
    content = to_bytes(made)
    with pytest.raises(PipelineError, match=r"truncated|without pixels"):
        full(content[: int(len(content) * share)])


# Not JPEG-LS: its decoder refuses, but only after five seconds.
@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGBaseline8Bit])
def test_a_truncated_codestream_in_a_whole_file_is_never_shown(syntax):
    if syntax == JPEGBaseline8Bit:
        code = saved(Image.fromarray((SMOOTH >> 4).astype(np.uint8)), "JPEG")
        made = dataset((SMOOTH >> 4).astype(np.uint8))
    else:
        made = dataset(SMOOTH, BitsStored=12)
        made.compress(syntax, generate_instance_uid=False)
        code = next(generate_frames(made.PixelData, number_of_frames=1))
    assert full(to_bytes(encapsulated(made, code, syntax))).max() > 0.3
    with pytest.raises(RuntimeError, match="Unable to decode"):
        full(to_bytes(encapsulated(made, code[: len(code) // 2], syntax)))


def test_pixel_data_longer_than_the_header_says_is_refused():
    with pytest.raises(PipelineError, match=r"pixel data does not fit the header: .* has 16 bytes, .* need 8"):
        full(dataset(RAMP, Rows=1))


def test_absurd_dimensions_are_refused_before_decoding():
    with pytest.raises(PipelineError, match="absurd size: 60000 × 60000 pixels"):
        full(dataset(RAMP, Rows=60000, Columns=60000))


@pytest.mark.parametrize(
    ("pixels", "value"), [(np.full((2, 2), 512, np.uint16), "512"), (np.full((2, 2, 3), 9, np.uint8), r"\(9, 9, 9\)")]
)
def test_a_blank_image_is_refused(pixels, value):
    with pytest.raises(PipelineError, match=f"every pixel has the value {value}"):
        full(dataset(pixels))


def test_an_image_of_padding_alone_is_refused():
    with pytest.raises(PipelineError, match="every pixel is padding"):
        full(dataset(RAMP, PixelPaddingValue=0, PixelPaddingRangeLimit=7))


def test_a_window_that_shows_nothing_is_refused():
    with pytest.raises(PipelineError, match="its window leaves every pixel with the same brightness"):
        show(dataset(RAMP, WindowCenter=5000, WindowWidth=10))


def test_an_unknown_window_function_is_refused_without_its_text():
    made = dataset(RAMP, WindowCenter=3, WindowWidth=4, VOILUTFunction="DOE_JOHN")
    with pytest.raises(PipelineError, match=r"\(0028,1056\) VOI LUT Function is unknown") as raised:
        full(made)
    assert "DOE" not in str(raised.value)


@pytest.mark.parametrize("syntax", ["1.2.826.0.1.3680043.99", "19620229 DOE JANE MARY"])
def test_an_unknown_transfer_syntax_is_refused_without_its_text(syntax):
    content = to_bytes(encapsulated(dataset(RAMP), b"film", JPEGBaseline8Bit))
    with pytest.raises(PipelineError, match="no decoder: its transfer syntax is unknown") as raised:
        full(content.replace(JPEGBaseline8Bit.encode(), syntax.encode()))
    assert syntax not in str(raised.value)


@pytest.mark.parametrize(("frame", "expected"), [(1, [0, 1, 2]), (2, [9, 0, 1]), (0, [9, 1, 2])])
def test_a_frame_or_the_greatest_of_all(frame, expected):
    stack = np.array([[[0, 1, 2]], [[9, 0, 1]]], np.uint8)
    made = dataset(stack[0], NumberOfFrames=2, PixelData=stack.tobytes(), WindowCenter=5.5, WindowWidth=11)
    close(full(made, frame), np.array([expected]) / 10)


def test_a_frame_that_is_not_there_is_refused():
    with pytest.raises(PipelineError, match="has no frame 3: it has 1"):
        full(dataset(RAMP), frame=3)


def test_grey_png_of_8_bits_stays_as_it_is():
    grey = np.array([[10, 20], [30, 40]], np.uint8)
    close(full(saved(Image.fromarray(grey), "PNG")), grey / 255)


def test_grey_png_of_16_bits_is_stretched():
    close(full(saved(Image.fromarray(RAMP * 1000), "PNG")), np.clip((RAMP - 0.035) / 6.93, 0, 1))


def test_float_tiff_is_stretched():
    picture = full(saved(Image.fromarray(RAMP.astype(np.float32) / 100), "TIFF"))
    close(picture, np.clip((RAMP - 0.035) / 6.93, 0, 1))


def test_black_and_white_png():
    close(full(saved(Image.fromarray(np.array([[True, False]])), "PNG")), [[1, 0]])


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK"])
def test_other_modes_become_rgb(mode):
    colours = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    close(full(saved(Image.fromarray(colours).convert(mode), kind)), colours / 255)


def test_what_is_transparent_is_black():
    image = Image.fromarray(np.array([[[200, 100, 0, 0], [200, 100, 0, 255]]], np.uint8))
    close(full(saved(image, "PNG")) * 255, [[[0, 0, 0], [200, 100, 0]]])


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_exif_orientation_is_applied(mode):
    image = Image.fromarray(np.array([[0, 80, 255]], np.uint8)).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by a quarter, clockwise
    shown = full(saved(image, "PNG", exif=exif))
    close(shown.reshape(3, -1)[:, 0] * 255, [0, 80, 255])
    assert shown.shape[:2] == (3, 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_truncated_picture_is_never_shown(kind):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    content = saved(Image.fromarray(noise), kind)
    with pytest.raises((OSError, SyntaxError, ValueError)):
        full(content[: len(content) * 2 // 3])


def pages(*arrays, **options) -> bytes:
    images = [Image.fromarray(array) for array in arrays]
    return saved(images[0], "TIFF", save_all=True, append_images=images[1:], **options)


@pytest.mark.parametrize("frame", [2, 0])
def test_pages_of_different_kinds_are_refused(frame):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for other in (np.stack([grey] * 3, axis=-1), grey[:2]):
        with pytest.raises(PipelineError, match="page 2 differs from the first in size or colour"):
            full(pages(grey, other), frame)


def test_deep_tiff_whose_0_is_white_is_inverted():
    image = Image.fromarray(RAMP * 1000)
    plain, inverted = (full(saved(image, "TIFF", tiffinfo={262: kind})) for kind in (1, 0))
    close(inverted, 1 - plain)


@pytest.mark.parametrize("syntax", [None, RLELossless, ExplicitVRBigEndian])
def test_values_above_their_place_are_lowered_and_a_wrong_high_bit_is_ignored(syntax):
    for pixels in (SMOOTH << 4, SMOOTH):
        made = dataset(pixels, WindowCenter=2048, WindowWidth=4096)
        if syntax == RLELossless:
            made.compress(syntax, generate_instance_uid=False)
        elif syntax:
            made.PixelData = pixels.astype(">u2").tobytes()
            made.file_meta.TransferSyntaxUID = syntax
        made.BitsStored, made.HighBit = 12, 15
        close(full(made), SMOOTH / 4095)


@pytest.mark.parametrize("bytes_more", [2, 30])
def test_a_few_zeros_behind_the_pixels_are_no_harm(bytes_more):
    made = dataset(SMOOTH, WindowCenter=2048, WindowWidth=4096)
    made.PixelData += b"\0" * bytes_more
    close(full(made), SMOOTH / 4095)
    made.PixelData = made.PixelData[:-2] + b"\1\1"
    with pytest.raises(PipelineError, match="does not fit the header"):
        full(made)


def test_grey_that_holds_colour_is_refused_before_it_is_decoded():
    code = saved(Image.fromarray(np.zeros((48, 40, 3), np.uint8)), "JPEG")
    made = encapsulated(dataset((SMOOTH >> 4).astype(np.uint8)), code, JPEGBaseline8Bit)
    with pytest.raises(PipelineError, match=r"codestream says 3, \(0028,0002\) Samples per Pixel is 1"):
        full(made)


def test_the_brightest_of_several_frames_is_the_lowest_value_of_monochrome1():
    stack = np.array([[[0, 1, 2]], [[9, 0, 1]]], np.uint8)
    tags = {"WindowCenter": 5.5, "WindowWidth": 11, "PhotometricInterpretation": "MONOCHROME1"}
    close(full(dataset(stack[0], NumberOfFrames=2, PixelData=stack.tobytes(), **tags), 0), [[1, 1, 0.9]])


def test_the_side_of_the_chest_wall_is_told_by_the_whole_picture():
    y, x = np.mgrid[:400, :300]
    breast = (y - 200) ** 2 / 150**2 + x**2 / 200**2 < 1
    core = (y - 200) ** 2 + (x - 150) ** 2 < 40**2
    left = (breast * 1000 + core * 2500).astype(np.uint16)
    tags = {"WindowCenter": 2048, "WindowWidth": 4096}
    assert not show(dataset(left, **tags), crop="foreground", face="right").mirrored
    assert show(dataset(left[:, ::-1].copy(), **tags), crop="foreground", face="right").mirrored


def test_a_crop_that_shows_nothing_is_named():
    thin = np.zeros((4, 400), np.uint16)
    thin[:, :5] = 4000
    with pytest.raises(PipelineError, match=r"its crop leaves every pixel .*\n.*render\.fit: pad"):
        show(dataset(thin, WindowCenter=2048, WindowWidth=4096), fit="crop")
