import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.heads import units

UNIT = np.array([0, 1, 0, 2, 1, 0])
X = np.arange(16, dtype=np.float32).reshape(8, 2)
ROWS = np.array([0, 1, 2, 4, 6, 7])
NO_SLOTS = np.zeros(6, int)


def test_rows_with_equal_keys_are_one_unit_with_its_first_row():
    unit, first = units.number([np.array(["b", "a", "b", "a"]), np.array([0, 0, 0, 1])])
    assert unit.tolist() == [0, 1, 0, 2]
    assert first.tolist() == [0, 1, 3]


def test_features_are_pooled_over_the_images_of_a_unit():
    assert units.pool(X, ROWS, UNIT, "mean", NO_SLOTS).tolist() == [[6, 7], [7, 8], [8, 9]]
    assert units.pool(X, ROWS, UNIT, "max", NO_SLOTS).tolist() == [[14, 15], [12, 13], [8, 9]]


def test_views_stand_side_by_side_and_one_that_lacks_is_marked():
    slots = np.array([0, 0, 1, 1, -1, 1])
    pooled = units.pool(X, ROWS, UNIT, "side_by_side", slots)
    nan = np.nan
    np.testing.assert_array_equal(pooled, [[0, 1, 9, 10], [2, 3, nan, nan], [nan, nan, 8, 9]])


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_pooling_a_part_at_a_time_is_pooling_at_once(numbers, at_once):
    unit = np.unique(numbers, return_inverse=True)[1]
    X = np.random.default_rng(0).normal(size=(len(unit), 3)).astype(np.float32)
    whole, units.AT_ONCE = units.AT_ONCE, at_once
    try:
        pooled = units.pool(X, np.arange(len(unit)), unit, "mean", np.zeros(len(unit), int))
    finally:
        units.AT_ONCE = whole
    expected = [X[unit == one].mean(0) for one in range(unit.max() + 1)]
    np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-6)


def test_slots_are_the_views_of_training_images():
    views, train = np.array(["L CC", "R CC", "L CC", "L XCCL"]), np.array([True, True, True, False])
    slots, names = units.slots(views, train)
    assert names == ["L CC", "R CC"]
    assert slots.tolist() == [0, 1, 0, -1]


def test_one_view_does_not_stand_side_by_side():
    with pytest.raises(PipelineError, match=r"the training images have one view \(L CC\)"):
        units.slots(np.array(["L CC", "R CC"]), np.array([True, False]))


def test_a_unit_has_the_class_of_its_images():
    assert units.class_of(np.array([3, 1, 3, 0, 1, 3]), UNIT, "exam").tolist() == [3, 1, 0]


def test_units_with_images_of_several_classes_are_counted_in_the_error():
    with pytest.raises(PipelineError, match="2 of 3 exams have images of more than one class"):
        units.class_of(np.array([3, 1, 2, 0, 0, 3]), UNIT, "exam")


def test_a_label_is_present_if_in_any_image_and_missing_if_in_all():
    marks = np.array([[1, 0], [-1, 0], [0, -1], [-1, 1], [-1, -1], [-1, -1]], np.int8)
    assert units.marks_of(marks, UNIT).tolist() == [[1, 0], [-1, 0], [-1, 1]]
