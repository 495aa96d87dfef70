import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.judge import metrics, reject
from pipeline.judge.reject import Certain
from pipeline.judge.tally import Multilabel, Predictions


def simulate(seed: int, rows: int = 200, folds: int = 2) -> Certain:
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, rows, p=[0.2, 0.3, 0.5])
    scores = np.exp(rng.normal(size=(rows, 3)) + 2 * np.eye(3)[labels])
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    return Certain(Predictions(labels, probabilities), probabilities.max(axis=1), np.arange(rows) % folds)


def test_the_least_certainty_is_answered_by_the_share_that_was_asked_for():
    values = np.array([0.5, 0.9, 0.6, 0.7, 0.8])
    assert reject.least(values, 0.6) == 0.7
    assert reject.least(values, 0.61) == 0.6
    assert reject.least(values, 1.0) == reject.least(np.empty(0), 0.5) == -np.inf


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), coverage=st.floats(0.05, 0.95))
def test_validation_rows_are_answered_as_asked_fold_by_fold(seed, coverage):
    val = simulate(seed)
    row = reject.table(val, val, "ABC", "none", [coverage]).iloc[0]
    assert coverage - 1e-9 <= row["answered"] <= coverage + 0.01 + 1e-9


def test_figures_are_those_of_what_is_answered():
    val, test = simulate(0, folds=1), simulate(1, folds=1)
    table = reject.table(val, test, "ABC", "quadratic", [1.0, 0.7])
    given_ = test.predictions
    kept = test.certainty >= np.sort(val.certainty)[60]
    labels, probabilities = given_.labels[kept], given_.probabilities[kept]
    expected = metrics.score(labels, probabilities)
    row = table.iloc[1]
    assert row["answered"] == kept.mean()
    assert row["risk"] == pytest.approx(1 - expected["accuracy"])
    assert row["macro_f1"] == pytest.approx(expected["macro_f1"])
    assert row["balanced_accuracy_adjusted"] == pytest.approx(expected["balanced_accuracy_adjusted"])
    for number, name in enumerate("ABC"):
        assert row[f"rejected_{name}"] == pytest.approx(1 - kept[given_.labels == number].mean())
    assert table["risk"][1] < table["risk"][0]
    assert table.iloc[0][["answered", "rejected_A", "rejected_B", "rejected_C"]].tolist() == [1, 0, 0, 0]


def test_decided_classes_are_those_that_are_wrong_or_right():
    test = simulate(1)
    labels, probabilities = test.predictions.labels, test.predictions.probabilities
    first = Certain(Predictions(labels, probabilities, np.zeros(200, int)), test.certainty, test.folds)
    assert reject.table(test, first, "ABC", "none", [1.0])["risk"][0] == pytest.approx((labels != 0).mean())


def test_each_label_is_answered_or_not_and_one_that_is_not_known_asks_nothing():
    marks = np.array([[1, -1], [0, 1], [1, 0], [0, -1]], np.int8)
    probabilities = np.array([[0.9, 0.9], [0.4, 0.8], [0.2, 0.3], [0.1, 0.6]])
    certainty = np.abs(probabilities - 0.5).round(6)
    rows = Certain(Multilabel(marks, probabilities), certainty, np.zeros(4, int))
    row = reject.table(rows, rows, ("Mass", "Nodule"), "none", [0.5]).iloc[0]
    # Known and most certain: .9 (right), .1 (right), .8 (right), .2 (missed; as certain as .8).
    assert row["answered"] == pytest.approx(4 / 6)
    assert row["risk"] == pytest.approx(1 / 4)
    assert row[["rejected_Mass", "rejected_Nodule"]].tolist() == [0, 0]
    every = reject.table(rows, rows, ("Mass", "Nodule"), "none", [0.3]).iloc[0]
    assert every["rejected_Mass"] == pytest.approx(1 / 2)


def test_where_nothing_is_answered_there_is_no_risk():
    val, test = simulate(0, folds=1), simulate(1, folds=1)
    sure = Certain(val.predictions, val.certainty + 1, val.folds)
    row = reject.table(sure, test, "ABC", "none", [0.5]).iloc[0]
    assert row["answered"] == 0
    assert np.isnan([row["risk"], row["macro_f1"]]).all()
    assert row["rejected_A"] == 1
