import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.judge import curves
from pipeline.judge.tally import Multilabel, Predictions


def two_classes(seed: int, rows: int, digits: int = 2) -> tuple[np.ndarray, np.ndarray, Predictions]:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1], rng.integers(0, 2, rows - 2)])
    scores = rng.normal(labels * 0.8, 1).round(digits)
    return labels, scores, Predictions(labels, np.column_stack([-scores, scores]))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(2, 80))
def test_the_points_left_out_change_no_area(seed, rows):
    labels, scores, predictions = two_classes(seed, rows, digits=1)
    roc, pr = curves.roc_and_pr(predictions, 1)
    assert np.trapezoid(roc[:, 1], roc[:, 0]) == pytest.approx(sk.roc_auc_score(labels, scores))
    on_curve = {tuple(point) for point in np.column_stack(sk.precision_recall_curve(labels, scores)[1::-1]).round(9)}
    assert {tuple(point) for point in pr[1:].round(9)} <= on_curve


def test_a_curve_runs_from_corner_to_corner_in_at_most_200_points():
    roc, pr = curves.roc_and_pr(two_classes(0, 5000, digits=6)[2], 1)
    assert len(roc) == len(pr) == 200
    assert roc[0].tolist() == [0, 0]
    assert roc[-1].tolist() == [1, 1]
    assert (np.diff(roc, axis=0) >= 0).all()
    assert pr[-1, 0] == 1


def test_three_rows_by_hand():
    predictions = Predictions(np.array([1, 0, 1]), np.array([[0.1, 0.9], [0.4, 0.6], [0.7, 0.3]]))
    roc, pr = curves.roc_and_pr(predictions, 1)
    assert roc.tolist() == [[0, 0], [0, 0.5], [1, 0.5], [1, 1]]
    assert pr.tolist() == [[0, 1], [0.5, 1], [0.5, 0.5], [1, pytest.approx(2 / 3)]]


@pytest.mark.parametrize("label", [0, 1])
def test_a_class_with_all_rows_or_none_has_no_curve(label):
    predictions = Predictions(np.full(3, label), np.full((3, 2), 0.5))
    assert [curve.shape for curve in curves.roc_and_pr(predictions, 1)] == [(0, 2), (0, 2)]


def test_labels_have_the_curves_of_being_present_where_they_are_known_and_two_classes_one():
    marks = np.array([[1, 1, 0, 0, -1], [0, 1, -1, -1, 1]], np.int8).T
    given = np.array([[0.9, 0.8, 0.7, 0.1, 0.9], [0.2, 0.9, 0.9, 0.9, 0.6]]).T
    of_labels = curves.each(Multilabel(marks, given))
    assert list(of_labels) == [0, 1]
    np.testing.assert_allclose(of_labels[0][0], [[0, 0], [0, 1], [1, 1]])
    np.testing.assert_allclose(of_labels[0][1][-1], [1, 2 / 4])
    np.testing.assert_allclose(of_labels[1][1][-1], [1, 2 / 3])
    assert list(curves.each(Predictions(np.array([0, 1]), np.eye(2)))) == [1]
    assert list(curves.each(Predictions(np.array([0, 1, 2]), np.eye(3)))) == [0, 1, 2]
