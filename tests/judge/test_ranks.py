from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.judge import ranks

# C4.5, +m, +cf and +m+cf on 14 data sets: table 6 of Demšar 2006, whose mean ranks, test and difference are these
DEMSAR = np.array(
    [
        [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.000, 0.940, 0.619, 0.972, 0.957],
        [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.000, 0.962, 0.666, 0.981, 0.978],
        [0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.000, 0.965, 0.614, 0.9751, 0.946],
        [0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.000, 0.962, 0.669, 0.975, 0.970],
    ]
)
ARMS = ["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"]


def test_the_worked_example_of_the_source_is_told_as_there():
    (of,) = ranks.table({"auc": dict(zip(ARMS, DEMSAR, strict=True))}, 0.95).values()
    assert of["folds"] == 14
    assert {arm: round(rank, 3) for arm, rank in of["ranks"].items()} == {
        "C4.5+m+cf": 1.964,
        "C4.5+m": 2.0,
        "C4.5+cf": 2.893,
        "C4.5": 3.143,
    }
    assert list(of["ranks"]) == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    assert of["critical_difference"] == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), abs=1e-3)  # 1.25
    assert of["p"] == pytest.approx(stats.friedmanchisquare(*DEMSAR).pvalue, rel=1e-5)
    assert of["p"] < 0.05
    assert of["cliques"] == [["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]]  # 3.143 - 1.964 = 1.18 < 1.25


def test_arms_that_are_told_apart_share_no_clique():
    values = {"a": np.arange(20.0) + 3, "b": np.arange(20.0) + 2, "c": np.arange(20.0) + 1, "d": np.arange(20.0)}
    (of,) = ranks.table({"kappa": values}, 0.95).values()
    assert of["critical_difference"] == pytest.approx(1.0488, abs=1e-3)
    assert of["cliques"] == [["a", "b"], ["b", "c"], ["c", "d"]]


def test_where_friedman_tells_nothing_all_are_one_clique():
    values = np.random.default_rng(3).random((4, 3))
    (of,) = ranks.table({"kappa": dict(zip("abcd", values, strict=True))}, 0.95).values()
    assert of["p"] > 0.05
    assert [sorted(clique) for clique in of["cliques"]] == [["a", "b", "c", "d"]]


def test_nemenyi_is_asked_only_where_friedman_tells_something():
    values = np.random.default_rng(32).random((4, 5))
    (of,) = ranks.table({"kappa": dict(zip("abcd", values, strict=True))}, 0.95).values()
    first, *_, last = of["ranks"].values()
    assert of["p"] > 0.05
    assert last - first > of["critical_difference"]
    assert len(of["cliques"]) == 1


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7, 8, 9, 10])
def test_quantiles_are_those_of_the_source(count):
    # table 5 (a) of Demšar 2006: q / sqrt(2) at 0.05
    known = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    assert ranks.studentized_range(count, 0.95) / np.sqrt(2) == pytest.approx(known[count - 2], abs=1.1e-3)


def test_quantiles_of_many_arms_and_of_other_levels_are_those_of_scipy():
    for count, confidence in ((20, 0.95), (60, 0.99), (5, 0.9)):
        expected = stats.studentized_range.ppf(confidence, count, np.inf)
        assert ranks.studentized_range(count, confidence) == pytest.approx(expected, abs=1e-6)


@given(st.integers(2, 6), st.integers(3, 9), st.integers(0, 99))
def test_ranks_and_friedman_are_those_of_scipy_with_ties(arms, folds, seed):
    values = np.random.default_rng(seed).integers(0, 4, (arms, folds)).astype(float)
    within = ranks.ranks(values)
    np.testing.assert_array_equal(within, stats.rankdata(-values, axis=0))
    if arms > 2 and np.ptp(values, axis=0).any():
        assert ranks.friedman(within) == pytest.approx(stats.friedmanchisquare(*values).pvalue, rel=1e-9)


def test_arms_that_are_always_tied_are_not_told_apart():
    (of,) = ranks.table({"kappa": dict.fromkeys("abc", np.ones(4))}, 0.95).values()
    assert (of["p"], of["cliques"]) == (1, [["a", "b", "c"]])
    assert set(of["ranks"].values()) == {2}


def test_too_few_folds_or_arms_leave_a_metric_out():
    whole, holed = np.array([0.1, 0.2, 0.3]), np.array([0.1, np.nan, 0.3])
    of = {
        "macro_f1": {"a": whole, "b": whole + 0.1},
        "kappa": {"a": whole[:2], "b": whole[:2]},
        "auc": {"a": whole, "b": holed},
        "balanced_accuracy": {"a": whole},
    }
    assert list(ranks.table(of, 0.95)) == ["macro_f1"]


@given(st.lists(st.floats(1, 9), min_size=1, max_size=9).map(sorted), st.floats(0.1, 9))
def test_a_clique_is_narrow_and_lies_in_no_other(means, width):
    runs = ranks.cliques(np.array(means), width)
    assert all(end - start > 1 and means[end - 1] < means[start] + width for start, end in runs)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(runs))
    together = {(i, j) for start, end in runs for i in range(start, end) for j in range(start, end)}
    near = {(i, j) for i, a in enumerate(means) for j, b in enumerate(means) if i < j and b < a + width}
    assert near <= together
