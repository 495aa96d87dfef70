"""A folder with the artifacts that come before `fit` for images of several labels, made from numbers alone."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline import artifacts

LABELS = ("Mass", "Nodule", "Hernia")
SHARES = (0.4, 0.25, 0.08)
ROWS = 360
FOLDS = 2


def write(names: Sequence[str] = LABELS, missing: float = 0.1, seed: int = 0) -> pd.DataFrame:
    """Index, splits (with a training view of every image), features and a frozen backbone; returns the index."""
    rng = np.random.default_rng(seed)
    marks = (rng.random((ROWS, len(names))) < np.resize(SHARES, len(names))).astype(np.int8)
    signal = marks @ rng.normal(0, 2, (len(names), 12))
    marks[rng.random(marks.shape) < missing] = artifacts.MISSING
    index = _index(marks, names)
    artifacts.save_index(index)
    five = np.array(["train", "train", "train", "val", "test"], dtype=object)
    roles = [five[(np.arange(ROWS) // 3 + fold) % 5] for fold in range(FOLDS)]
    splits = pd.concat(
        pd.DataFrame({"image_id": index["image_id"], "fold": fold, "role": of}) for fold, of in enumerate(roles)
    )
    artifacts.save_splits(splits, summary(index, roles, names))
    rows = pd.DataFrame({"image_id": index["image_id"], "fingerprint": "", "view": 0})
    values = np.concatenate([signal + rng.normal(size=(ROWS, 12)) for _ in range(2)]).astype(np.float32)
    made = {"packages": {"numpy": "2.4.0"}, "params": {}, "code": "", "stage": "embed"}
    artifacts.save_features({"shared": values}, pd.concat([rows, rows.assign(view=1)]), {"shared": made})
    artifacts.save_backbone("shared", b"", pd.DataFrame(columns=["epoch"]), made)
    return index


def _index(marks: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    empty = {name: "" if kind == "str" else 0 for name, kind in artifacts.INDEX_COLUMNS.items()}
    index = pd.DataFrame(empty, index=range(ROWS))
    index["image_id"] = [f"{number:04d}" for number in range(ROWS)]
    index["group"] = [f"g{number // 3}" for number in range(ROWS)]
    present = [[name for name, mark in zip(names, row, strict=True) if mark == artifacts.PRESENT] for row in marks]
    index["label"] = ["|".join(row) or artifacts.NO_FINDING for row in present]
    return index.join(pd.DataFrame(marks, columns=[artifacts.LABEL + name for name in names]))


def summary(index: pd.DataFrame, roles: Sequence[np.ndarray], names: Sequence[str]) -> dict[str, object]:
    """splits.json of these roles, one array per fold."""
    marks = index[[artifacts.LABEL + name for name in names]].to_numpy() == artifacts.PRESENT
    folds = [
        {
            "fold": fold,
            "roles": {
                role: {
                    "images": int((of == role).sum()),
                    "patients": index.loc[of == role, "group"].nunique(),
                    "classes": dict(zip(names, marks[of == role].sum(axis=0).tolist(), strict=True)),
                }
                for role in artifacts.ROLES
            },
            "worst_drift": 0.03,
            "worst_class": names[0],
        }
        for fold, of in enumerate(roles)
    ]
    return {"seed": 0, "classes": list(names), "folds": folds, "warnings": []}
