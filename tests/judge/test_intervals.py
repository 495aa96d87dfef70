import numpy as np
import pytest

from pipeline.judge import intervals, metrics
from pipeline.judge.tally import Predictions

ACCURACY = {"accuracy": metrics.accuracy}
ECE = {"ece": metrics.ece}


def test_patients_are_numbered_by_first_appearance():
    assert intervals.codes(np.array(["q", "a", "q", "z", "a"])).tolist() == [0, 1, 0, 2, 1]


def test_percentiles_by_hand():
    values = np.arange(101.0)
    assert intervals.percentiles(values, 0.9) == (pytest.approx(5), pytest.approx(95))
    low, high = intervals.percentiles(np.column_stack([values, values + 1]), 0.9)
    assert (low.tolist(), high.tolist()) == (pytest.approx([5, 6]), pytest.approx([95, 96]))


def test_draws_without_a_figure_do_not_count_and_none_at_all_is_no_interval():
    low, high = intervals.percentiles(np.array([[1, np.nan], [np.nan, np.nan], [3, np.nan]]), 0.5)
    assert (low[0], high[0]) == (1.5, 2.5)
    assert np.isnan([low[1], high[1]]).all()


def test_figures_of_the_draws_have_one_entry_per_draw_and_class():
    labels = np.arange(40) % 4
    of = Predictions(labels, np.eye(4)[labels])
    found = intervals.bootstrap(of, np.arange(40), ACCURACY | {"recall": metrics.recall}, 30, 0)
    assert (found["accuracy"].shape, found["recall"].shape) == ((30,), (30, 4))
    assert (found["accuracy"] == 1).all()


def test_intervals_over_patients_hold_the_truth_where_those_over_images_are_too_narrow():
    rng, patients = np.random.default_rng(0), np.repeat(np.arange(50), 4)
    held = np.zeros(2)
    for _ in range(200):
        right = rng.beta(1.4, 0.6, 50)[patients] > rng.random(200)  # a patient's images agree; 0.7 are right
        of = Predictions(np.ones(200, int), np.column_stack([~right, right]).astype(float))
        for kind, units in enumerate((patients, np.arange(200))):
            values = intervals.bootstrap(of, units, ACCURACY, 200, 0)["accuracy"]
            low, high = intervals.percentiles(values, 0.95)
            held[kind] += low <= 0.7 <= high
    over_patients, over_images = held / 200
    assert over_patients > 0.9
    assert over_images < 0.85


def test_a_centred_interval_has_the_width_of_the_draws_around_the_figure():
    values = np.arange(101.0)
    assert intervals.centred(values, 20.0, 0.5) == (pytest.approx(0), pytest.approx(45))
    assert intervals.centred(values, 60.0, 0.5) == (pytest.approx(35), pytest.approx(85))


def test_a_centred_interval_does_not_go_below_zero():
    assert intervals.centred(np.arange(101.0), 10.0, 0.5)[0] == 0


def test_a_centred_interval_of_calibration_error_holds_its_long_run_value_where_percentiles_lie_above():
    rng, held = np.random.default_rng(0), np.zeros(2)
    samples = [calibrated(rng) for _ in range(100)]
    usual = np.median([metrics.point(of, ECE)["ece"] for of in samples])
    for of in samples:
        values = intervals.bootstrap(of, np.arange(200), ECE, 100, 0)["ece"]
        point = float(metrics.point(of, ECE)["ece"])
        for kind, (low, high) in enumerate(
            (intervals.centred(values, point, 0.95), intervals.percentiles(values, 0.95))
        ):
            held[kind] += low <= usual <= high
    assert held[0] > 90
    assert held[1] < 50


def calibrated(rng: np.random.Generator) -> Predictions:
    probabilities = rng.dirichlet([1, 2, 4], 200)
    return Predictions((rng.random(200)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1), probabilities)
