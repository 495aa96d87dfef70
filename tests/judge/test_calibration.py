import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from pipeline.judge import calibration, metrics
from pipeline.judge.arms import Rows
from pipeline.judge.calibration import binned, murphy, recalibration, squared_error
from pipeline.judge.tally import Multilabel, Predictions


def of_two(probability: np.ndarray, own: np.ndarray, patients: np.ndarray | None = None) -> Rows:
    both = np.stack([1 - probability, probability], axis=1)
    here = np.arange(len(own)) if patients is None else patients
    return Rows(Predictions(own.astype(int), both), np.zeros(len(own), int), here)


def calibrated(patients: int, images: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of a perfect model; the images of a patient look alike, and share their class."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(1, 4, patients)
    own = rng.random(patients) < chance
    return np.repeat(chance, images), np.repeat(own, images), np.repeat(np.arange(patients), images)


def plain_error(probability: np.ndarray, own: np.ndarray, patients: np.ndarray) -> float:
    of = binned(probability, own, patients)
    return float(np.average(of.mean(probability - own) ** 2, weights=of.rows))


@pytest.mark.parametrize("images", [1, 4])
def test_the_mean_calibration_error_of_a_perfect_model_is_0_where_the_plain_one_is_not(images):
    samples = [calibrated(300, images, seed) for seed in range(400)]
    debiased = np.array([squared_error(binned(*sample)) for sample in samples])
    plain = np.array([plain_error(*sample) for sample in samples])
    standard_error = debiased.std() / np.sqrt(len(samples))
    assert abs(debiased.mean()) < 3 * standard_error
    assert plain.mean() > 20 * standard_error
    assert np.sqrt(plain.mean()) > 0.04


def test_the_calibration_error_of_a_wrong_model_is_how_far_it_is_off():
    found = []
    for seed in range(100):
        chance, own, patients = calibrated(400, 2, seed)
        found.append(squared_error(binned(chance + 0.1, own, patients)))
    assert np.sqrt(np.mean(found)) == pytest.approx(0.1, abs=0.003)


def test_rows_of_patients_count_as_many_as_there_are_patients():
    """Four copies of every row say what one says."""
    alone, four = calibrated(200, 1, 0), calibrated(200, 4, 0)
    np.testing.assert_allclose(squared_error(binned(*alone)), squared_error(binned(*four)), rtol=1e-9)
    one, many = (calibration.curve(of_two(*rows), ["a", "b"], 0.95) for rows in (alone, four))
    np.testing.assert_allclose(one[["low", "high"]], many[["low", "high"]], atol=0.02)
    assert (many["n"] == 4 * one["n"]).all()


def test_bins_hold_equally_many_and_part_no_equal_probabilities():
    probability = np.array([0.1] * 130 + [0.2] * 5 + [0.3] * 65)
    of = binned(probability, probability > 0.2, np.arange(200))
    assert of.rows.tolist() == [135, 65]
    spread = binned(np.linspace(0, 1, 205), np.ones(205, bool), np.arange(205))
    assert spread.rows.tolist() == [20, 21] * 5
    assert binned(np.linspace(0, 1, 30), np.ones(30, bool), np.arange(30)).rows.tolist() == [30]
    assert binned(np.full(300, 0.5), np.ones(300, bool), np.arange(300)).rows.tolist() == [300]


def test_a_curve_is_probability_and_frequency_by_bin():
    probability = np.repeat([0.1, 0.6], 50)
    own = np.concatenate([np.arange(50) < 5, np.arange(50) < 20])
    found = calibration.curve(of_two(probability, own), ["no", "yes"], 0.95)
    assert found.columns.tolist() == ["class", "probability", "frequency", "low", "high", "n"]
    assert found["class"].tolist() == ["yes", "yes"]
    np.testing.assert_allclose(found[["probability", "frequency", "n"]], [[0.1, 0.1, 50], [0.6, 0.4, 50]])
    # Clopper-Pearson of 5 and of 20 of 50, within the little that the variance of 49 degrees adds
    np.testing.assert_allclose(found[["low", "high"]], [[0.0333, 0.2181], [0.2641, 0.5482]], atol=0.005)


def test_a_bin_without_a_case_is_not_certain():
    found = calibration.curve(of_two(np.repeat([0.01, 0.9], 40), np.arange(80) >= 40), ["no", "yes"], 0.95)
    assert found["frequency"].tolist() == [0, 1]
    np.testing.assert_allclose(found[["low", "high"]], [[0, 0.0881], [0.9119, 1]], atol=1e-4)  # 1 - 0.025^(1/40)


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(2, 300), seed=st.integers(0, 10**6), ties=st.booleans())
def test_reliability_less_resolution_and_uncertainty_are_the_brier_score(rows, seed, ties):
    rng = np.random.default_rng(seed)
    probability = rng.random(rows).round(1) if ties else rng.random(rows)
    own = rng.random(rows) < 0.3
    reliability, resolution, uncertainty = murphy(binned(probability, own, np.arange(rows)))
    brier = brier_score_loss(own, probability, labels=[False, True])
    np.testing.assert_allclose(reliability - resolution + uncertainty, brier, atol=1e-12)
    assert reliability >= 0
    assert uncertainty == pytest.approx(own.mean() * (1 - own.mean()))


