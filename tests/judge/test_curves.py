from statistics import NormalDist

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.judge import curves, intervals
from pipeline.judge.counts import Counts, drawn
from pipeline.judge.tally import Multilabel, Predictions


def two_classes(seed: int, rows: int, digits: int = 2) -> tuple[np.ndarray, np.ndarray, Predictions]:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1], rng.integers(0, 2, rows - 2)])
    scores = rng.normal(labels * 0.8, 1).round(digits)
    return labels, scores, Predictions(labels, np.column_stack([-scores, scores]))


def of_second(predictions: Predictions, draws: int = 2) -> curves.Curves:
    return curves.each(predictions, np.arange(len(predictions.labels)), draws, 0.9, 0)[1]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(2, 80))
def test_the_points_left_out_change_no_area(seed, rows):
    labels, scores, predictions = two_classes(seed, rows, digits=1)
    roc, pr = of_second(predictions)
    assert np.trapezoid(roc[:, 1], roc[:, 0]) == pytest.approx(sk.roc_auc_score(labels, scores))
    on_curve = {tuple(point) for point in np.column_stack(sk.precision_recall_curve(labels, scores)[1::-1]).round(9)}
    assert {tuple(point) for point in pr[1:, :2].round(9)} <= on_curve


def test_a_curve_runs_from_corner_to_corner_in_at_most_200_points():
    roc, pr = of_second(two_classes(0, 5000, digits=6)[2])
    assert len(roc) == len(pr) == 200
    assert roc[0, :2].tolist() == [0, 0]
    assert roc[-1, :2].tolist() == [1, 1]
    assert (np.diff(roc[:, :2], axis=0) >= 0).all()
    assert pr[-1, 0] == 1


def test_three_rows_by_hand():
    roc, pr = of_second(Predictions(np.array([1, 0, 1]), np.array([[0.1, 0.9], [0.4, 0.6], [0.7, 0.3]])))
    assert roc[:, :2].tolist() == [[0, 0], [0, 0.5], [1, 0.5], [1, 1]]
    assert pr[:, :2].tolist() == [[0, 1], [0.5, 1], [0.5, 0.5], [1, pytest.approx(2 / 3)]]


@pytest.mark.parametrize("label", [0, 1])
def test_a_class_with_all_rows_or_none_has_no_curve(label):
    found = of_second(Predictions(np.full(3, label), np.full((3, 2), 0.5)))
    assert [curve.shape for curve in found] == [(0, 4), (0, 4)]


def test_labels_have_the_curves_of_being_present_where_they_are_known_and_two_classes_one():
    marks = np.array([[1, 1, 0, 0, -1], [0, 1, -1, -1, 1]], np.int8).T
    given = np.array([[0.9, 0.8, 0.7, 0.1, 0.9], [0.2, 0.9, 0.9, 0.9, 0.6]]).T
    of_labels = curves.each(Multilabel(marks, given), np.arange(5), 2, 0.9, 0)
    assert list(of_labels) == [0, 1]
    np.testing.assert_allclose(of_labels[0].roc[:, :2], [[0, 0], [0, 1], [1, 1]])
    np.testing.assert_allclose(of_labels[0].pr[-1, :2], [1, 2 / 4])
    np.testing.assert_allclose(of_labels[1].pr[-1, :2], [1, 2 / 3])
    how = {"draws": 2, "confidence": 0.9, "seed": 0}
    assert list(curves.each(Predictions(np.array([0, 1]), np.eye(2)), np.arange(2), **how)) == [1]
    assert list(curves.each(Predictions(np.array([0, 1, 2]), np.eye(3)), np.arange(3), **how)) == [0, 1, 2]


