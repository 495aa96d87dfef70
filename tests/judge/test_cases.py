import numpy as np
import pytest

from pipeline.judge import cases
from pipeline.judge.tally import Multilabel, Predictions

CLASSES = ["a", "b", "c"]


def test_errors_come_by_the_probability_of_what_was_decided_and_doubts_by_certainty():
    given = np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.05, 0.9, 0.05], [0.5, 0.3, 0.2], [0.1, 0.0, 0.9]])
    labels = np.array([1, 0, 0, 0, 2])
    found = cases.table(Predictions(labels, given), given.max(axis=1), list("vwxyz"), np.arange(5), CLASSES)
    assert found.columns.tolist() == cases.COLUMNS
    assert found["image_id"].tolist() == ["x", "v", "w", "y", "z"]
    assert found["kind"].tolist() == ["error", "error", "doubt", "doubt", "doubt"]
    assert found.iloc[0].tolist() == ["x", 2, "a", "b", 0.9, 0.05, "error"]
    assert found["fold"].tolist() == [2, 0, 1, 3, 4]


def test_what_was_decided_needs_not_be_most_probable():
    given = np.array([[0.2, 0.5, 0.3], [0.1, 0.6, 0.3]])
    of = Predictions(np.array([1, 1]), given, decided=np.array([0, 2]))
    found = cases.table(of, np.array([0.2, 0.3]), ["p", "q"], np.zeros(2, int), CLASSES)
    assert found[["predicted", "probability", "of_actual"]].to_numpy().tolist() == [["c", 0.3, 0.6], ["a", 0.2, 0.5]]


def test_an_image_of_several_folds_is_there_once_where_it_is_worst():
    given = np.array([[0.6, 0.4, 0], [0.9, 0.1, 0], [0.4, 0.6, 0], [0.45, 0.55, 0]])
    labels = np.array([1, 1, 1, 1])
    images, folds = ["p", "p", "p", "q"], np.array([0, 1, 2, 0])
    found = cases.table(Predictions(labels, given), given.max(axis=1), images, folds, CLASSES)
    assert found[["image_id", "fold", "kind"]].to_numpy().tolist() == [["p", 1, "error"], ["q", 0, "doubt"]]


def test_there_are_at_most_so_many_of_each_kind():
    rng = np.random.default_rng(0)
    given = rng.dirichlet(np.ones(3), 300)
    of = Predictions(rng.integers(0, 3, 300), given)
    found = cases.table(of, given.max(axis=1), [str(i) for i in range(300)], np.zeros(300, int), CLASSES)
    assert found["kind"].tolist() == ["error"] * cases.MOST + ["doubt"] * cases.MOST
    errors, doubts = found.iloc[: cases.MOST], found.iloc[cases.MOST :]
    wrong = given.argmax(axis=1) != of.labels
    np.testing.assert_allclose(errors["probability"], np.sort(given.max(axis=1)[wrong])[::-1][: cases.MOST])
    assert (errors["actual"] != errors["predicted"]).all()
    assert (np.diff(doubts["probability"]) >= 0).all()
    assert not set(errors["image_id"]) & set(doubts["image_id"])


def test_of_labels_each_is_a_case_of_its_own_where_it_is_known():
    marks = np.array([[1, 0], [0, -1]], np.int8)
    given = np.array([[0.2, 0.9], [0.6, 0.99]])
    of = Multilabel(marks, given)
    certainty = np.array([[0.6, 0.8], [0.2, 0.98]])
    found = cases.table(of, certainty, ["p", "q"], np.zeros(2, int), ["Mass", "Nodule"])
    assert found.drop(columns="fold").to_numpy().tolist() == [
        ["p", "no Nodule", "Nodule", pytest.approx(0.9), pytest.approx(0.1), "error"],
        ["p", "Mass", "no Mass", pytest.approx(0.8), pytest.approx(0.2), "error"],
        ["q", "no Mass", "Mass", pytest.approx(0.6), pytest.approx(0.4), "error"],
    ]


def test_no_error_leaves_doubts_alone():
    given = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    found = cases.table(Predictions(np.array([0, 1]), given), given.max(axis=1), ["p", "q"], np.zeros(2, int), CLASSES)
    assert found[["image_id", "kind"]].to_numpy().tolist() == [["q", "doubt"], ["p", "doubt"]]
