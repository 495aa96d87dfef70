"""What the audit's page shows, made up: points on a grid, and pictures that tell whose they are by their grey."""

import dataclasses

import numpy as np
import pandas as pd

from pipeline import artifacts
from pipeline.report.auditing.audited import Audited

COUNT, SIDE = 60, 24
CLASSES = ("A", "B, or </script>", "C")
IDS = np.array([f"1.2.{number:03d}" for number in range(COUNT)])
FIRST_ROW = 100  # feature row of the first point


def grey(image: int) -> int:
    """Of an image's picture; far from that of the next one."""
    return 30 + 37 * image % 60 * 3


def audited(gallery: bool = True, several: bool = False, repeats: int = 1) -> Audited:
    """60 images of three classes (`repeats` times), three checks that name some, and rows of one resampler."""
    count = COUNT * repeats
    ids = np.array([f"1.2.{number:03d}" for number in range(count)])
    made = Audited(
        title="Made up",
        checks=checks(),
        tables=tables(),
        arrays=arrays(count, ids, several),
        index=pd.DataFrame(
            {"image_id": ids, "manufacturer": np.where(np.arange(count) % 2, "Acme", "Bolt"), "view": ""}
        ),
        params=frozenset({"suspicious_labels", "twins_across_roles"}),
        pictures=pictures(count, ids),
        tested=pd.DataFrame(
            {"image_id": ids[40:], "actual": "A", "predicted": np.where(np.arange(40, count) % 4, "A", "C")}
        ),
    )
    return dataclasses.replace(made, gallery=gallery)


def checks() -> dict:
    return {
        "finite": _check("integrity", "ok", [], "Every feature is a finite number."),
        "shift": _check("shift", "ok", [], "Rows of a class are alike.", {"A": {"auc": 0.5}, "C": {"auc": -0.25}}),
        "suspicious_labels": _check("labels", "look", IDS[[3, 7]], "Labels that neighbours speak against: 2."),
        "twins_across_roles": _check("leakage", "invalid", IDS[[7, 9]], "1 pair stands in two roles."),
    }


def _check(question: str, verdict: str, rows, sentence: str, figures: dict | None = None) -> dict:
    value = {"ok": 0.001, "look": 0.0321, "invalid": 1.0}[verdict]
    named = {
        "rows": list(rows),
        "row_count": len(rows),
        "finding": sentence,
        "question": question,
        "figures": figures or {},
    }
    return {"value": value, "threshold": 0.02, "verdict": verdict, **named}


def tables() -> dict[str, pd.DataFrame]:
    suspicious = {
        "image_id": IDS[[3, 7]],
        "label": ["A", "C"],
        "suggested": ["C", "A"],
        "confidence": [0.98, 0.9],
        "role": ["train", ""],
    }
    ids, roles = {"image_id": IDS[[7]], "other_id": IDS[[9]]}, {"role": ["train"], "other_role": ["test"]}
    pairs = {**ids, **roles, "kind": ["equal"], "difference": [0.0]}
    return {"suspicious_labels": pd.DataFrame(suspicious), "twins_across_roles": pd.DataFrame(pairs)}


def arrays(count: int, ids: np.ndarray, several: bool) -> dict[str, np.ndarray]:
    """A grid of ten columns: the embedding row by row, the principal components column by column."""
    numbers = np.arange(count)
    grid = np.stack([numbers % 10, -(numbers // 10)], axis=1).astype(np.float32)
    classes = numbers % 3
    marks = np.stack([classes == number for number in range(3)], axis=1).astype(np.int8)
    parents = np.array([[0, 12], [21, 24]], np.int32)
    shares = np.array([0.25, 0.5], np.float32)
    own = {
        "total": np.array(7), "labels": np.array([0, 0], np.int16), "parents": parents, "shares": shares,
        "embedding": grid[parents[:, 0]] + shares[:, None] * (grid[parents[:, 1]] - grid[parents[:, 0]]),
        "pca": grid[[5, 6]] + 0.5,
    }  # fmt: skip
    return {
        "total": np.array(count), "rows": (FIRST_ROW + numbers).astype(np.int32),
        "embedding": grid, "pca": grid[:, ::-1],
        **{f"synthetic/smote/{key}": values for key, values in own.items()},
        "features": np.array("fold-0"), "image_id": ids, "role": np.where(numbers < 40, "train", "test"),
        "targets": marks if several else classes, "classes": np.array(CLASSES),
        "named/suspicious_labels": np.array([3, 7]), "named/twins_across_roles": np.array([7, 9]),
    }  # fmt: skip


def pictures(count: int, ids: np.ndarray) -> artifacts.Pictures:
    """They lie in the store in another order than the points on the map."""
    greys = np.array([grey(number % COUNT) for number in range(count)], np.uint8)[::-1]
    shard = np.broadcast_to(greys[:, None, None], (count, SIDE, SIDE))
    rows = pd.DataFrame({"image_id": ids[::-1], "shard": 0, "row": np.arange(count)})
    return artifacts.Pictures(rows, {"shape": [count, SIDE, SIDE], "dtype": "uint8"}, {0: shard})
