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


SPATIAL = np.array(
    [48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6, 0, 33, 28, 34, 4, 32, 24, 47, 41, 24, 26, 30, 41], float
)  # Efron & Tibshirani 1993, table 14.1: scores of 26 children


def test_acceleration_of_a_variance_is_that_of_the_textbook():
    """0.061, Efron & Tibshirani 1993, section 14.3, where the variance is 171.5."""
    assert SPATIAL.var() == pytest.approx(171.5, abs=0.05)
    left_out = np.array([np.delete(SPATIAL, i).var() for i in range(26)])
    assert intervals.acceleration(left_out) == pytest.approx(0.061, abs=0.0005)


def test_acceleration_from_groups_of_patients_is_on_average_that_from_each():
    """Of a mean: a sixth of the skewness, which is 2, over the root of the number."""
    found = []
    for seed in range(60):
        values = np.random.default_rng(seed).exponential(size=600)
        groups = [np.delete(values, slice(i, None, 200)).mean() for i in range(200)]
        found.append([intervals.acceleration(np.array(of)) for of in ((values.sum() - values) / 599, groups)])
    each, grouped = np.mean(found, axis=0)
    assert each == pytest.approx(2 / 6 / np.sqrt(600), rel=0.1)
    assert grouped == pytest.approx(each, rel=0.1)


def test_a_figure_that_no_patient_moves_or_none_has_is_not_accelerated():
    assert intervals.acceleration(np.full(5, 0.3)) == 0
    assert intervals.acceleration(np.full(5, np.nan)) == 0


@pytest.mark.parametrize("figure", [np.var, np.mean, np.median])
def test_bca_intervals_are_those_of_scipy_from_the_same_draws(figure):
    from scipy import stats

    def many(values: np.ndarray, axis: int) -> np.ndarray:
        return figure(values, axis=axis)

    drawn = stats.bootstrap((SPATIAL,), many, n_resamples=2000, rng=np.random.default_rng(0), method="percentile")
    expected = stats.bootstrap((SPATIAL,), many, n_resamples=0, bootstrap_result=drawn, method="BCa")
    draws, left_out = drawn.bootstrap_distribution, np.array([figure(np.delete(SPATIAL, i)) for i in range(26)])
    found = intervals.ends(draws, figure(SPATIAL), left_out, 0.95)
    assert found == pytest.approx(tuple(expected.confidence_interval))
    plain = intervals.ends(draws, figure(SPATIAL), None, 0.95)
    assert plain == pytest.approx(tuple(drawn.confidence_interval))


def test_bca_intervals_of_several_figures_are_those_of_each():
    rng = np.random.default_rng(0)
    draws, left_out, point = rng.normal(size=(300, 3)) ** 2, rng.normal(size=(40, 3)) ** 3, np.array([0.5, 1.0, 2.0])
    draws[::7, 1] = draws[:, 2] = np.nan
    low, high = intervals.ends(draws, point, left_out, 0.9)
    for i in range(2):
        assert (low[i], high[i]) == intervals.ends(draws[:, i], point[i], left_out[:, i], 0.9)
    assert np.isnan([low[2], high[2]]).all()


def test_a_figure_beyond_all_of_its_draws_has_the_end_of_them():
    low, high = intervals.ends(np.linspace(0, 1, 101), np.array(2.0), np.arange(10.0), 0.9)
    assert 0.99 < low <= high <= 1


def test_intervals_of_few_patients_reach_as_much_further_as_students_t():
    draws = np.sort(np.random.default_rng(0).normal(size=200_001))
    low, high = intervals.ends(np.tile(draws[:, None], 4), np.zeros(4), None, 0.95, np.array([1, 5, 30, 10**6]))
    assert (low[0], high[0]) == (draws[0], draws[-1])
    assert high[1] == pytest.approx(2.776 * np.sqrt(5 / 4), abs=0.1)
    assert high[2] == pytest.approx(2.045 * np.sqrt(30 / 29), abs=0.03)
    assert high[3] == pytest.approx(1.96, abs=0.02)
    np.testing.assert_allclose(low[1:], -high[1:], atol=0.1)


def test_the_jackknife_leaves_each_patient_out_with_all_images():
    labels = np.array([0, 1, 0, 1, 1])
    of, patients = Predictions(labels, np.eye(2)[[0, 1, 1, 1, 0]]), np.array([0, 0, 1, 2, 2])
    assert intervals.jackknife(of, patients, ACCURACY)["accuracy"].tolist() == [1 / 3, 3 / 4, 2 / 3]
