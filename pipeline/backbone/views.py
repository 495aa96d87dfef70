"""Augmented views of training pictures of minority classes, always the same ones of a picture."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from pipeline.backbone import inputs
from pipeline.backbone.augment import augment


def of_minority(targets: np.ndarray, classes: int) -> np.ndarray:
    """Which rows are of a class with fewer rows than classes have in the mean, (n,) bool.

    Of several labels one that is present and rarer than the mean suffices.

    Args:
        targets: of the training rows, class numbers (n,) int, -1 for none; or (n, L) int8 of 1 present, 0 absent,
            -1 missing.
        classes: K, or L.
    """
    present = targets == 1 if targets.ndim == 2 else targets[:, None] == np.arange(classes)  # (n, K)
    counts = present.sum(axis=0)
    return present[:, counts < counts.mean()].any(axis=1)


def augmented(
    pictures: np.ndarray, ids: Sequence[str], views: Sequence[int], amplitudes: Mapping[str, Any], strength: float
) -> np.ndarray:
    """A view of each picture, of its shape and type; the same one whatever else is in the batch.

    Args:
        pictures: (B, H, W) or (B, H, W, 3), uint8 or uint16.
        ids: of the pictures.
        views: number of the view of each.
        amplitudes: of `augment.augment`, by name.
        strength: of all of them.
    """
    changed = np.empty_like(pictures)
    most = np.iinfo(pictures.dtype).max
    for place, (name, view) in enumerate(zip(ids, views, strict=True)):
        rng = np.random.default_rng(_seed(name, view))
        shown = inputs.to_tensor(pictures[place : place + 1], torch.device("cpu"))
        moved = augment(shown, rng, np.array([strength]), **amplitudes)
        stored = moved.mul_(most).round_().permute(0, 2, 3, 1).numpy()  # (1, H, W, C)
        changed[place] = stored.reshape(pictures.shape[1:]).astype(pictures.dtype)
    return changed


def _seed(name: str, view: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{name} {view}".encode()).digest()[:8])
