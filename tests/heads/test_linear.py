import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from pipeline.heads.estimators.linear import LinearSVM, Logistic, TauNormalised
from tests.heads.made import blobs


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([Logistic(), TauNormalised(), LinearSVM()])
def test_scikit_learns_own_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.parametrize("sizes", [[60, 20], [60, 40, 20], [50, 40, 5, 5]])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("C", [0.01, 10.0])
def test_logistic_gives_the_probabilities_of_scikit_learn(sizes, class_weight, C):
    X, y = blobs(sizes, dimensions=8)
    X = X + np.float32(3)
    ours = Logistic(C=C, tol=1e-6, class_weight=class_weight).fit(X.astype(np.float64), y)
    theirs = LogisticRegression(C=C, tol=1e-8, max_iter=5000, class_weight=class_weight).fit(X.astype(np.float64), y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=2e-4)


def test_weights_of_classes_have_a_mean_of_1_so_that_the_penalty_keeps_its_meaning():
    X, y = blobs([60, 40, 20])
    one = Logistic(class_weight={0: 1.0, 1: 1.0, 2: 4.0}).fit(X, y)
    same = Logistic(class_weight={0: 100.0, 1: 100.0, 2: 400.0}).fit(X, y)
    np.testing.assert_allclose(one.coef_, same.coef_, rtol=1e-6)


@pytest.mark.parametrize("make", [Logistic, TauNormalised, LinearSVM])
def test_float32_stays_and_too_few_steps_are_told(make):
    X, y = blobs([60, 40, 20])
    assert make().fit(X, y).predict_proba(X).dtype == np.float32
    with pytest.warns(ConvergenceWarning, match=r"stopped after 2 steps with a slope of .* above tol 0.0001"):
        make(max_iter=2).fit(X, y)


def test_tau_0_leaves_the_weights_and_tau_1_gives_all_the_same_length():
    X, y = blobs([300, 60, 15], dimensions=10)
    plain = Logistic(C=0.01).fit(X, y)
    lengths = np.linalg.norm(plain.coef_, axis=1)
    zero, half, one = (TauNormalised(C=0.01, tau=tau).fit(X, y) for tau in (0.0, 0.5, 1.0))
    np.testing.assert_array_equal(zero.coef_, plain.coef_)
    np.testing.assert_allclose(np.linalg.norm(one.coef_, axis=1), np.exp(np.log(lengths).mean()))
    np.testing.assert_allclose(half.coef_**2, zero.coef_ * one.coef_)
    rare = [(head.predict(X) == 2).sum() for head in (plain, zero, one)]
    assert rare[0] < rare[1] < rare[2]


def test_without_biases_all_classes_are_as_likely_at_the_mean_of_the_rows():
    X, y = blobs([300, 60, 15], dimensions=10)
    center = (X + 5).mean(axis=0, keepdims=True)
    np.testing.assert_allclose(TauNormalised().fit(X + 5, y).predict_proba(center), np.full((1, 3), 1 / 3), atol=1e-4)


def test_linear_svm_has_the_margins_of_liblinear():
    X, y = blobs([60, 40, 20])
    ours = LinearSVM(C=0.1, tol=1e-7, random_state=0).fit(X.astype(np.float64), y)
    # Far from 1, the scale all but frees the bias of its penalty.
    theirs = LinearSVC(C=0.1, intercept_scaling=100, dual=False, tol=1e-9, max_iter=100_000).fit(
        X.astype(np.float64), y
    )
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-3)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-2)


def test_probabilities_of_a_linear_svm_are_about_as_steep_as_new_rows_justify():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=1500)
    X = (rng.normal(size=(1500, 10)) + 0.5 * rng.normal(size=(3, 10))[y]).astype(np.float32)
    head = LinearSVM(C=0.1, random_state=0).fit(X[:500], y[:500])

    def surprise(factor):
        scale, head.scale_ = head.scale_, head.scale_ * factor
        likely = head.predict_proba(X[500:])[np.arange(1000), y[500:]]
        head.scale_ = scale
        return -np.log(likely).mean()

    assert surprise(1) < min(surprise(0.6), surprise(1.6))


def test_a_linear_svm_is_not_sure_of_rows_that_it_only_remembers():
    """Labels are noise, and dimensions enough to learn them by heart: margins of its own rows would be perfect."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(90, 200)).astype(np.float32), np.arange(90) % 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        head = LinearSVM(random_state=0).fit(X, y)
    assert (head.predict(X) == y).all()
    assert head.predict_proba(X).max() < 0.6


def test_a_class_of_one_row_is_no_obstacle_to_a_linear_svm():
    X, y = blobs([30, 20, 1])
    assert LinearSVM(random_state=0).fit(X, y).predict_proba(X).shape == (51, 3)
