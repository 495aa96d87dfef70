import dataclasses

import numpy as np

from pipeline.backbone import models, steps, train
from pipeline.backbone.train import Rating
from pipeline.choices import Choice
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
TINY = "test_resnet"  # of timm; 32 px, 0.4 million parameters, with BatchNorm
RNG = np.random.default_rng(0)
ORDER = RNG.permutation(60)
LABELS = np.repeat([0, 1], [48, 12])[ORDER]
PICTURES = (LABELS[:, None, None] * 90 + RNG.integers(0, 120, (60, 32, 32))).astype(np.uint8)  # dark and bright
DATA = train.Data(
    take=PICTURES.__getitem__,
    targets=LABELS,
    groups=np.arange(60),
    ids=[f"id-{number}" for number in range(60)],
    classes=2,
    train_rows=np.arange(40),
    val_rows=np.arange(40, 60),
)


def rate(targets, probabilities):
    hit = float((probabilities.argmax(1) == targets).mean())
    recall = np.array([np.mean(probabilities.argmax(1)[targets == label] == label) for label in (0, 1)])
    return Rating((hit,), {"val_hit": hit}, recall, [])


def with_recipe(**changes):
    return dataclasses.replace(RECIPE, **changes)


def still(**changes):
    return with_recipe(augment=STILL, sampler=Choice("none"), **changes)


def run(recipe=RECIPE, data=DATA, rate=rate, model=TINY, **options):
    return train.train(models.create(model, "none", 1, 32, data.classes, 0), data, recipe, rate, **options)


def test_a_backbone_learns_what_is_easy():
    model, history = run(with_recipe(epochs=6), model="resnet10t")
    _, probabilities = steps.predict(model, DATA, DATA.val_rows, 7)
    assert (probabilities.argmax(1) == LABELS[40:]).mean() >= 0.95
    assert list(history.columns) == [
        *("epoch", "train_loss", "val_loss", "lr", "trainable"),
        *("val_hit", "collapse", "grad_norm", "seconds", "chosen"),
    ]
    np.testing.assert_allclose(probabilities.sum(1), 1)
