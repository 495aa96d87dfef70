import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_windowing

from pipeline.imaging import render
from pipeline.imaging.render import Full

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


@given(arrays(np.int64, st.integers(1, 300), elements=st.integers(-50, 50)))
def test_limits_of_counted_values_are_those_of_all_values(values):
    kinds, counts = np.unique(values, return_counts=True)
    np.testing.assert_allclose(
        render.limits(kinds.astype(float), counts), render.limits(values.astype(float)), rtol=1e-12, atol=1e-12
    )


def test_limits_are_the_percentiles_05_and_995():
    assert render.limits(np.arange(1001.0)) == (5, 995)
    shuffled = np.arange(1001.0)[::-1]
    assert render.limits(shuffled, np.where(shuffled > 500, 0, 1)) == (2.5, 497.5)


def test_limits_are_the_extremes_where_nearly_all_values_are_the_same():
    assert render.limits(np.array([0.0, 8.0]), np.array([9999, 1])) == (0, 8)


def picture(pixels):
    """A full-size picture of float values."""
    return Full(np.ascontiguousarray(pixels, np.float32), np.empty(0, np.float32))


def resized(pixels, rows, columns, box=None):
    full = picture(pixels)
    return render.resize(full, box or full.box, rows, columns)


def area(pixels, size, axis):
    """Mean over areas with fractional edges, from the running total."""
    total = np.insert(np.cumsum(pixels, axis, dtype=np.float64), 0, 0, axis)
    edges = np.linspace(0, pixels.shape[axis], size + 1)
    at = np.apply_along_axis(lambda line: np.interp(edges, np.arange(len(line)), line), axis, total)
    return np.diff(at, axis=axis) * size / pixels.shape[axis]


@settings(deadline=None)
@given(PICTURES, st.data())
def test_reduction_averages_over_areas(pixels, data):
    rows, columns = (data.draw(st.integers(1, side)) for side in pixels.shape)
    expected = area(area(pixels, rows, 0), columns, 1)
    np.testing.assert_allclose(resized(pixels, rows, columns), expected, atol=1e-5)


@settings(deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(2, 9), st.integers(2, 9), st.just(3))), st.data())
def test_codes_are_looked_up_and_a_part_is_cut_before_the_average(pixels, data):
    top, left = (data.draw(st.integers(0, side - 1)) for side in pixels.shape[:2])
    box = top, left, pixels.shape[0] - top, pixels.shape[1] - left
    table = np.linspace(1, 0, 256).astype(np.float32)
    rows, columns = (data.draw(st.integers(1, side)) for side in box[2:])
    part = table[pixels[top:, left:]]
    expected = np.stack([area(area(part[..., c], rows, 0), columns, 1) for c in range(3)], axis=-1)
    np.testing.assert_allclose(render.resize(Full(pixels, table), box, rows, columns), expected, atol=1e-5)


def test_reduction_averages_rather_than_skips():
    stripes = np.tile(np.array([0, 1], np.float32), (64, 32))  # one pixel black, one white
    np.testing.assert_allclose(resized(stripes, 8, 8), 0.5, atol=1e-6)


def test_a_ramp_is_enlarged_without_steps():
    assert np.diff(resized(np.array([[0, 0.5, 1]]), 1, 12)).max() < 0.2


def test_eight_bits_stay_as_they_are_without_a_resize():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    small = resized(grey / 255, 16, 16)
    np.testing.assert_array_equal(render.on_canvas(small, 16, 8), grey)
    np.testing.assert_array_equal(render.on_canvas(small, 16, 16), grey.astype(np.uint16) * 257)


def test_pad_keeps_the_aspect_and_centres_on_black():
    small = resized(np.ones((8, 4)), *render.shape_in((0, 0, 8, 4), 4, "pad"))
    np.testing.assert_array_equal(render.on_canvas(small, 4, 8), [[0, 255, 255, 0]] * 4)


@pytest.mark.parametrize("how", ["squash", "crop"])
def test_squash_and_crop_fill_the_square(how):
    assert render.shape_in((0, 0, 8, 4), 6, how) == (6, 6)


def test_the_centre_square_lies_in_the_middle():
    assert render.centre_square((10, 20, 8, 4)) == (12, 20, 4, 4)
    assert render.centre_square((0, 0, 3, 9)) == (0, 3, 3, 3)


@settings(deadline=None)
@given(PICTURES, st.integers(1, 12))
def test_the_channels_of_a_grey_picture_stay_equal(pixels, size):
    colour = resized(np.repeat(pixels[..., None], 3, axis=-1), size, size)
    np.testing.assert_allclose(colour, np.repeat(resized(pixels, size, size)[..., None], 3, axis=-1), atol=1e-6)


def breast(noise=0.0, background=0.0):
    """A bright half ellipse with a dim rim on the left of a dark picture, and a letter far from it."""
    y, x = np.mgrid[:600, :500]
    depth = 1 - ((y - 300) / 200) ** 2 - (x / 250) ** 2
    pixels = background + np.where(depth > 0, 0.1 + 0.8 * np.clip(depth * 2, 0, 1), 0)
    pixels[40:80, 400:430] = 1
    return np.clip(pixels + noise * np.random.default_rng(0).normal(size=pixels.shape), 0, 1)


@pytest.mark.parametrize(("noise", "background"), [(0, 0), (0.01, 0.1)])
def test_the_foreground_is_the_breast_with_its_rim_and_without_the_letter(noise, background):
    top, left, height, width = render.foreground(picture(breast(noise, background)))
    assert (left, pytest.approx(100, abs=5), pytest.approx(400, abs=9)) == (0, top, height)
    assert width == pytest.approx(250, abs=5)


@settings(deadline=None)
@given(PICTURES, st.booleans())
def test_the_foreground_lies_within_the_picture(pixels, flat):
    full = picture(np.full_like(pixels, 0.5) if flat else pixels)
    top, left, height, width = render.foreground(full)
    assert min(top, left) >= 0
    assert min(height, width) >= 1
    assert top + height <= full.pixels.shape[0]
    assert left + width <= full.pixels.shape[1]


def test_the_side_of_the_breast_is_found():
    pixels = breast()
    left, right = picture(pixels), picture(pixels[:, ::-1])
    assert not render.brighter_on_the_right(left)
    assert render.brighter_on_the_right(right)


@pytest.mark.parametrize("side", [40, 400])
def test_a_picture_full_of_tissue_is_not_cropped(side):
    texture = np.random.default_rng(0).normal(0.5, 0.1, (side, side))
    assert render.foreground(picture(texture)) == (0, 0, side, side)


def test_dark_objects_on_a_white_field_are_not_cropped():
    field = np.full((300, 300), 0.9)
    field[100:200, 50:250] = 0.3
    assert render.foreground(picture(field)) == (0, 0, 300, 300)
