"""Rows that are unlike their class."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.auditing.evidence import Evidence, Finding, image_ids, look
from pipeline.features.auditing.learning import Question, components, labelled, questions

WIDTH = 32  # principal components that distances are computed in
TRIMMED = 0.1  # share of the rows of a class, the farthest, that its centre and spread are not computed from
STEPS = 3  # in which they are found
ENOUGH = 5  # rows per component from which a class has a spread of its own, not that of all classes together
PLENTY = 10  # rows per component from which a covariance needs no shrinkage
FAR = 6.0  # robust standard deviations of the logarithm of the distance, from which a row is an outlier
MOST = 5_000  # rows that a spread is computed from


def outliers(evidence: Evidence, threshold: float) -> Finding:
    """Which rows lie far from all others of their class? Value: share of them.

    Mahalanobis distance from the mean of the class in principal components, with the covariance within all classes or,
    of a large class, its own, shrunk where rows are few (Ledoit and Wolf 2004, doi:10.1016/S0047-259X(03)00096-4). A
    row is an outlier if its distance exceeds the median of its class and role by six robust standard deviations.
    """
    Z = np.ascontiguousarray(components(evidence)[:, :WIDTH])
    found = [_of_question(evidence, question, Z) for question in questions(evidence)]
    if not any(len(each) for each in found):
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

    Centre and spread are computed, and the farthest rows left out of them, in turns: the steps of the minimum
    covariance determinant (Rousseeuw and Van Driessen 1999, doi:10.1080/00401706.1999.10485670), with shrinkage.

    Args:
        Z: (n, d) float32.
        y: class numbers, (n,) int.
    """
    out = np.zeros(len(y))
    members = {label: np.flatnonzero(y == label) for label in np.unique(y)}
    for rows in members.values():
        out[rows] = np.linalg.norm(Z[rows] - np.median(Z[rows], axis=0), axis=1)
    for _ in range(STEPS if members else 0):
        core = {label: Z[rows[_nearest(out[rows])]].astype(np.float64) for label, rows in members.items()}
        centred = {label: rows - rows.mean(axis=0) for label, rows in core.items()}
        whiten = _whitening(np.concatenate([*centred.values()]))
        for label, rows in members.items():
            away = (Z[rows] - core[label].mean(axis=0)) @ whiten
            if len(core[label]) >= ENOUGH * Z.shape[1]:
                away = away @ _whitening(centred[label] @ whiten)
            out[rows] = np.linalg.norm(away, axis=1)
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


def _nearest(distance: np.ndarray) -> np.ndarray:
    """Places of all but the farthest rows."""
    return np.argsort(distance, kind="stable")[: max(1, int(np.ceil((1 - TRIMMED) * len(distance))))]


def _whitening(centred: np.ndarray) -> np.ndarray:
    """Axes in which rows have unit covariance, (d, d) float64.

    Of many rows the covariance is taken as it is: shrunk towards a sphere, it would hide rows amid another class, which
    lie where a class varies least of all.
    """
    from sklearn.covariance import ledoit_wolf

    some, width = centred[:: -(-len(centred) // MOST)], centred.shape[1]
    if len(some) >= PLENTY * width:
        spread = some.T @ some / len(some)
    else:
        spread, _ = ledoit_wolf(some, assume_centered=True)
    variance, axes = np.linalg.eigh(spread)
    return axes / np.sqrt(np.maximum(variance, max(1e-9 * variance.max(initial=0), 1e-12)))
