import dataclasses

import numpy as np
import pytest
from dicoms import dataset, to_bytes
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from pipeline.imaging import picture
from pipeline.imaging.picture import Look

RAMP = np.arange(16, dtype=np.uint16).reshape(2, 8)
LOOK = Look(8, "squash", "file", 1, "none", "as_is", 8, 1)


def full(made, frame=1, **look):
    return picture.full(to_bytes(made), "x.dcm", frame, dataclasses.replace(LOOK, **look))


def show(made, frame=1, **look):
    return picture.show(to_bytes(made), "x.dcm", frame, dataclasses.replace(LOOK, **look))


def group(**tags):
    item = Dataset()
    for keyword, value in tags.items():
        setattr(item, keyword, value)
    return Sequence([item])


def close(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True),
    ],
)
def test_monochrome1_and_the_inverse_shape_invert_once_between_them(photometric, shape, inverted):
    made = dataset(RAMP, WindowCenter=8, WindowWidth=16, PhotometricInterpretation=photometric)
    made.PresentationLUTShape = shape
    close(full(made), 1 - RAMP / 15 if inverted else RAMP / 15)


def test_an_explicit_window_is_exact_and_in_values_of_the_modality():
    made = dataset(RAMP, RescaleSlope=2, RescaleIntercept=-10, WindowCenter=1, WindowWidth=2)
    close(full(made, window=(0.0, 20.0)), np.clip((RAMP * 2 - 10 + 10) / 20, 0, 1))
    assert show(made, window=(0.0, 20.0)).window == "0 / 20"


def test_functional_groups_give_each_frame_its_own_rescale_and_window():
    stack = np.stack([RAMP, RAMP])
    made = dataset(stack[0], NumberOfFrames=2, PixelData=stack.tobytes(), WindowCenter=900, WindowWidth=7)
    made.SharedFunctionalGroupsSequence = group(
        PixelValueTransformationSequence=group(RescaleSlope=1, RescaleIntercept=100, RescaleType="US"),
        FrameVOILUTSequence=group(WindowCenter=108, WindowWidth=16),
    )
    made.PerFrameFunctionalGroupsSequence = Sequence([Dataset(), Dataset()])
    made.PerFrameFunctionalGroupsSequence[1].FrameVOILUTSequence = group(WindowCenter=103, WindowWidth=6)
    close(full(made, 1), RAMP / 15)
    close(full(made, 2), np.clip(RAMP / 5, 0, 1))
    assert [show(made, frame).window for frame in (1, 2)] == ["108 / 16 LINEAR", "103 / 6 LINEAR"]


def test_the_words_name_the_window_that_was_used():
    several = dataset(RAMP, WindowCenter=[8, 4], WindowWidth=[16, 3], VOILUTFunction="SIGMOID")
    assert show(several).window == "8 / 16 SIGMOID"
    assert show(several, voi=2).window == "4 / 3 SIGMOID"
    assert show(several, window="percentile").window == "percentiles 0.075…14.925"
    table = group(LUTDescriptor=[2, 0, 8], LUTData=b"\0\0\xff\0")
    assert show(dataset(RAMP, VOILUTSequence=table)).window == "VOI LUT 1"
    assert show(dataset(np.arange(24, dtype=np.uint8).reshape(2, 4, 3)), channels=3).window == "as stored"


def test_what_decided_the_picture_is_told():
    made = dataset(RAMP, WindowCenter=8, WindowWidth=16)
    shown = show(made, fit="crop", face="right")
    assert (shown.syntax, shown.photometric) == ("Explicit VR Little Endian", "MONOCHROME2")
    assert shown.crop == (0, 3, 2, 2)
    assert shown.mirrored
    np.testing.assert_array_equal(shown.picture[:, ::-1], show(made, fit="crop").picture)


def test_sixteen_bits_are_finer_than_eight():
    made = dataset(RAMP, WindowCenter=8, WindowWidth=16)
    fine, coarse = (show(made, size=8, fit="squash", bits=bits).picture for bits in (16, 8))
    assert (fine.dtype, coarse.dtype) == (np.uint16, np.uint8)
    np.testing.assert_allclose(fine / 257, coarse, atol=0.5)


def test_a_grey_file_has_three_equal_channels_in_a_colour_store():
    colour = show(dataset(RAMP, WindowCenter=8, WindowWidth=16), channels=3).picture
    assert colour.shape == (8, 8, 3)
    assert (colour == colour[..., :1]).all()


def test_deep_and_floating_pixels_take_an_explicit_window(tmp_path):
    deep = np.arange(12, dtype=np.float32).reshape(3, 4) * 1e6
    path = tmp_path / "x.tif"
    Image.fromarray(deep).save(path)
    found = picture.full(path.read_bytes(), "x.tif", 1, dataclasses.replace(LOOK, window=(5.5e6, 1.1e7)))
    close(found, deep / 1.1e7)


def test_the_pages_of_a_tiff_are_its_frames(tmp_path):
    pages = [Image.fromarray(np.array([[0, 10 * n, 255]], np.uint8)) for n in (1, 2)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    content = (tmp_path / "x.tif").read_bytes()
    for frame, middle in ((1, 10), (2, 20), (0, 20)):
        close(picture.full(content, "x.tif", frame, LOOK) * 255, [[0, middle, 255]])
