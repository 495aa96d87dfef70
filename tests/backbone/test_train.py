import dataclasses

import numpy as np
import pytest
import torch

from pipeline.backbone import models, train
from pipeline.choices import Choice
from pipeline.errors import PipelineError
from pipeline.params import Augment, Finetune

STILL = Augment(
    flip=False,
    turns=False,
    degrees=0.0,
    shift=0.0,
    scale=0.0,
    contrast=0.0,
    gamma=0.0,
    noise=0.0,
    minority=1.0,
    mixup=0.0,
)
RECIPE = Finetune(
    policy=Choice("full"),
    epochs=3,
    patience=None,
    batch_size=16,
    accumulate=1,
    lr=0.003,
    weight_decay=0.01,
    clip=None,
    average=0.0,
    sampler=Choice("weighted"),
    loss=Choice("cross_entropy"),
    allow_double_balance=False,
    augment=dataclasses.replace(STILL, flip=True, contrast=0.1),
    on_collapse="warn",
    compile=False,
    seed=0,
)


@pytest.fixture(scope="module")
def squares():
    """Dark and bright pictures, 48 against 12."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [48, 12])
    pictures = (labels[:, None, None] * 90 + rng.integers(0, 120, (60, 32, 32))).astype(np.uint8)
    order = rng.permutation(60)
    return pictures[order], labels[order]


def judge(truth, probabilities):
    hit = float((probabilities.argmax(1) == truth).mean())
    return (hit,), {"val_hit": hit}


def run(squares, recipe=RECIPE, judge=judge):
    pictures, labels = squares
    model = models.create("resnet10t", "none", 1, 32, 2, 0)
    models.freeze(model, recipe.policy)
    return train.train(model, pictures.__getitem__, labels, np.arange(40), np.arange(40, 60), 2, recipe, judge)


def test_a_backbone_learns_what_is_easy(squares):
    model, history = run(squares, dataclasses.replace(RECIPE, epochs=6))
    _, probabilities = train.predict(model, squares[0].__getitem__, squares[1], np.arange(40, 60), 7)
    assert (probabilities.argmax(1) == squares[1][40:]).mean() >= 0.95
    assert list(history.columns) == ["epoch", "train_loss", "val_loss", "lr", "val_hit", "seconds", "chosen"]
    np.testing.assert_allclose(probabilities.sum(1), 1)


def test_two_runs_with_one_seed_are_bitwise_equal(squares):
    (one, first), (other, second) = run(squares), run(squares)
    assert models.to_bytes(one) == models.to_bytes(other)
    assert first.drop(columns="seconds").equals(second.drop(columns="seconds"))


def test_the_epoch_with_the_best_key_is_kept_and_the_first_of_equals(squares):
    keys = iter([(0.2, 0.9), (0.5, 0.1), (0.5, 0.1)])
    states = []

    def scripted(truth, probabilities):
        states.append(probabilities)
        return next(keys), {}

    model, history = run(squares, judge=scripted)
    assert history["chosen"].tolist() == [False, True, False]
    _, kept = train.predict(model, squares[0].__getitem__, squares[1], np.arange(40, 60), 16)
    np.testing.assert_array_equal(kept, states[1])


def test_validation_sees_natural_unaugmented_rows(squares):
    seen = []

    def watching(rows):
        seen.append(np.array(rows))
        return squares[0][rows]

    model = models.create("resnet10t", "none", 1, 32, 2, 0)
    train.predict(model, watching, squares[1], np.arange(40, 60), 16)
    np.testing.assert_array_equal(np.unique(np.concatenate(seen)), np.arange(40, 60))


def test_a_loss_that_is_not_finite_stops_with_the_remedy(squares):
    with pytest.raises(PipelineError, match=r"epoch \d: the training loss is not finite\n  Remedy: lower finetune.lr"):
        run(squares, dataclasses.replace(RECIPE, lr=1e30, epochs=4))


def test_outputs_that_are_not_finite_stop_with_the_remedy(squares, monkeypatch):
    monkeypatch.setattr(train, "predict", lambda *_: (float("nan"), np.full((20, 2), np.nan)))
    with pytest.raises(PipelineError, match=r"epoch 1: the model's outputs are not finite\n  Remedy: lower"):
        run(squares)


def test_last_block_leaves_the_other_weights_alone(squares):
    fresh = models.create("resnet10t", "none", 1, 32, 2, 0).state_dict()
    trained = run(squares, dataclasses.replace(RECIPE, policy=Choice("last_block")))[0].state_dict()
    moved = {key.split(".")[0] for key in fresh if not torch.equal(fresh[key], trained[key].contiguous())}
    assert moved == {"layer4", "fc"}
