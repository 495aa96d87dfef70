import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss

from pipeline import choices
from pipeline.heads.deciding import calibration
from pipeline.heads.deciding.calibration import CALIBRATORS, Shares


def simulate(rows: int, classes: int, seed: int = 0, sharpness: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities that are too sure of themselves."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, rows, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    scores = np.exp(sharpness * (rng.normal(size=(rows, classes)) + np.eye(classes)[labels]))
    return scores / scores.sum(axis=1, keepdims=True), labels


def simulate_labels(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    marks = (rng.random((rows, 3)) < [0.1, 0.3, 0.6]).astype(np.int8)
    probabilities = 1 / (1 + np.exp(-3 * (rng.normal(size=(rows, 3)) + marks - 0.5)))
    marks[rng.random((rows, 3)) < 0.2] = -1
    return probabilities, marks


class Told(ClassifierMixin, BaseEstimator):
    """An estimator whose features are its answers."""

    def __init__(self, classes: int = 2) -> None:
        self.classes, self.classes_ = classes, np.arange(classes)

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.zeros(len(X), int)

    def decision_function(self, X):
        return X[:, 0] if self.classes == 2 else X


def scikit_learn(method: str, answers: np.ndarray, labels: np.ndarray, classes: int) -> CalibratedClassifierCV:
    return CalibratedClassifierCV(FrozenEstimator(Told(classes)), method=method).fit(answers, labels)


NATURAL = Shares(np.array([0.5, 0.5]), np.array([0.5, 0.5]))


def test_the_names_of_calibrators_at_the_door_are_those_of_the_registry():
    assert ("none", *choices.CALIBRATORS) == tuple(CALIBRATORS)


def test_three_of_four_right_at_nine_to_one_gives_temperature_two():
    # sigmoid(ln 9 / T) = 3 / 4, so ln 9 / T = ln 3.
    probabilities, labels = np.tile([0.9, 0.1], (4, 1)), np.array([0, 0, 0, 1])
    fitted = CALIBRATORS["temperature"](probabilities, labels, NATURAL)
    np.testing.assert_allclose(fitted(probabilities), np.tile([0.75, 0.25], (4, 1)), rtol=1e-8)
    assert float(1 / fitted.scale) == pytest.approx(2, rel=1e-8)


def test_temperature_is_that_of_scikit_learn():
    probabilities, labels = simulate(400, 4)
    fitted = CALIBRATORS["temperature"](probabilities, labels, NATURAL)
    theirs = scikit_learn("temperature", probabilities, labels, 4)
    assert 0.2 < fitted.scale < 0.9
    np.testing.assert_allclose(fitted(probabilities), theirs.predict_proba(probabilities), atol=1e-6)


def test_a_temperature_stays_finite_where_all_rows_are_right():
    probabilities, labels = np.tile([0.9, 0.1], (5, 1)), np.zeros(5, int)
    fitted = CALIBRATORS["temperature"](probabilities, labels, NATURAL)
    assert 5 < fitted.scale <= 100
    wrong = CALIBRATORS["temperature"](probabilities, 1 - labels, NATURAL)
    assert 0.01 <= wrong.scale < 0.02


def test_scaling_of_two_classes_is_platts_as_scikit_learn_has_it():
    probabilities, labels = simulate(300, 2)
    odds = np.log(probabilities[:, 1:] / probabilities[:, :1])
    theirs = scikit_learn("sigmoid", odds, labels, 2)
    fitted = CALIBRATORS["vector"](probabilities, labels, NATURAL)
    np.testing.assert_allclose(fitted(probabilities), theirs.predict_proba(odds), atol=1e-5)


@pytest.mark.parametrize("classes", [2, 4])
def test_isotonic_is_that_of_scikit_learn(classes):
    def answers(probabilities):
        return probabilities[:, 1:] if classes == 2 else probabilities

    probabilities, labels = simulate(300, classes)
    fitted = CALIBRATORS["isotonic"](probabilities, labels, NATURAL)
    theirs = scikit_learn("isotonic", answers(probabilities), labels, classes)
    new, _ = simulate(100, classes, seed=1)
    np.testing.assert_allclose(fitted(new), theirs.predict_proba(answers(new)), atol=1e-12)


def test_vector_scaling_has_the_least_loss_with_one_rows_worth_of_pull():
    probabilities, labels = simulate(200, 3)
    logs = np.log(probabilities)

    def loss(at):
        scores = at[:3] * logs + at[3:]
        normal = np.log(np.exp(scores).sum(axis=1))
        return (normal - scores[np.arange(200), labels]).sum() + ((at - [1, 1, 1, 0, 0, 0]) ** 2).sum() / 2

    expected = minimize(loss, [1, 1, 1, 0, 0, 0], method="BFGS", options={"gtol": 1e-6}).x
    fitted = CALIBRATORS["vector"](probabilities, labels, NATURAL)
    np.testing.assert_allclose(np.concatenate([fitted.scale, fitted.offset]), expected, atol=1e-4)


def test_the_prior_is_corrected_as_by_hand():
    # Fitted on halves, naturally 0.9 and 0.1: 0.5 · 1.8 against 0.5 · 0.2.
    shares = Shares(np.array([0.9, 0.1]), np.array([0.5, 0.5]))
    fitted = CALIBRATORS["prior"](np.empty((0, 2)), np.empty(0, int), shares)
    np.testing.assert_allclose(fitted(np.array([[0.5, 0.5], [0.1, 0.9]])), [[0.9, 0.1], [0.5, 0.5]])


def test_a_prior_that_did_not_move_changes_nothing_and_an_unseen_class_stays_at_zero():
    shares = Shares(np.array([0.7, 0.3, 0.0]), np.array([0.7, 0.3, 0.0]))
    given = np.array([[0.2, 0.8, 0.0], [0.0, 0.0, 0.0]])
    fitted = CALIBRATORS["prior"](given, np.zeros(2, int), shares)
    np.testing.assert_array_equal(fitted(given), given)


def test_the_prior_corrected_is_bayes_for_shifted_gaussians():
    # Two unit Gaussians at 0 and 1: the posterior under one prior turns exactly into that under another.
    x = np.linspace(-3, 3, 50)

    def posterior(share):
        weights = np.stack([(1 - share) * np.exp(-(x**2) / 2), share * np.exp(-((x - 1) ** 2) / 2)], axis=1)
        return weights / weights.sum(axis=1, keepdims=True)

    shares = Shares(np.array([0.95, 0.05]), np.array([0.5, 0.5]))
    fitted = CALIBRATORS["prior"](posterior(0.5), np.zeros(50, int), shares)
    np.testing.assert_allclose(fitted(posterior(0.5)), posterior(0.05), rtol=1e-10)


@pytest.mark.parametrize("name", ["temperature", "vector", "isotonic"])
@pytest.mark.parametrize("classes", [2, 5])
def test_what_is_fitted_on_validation_lowers_the_loss_of_new_rows(name, classes):
    shares = Shares(np.full(classes, 1 / classes), np.full(classes, 1 / classes))
    fitted = CALIBRATORS[name](*simulate(3000, classes, sharpness=4), shares)
    probabilities, labels = simulate(3000, classes, seed=1, sharpness=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert log_loss(labels, fitted(probabilities)) < 0.8 * log_loss(labels, probabilities)


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(list(CALIBRATORS)),
    rows=st.integers(0, 30),
    classes=st.integers(2, 5),
    seed=st.integers(0, 10**6),
    zeros=st.booleans(),
)
def test_every_calibrator_gives_probabilities_however_few_the_rows(name, rows, classes, seed, zeros):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), 40)
    if zeros:
        probabilities = np.eye(classes)[probabilities.argmax(axis=1)]
    labels = rng.integers(0, classes, rows)
    shares = Shares(*rng.dirichlet(np.ones(classes), 2))
    fitted = calibration.fit(name, probabilities[:rows], labels, shares)
    given_back = fitted(probabilities)
    assert np.isfinite(given_back).all()
    assert (given_back >= 0).all()
    np.testing.assert_allclose(given_back.sum(axis=1), 1)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again(probabilities), given_back)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_each_label_is_calibrated_on_the_rows_where_it_is_known(name):
    probabilities, marks = simulate_labels(200)
    shares = Shares(np.array([0.1, 0.3, 0.6]), np.array([0.5, 0.5, 0.5]))
    calibrated = calibration.fit(name, probabilities, marks, shares)(probabilities)
    for label in range(3):
        known = marks[:, label] >= 0
        both = np.stack([1 - probabilities[:, label], probabilities[:, label]], axis=1)
        alone = CALIBRATORS[name](both[known], marks[known, label].astype(int), shares.of_label(label))
        np.testing.assert_array_equal(calibrated[:, label], alone(both)[:, 1])
    masked = np.where(marks < 0, 1 - probabilities, probabilities)
    again = calibration.fit(name, masked, marks, shares)(probabilities)
    np.testing.assert_array_equal(again, calibrated)


@pytest.mark.parametrize("name", ["temperature", "vector", "isotonic"])
def test_a_label_without_known_rows_keeps_its_probability(name):
    probabilities, marks = simulate_labels(50)
    marks[:, 1] = -1
    shares = Shares(np.full(3, 0.5), np.full(3, 0.5))
    calibrated = calibration.fit(name, probabilities, marks, shares)(probabilities)
    np.testing.assert_allclose(calibrated[:, 1], probabilities[:, 1])
