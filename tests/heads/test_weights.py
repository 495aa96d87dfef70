import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.heads.estimators.weights import class_weights, refuse_one_class, row_weights

NAMES = ("A", "B", "C")


def test_a_class_weighs_what_its_mistakes_cost_in_sum():
    assert class_weights(None, [[0, 1, 4], [2, 0, 0.5], [1, 1, 0]], NAMES) == {0: 5.0, 1: 2.5, 2: 2.0}


def test_weights_that_are_given_stay_and_classes_without_one_get_1():
    assert class_weights({1: 3.0}, None) == {1: 3.0}
    assert class_weights({1: 3.0}, None, NAMES) == {0: 1.0, 1: 3.0, 2: 1.0}
    assert class_weights("balanced", None, NAMES) == "balanced"
    assert class_weights(None, None, NAMES) is None


@pytest.mark.parametrize(
    ("class_weight", "cost", "said"),
    [
        ("balanced", [[0, 1], [1, 0]], "class_weight, cost: both say what a mistake in each class costs"),
        ({0: 0.0}, None, "class_weight: the weight of class A is no number above 0"),
        ({1: float("nan"), 2: -1.0}, None, "class_weight: the weight of class B, C is no number above 0"),
        (None, [[0, 1, 1], [1, 0, 1]], "cost: has 2 rows of 3 numbers"),
        (None, [[0, 1], [1, 0, 1]], "cost: has 2 rows of 2 and 3 numbers"),
        (None, [[0]], "cost: has 1 rows of 1 numbers"),
        (None, [], "cost: has 0 rows of  numbers"),
        (None, [[0, 1], [1, 0]], "cost: has 2 rows of 2 numbers, but there are 3 classes"),
        (
            None,
            [[0, 1, -2], [1, 0, float("inf")], [1, 1, 0]],
            "cost: is no number from 0 on: A taken for C (-2); B taken for C (inf)",
        ),
        (None, [[0, 1, 1], [1, 3, 1], [1, 1, 0]], "cost: a right answer costs something: class B"),
        (None, [[0, 1, 1], [1, 0, 1], [0, 0, 0]], "cost: no mistake in class C costs anything"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_place(class_weight, cost, said):
    with pytest.raises(PipelineError) as error:
        class_weights(class_weight, cost, NAMES)
    assert str(error.value).startswith(said)
    assert error.value.remedy


def test_a_matrix_of_another_size_names_the_classes_in_order():
    with pytest.raises(PipelineError, match="give a row, then a column, for each of A, B, C"):
        class_weights(None, [[0, 1], [1, 0]], NAMES)


def test_row_weights_are_those_of_ting():
    """w(j) = C(j) n / Σ C(i) n(i), by class number j: Ting 2002."""
    numbers = np.array([0, 0, 0, 1])
    np.testing.assert_allclose(row_weights({0: 1.0, 1: 5.0}, np.arange(2), numbers), [0.5, 0.5, 0.5, 2.5])
    np.testing.assert_allclose(row_weights("balanced", np.arange(2), numbers), [2 / 3, 2 / 3, 2 / 3, 2])


@given(st.lists(st.integers(1, 30), min_size=2, max_size=5), st.booleans())
def test_row_weights_have_mean_1(counts, balanced):
    numbers = np.repeat(np.arange(len(counts)), counts)
    weights = row_weights("balanced" if balanced else {1: 7.5}, np.arange(len(counts)), numbers)
    np.testing.assert_allclose(weights.mean(), 1)
    sums = np.bincount(numbers, weights)
    assert not balanced or np.allclose(sums, sums[0])


def test_weights_go_by_label_and_one_class_is_refused():
    labels = np.array(["b", "c"])
    np.testing.assert_allclose(row_weights({"c": 3.0, "a": 9.0}, labels, np.array([0, 1])), [0.5, 1.5])
    with pytest.raises(ValueError, match="1 class, b, in all rows"):
        refuse_one_class(labels[:1])
