import subprocess
import sys

import joblib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from imports import ROOT
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from pipeline.errors import PipelineError
from pipeline.heads.estimators import losses, networks, perceptron
from pipeline.heads.estimators.perceptron import Perceptron
from pipeline.heads.estimators.retraining import Rescaled, Retrained, balanced, natural

LOSSES = ["cross_entropy", "focal", "class_balanced", "balanced_softmax", "ldam"]
SMALL = {
    "mlp": {"hidden": 16, "epochs": 5, "batch_size": 32},
    "crt": {"epochs": 5, "batch_size": 32},
    "lws": {"epochs": 5, "batch_size": 32},
}


def blobs(sizes, dimensions=8, distance=1.0, seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    means = distance * rng.normal(size=(len(sizes), dimensions))
    X = rng.normal(size=(len(y), dimensions)) + means[y]
    order = rng.permutation(len(y))
    return X[order].astype(np.float32), y[order]


def make(name, seed=0, **changed):
    return getattr(networks, name)(seed, **{**SMALL[name], **changed})


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [
        Perceptron(hidden=8, epochs=60, lr=0.02, batch_size=64),
        Perceptron(hidden=8, epochs=60, lr=0.02, scale=10.0, loss="ldam"),
        Perceptron(hidden=8, epochs=60, lr=0.02, patience=5, loss="focal"),
        Retrained(epochs=20),
        Rescaled(epochs=20),
    ]
)
def test_scikit_learns_own_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", SMALL)
def test_equal_seeds_give_equal_bits_whatever_the_threads_and_other_seeds_do_not(name):
    X, y = blobs([300, 80, 20], dimensions=200)
    with threadpool_limits(1):
        one = make(name, 3).fit(X, y).predict_proba(X)
        other = make(name, 4).fit(X, y).predict_proba(X)
    with threadpool_limits(2):
        same = make(name, 3).fit(X, y).predict_proba(X)
    assert one.dtype == np.float32
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("name", SMALL)
def test_fitting_draws_nothing_from_the_global_generators(name):
    X, y = blobs([30, 20])
    state = np.random.get_state()[1].copy(), torch.random.get_rng_state()
    make(name).fit(X, y)
    np.testing.assert_array_equal(np.random.get_state()[1], state[0])
    assert torch.equal(torch.random.get_rng_state(), state[1])


