import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.judge.units import pool

UNIT = np.array([0, 1, 0, 1, 0])
GIVEN = np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [0.1, 0.7, 0.2], [0.4, 0.4, 0.2], [0.5, 0.1, 0.4]])


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("mean", [[1.2 / 3, 1.1 / 3, 0.7 / 3], [0.3, 0.3, 0.4]]),
        ("max", [[0.6 / 1.7, 0.7 / 1.7, 0.4 / 1.7], [0.4 / 1.4, 0.4 / 1.4, 0.6 / 1.4]]),
        ("vote", [[2 / 3, 1 / 3, 0], [0.5, 0, 0.5]]),  # of equals, the first
    ],
)
def test_classes_of_a_unit_are_pooled(how, expected):
    np.testing.assert_allclose(pool(GIVEN, UNIT, how, several=False), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("mean", [[1.2 / 3, 1.1 / 3, 0.7 / 3], [0.3, 0.3, 0.4]]),
        ("max", [[0.6, 0.7, 0.4], [0.4, 0.4, 0.6]]),
        ("vote", [[1 / 3, 1 / 3, 0], [0, 0, 0.5]]),  # one half is not above one half
    ],
)
def test_labels_of_a_unit_are_pooled_each_by_itself(how, expected):
    np.testing.assert_allclose(pool(GIVEN, UNIT, how, several=True), expected, rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 60),
    units=st.integers(1, 9),
    how=st.sampled_from(["mean", "max", "vote"]),
    several=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_pooling_is_that_of_each_unit_alone_in_whatever_order(rows, units, how, several, seed):
    rng = np.random.default_rng(seed)
    unit = np.unique(rng.integers(0, units, rows), return_inverse=True)[1]
    given_ = rng.dirichlet(np.ones(4), rows)
    pooled = pool(given_, unit, how, several)
    for one in range(unit.max() + 1):
        own = given_[unit == one]
        np.testing.assert_allclose(pooled[one], pool(own, np.zeros(len(own), int), how, several)[0], atol=1e-12)
    shuffled = rng.permutation(rows)
    np.testing.assert_allclose(pool(given_[shuffled], unit[shuffled], how, several), pooled, atol=1e-12)
    if not several:
        np.testing.assert_allclose(pooled.sum(axis=1), 1)
