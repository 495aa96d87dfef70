import tracemalloc

import numpy as np
import pytest
from scipy.optimize import check_grad

from pipeline.heads.estimators import descent
from pipeline.heads.estimators.descent import descend, scores_of, softmax_loss, squared_hinge_loss

LOSSES = [softmax_loss, squared_hinge_loss]


def rows(n=300, dimensions=5, classes=3, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=n)
    X = rng.normal(size=(n, dimensions)) + rng.normal(size=(classes, dimensions))[y]
    return X.astype(dtype), y, rng.uniform(0.2, 3, n).astype(dtype)


def fit(X, y, weights, loss=softmax_loss, penalty=0.01, max_iter=500, tol=1e-7):
    return descend(X, y, weights, int(y.max()) + 1, loss, 0.2, penalty, max_iter, tol)


def test_losses_are_literal():
    weights = np.array([1.0, 0.5])
    scores = np.log([[0.2, 0.5], [0.8, 0.5]])
    np.testing.assert_allclose(softmax_loss(scores, np.array([0, 1]), weights), -np.log(0.2) - 0.5 * np.log(0.5))
    np.testing.assert_allclose(scores, [[-0.8, 0.25], [0.8, -0.25]])
    scores = np.array([[0.5, -3.0], [-2.0, 0.0]])
    np.testing.assert_allclose(squared_hinge_loss(scores, np.array([0, 1]), weights), 0.25 + 0.5)
    np.testing.assert_allclose(scores, [[-1.0, 0.0], [0.0, -1.0]])


@pytest.mark.parametrize("loss", LOSSES)
def test_slopes_are_finite_differences_of_losses(loss):
    _, y, weights = rows(20)
    start = np.random.default_rng(1).normal(size=(3, 20))

    def value(flat):
        return loss(flat.reshape(3, 20).copy(), y, weights)

    def slope(flat):
        scores = flat.reshape(3, 20).copy()
        loss(scores, y, weights)
        return scores.ravel()

    assert check_grad(value, slope, start.ravel()) < 1e-5


@pytest.mark.parametrize("loss", LOSSES)
def test_neither_blocks_nor_the_change_of_variables_move_the_minimum(loss, monkeypatch):
    given = rows()
    found = fit(*given, loss=loss)
    assert found.slope <= 1e-7
    for name, value in (("CACHE", 15 * 64), ("WIDEST", 2), ("PER_DIMENSION", 1)):
        monkeypatch.setattr(descent, name, value)
        other = fit(*given, loss=loss)
        np.testing.assert_allclose(other.coef, found.coef, atol=1e-4)
        np.testing.assert_allclose(other.intercept, found.intercept, atol=1e-4)


def test_correlated_features_take_fewer_steps_than_without_the_change_of_variables(monkeypatch):
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(2000, 60)) * np.geomspace(0.03, 3, 60)
    X = hidden @ np.linalg.qr(rng.normal(size=(60, 60)))[0]
    X = X / X.std(axis=0)
    y = (hidden[:, ::20] @ [5.0, 1.0, 0.2] + rng.logistic(size=2000) > 0).astype(int)
    with_it = fit(X, y, np.ones(2000), penalty=1e-4, tol=1e-4).iterations
    monkeypatch.setattr(descent, "WIDEST", 2)
    assert fit(X, y, np.ones(2000), penalty=1e-4, tol=1e-4).iterations > 3 * with_it


def test_float32_gives_the_minimum_of_float64():
    X, y, weights = rows(500, 20)
    exact, found = fit(X, y, weights), fit(X.astype(np.float32), y, weights, tol=1e-4)
    np.testing.assert_allclose(found.coef, exact.coef, atol=2e-3)
    assert scores_of(X.astype(np.float32), found.coef, found.intercept).dtype == np.float32


def test_a_memory_mapped_array_is_not_copied(tmp_path):
    X, y, weights = rows(40_000, 64, dtype=np.float32)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    fit(mapped[:100], y[:100], weights[:100])  # imports
    tracemalloc.start()
    fit(mapped, y, weights, tol=1e-3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes / 4


def test_rows_of_weight_0_are_left_out():
    X, y, weights = rows()
    part = np.arange(300) % 3 > 0
    without = fit(X[part], y[part], weights[part])
    found = fit(X, y, np.where(part, weights, 0))
    np.testing.assert_allclose(found.coef, without.coef, atol=1e-4)
