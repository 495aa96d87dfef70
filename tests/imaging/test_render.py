import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_windowing

from pipeline.imaging import render

PICTURES = arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(0, 1, width=32))


def test_linear_window_of_the_standard():
    # PS3.3 C.11.2.1.2.1 with c = 2048 and w = 4096: y = (x - 2047.5) / 4095 + 0.5
    shown = render.window(np.array([-1.0, 0.0, 1024.0, 2047.5, 4095.0, 5000.0]), 2048, 4096)
    np.testing.assert_allclose(shown, [0, 0, 1024 / 4095, 0.5, 1, 1])


def test_linear_window_of_width_one_is_a_step():
    np.testing.assert_array_equal(render.window(np.array([9.0, 9.5, 10.0]), 10, 1), [0, 0, 1])


def test_linear_exact_window_of_the_standard():
    shown = render.window(np.array([0.0, 25.0, 50.0, 75.0, 100.0]), 50, 100, "LINEAR_EXACT")
    np.testing.assert_allclose(shown, [0, 0.25, 0.5, 0.75, 1])


def test_sigmoid_window_of_the_standard():
    shown = render.window(np.array([-1e9, 0.0, 50.0, 100.0]), 50, 100, "SIGMOID")
    np.testing.assert_allclose(shown, [0, 1 / (1 + np.e**2), 0.5, 1 / (1 + np.e**-2)])


@given(
    values=arrays(np.float64, 7, elements=st.floats(-5000, 5000)),
    center=st.floats(-3000, 3000),
    width=st.floats(2, 5000),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
def test_windows_agree_with_pydicom(values, center, width, function):
    header = Dataset()
    header.PhotometricInterpretation, header.PixelRepresentation, header.BitsStored = "MONOCHROME2", 0, 16
    header.WindowCenter, header.WindowWidth = f"{center:.9g}", f"{width:.9g}"
    header.VOILUTFunction = function
    with np.errstate(over="ignore"):
        theirs = apply_windowing(values, header) / 65535
    ours = render.window(values, float(header.WindowCenter), float(header.WindowWidth), function)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize(("width", "function"), [(0.5, "LINEAR"), (0, "LINEAR_EXACT"), (-1, "SIGMOID")])
def test_an_impossible_width_is_named(width, function):
    with pytest.raises(ValueError, match=r"\(0028,1051\) Window Width .* is impossible"):
        render.window(np.zeros(1), 0, width, function)


def test_an_unknown_function_is_named():
    with pytest.raises(ValueError, match="VOI LUT Function 'CUBIC' is unknown"):
        render.window(np.zeros(1), 0, 1, "CUBIC")


def test_a_table_holds_its_ends_and_may_have_more_than_256_entries_of_8_bits():
    table = (np.arange(1000) // 4).astype(np.uint8)
    found = render.look_up(np.array([-50, 100, 104, 1099, 9999]), table, first=100)
    np.testing.assert_array_equal(found, [0, 0, 1, 249, 249])


def test_stretch_goes_from_the_05th_to_the_995th_percentile_of_valid_values():
    values = np.arange(1001, dtype=float)
    valid = np.ones(1001, bool)
    np.testing.assert_allclose(render.stretch(values, valid)[[0, 5, 500, 995, 1000]], [0, 0, 0.5, 1, 1])
    valid[501:] = False  # percentiles of 0…500: 2.5 and 497.5
    np.testing.assert_allclose(render.stretch(values, valid)[[2, 250, 498]], [0, 0.5, 1])


def test_stretch_takes_the_extremes_where_nearly_all_values_are_the_same():
    values = np.zeros(10_000)
    values[0] = 8
    assert render.stretch(values, np.ones(10_000, bool))[:2].tolist() == [1, 0]


def test_pad_keeps_the_aspect_and_centres_on_black():
    small = render.fit(np.ones((8, 4), np.float32), 4, "pad")
    np.testing.assert_array_equal(small, [[0, 255, 255, 0]] * 4)


def test_squash_fills_the_square():
    np.testing.assert_array_equal(render.fit(np.ones((8, 4), np.float32), 4, "squash"), np.full((4, 4), 255))


def test_eight_bits_stay_as_they_are_without_a_resize():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(render.fit(grey.astype(np.float32) / 255, 16, "pad"), grey)


def test_reduction_averages_rather_than_skips():
    stripes = np.tile(np.array([0, 1], np.float32), (64, 32))  # one pixel black, one white
    inner = render.resize(stripes, 8, 8)[:, 1:-1]
    np.testing.assert_allclose(inner, 0.5, atol=1e-6)


@given(PICTURES, st.integers(1, 12), st.sampled_from(["pad", "squash"]))
def test_a_fitted_picture_is_a_square_of_bytes_no_brighter_than_its_source(picture, size, how):
    small = render.fit(picture, size, how)
    assert (small.shape, small.dtype) == ((size, size), np.uint8)
    assert small.max() <= np.rint(picture.max() * 255) + 1


@given(PICTURES, st.sampled_from(["pad", "squash"]))
def test_the_channels_of_a_grey_picture_stay_equal(picture, how):
    colour = render.fit(np.repeat(picture[..., None], 3, axis=-1), 6, how)
    np.testing.assert_array_equal(colour, np.repeat(render.fit(picture, 6, how)[..., None], 3, axis=-1))
