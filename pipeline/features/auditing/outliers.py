"""Rows that are unlike their class."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.auditing.evidence import Evidence, Finding, image_ids, look
from pipeline.features.auditing.learning import Question, components, labelled, questions

WIDTH = 32  # principal components that distances are computed in
TRIMMED = 0.1  # share of the rows of a class, the farthest, that its centre and spread are not computed from
ENOUGH = 5  # rows per component from which a class has a spread of its own, not that of all classes together
FAR = 6.0  # robust standard deviations of the logarithm of the distance, from which a row is an outlier
MOST = 5_000  # rows that a spread is computed from


def outliers(evidence: Evidence, threshold: float) -> Finding:
    """Which rows lie far from all others of their class? Value: share of them.

    Mahalanobis distance from the mean of the class, with a shrunk covariance (Ledoit and Wolf 2004,
    doi:10.1016/S0047-259X(03)00096-4) of principal components, both without the farthest tenth of the class. A row is
    an outlier if its distance exceeds the median of its class and role by six robust standard deviations.
    """
    Z = np.ascontiguousarray(components(evidence)[:, :WIDTH])
    found = [_of_question(evidence, question, Z) for question in questions(evidence)]
    if not found:
        return Finding(0.0, threshold, "ok", [], "There are no labels to look at.")
    table = pd.concat(found).sort_values("deviations", ascending=False, kind="stable").reset_index(drop=True)
    far = table[table["deviations"] > FAR].drop_duplicates("image_id")
    looked = max(1, table["image_id"].nunique())
    value = len(far) / looked
    counts = far.groupby("class").size().sort_values(ascending=False, kind="stable")
    sentence = f"Rows that lie far from all others of their class: {len(far):,} of {looked:,}"
    if len(far):
        first = far.iloc[0]
        sentence += (
            f"; most of {counts.index[0]} ({counts.iloc[0]:,}); the farthest is {first['times']:.1f} times as far from "
            f"the centre of {first['class']} as the median row"
        )
    figures = {str(name): int(count) for name, count in counts.items()}
    return Finding(
        value,
        threshold,
        look(value, threshold),
        far["image_id"].tolist(),
        sentence + ".",
        table=far.reset_index(drop=True),
        figures={"outliers": figures},
    )


def distances(Z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance of each row from the centre of its class, in the spread of the class, (n,) float64.

    Args:
        Z: (n, d) float32.
        y: class numbers, (n,) int.
    """
    out = np.zeros(len(y))
    members = {label: np.flatnonzero(y == label) for label in np.unique(y)}
    whole = {label: rows[_nearest(Z[rows])] for label, rows in members.items()}
    together = np.concatenate([Z[rows] - Z[rows].mean(axis=0) for rows in whole.values()])
    common = _shrunk(together)
    for label, rows in members.items():
        core = Z[whole[label]]
        spread = _shrunk(core - core.mean(axis=0)) if len(core) >= ENOUGH * Z.shape[1] else common
        away = (Z[rows] - core.mean(axis=0)).astype(np.float64)
        out[rows] = np.sqrt(np.einsum("ij,ij->i", away @ np.linalg.inv(spread), away))
    return out


def deviations(distance: np.ndarray, strata: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Robust standard deviations of the log distance above the median of its stratum, and the distance over it.

    Args:
        distance: (n,) float64.
        strata: (n,) int.

    Returns:
        (n,) float64 both.
    """
    logs = np.log(np.maximum(distance, 1e-9))
    above, spread = np.zeros(len(logs)), np.zeros(len(logs))
    for stratum in np.unique(strata):
        here = strata == stratum
        above[here] = logs[here] - np.median(logs[here])
        spread[here] = 1.4826 * np.median(np.abs(above[here]))
    typical = float(np.median(spread)) if len(spread) else 0.0
    return above / np.maximum(np.maximum(spread, typical / 2), 1e-9), np.exp(above)


def _of_question(evidence: Evidence, question: Question, Z: np.ndarray) -> pd.DataFrame:
    rows = labelled(evidence, question)
    y, role = question.y[rows], evidence.role()[rows]
    above, times = deviations(distances(Z[rows], y), 2 * y + (role == "train"))
    names = np.array(question.classes, dtype=object)
    columns: Mapping[str, Any] = {
        "image_id": image_ids(evidence.rows, rows),
        "class": names[y],
        "role": role,
        "deviations": above.round(3),
        "times": times.round(3),
    }
    return pd.DataFrame(columns)


def _nearest(Z: np.ndarray) -> np.ndarray:
    """Places of the rows that are not among the farthest from the median."""
    away = np.square(Z - np.median(Z, axis=0)).sum(axis=1)
    return np.argsort(away, kind="stable")[: max(1, int(np.ceil((1 - TRIMMED) * len(Z))))]


def _shrunk(centred: np.ndarray) -> np.ndarray:
    from sklearn.covariance import ledoit_wolf

    step = -(-len(centred) // MOST)
    spread, _ = ledoit_wolf(centred[::step].astype(np.float64), assume_centered=True)
    return spread + 1e-9 * np.trace(spread) * np.eye(len(spread)) + 1e-12 * np.eye(len(spread))
