import numpy as np
import pytest
import torch

from pipeline.backbone.losses import LOSSES, Setting
from pipeline.heads.estimators import losses

COUNTS = np.array([2, 40, 8])
THEIRS = {
    "cross_entropy": {},
    "focal": {"alpha": 0.0, "gamma": 2.0},
    "class_balanced": {"beta": 0.99},
    "balanced_softmax": {},
    "ldam": {"margin": 0.4, "scale": 5.0, "beta": 0.99, "deferred": 1.0},
}


def of(name, counts=COUNTS, weights=1.0):
    return losses.of(name, counts, np.broadcast_to(weights, counts.shape), gamma=2.0, beta=0.99, margin=0.4, scale=5.0)


def rows(seed=0, n=30):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)) * 2, rng.integers(0, 3, n)


def in_torch(name, logits, y):
    positives = torch.tensor(COUNTS, dtype=torch.float64)
    setting = Setting(positives, positives.sum() - positives, 0.0)
    return LOSSES[name](logits * (5.0 if name == "ldam" else 1.0), torch.tensor(y), setting, **THEIRS[name])


@pytest.mark.parametrize("name", THEIRS)
def test_values_and_gradients_are_those_of_the_loss_that_trains_backbones(name):
    logits, y = rows()
    moving = torch.tensor(logits, requires_grad=True)
    theirs = in_torch(name, moving, y)
    theirs.mean().backward()
    np.testing.assert_allclose(of(name).values(logits, y), theirs.detach(), rtol=1e-9)
    np.testing.assert_allclose(of(name).gradient(logits, y), moving.grad, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cross_entropy", np.log(4)),  # p = 1 / 4
        ("focal", (3 / 4) ** 2 * np.log(4)),
        ("class_balanced", 2.46263 * np.log(4)),  # 1 / (1 - 0.99^2) = 50.251, and 20.4055 in the mean of all rows
        ("balanced_softmax", np.log(1 + 3 * 8 / 2)),  # shares 8 / 10 and 2 / 10
        ("ldam", np.log(1 + 3**5 * np.exp(5 * 0.4))),  # the rarest class has the whole margin
    ],
)
def test_literal_values(name, expected):
    logits, y = np.array([[np.log(3), 0.0]]), np.array([1])
    np.testing.assert_allclose(of(name, np.array([8, 2])).values(logits, y), [expected], rtol=1e-6)


@pytest.mark.parametrize("name", THEIRS)
def test_class_weights_have_the_mean_one_over_the_training_rows(name):
    weights = of(name, weights=np.array([7.0, 1.0, 3.0])).weights
    np.testing.assert_allclose(weights @ COUNTS, COUNTS.sum())
    assert weights[0] > weights[2] > weights[1]


@pytest.mark.parametrize("name", THEIRS)
def test_float32_stays_float32_and_finite_where_the_model_is_certain(name):
    logits = np.array([[200, -200, 0], [200, -200, 0], [0, 0, 0]], np.float32)
    y = np.array([0, 1, 2])
    for found in (of(name).values(logits, y), of(name).gradient(logits, y), losses.softmax(logits)):
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
