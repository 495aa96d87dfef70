import os

import joblib
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from pipeline.errors import PipelineError
from pipeline.heads import arms
from pipeline.heads.classifiers import HEADS
from pipeline.heads.resamplers import RESAMPLERS
from pipeline.heads.resampling.rows import Rows
from tests.heads.made import LOGISTIC, PROTOCOL, blobs, cases, pair

SMOTE = pair("smote", of_resampler={"k_neighbors": 5})
TREES = {
    "n_estimators": 60,
    "learning_rate": 0.2,
    "num_leaves": 15,
    "min_child_samples": 5,
    "max_bin": 63,
    "colsample_bytree": 1.0,
}


def fit(of, train, rows, arm=None, seed=(0, 0)):
    return arms.fit_fold(of, train, rows, arm or pair(), PROTOCOL, seed)


def fit_label(X, marks, train, rows, arm=SMOTE, seed=(0, 0, 0)):
    marks = np.asarray(marks, np.int8)
    return arms.fit_label(cases(X, marks, classes=arms.MARKS), train, rows, arm, PROTOCOL, seed)


def test_only_training_rows_shape_what_is_fitted():
    """Whatever stands in the rows to predict, scaling, resampled counts and head stay the same."""
    X, y = blobs([60, 40, 20])
    other = X.copy()
    other[90:] = 1e6
    one, same = (fit(cases(of, y), np.arange(90), np.arange(90, 120), SMOTE) for of in (X, other))
    np.testing.assert_array_equal(one.models[0].scaling.mean, same.models[0].scaling.mean)
    np.testing.assert_array_equal(one.models[0].head.coef_, same.models[0].head.coef_)
    assert one.counts_before.sum() == 90
    assert set(one.counts_after) == {one.counts_before.max()}


def test_the_rows_of_a_fold_are_not_changed():
    X, y = blobs([60, 40])
    before = X.copy()
    fit(cases(X, y), np.arange(70), np.arange(70, 100), SMOTE)
    np.testing.assert_array_equal(X, before)


def test_a_saved_model_predicts_from_features_as_they_are_cached(tmp_path):
    X, y = blobs([60, 40])
    fitted = fit(cases(X, y), np.arange(70), np.arange(70, 100), SMOTE)
    joblib.dump(fitted.models, tmp_path / "head.joblib")
    before = X.copy()
    np.testing.assert_array_equal(joblib.load(tmp_path / "head.joblib")[0].predict_proba(X[70:]), fitted.probabilities)
    np.testing.assert_array_equal(X, before)


def test_a_class_without_training_rows_has_probability_zero_and_that_is_said():
    X, y = blobs([60, 40, 20])
    train = np.flatnonzero(y != 1)
    fitted = fit(cases(X, y), train, np.flatnonzero(y == 1))
    assert (fitted.probabilities[:, 1] == 0).all()
    np.testing.assert_allclose(fitted.probabilities.sum(1), 1, rtol=1e-5)
    assert fitted.notes == {1: "no training row: its probability is 0"}


@pytest.mark.parametrize(
    ("train", "what"),
    [
        ([0, 1, 2], "3 training rows, all of class A: nothing can be told apart"),
        ([], "0 training rows, none: nothing can be told apart"),
        ([0, 3], "2 training rows for 2 classes are too few"),
    ],
)
def test_rows_that_teach_nothing_are_refused(train, what):
    X, y = blobs([3, 3])
    order = np.argsort(y)
    with pytest.raises(PipelineError, match=what):
        fit(cases(X[order], y[order]), np.array(train, int), np.arange(6))


def test_features_that_are_all_constant_are_refused_and_a_constant_one_is_not():
    X, y = blobs([20, 20])
    X[:, 0] = 7.0
    assert np.isfinite(fit(cases(X, y), np.arange(30), np.arange(30, 40)).probabilities).all()
    X[:] = 1e-3
    with pytest.raises(PipelineError, match="every feature is constant in the training rows"):
        fit(cases(X, y), np.arange(30), np.arange(30, 40))


