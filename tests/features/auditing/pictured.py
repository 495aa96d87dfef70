"""A small set with pictures: of one patient alike, of two patients different; and twins planted in it."""

import dataclasses

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from pipeline.features.auditing.evidence import Evidence

COUNT, SIDE, WIDTH = 120, 48, 16
ROLES = ("train", "train", "val", "test")


def clean(seed=0, folds=1, colour=False):
    """Blurred noise as pictures, features that tell nothing of it; two images of each patient."""
    rng = np.random.default_rng(seed)
    shape = (COUNT, SIDE, SIDE, 3) if colour else (COUNT, SIDE, SIDE)
    noise = gaussian_filter(rng.normal(size=shape), (0, 2, 2, 0)[: len(shape)])
    pictures = np.clip(128 + 300 * noise, 0, 255).astype(np.uint8)
    ids = [f"1.2.{number:04d}" for number in range(COUNT)]
    rows = pd.DataFrame({"image_id": ids, "fingerprint": ids}, dtype="str")
    roles = pd.DataFrame(
        [
            (image, f"g{number // 2}", fold, ROLES[(number // 2 + fold) % 4])
            for fold in range(folds)
            for number, image in enumerate(ids)
        ],
        columns=["image_id", "group", "fold", "role"],
    )
    return Evidence(
        features={"shared": rng.normal(size=(COUNT, WIDTH)).astype(np.float32)},
        rows=rows.assign(view=0),
        pictures=rows,
        expected=frozenset(ids),
        roles=roles,
        classes=("A", "B"),
        targets=np.arange(COUNT) // 2 % 5 % 2,
        take=lambda places: pictures[places],
    )


def pictures(evidence):
    """A copy of all of them, (N, S, S)."""
    return np.array(evidence.picture(np.arange(COUNT)))


def with_twin(evidence, one, other, change=lambda picture: picture, apart=0.05):
    """The picture of one row becomes that of another, changed; its features are near."""
    shown, values = pictures(evidence), evidence.features["shared"].copy()
    shown[other] = change(shown[one])
    values[other] = values[one] + apart
    return dataclasses.replace(evidence, features={"shared": values}, take=lambda places: shown[places])
