import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from pipeline.heads.estimators.trees import Boosted
from tests.heads.made import blobs


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([Boosted(n_estimators=20, min_child_samples=2)])
def test_scikit_learns_own_checks_pass(estimator, check):
    check(estimator)


def noisy(n, seed=0):
    """Two classes that overlap: more rounds learn noise."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(int)
    return (rng.normal(size=(n, 5)) + 0.5 * y[:, None]).astype(np.float32), y


@pytest.mark.parametrize("colsample_bytree", [0.4, 1.0])
def test_trees_are_those_of_lightgbm(colsample_bytree):
    X, y = blobs([60, 40, 20])
    values = {"n_estimators": 20, "num_leaves": 7, "colsample_bytree": colsample_bytree, "random_state": 3}
    theirs = LGBMClassifier(**values, deterministic=True, force_row_wise=True, n_jobs=1, verbose=-1).fit(X, y)
    np.testing.assert_allclose(Boosted(**values).fit(X, y).predict_proba(X), theirs.predict_proba(X), rtol=1e-6)


def test_early_stopping_takes_the_rounds_that_are_best_for_the_rows_it_watches():
    (X, y), (X_stop, y_stop) = noisy(300), noisy(300, seed=1)
    head = Boosted(n_estimators=200, patience=20, random_state=0)
    copy = head.stopped(X, y, X_stop, y_stop)
    assert not hasattr(copy, "classes_")
    assert not hasattr(head, "classes_")
    assert copy.get_params() == head.get_params() | {"n_estimators": copy.n_estimators, "patience": None}
    losses = []
    for rounds in range(1, copy.n_estimators + 20):
        likely = Boosted(n_estimators=rounds, random_state=0).fit(X, y).predict_proba(X_stop)
        losses.append(-np.log(likely[np.arange(300), y_stop]).mean())
    assert 1 < copy.n_estimators < 180
    assert np.argmin(losses) + 1 == copy.n_estimators


def test_rows_to_watch_weigh_the_same_whatever_the_classes_weigh():
    """They keep their natural distribution: with weights the least loss would come at another round."""
    (X, y), (X_stop, y_stop) = noisy(300), noisy(300, seed=1)
    weighted = Boosted(n_estimators=200, patience=20, class_weight={1: 10.0}, random_state=0)
    rounds = weighted.stopped(X, y, X_stop, y_stop).n_estimators
    likely = [
        weighted.set_params(n_estimators=number).fit(X, y).predict_proba(X_stop)[np.arange(300), y_stop]
        for number in (max(1, rounds - 2), rounds, rounds + 2)
    ]
    losses = [-np.log(one).mean() for one in likely]
    assert losses[1] <= min(losses)


def test_rows_to_watch_of_a_class_that_is_not_learned_are_left_aside():
    (X, y), (X_stop, y_stop) = noisy(200), noisy(200, seed=1)
    head = Boosted(n_estimators=50, patience=5, random_state=0)
    strange = np.concatenate([y_stop, [7, 7]])
    one = head.stopped(X, y, X_stop, y_stop).n_estimators
    assert head.stopped(X, y, np.concatenate([X_stop, X_stop[:2]]), strange).n_estimators == one
    with pytest.raises(ValueError, match="early stopping has no row to watch"):
        head.stopped(X, y, X_stop[:2], np.array([7, 7]))


def test_without_patience_there_is_nothing_to_stop():
    assert not hasattr(Boosted(), "stopped")
    assert hasattr(Boosted(patience=3), "stopped")


def test_a_heavy_class_is_found_more_often():
    X, y = noisy(400)
    plain, heavy = (Boosted(n_estimators=30, class_weight=weight).fit(X, y) for weight in (None, {1: 5.0}))
    assert heavy.predict(X).sum() > plain.predict(X).sum()