def ranges_of(curve: np.ndarray, at: float, axis: int) -> tuple[float, float]:
    """Least and greatest y of a line through points (m, 2) at this x, by hand."""
    x, y = curve[:, axis], curve[:, 1 - axis]
    there = y[np.isclose(x, at)]
    if len(there):
        return there.min(), there.max()
    right = np.flatnonzero(x > at)[0]
    between = y[right - 1] + (y[right] - y[right - 1]) * (at - x[right - 1]) / (x[right] - x[right - 1])
    return between, between


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(4, 40))
def test_a_draw_passes_each_rate_where_the_curve_of_its_rows_does(seed, rows):
    labels, scores, predictions = two_classes(seed, rows, digits=0)
    patients = intervals.codes(np.random.default_rng(seed).integers(0, 12, rows))
    by = Counts(drawn(int(patients.max()) + 1, 3, seed), 3, patients)
    at = np.linspace(0, 1, 7)
    roc, pr = by.ranges(predictions.rankings[0], at, at)
    for draw in range(3):
        written = np.repeat(np.arange(rows), by.times[0, patients, draw])
        if len(set(labels[written])) < 2:
            assert np.isnan(roc[:, draw]).all()
            continue
        false, true, _ = sk.roc_curve(labels[written], scores[written], drop_intermediate=False)
        path = np.column_stack([false * (labels[written] == 0).sum(), true * (labels[written] == 1).sum()])
        for j, rate in enumerate(at):
            low, high = ranges_of(path, rate * path[-1, 0], 0)
            np.testing.assert_allclose(roc[:, draw, j] * path[-1, 1], [low, high], atol=1e-9)
            fewest, most = ranges_of(path, rate * path[-1, 1], 1)
            found = rate * path[-1, 1]
            if j:
                np.testing.assert_allclose(pr[:, draw, j], [found / (found + most), found / (found + fewest)])


def test_bands_hold_the_curve_and_are_narrower_where_patients_are_more():
    wide = []
    for rows in (100, 2000):
        roc, pr = of_second(two_classes(1, rows)[2], 500)
        for curve in (roc, pr[1:]):
            assert ((curve[:, 2] <= curve[:, 1]) & (curve[:, 1] <= curve[:, 3])).mean() > 0.95
        wide.append(np.median(roc[:, 3] - roc[:, 2]))
    assert wide[0] > 3 * wide[1] > 0


def test_a_band_is_the_middle_of_the_draws_from_their_least_to_their_greatest_values():
    predictions = two_classes(2, 60)[2]
    roc, pr = of_second(predictions, 100)
    by = Counts(drawn(60, 100, 0), 100, np.arange(60))
    for curve, at in zip((roc, pr[1:]), by.ranges(predictions.rankings[0], roc[:, 0], pr[1:, 0]), strict=True):
        np.testing.assert_allclose(
            curve[:, 2:], np.stack([np.quantile(at[0], 0.05, 0), np.quantile(at[1], 0.95, 0)], 1)
        )
    assert pr[0].tolist() == [0, *pr[1, 1:]]


def test_a_band_has_its_level_at_a_point():
    held, truth = 0, NormalDist().cdf(0.8)  # the score that half of the others exceed is 0
    for seed in range(200):
        _, _, predictions = two_classes(seed, 200, digits=6)
        by = Counts(drawn(200, 200, 0), 200, np.arange(200))
        low, high = by.ranges(predictions.rankings[0], np.array([0.5]), np.array([0.5]))[0][:, :, 0]
        held += np.quantile(low, 0.025) <= truth <= np.quantile(high, 0.975)
    assert 0.92 <= held / 200 <= 0.99


def test_bands_of_images_of_few_patients_are_wider_than_those_of_as_many_patients():
    labels, _, predictions = two_classes(3, 400)
    patients = intervals.codes(labels * 20 + np.random.default_rng(0).integers(0, 20, 400))
    predictions = Predictions(
        labels, predictions.probabilities + 2 * np.random.default_rng(1).normal(size=40)[patients, None] * [-1, 1]
    )
    alone, grouped = (curves.each(predictions, of, 300, 0.95, 0)[1].roc for of in (np.arange(400), patients))
    assert np.median(grouped[:, 3] - grouped[:, 2]) > 1.5 * np.median(alone[:, 3] - alone[:, 2])
