import numpy as np
import pytest

from pipeline.backbone import views

AMPLITUDES = {
    **{"flip": True, "turns": True, "degrees": 10.0, "shift": 0.1, "scale": 0.1},
    **{"contrast": 0.2, "colour": 0.1, "gamma": 0.2, "noise": 0.02},
}
STILL = {key: type(value)(0) for key, value in AMPLITUDES.items()}


def stored(dtype=np.uint8, channels=()):
    rng = np.random.default_rng(0)
    return rng.integers(0, np.iinfo(dtype).max, (6, 16, 16, *channels), dtype, endpoint=True)


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_view_is_stored_as_its_picture_is_and_differs_from_it(dtype, channels):
    pictures = stored(dtype, channels)
    made = views.augmented(pictures, list("abcdef"), [1] * 6, AMPLITUDES, 1)
    assert made.shape == pictures.shape
    assert made.dtype == dtype
    assert all((one != other).mean() > 0.5 for one, other in zip(made, pictures, strict=True))


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_without_amplitudes_a_view_is_its_picture(dtype, channels):
    pictures = stored(dtype, channels)
    np.testing.assert_array_equal(views.augmented(pictures, list("abcdef"), [1] * 6, STILL, 2), pictures)


def test_a_view_is_the_same_whatever_else_is_made_and_no_two_are_alike():
    pictures, ids = stored(), list("abcdef")
    first = views.augmented(pictures, ids, [1] * 6, AMPLITUDES, 1)
    backwards = views.augmented(pictures[::-1].copy(), ids[::-1], [1] * 6, AMPLITUDES, 1)[::-1]
    alone = np.concatenate([views.augmented(pictures[[k]], [ids[k]], [1], AMPLITUDES, 1) for k in range(6)])
    np.testing.assert_array_equal(backwards, first)
    np.testing.assert_array_equal(alone, first)
    assert (views.augmented(pictures, ids, [2] * 6, AMPLITUDES, 1) != first).any((1, 2)).all()
    same = views.augmented(pictures[[0, 0]], ["a", "b"], [1, 1], AMPLITUDES, 1)
    assert (same[0] != same[1]).any()


def test_a_class_below_the_mean_count_is_a_minority():
    targets = np.array([0] * 5 + [1] * 3 + [2] + [-1] * 9)  # mean 3
    assert views.of_minority(targets, 3).tolist() == [False] * 8 + [True] + [False] * 9


def test_one_rare_label_suffices_and_what_is_not_known_is_no_label():
    targets = np.array([[1, 0], [1, 1], [1, -1], [0, 0], [1, 0]], np.int8)  # 4 and 1 present, mean 2.5
    assert views.of_minority(targets, 2).tolist() == [False, True, False, False, False]
