import numpy as np
import pytest

from pipeline.judge import benefit
from pipeline.judge.arms import Rows
from pipeline.judge.counts import Counts, drawn
from pipeline.judge.tally import Multilabel, Predictions


def of_two(probability, own, patients=None) -> Rows:
    both = np.stack([1 - np.array(probability), probability], axis=1)
    here = np.arange(len(own)) if patients is None else np.array(patients)
    return Rows(Predictions(np.array(own), both), np.zeros(len(own), int), here)


def test_net_benefit_is_hits_less_weighed_alarms():
    rows = of_two([0.1, 0.4, 0.8, 0.9], [0, 1, 0, 1])
    found = benefit.table(rows, ["no", "yes"], 100, 0.95, 0).set_index("threshold")
    assert list(found.columns) == ["class", "model", "all", "low", "high"]
    assert set(found["class"]) == {"yes"}
    at = found.loc[[0.2, 0.5, 0.85, 0.95]]
    np.testing.assert_allclose(at["model"], [2 / 4 - 1 / 4 * 0.25, 1 / 4 - 1 / 4, 1 / 4, 0])
    np.testing.assert_allclose(at["all"], [0.5 - 0.5 * 0.25, 0, 0.5 - 0.5 * 0.85 / 0.15, 0.5 - 0.5 * 19], atol=1e-12)


def test_acting_from_a_threshold_on_includes_it():
    found = benefit.table(of_two([0.3, 0.5], [0, 1]), ["no", "yes"], 100, 0.95, 0).set_index("threshold")
    assert found.loc[0.5, "model"] == 0.5
    assert found.loc[0.51, "model"] == 0


def test_thresholds_reach_down_to_those_of_a_rare_class():
    common, rare = benefit.thresholds(0.3), benefit.thresholds(0.004)
    assert common.tolist() == [number / 100 for number in range(1, 100)]
    np.testing.assert_allclose(rare[:6], [0.0004, 0.0008, 0.002, 0.004, 0.008, 0.01])
    assert (np.diff(rare) > 0).all()


def test_the_band_is_that_of_draws_of_patients():
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(40), 3)
    own = (rng.random(40) < 0.4)[patients].astype(int)
    probability = np.clip(own * 0.3 + rng.random(120) * 0.6, 0, 1)
    found = benefit.table(of_two(probability, own, patients), ["no", "yes"], 200, 0.9, 7).set_index("threshold")
    weights = Counts(drawn(40, 200, 7), 200, patients).sums(np.eye(120)).T  # (n, draws)
    naive = []
    for column in weights.T:
        acted = probability >= 0.35
        hits = (column * (acted & (own == 1))).sum() / column.sum()
        alarms = (column * (acted & (own == 0))).sum() / column.sum()
        naive.append(hits - alarms * 0.35 / 0.65)
    row = found.loc[0.35]
    np.testing.assert_allclose(row[["low", "high"]].astype(float), np.quantile(naive, [0.05, 0.95]), rtol=1e-5)
    assert row["low"] < row["model"] < row["high"]


def test_a_label_is_judged_on_the_rows_where_it_is_known():
    marks = np.array([[1, 1], [0, -1], [-1, -1], [0, 1]], np.int8)
    given = np.array([[0.9, 0.9], [0.8, 0.9], [0.9, 0.9], [0.1, 0.9]])
    rows = Rows(Multilabel(marks, given), np.zeros(4, int), np.arange(4))
    found = benefit.table(rows, ["Mass", "Nodule"], 100, 0.95, 0)
    assert set(found["class"]) == {"Mass"}  # every known row has the other
    at = found.set_index("threshold").loc[0.5]
    assert at["model"] == pytest.approx(1 / 3 - 1 / 3)
    assert at["all"] == pytest.approx(1 / 3 - 2 / 3)
    assert np.isfinite(at[["low", "high"]].astype(float)).all()


def test_no_class_to_tell_gives_an_empty_table():
    assert benefit.table(of_two([0.2, 0.3], [0, 0]), ["no", "yes"], 100, 0.95, 0).columns.tolist() == benefit.COLUMNS
