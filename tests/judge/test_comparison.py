"""p, Holm and verdicts; what they hold under the null stands in test_null.py."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.judge import comparison, intervals
from pipeline.judge.arms import Judged
from pipeline.judge.comparison import COMPARED, Terms
from pipeline.judge.means import OF_CLASS

TERMS = Terms(confidence=0.95, rope=0.01, ratio=0.5)
CLASSES = {"patients": np.array([10_000, 10_000])}
PARTS = {OF_CLASS + "recall": np.zeros((400, 2))}


def arm(value: float, spread: float, seed: int = 0, folds: tuple[float, ...] = ()) -> Judged:
    draws = dict.fromkeys(COMPARED, value + spread * np.random.default_rng(seed).normal(size=400))
    test = {key: float(values.mean()) for key, values in draws.items()}
    by_fold = {str(number): {"test": dict.fromkeys(COMPARED, each)} for number, each in enumerate(folds)}
    return Judged({"test": test, "folds": by_fold}, CLASSES, draws | PARTS, 10_000)


def row(table: pd.DataFrame, arm: str, reference: str, metric: str) -> dict[Any, Any]:
    return table.reset_index().set_index(["arm", "reference", "metric"]).T.to_dict()[arm, reference, metric]


def compared(judged: dict[str, Judged], pairs: list[tuple[str, str]], terms: Terms = TERMS) -> pd.DataFrame:
    return comparison.compare(judged, {"reference": pairs}, terms).set_index(["arm", "reference", "metric"])


def test_the_verdict_is_told_by_p_after_correction_and_by_the_interval():
    judged = {"a": arm(0.5, 0.01), "b": arm(0.6, 0.01, 1), "c": arm(0.52, 0.01, 2), "d": arm(0.502, 0.01)}
    table = compared(judged, [("b", "a"), ("a", "b"), ("c", "a"), ("d", "a")])
    assert list(table.reset_index()) == list(comparison.COLUMNS)
    assert len(table) == 12
    assert row(table, "b", "a", "macro_f1")["verdict"] == "better"
    assert row(table, "a", "b", "kappa")["verdict"] == "worse"
    assert row(table, "c", "a", "balanced_accuracy_adjusted")["verdict"] == "can't tell"
    assert row(table, "b", "a", "macro_f1")["difference"] == pytest.approx(0.1, abs=0.003)


def test_a_difference_that_is_sure_and_within_the_region_is_practically_none():
    judged = {"a": arm(0.5, 0.01), "d": arm(0.503, 0.01)}  # the same draws, 0.003 apart
    assert set(compared(judged, [("d", "a")])["verdict"]) == {"practically the same"}
    strict = compared(judged, [("d", "a")], Terms(0.95, 0.001, 0.5))
    assert set(strict["verdict"]) == {"better"}
    assert (strict["p_holm"] < 0.05).all()


def test_a_figure_that_is_not_defined_tells_nothing():
    missing = Judged(
        {"test": dict.fromkeys(COMPARED, np.nan), "folds": {}},
        CLASSES,
        dict.fromkeys(COMPARED, np.full(400, np.nan)) | PARTS,
        10_000,
    )
    table = compared({"a": arm(0.5, 0.01), "b": missing, "c": arm(0.7, 0.01, 1)}, [("b", "a"), ("c", "a")])
    nothing, other = row(table, "b", "a", "kappa"), row(table, "c", "a", "kappa")
    assert all(np.isnan(nothing[name]) for name in ("low", "high", "p", "p_holm", "p_folds", "better"))
    assert nothing["verdict"] == "can't tell"
    assert other["p_holm"] == other["p"]


def test_pairing_tells_arms_apart_that_vary_together():
    together, apart = ({"a": arm(0.5, 0.05), "b": arm(0.52, 0.05, seed)} for seed in (0, 1))
    assert set(compared(together, [("b", "a")])["verdict"]) == {"better"}
    assert set(compared(apart, [("b", "a")])["verdict"]) == {"can't tell"}


def test_an_arm_is_practically_its_equal():
    equal = compared({"a": arm(0.5, 0.05), "b": arm(0.5, 0.05)}, [("b", "a")]).iloc[0]
    assert (equal["low"], equal["high"], equal["p"], equal["verdict"]) == (0, 0, 1, "practically the same")


def test_without_pairs_the_table_still_has_its_columns():
    table = comparison.compare({"a": arm(0.5, 0.05)}, {"selected": []}, TERMS)
    assert list(table.columns) == list(comparison.COLUMNS)
    assert table.empty


def test_a_pair_of_two_kinds_stands_once_with_the_greater_p():
    judged = {"a": arm(0.5, 0.02), "b": arm(0.55, 0.02, 1), "c": arm(0.54, 0.02, 2), "d": arm(0.53, 0.02, 3)}
    small, large = [("b", "a")], [("b", "a"), ("c", "a"), ("d", "a")]
    table = comparison.compare(judged, {"baseline": small, "selected": large}, TERMS)
    assert len(table) == 9
    alone = comparison.compare(judged, {"selected": large}, TERMS)
    pd.testing.assert_frame_equal(table, alone)
    assert (table["p_holm"] > table["p"]).any()


def test_the_folds_are_told_in_the_same_row():
    judged = {"a": arm(0.5, 0.02, 0, (0.5, 0.6, 0.4)), "b": arm(0.5, 0.02, 1, (0.55, 0.66, 0.43))}
    told = compared(judged, [("b", "a")]).iloc[0]
    gaps = np.array([0.05, 0.06, 0.03])
    t = gaps.mean() / np.sqrt((1 / 3 + 0.5) * gaps.var(ddof=1))
    assert told["p_folds"] == pytest.approx(2 * stats.t.sf(t, 2))
    assert told["better"] + told["same"] + told["worse"] == pytest.approx(1)
    assert compared({"a": arm(0.5, 0.02), "b": arm(0.5, 0.02)}, [("b", "a")])["p_folds"].isna().all()


def test_p_is_twice_the_share_of_the_draws_on_the_rarer_side_of_zero_counting_the_sample():
    gaps = np.array([[-1.0, 0.0, np.nan], [2.0, 0.0, 1.0], [3.0, 0.0, -1.0], [4.0, 0.0, 2.0]])
    np.testing.assert_allclose(comparison.p_values(gaps, np.full(3, 1e9)), [2 * 2 / 5, 1, 1])
    assert np.isnan(comparison.p_values(np.full((4, 1), np.nan), np.array([1e9])))


def test_far_from_zero_p_is_read_off_the_normal_curve_and_never_above_what_the_draws_allow():
    draws = np.random.default_rng(0).normal(size=1000)
    p = comparison.p_values(np.stack([draws + 5, draws - 6, draws - draws.min() + 1e-9], axis=1), np.full(3, 1e9))
    assert p[0] == pytest.approx(2 * stats.norm.sf((5 + draws.mean()) / draws.std(ddof=1)))
    assert p[1] == pytest.approx(2 * stats.norm.sf((6 - draws.mean()) / draws.std(ddof=1)))
    assert 0 < p[2] <= 2 / 1001


def test_p_of_a_difference_that_rests_on_few_patients_is_that_of_students_t():
    draws = stats.norm.ppf((np.arange(1, 1000) - 0.5) / 999) + 2.2
    few, many, one = comparison.p_values(np.stack([draws] * 3, axis=1), np.array([5, 1e9, 1]))
    normal = 2 * (np.sum(draws <= 0) + 1) / 1000
    assert many == pytest.approx(normal, rel=1e-6)
    assert few == pytest.approx(2 * stats.t.sf(stats.norm.isf(normal / 2) * np.sqrt(4 / 5), 4), rel=1e-6)
    assert few > 0.1 > 0.05 > many
    assert one == 1


def test_p_is_below_one_in_twenty_where_the_interval_of_95_percent_lacks_zero():
    draws = np.random.default_rng(3).normal(size=(20_000, 41)) + np.linspace(1.5, 4, 41)
    for patients in (5, 12, 10_000):
        behind = np.full(41, float(patients))
        low, _ = intervals.ends(draws, draws.mean(axis=0), None, 0.95, behind)
        differ = (comparison.p_values(draws, behind) < 0.05) != (low > 0)
        assert differ.sum() <= 2  # p counts the sample itself


def test_holm_is_that_of_the_worked_example():
    # p sorted .005 .01 .03 .04, times 4 3 2 1, never falling (Holm 1979)
    np.testing.assert_allclose(comparison.holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(comparison.holm(np.array([0.6, np.nan, 0.7])), [1, np.nan, 1])
    assert comparison.holm(np.array([])).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(values):
    p = np.array(values)
    corrected = comparison.holm(p)
    assert ((corrected >= p) & (corrected <= np.minimum(p * len(p), 1) + 1e-12)).all()
    assert (np.diff(corrected[np.argsort(p)]) >= 0).all()


def test_the_note_says_what_is_corrected_and_for_what():
    text = comparison.note(Terms(0.9, 0.02, 0.5))
    assert "corrected (Holm) for the number of arms" in text
    assert "better or worse in about 10 of 100 data sets. Metrics are not corrected for each other." in text
    assert text.endswith("the whole interval lies within ±0.02.")


def test_arms_are_ranked_by_the_keys_in_order():
    figures = {
        "a": {"kappa": 0.5, "auc": 0.6},
        "b": {"kappa": 0.5, "auc": 0.7},
        "c": {"kappa": float("nan"), "auc": 0.9},
        "d": {"kappa": 0.4, "auc": 0.9},
    }
    assert comparison.rank(figures, ["kappa", "auc"]) == ["b", "a", "d", "c"]
    assert comparison.rank(figures, ["auc"]) == ["c", "d", "b", "a"]


def test_an_arm_that_gives_one_answer_comes_last():
    figures = {"constant": {"kappa": 0.0}, "weak": {"kappa": -0.011}}
    assert comparison.rank(figures, ["kappa"]) == ["constant", "weak"]
    assert comparison.rank(figures, ["kappa"], {"constant"}) == ["weak", "constant"]


@given(st.permutations(["a", "b", "c"]))
def test_equal_arms_keep_the_order_of_the_grid(order):
    assert comparison.rank({name: {"auc": 0.5} for name in order}, ["auc"]) == order