def test_the_parts_of_the_brier_score_of_two_forecasts_by_hand():
    probability = np.repeat([0.2, 0.8], 20)
    own = np.concatenate([np.arange(20) < 8, np.arange(20) < 14])  # .4 and .7 of them, .55 in all
    found = murphy(binned(probability, own, np.arange(40)))
    np.testing.assert_allclose(found, [(0.2**2 + 0.1**2) / 2, 0.15**2, 0.55 * 0.45])


def test_slope_and_intercept_are_those_of_a_regression_without_penalty():
    probability, own, _ = calibrated(400, 1, 3)
    logits = np.log(probability / (1 - probability))
    slope, intercept = recalibration(probability, own)
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(logits[:, None], own)
    assert slope == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    shifted = 1 / (1 + np.exp(-(logits + intercept)))
    assert shifted.mean() == pytest.approx(own.mean(), abs=1e-9)  # what an intercept alone brings about


def test_slope_and_intercept_of_a_table_of_four_by_hand():
    probability = np.repeat([0.2, 0.8], 10)
    own = np.concatenate([np.arange(10) < 3, np.arange(10) < 6])
    slope, intercept = recalibration(probability, own)
    assert slope == pytest.approx((np.log(6 / 4) - np.log(3 / 7)) / (np.log(4) - np.log(1 / 4)), rel=1e-6)
    assert intercept < 0


@pytest.mark.parametrize("shift", [-6.0, 0.7, 6.0])
@pytest.mark.parametrize("factor", [0.2, 1.0, 5.0])
def test_a_model_that_was_bent_is_recognised_as_bent(shift, factor):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20000)
    own = rng.random(20000) < 1 / (1 + np.exp(-truth))
    bent = 1 / (1 + np.exp(-(truth * factor + shift)))
    slope, intercept = recalibration(bent, own)
    assert slope == pytest.approx(1 / factor, rel=0.06)
    if factor == 1:
        assert intercept == pytest.approx(-shift, abs=0.05)


@pytest.mark.parametrize("probability", [[0.1, 0.2, 0.2, 0.9], [0.9, 0.3, 0.3, 0.1], [0.5] * 4, [0.0, 0.0, 1.0, 1.0]])
def test_logits_that_leave_no_doubt_have_no_slope(probability):
    slope, intercept = recalibration(np.array(probability), np.array([False, False, True, True]))
    assert np.isnan(slope)
    assert np.isfinite(intercept)


@settings(max_examples=100, deadline=None)
@given(rows=st.integers(2, 60), seed=st.integers(0, 10**6), sharp=st.sampled_from([0.1, 1, 10, 100]))
def test_slope_and_intercept_are_numbers_however_sure_the_model_is(rows, seed, sharp):
    rng = np.random.default_rng(seed)
    own = np.arange(rows) < rng.integers(1, rows)
    logits = sharp * (rng.normal(size=rows) + own)
    slope, intercept = recalibration(1 / (1 + np.exp(-logits.clip(-700, 700))), own)
    parted = logits[own].min() >= logits[~own].max() or logits[own].max() <= logits[~own].min()
    assert np.isfinite(intercept)
    assert np.isfinite(slope) or parted or sharp > 1  # sharper ones may be equal once they are clipped


def test_the_table_has_a_row_for_each_class_and_adds_up_to_the_figures_of_the_arm():
    rng = np.random.default_rng(0)
    given_ = rng.dirichlet(np.ones(3), 200)
    labels = (rng.random(200)[:, None] > given_.cumsum(axis=1)).sum(axis=1)
    found = calibration.table(Rows(Predictions(labels, given_), np.zeros(200, int), np.arange(200)), ["a", "b", "c"])
    assert found.columns.tolist() == calibration.FIGURES
    assert found["class"].tolist() == ["a", "b", "c"]
    assert found["brier"].sum() == pytest.approx(metrics.score(labels, given_)["brier"])
    np.testing.assert_allclose(found["prevalence"], np.bincount(labels) / 200)
    np.testing.assert_allclose(found["predicted"], given_.mean(axis=0))
    np.testing.assert_allclose(found["slope"], 1, atol=0.4)
    np.testing.assert_allclose(found["intercept"], 0, atol=0.4)


def test_of_two_classes_the_second_is_told_and_labels_where_they_are_known():
    assert calibration.table(of_two(*calibrated(50, 1, 0)), ["no", "yes"])["class"].tolist() == ["yes"]
    marks = np.array([[1, 0, -1], [0, 0, 1], [-1, 0, 0], [1, 0, -1]], np.int8)
    given_ = np.full((4, 3), 0.25)
    found = calibration.table(Rows(Multilabel(marks, given_), np.zeros(4, int), np.arange(4)), ["x", "never", "z"])
    assert found["class"].tolist() == ["x", "z"]
    np.testing.assert_allclose(found["prevalence"], [2 / 3, 1 / 2])


def test_nothing_is_told_where_nothing_can_be():
    rows = of_two(np.array([0.2, 0.3]), np.array([False, False]))
    assert calibration.table(rows, ["no", "yes"]).columns.tolist() == calibration.FIGURES
    assert calibration.curve(rows, ["no", "yes"], 0.95).columns.tolist() == calibration.CURVE
    assert calibration.table(rows, ["no", "yes"]).empty
