import numpy as np
import torch

from pipeline.backbone.augment import augment

STILL = {
    "flip": False,
    "turns": False,
    "degrees": 0.0,
    "shift": 0.0,
    "scale": 0.0,
    "contrast": 0.0,
    "gamma": 0.0,
    "noise": 0.0,
}


def change(pictures, seed=0, strength=None, **amplitudes):
    strength = np.ones(len(pictures)) if strength is None else strength
    return augment(pictures, np.random.default_rng(seed), strength, **(STILL | amplitudes))


def test_an_augmentation_of_nothing_changes_nothing():
    pictures = torch.rand(5, 3, 20, 20)
    assert torch.equal(change(pictures), pictures)


def test_a_flip_mirrors_left_and_right_of_about_half_the_pictures():
    pictures = torch.rand(64, 1, 16, 16)
    moved = change(pictures, flip=True)
    mirrored = [torch.equal(after, before.flip(-1)) for before, after in zip(pictures, moved, strict=True)]
    same = [torch.equal(after, before) for before, after in zip(pictures, moved, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 20 <= sum(mirrored) <= 44


def test_turns_give_each_of_the_eight_right_angle_views():
    picture = torch.rand(1, 1, 8, 8)
    moved = change(picture.repeat(200, 1, 1, 1), turns=True)
    views = [picture[0].rot90(turn, (-2, -1)) for turn in range(4)]
    views += [view.flip(-2) for view in views]
    hits = [sum(torch.equal(one, view) for one in moved) for view in views]
    assert min(hits) > 0
    assert sum(hits) == 200


def test_augmented_pictures_stay_in_range_and_differ_from_each_other():
    moved = change(
        torch.rand(1, 1, 24, 24).repeat(8, 1, 1, 1),
        flip=True, turns=True, degrees=15.0, shift=0.1, scale=0.2, contrast=0.4,
    )  # fmt: skip
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert all(not torch.equal(moved[0], other) for other in moved[1:])
