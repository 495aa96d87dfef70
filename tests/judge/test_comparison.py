import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge import comparison


def arm(value: float, spread: float, seed: int = 0) -> dict[str, np.ndarray]:
    draws = value + spread * np.random.default_rng(seed).normal(size=400)
    return dict.fromkeys(comparison.COMPARED, draws)


def compared(draws: dict[str, dict[str, np.ndarray]], pairs: list[tuple[str, str]]):
    points = {name: {key: float(values.mean()) for key, values in of.items()} for name, of in draws.items()}
    return comparison.compare(points, draws, pairs, 0.95)


def test_the_verdict_is_whether_the_interval_of_the_difference_holds_zero():
    draws = {"a": arm(0.5, 0.01), "b": arm(0.6, 0.01, 1), "c": arm(0.505, 0.01, 2)}
    table = compared(draws, [("b", "a"), ("a", "b"), ("c", "a")]).set_index(["arm", "reference", "metric"])
    assert list(table.columns) == ["difference", "low", "high", "verdict"]
    assert len(table) == 9
    assert table.loc[("b", "a", "macro_f1"), "verdict"] == "better"
    assert table.loc[("a", "b", "kappa"), "verdict"] == "worse"
    assert table.loc[("c", "a", "balanced_accuracy_adjusted"), "verdict"] == "can't tell"
    assert table.loc[("b", "a", "macro_f1"), "difference"] == pytest.approx(0.1, abs=0.003)


def test_pairing_tells_arms_apart_that_vary_together():
    together, apart = ({"a": arm(0.5, 0.05), "b": arm(0.52, 0.05, seed)} for seed in (0, 1))
    assert set(compared(together, [("b", "a")])["verdict"]) == {"better"}
    assert set(compared(apart, [("b", "a")])["verdict"]) == {"can't tell"}


def test_an_arm_does_not_differ_from_its_equal():
    row = compared({"a": arm(0.5, 0.05), "b": arm(0.5, 0.05)}, [("b", "a")]).iloc[0]
    assert (row["low"], row["high"], row["verdict"]) == (0, 0, "can't tell")


def test_without_pairs_the_table_still_has_its_columns():
    table = compared({"a": arm(0.5, 0.05)}, [])
    assert list(table.columns) == ["arm", "reference", "metric", "difference", "low", "high", "verdict"]
    assert table.empty


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