@pytest.mark.parametrize("name", SMALL)
def test_a_head_that_was_saved_predicts_the_same(name, tmp_path):
    X, y = blobs([30, 20])
    fitted = make(name).fit(X, y)
    joblib.dump(fitted, tmp_path / "head.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "head.joblib").predict_proba(X), fitted.predict_proba(X))


def test_no_network_needs_torch():
    code = (
        "import sys, numpy as np\n"
        "from pipeline.heads.estimators import networks\n"
        "assert 'sklearn' not in sys.modules\n"
        "X, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2\n"
        "for make in (networks.mlp, networks.crt, networks.lws): make(0, epochs=2).fit(X, y).predict_proba(X)\n"
        "sys.exit(bool({'torch', 'timm'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_of_all_layers_are_finite_differences_of_the_loss(loss):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 5)), np.arange(12) % 3
    of = losses.of(loss, np.array([9, 3, 6]), np.array([1.0, 2.0, 1.0]), 2.0, 0.9, 0.3, 4.0)
    layers = [rng.normal(size=shape) for shape in ((5, 6), 6, (6, 3), 3)]
    cosine = loss == "ldam"

    def value():
        return of.values(perceptron._forward(layers, X, cosine)[1], y).mean()

    for layer, slope in zip(layers, perceptron._gradients(layers, X, y, of, cosine), strict=True):
        for place in np.ndindex(layer.shape):
            kept = layer[place]
            layer[place] = kept + 1e-6
            above = value()
            layer[place] = kept - 1e-6
            below = value()
            layer[place] = kept
            np.testing.assert_allclose(slope[place], (above - below) / 2e-6, rtol=1e-5, atol=1e-8)


def test_steps_are_those_of_adamw():
    rng = np.random.default_rng(0)
    layers = [rng.normal(size=shape) for shape in ((5, 6), 6, (6, 3), 3)]
    theirs = [torch.tensor(layer, requires_grad=True) for layer in layers]
    weights, biases = [theirs[0], theirs[2]], [theirs[1], theirs[3]]
    groups = [{"params": weights, "weight_decay": 0.1}, {"params": biases, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    step = perceptron._adam(layers, lr=0.01, weight_decay=0.1)
    for _ in range(5):
        slopes = [rng.normal(size=layer.shape) for layer in layers]
        for parameter, slope in zip(theirs, slopes, strict=True):
            parameter.grad = torch.tensor(slope)
        optimizer.step()
        step(slopes)
    for layer, parameter in zip(layers, theirs, strict=True):
        np.testing.assert_allclose(layer, parameter.detach(), rtol=1e-9)


def test_a_network_learns_what_no_line_separates():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(600, 2)).astype(np.float32)
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    fitted = make("mlp", hidden=32, epochs=60, lr=0.01).fit(X[:400], y[:400])
    assert fitted.score(X[400:], y[400:]) > 0.93


@pytest.mark.parametrize(
    "changed", [{"loss": "class_balanced"}, {"loss": "balanced_softmax"}, {"class_weight": "balanced"}]
)
def test_what_balances_finds_more_of_the_rare_class(changed):
    X, y = blobs([900, 60], distance=0.5, seed=1)
    here = {"epochs": 20, "beta": 0.9999}
    plain, balancing = (make("mlp", **here, **values).fit(X, y).predict(X) for values in ({}, changed))
    assert (balancing[y == 1] == 1).mean() > (plain[y == 1] == 1).mean() + 0.1


def test_with_ldam_the_last_layer_gives_cosines():
    X, y = blobs([60, 40, 20])
    fitted = make("mlp", loss="ldam", scale=7.0).fit(X, y)
    before = fitted.predict_proba(X)
    assert np.abs(fitted._logits(X)).max() <= 7.0001
    assert np.abs(fitted._logits(X)).max() > 1
    for layer, factor in zip(fitted.layers_, (3, 3, 0.1, 1), strict=True):
        layer *= factor
    np.testing.assert_allclose(fitted.predict_proba(X), before, rtol=1e-4)
    assert (fitted.layers_[3] == 0).all()


def test_a_cost_matrix_weighs_classes_by_the_costs_of_their_mistakes():
    X, y = blobs([60, 40, 20])
    costs = make("mlp", cost=[[0, 1, 1], [1, 0, 4], [2, 8, 0]]).fit(X, y).predict_proba(X)
    weights = make("mlp", class_weight={0: 2.0, 1: 5.0, 2: 10.0}).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(costs, weights)
    assert not np.array_equal(costs, make("mlp").fit(X, y).predict_proba(X))


@pytest.mark.parametrize("loss", ["class_balanced", "balanced_softmax"])
def test_balancing_twice_is_refused(loss):
    with pytest.raises(PipelineError, match=f"class_weight balanced and loss {loss} would balance the classes twice"):
        networks.mlp(0, loss=loss, class_weight="balanced")


@pytest.mark.parametrize("loss", LOSSES)
def test_early_stopping_takes_the_epoch_that_is_best_for_the_rows_it_watches(loss):
    X, y = blobs([90, 60, 30], distance=0.4)
    learn, watch = slice(0, 90), slice(90, 180)
    values = {"hidden": 64, "lr": 0.01, "loss": loss, "scale": 8.0, "weight_decay": 0.0, "margin": 0.2}
    counts = np.bincount(y[learn])
    of = losses.of(loss, counts, np.ones(3), 2.0, 0.999, 0.2, 8.0)

    def watched(epochs):
        fitted = make("mlp", **{**values, "epochs": epochs}).fit(X[learn], y[learn])
        return of.values(fitted._logits(X[watch]) / of.scale, y[watch]).mean()

    each = [watched(epochs) for epochs in range(1, 16)]
    stopped = make("mlp", **{**values, "epochs": 15, "patience": 15}).stopped(X[learn], y[learn], X[watch], y[watch])
    assert stopped.epochs == np.argmin(each) + 1
    assert 1 < stopped.epochs < 15
    assert stopped.patience is None
    assert not hasattr(stopped, "layers_")


def test_patience_ends_the_search_at_the_first_best_that_is_not_bettered_so_long():
    X, y = blobs([90, 60, 30], distance=0.4)
    learn, watch = slice(0, 90), slice(90, 180)
    values = {
        "hidden": 64,
        "lr": 0.01,
        "batch_size": 8,
        "weight_decay": 5.0,
    }  # few rows a step: the loss goes up and down
    of = losses.of("cross_entropy", np.bincount(y[learn]), np.ones(3), 2.0, 0.9, 0.5, 30.0)

    def watched(epochs):
        fitted = make("mlp", **values, epochs=epochs).fit(X[learn], y[learn])
        return of.values(fitted._logits(X[watch]), y[watch]).mean()

    each = [watched(epochs) for epochs in range(1, 13)]

    def expected(patience):
        lows = [epoch for epoch in range(12) if each[epoch] == min(each[: epoch + 1])]
        ends = [low for low, after in zip(lows, [*lows[1:], 12 + patience], strict=True) if after - low > patience]
        return ends[0] + 1

    found = [
        make("mlp", **values, epochs=12, patience=patience).stopped(X[learn], y[learn], X[watch], y[watch]).epochs
        for patience in (1, 2, 4, 12)
    ]
    assert found == [expected(patience) for patience in (1, 2, 4, 12)]
    assert len(set(found)) == 3


def test_rows_that_come_sorted_by_class_are_learned_as_well():
    X, y = blobs([64, 64, 64], distance=0.8)
    order = np.argsort(y, kind="stable")
    for name in SMALL:
        head = make(name, epochs=20)
        assert head.fit(X[order], y[order]).score(X, y) > head.fit(X, y).score(X, y) - 0.03


def test_rows_to_watch_of_a_class_that_is_not_learned_are_left_aside():
    X, y = blobs([60, 40, 20])
    learn = np.flatnonzero(y[:80] != 1)
    head = make("mlp", patience=3, epochs=8)
    watch = np.arange(80, 120)
    known = watch[y[watch] != 1]
    one = head.stopped(X[learn], y[learn], X[watch], y[watch])
    assert one.epochs == head.stopped(X[learn], y[learn], X[known], y[known]).epochs
    with pytest.raises(ValueError, match="early stopping has no row to watch of a class that is learned"):
        head.stopped(X[learn], y[learn], X[watch], np.ones(40, int))


def test_a_network_without_patience_has_nothing_to_stop():
    assert hasattr(make("mlp", patience=1), "stopped")
    assert not hasattr(make("mlp"), "stopped")


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_balanced_batches_show_every_class_as_often_and_no_row_again_before_all_of_its_class(sizes, seed):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    drawn = balanced(y, np.random.RandomState(seed))
    assert set(np.bincount(y[drawn])) == {-(-len(y) // len(sizes))}
    times = np.bincount(drawn, minlength=len(y))
    for label in range(len(sizes)):
        assert np.ptp(times[y == label]) <= 1


def test_balanced_batches_come_in_random_order():
    y = np.repeat([0, 1, 2], [60, 30, 10])
    one, other = (balanced(y, np.random.RandomState(seed)) for seed in (0, 1))
    assert not np.array_equal(one, other)
    assert len(set(y[one[:20]])) == 3


@pytest.mark.parametrize("factor", [1, 1000])
def test_a_retrained_classifier_is_the_balanced_logistic_regression_whatever_the_unit_of_the_features(factor):
    X, y = blobs([200, 60, 20], distance=0.5)
    length = np.square(X).sum(1).mean()
    balanced_regression = LogisticRegression(C=1 / (0.01 * length * len(y)), class_weight="balanced", tol=1e-8)
    expected = balanced_regression.fit(X, y).predict_proba(X)
    found = Retrained(weight_decay=0.01, batch_size=300, epochs=800, random_state=0).fit(X * np.float32(factor), y)
    np.testing.assert_allclose(found.predict_proba(X * np.float32(factor)), expected, atol=0.02)


def test_retraining_forgets_how_frequent_the_classes_were():
    X, y = blobs([200, 200], distance=0.3, seed=2)
    rare = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:25]])
    shares = [head.fit(X[rare], y[rare]).predict(X).mean() for head in (make("crt", epochs=30), LogisticRegression())]
    assert abs(shares[0] - 0.5) < 0.1
    assert shares[1] < 0.3


def test_scaled_weights_keep_their_directions_and_rare_classes_gain():
    X, y = blobs([300, 60, 15], distance=0.4)
    head = make("lws", epochs=30).fit(X, y)
    before = Rescaled(**head.get_params())
    before.classes_ = head.classes_
    before._learn_linear(X, y, natural, np.random.RandomState(0))
    np.testing.assert_allclose(head.coef_, before.coef_ * head.scales_[:, None], rtol=1e-5)
    np.testing.assert_allclose(head.intercept_, before.intercept_ * head.scales_, rtol=1e-5)
    np.testing.assert_array_equal(before.fit(X, y).predict_proba(X), head.predict_proba(X))
    natural_answer = (X @ (head.coef_ / head.scales_[:, None]).T + head.intercept_ / head.scales_).argmax(1)
    assert (head.predict(X) == 2).sum() > (natural_answer == 2).sum()