def test_resampling_before_the_split_inflates_the_score_and_after_the_split_does_not():
    """The harness can see leakage: on pure noise an honest arm finds nothing, a leaking one does."""
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(120), 2)
    X, y = rng.normal(size=(240, 20)).astype(np.float32), np.repeat([0, 1], [200, 40])

    def balanced_accuracy(of, resampler):
        drawn = rng.permutation(np.unique(of.patients))
        is_train = np.isin(of.patients, drawn[: len(drawn) // 2])
        train, test = np.flatnonzero(is_train), np.flatnonzero(~is_train)
        hit = fit(of, train, test, pair(resampler, "lightgbm", of_head=TREES)).probabilities.argmax(1) == of.y[test]
        return np.mean([hit[of.y[test] == label].mean() for label in (0, 1)])

    leaked = RESAMPLERS["random_over"](Rows(X, y, patients), random_state=np.random.RandomState(0))
    of_leaked = cases(leaked.X, leaked.y)  # a repeated row has lost its patient
    assert balanced_accuracy(of_leaked, "none") > 0.85
    assert abs(balanced_accuracy(cases(X, y, patients), "random_over") - 0.5) < 0.12


def test_every_library_has_one_thread_and_the_environment_says_so_to_those_that_come():
    before = dict(os.environ)
    with arms.one_thread_each():
        assert {library["num_threads"] for library in threadpool_info()} == {1}
        assert os.environ["OMP_NUM_THREADS"] == os.environ["OPENBLAS_NUM_THREADS"] == "1"
    assert dict(os.environ) == before


class Stops:
    """A head with patience that remembers what it was shown."""

    seen = None

    def __init__(self, rounds=None):
        self.rounds, self.classes_ = rounds, np.arange(2)

    def stopped(self, X, y, X_stop, y_stop):
        type(self).seen = (X, y, X_stop, y_stop)
        return type(self)(rounds=7)

    def fit(self, X, y):
        self.rows = len(X)

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)


def stopping(random_state: int, patience: int | None = None) -> Stops:
    return Stops()


@pytest.fixture
def with_patience(monkeypatch):
    monkeypatch.setitem(HEADS, "stopping", stopping)
    return pair("random_over", "stopping", of_head={"patience": 3})


def test_a_head_with_patience_stops_by_natural_rows_of_patients_it_did_not_learn_from(with_patience):
    y, patients, natural = np.repeat([0, 1], [80, 20]), np.arange(100) // 2, np.arange(100) % 2 == 0
    X = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    X[:, 0] = patients
    fitted = fit(cases(X, y, patients, natural), np.arange(100), np.arange(100), with_patience)
    learned, _, stop, y_stop = Stops.seen
    mean, deviation = patients.mean(), patients.std()
    of_stop, of_learned = (np.round(rows[:, 0] * deviation + mean).astype(int) for rows in (stop, learned))
    assert len(of_stop) == len(set(of_stop)) == 10  # of 50 patients a fifth, without their augmented views
    assert not set(of_stop) & set(of_learned)
    assert np.bincount(y_stop).tolist() == [8, 2]  # not resampled
    assert fitted.models[0].head.rounds == 7
    assert fitted.models[0].head.rows == 160  # fitted again on all training rows, resampled


def test_a_head_stops_by_nobody_where_no_patient_can_be_spared(with_patience):
    X, y = blobs([20, 20])
    fitted = fit(cases(X, y, patients=y), np.arange(40), np.arange(40), with_patience)
    assert fitted.remarks == ["no patient could be spared to stop by: all rounds are fitted"]
    assert fitted.models[0].head.rounds is None


def test_without_patience_no_row_is_spared(with_patience):
    X, y = blobs([20, 20])
    Stops.seen = None
    fit(cases(X, y), np.arange(40), np.arange(40), pair("none", "stopping", of_head={}))
    assert Stops.seen is None


def test_rows_where_a_label_is_not_known_teach_it_nothing_and_are_predicted_all_the_same():
    X, y = blobs([100, 50])
    marks, train, predict = y.astype(np.int8), np.arange(110), np.arange(110, 150)
    unknown = np.random.default_rng(0).permutation(150)[:60]
    marks[unknown] = -1
    other = X.copy()
    other[np.intersect1d(unknown, train)] = 1e6
    known = np.setdiff1d(train, unknown)
    one, same = fit_label(X, marks, train, predict), fit_label(other, marks, train, predict)
    np.testing.assert_array_equal(one.probabilities, same.probabilities)
    np.testing.assert_array_equal(one.probabilities, fit_label(X, y, known, predict).probabilities)
    assert one.counts_before.tolist() == np.bincount(y[known]).tolist()
    assert len(one.probabilities) == 40


@pytest.mark.parametrize(
    ("mark", "constant", "note"),
    [
        (0, 1 / 22, "present in none of the training rows, the same probability 0.0455 for every image"),
        (1, 21 / 22, "present in all of the training rows, the same probability 0.955 for every image"),
        (-1, 1 / 2, "known of none of the training rows, the same probability 0.5 for every image"),
    ],
)
def test_a_label_of_one_answer_gets_a_constant_probability_and_says_so(mark, constant, note):
    X, y = blobs([15, 15])
    marks = np.where(np.arange(30) < 20, mark, y)
    fitted = fit_label(X, marks, np.arange(20), np.arange(20, 30))
    np.testing.assert_allclose(fitted.probabilities, np.tile([1 - constant, constant], (10, 1)))
    np.testing.assert_array_equal(fitted.models[0].predict_proba(X[20:]), fitted.probabilities)
    assert fitted.notes == {1: note}


def test_labels_are_joined_in_their_order_with_the_counts_of_being_present():
    X, y = blobs([20, 3, 40])
    train, predict = np.arange(50), np.arange(50, 63)
    each = [fit_label(X, y == label, train, predict, seed=(0, 0, label)) for label in range(3)]
    each.append(fit_label(X, np.zeros(63), train, predict))
    joined = arms.join_labels(each, "ABCD")
    assert joined.probabilities.shape == (13, 4)
    np.testing.assert_array_equal(joined.probabilities[:, 2], each[2].probabilities[:, 1])
    assert joined.counts_before.tolist() == [*np.bincount(y[:50]).tolist(), 0]
    larger = [max((y[:50] == label).sum(), (y[:50] != label).sum()) for label in range(3)]
    assert joined.counts_after.tolist() == [*larger, 0]
    assert set(joined.notes) == {1, 3}
    assert joined.notes[1] == each[1].notes[1]


def test_what_is_said_of_the_rows_without_a_label_says_so():
    X, y = blobs([3, 20])
    alone = fit_label(X, y, np.arange(23), np.arange(23))
    joined = arms.join_labels([alone], ["A"])
    assert joined.notes == {0: f"rows without it: {alone.notes[0]}"}


def test_labels_with_seeds_of_their_own_get_other_offsets():
    X, y = blobs([40, 10])
    one, same, other = (
        fit_label(X, y, np.arange(50), np.arange(50), seed=(0, 0, label)).probabilities for label in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_label_is_chosen_for_and_joined_with_its_name():
    X, y = blobs([40, 30])
    arm = pair(of_head={**LOGISTIC, "C": [1e-6, 1.0]})
    joined = arms.join_labels([fit_label(X, y, np.arange(50), np.arange(50, 70), arm)], ["Mass"])
    (record,) = joined.searched
    assert (record["label"], record["chosen"]) == ("Mass", {"head.C": 1.0})
