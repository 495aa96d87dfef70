"""Where the rows lie that resamplers make."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.auditing.evidence import Evidence, Finding, Synthetic, image_ids, look
from pipeline.features.auditing.learning import axes, capped, components
from pipeline.features.auditing.samples import comparable, told_apart
from pipeline.features.neighbours import mixed

MOST = 1_000  # rows of a resampler that are looked at
FEW = 10  # rows of a class below which a share is not judged
COPY = 0.05  # of the usual distance between neighbours, below which a row is a copy of a parent
SHOWN = 200  # rows of the table for each resampler
PART = 4096  # real rows at once
COLUMNS = ("resampler", "class", "image_id", "other_parent", "share", "nearest", "nearest_class", "distance")


@dataclass(frozen=True, eq=False)
class Fallen:
    """Where some rows of a resampler lie.

    Attributes:
        label: class number of each, (s,) int.
        parents: feature rows, (s, 2) int.
        share: of the way from one to the other, (s,) float32.
        nearest: real row that lies nearest, (s,) int.
        distance: from it, (s,) float64.
        foreign: whether it is of another class, (s,) bool.
        apart: whether the nearest real row that is no parent is of another class, (s,) bool.
        from_parent: distance from the nearer parent, (s,) float64.
        X: (s, D) float32.
    """

    label: np.ndarray
    parents: np.ndarray
    share: np.ndarray
    nearest: np.ndarray
    distance: np.ndarray
    foreign: np.ndarray
    apart: np.ndarray
    from_parent: np.ndarray
    X: np.ndarray


def synthetic(evidence: Evidence, threshold: float) -> Finding:
    """Does a resampler invent another class's points?

    Value: the share of the rows that a resampler makes of a class whose nearest real row is of another class, of the
    worst resampler and class. Beside it: copies of a parent, distance from real rows against the usual one between
    them, how many parents there are in effect, pairs of parents of two patients, and whether a classifier tells the
    rows from real ones of validation and test (Lopez-Paz and Oquab 2017, arXiv:1610.06545), which it would not if they
    were what they stand for; training rows against the same ones are the reference.
    """
    figures: dict[str, Any] = {}
    tables = [pd.DataFrame(columns=[*COLUMNS])]
    for name, folds in evidence.synthetic.items():
        fallen = fall(evidence, folds[0])
        labels = np.unique(folds[0].labels).tolist()
        figures[name] = {str(evidence.classes[label]): _of_class(evidence, folds[0], fallen, label) for label in labels}
        tables.append(_table(evidence, name, fallen))
    shares = {
        (name, label): of["foreign"]
        for name, classes in figures.items()
        for label, of in classes.items()
        if of["looked_at"] >= FEW
    }
    worst = max(shares, key=lambda key: shares[key], default=None)
    value = shares[worst] if worst else 0.0
    table = pd.concat(tables, ignore_index=True)
    guilty = {name for (name, _), share in shares.items() if share > threshold}
    images = list(dict.fromkeys(table.loc[table["resampler"].isin(guilty), "image_id"]))
    return Finding(
        value,
        threshold,
        look(value, threshold),
        images,
        _sentence(figures, shares, worst, threshold, evidence.synthetic),
        table=table,
        figures=figures,
    )


def fall(evidence: Evidence, made: Synthetic) -> Fallen:
    """Where rows of a resampler lie among the real ones; of many, a sample in which each class has an equal part."""
    places = capped(made.labels, MOST)
    label, parents, share = made.labels[places], made.parents[places], made.shares[places]
    X = mixed(made.space, parents[:, 0], parents[:, 1], share) if made.written is None else made.written[places]
    real = np.flatnonzero(evidence.natural & (evidence.role() != ""))
    found, distance = nearest_real(X, made.space, real)
    no_parent = (found[:, :, None] != parents[:, None, :]).all(axis=2)
    first = np.argmax(no_parent, axis=1)
    rows = np.arange(len(X))
    own = [is_of(evidence, label, found[:, 0]), is_of(evidence, label, found[rows, first])]
    to_parents = [np.linalg.norm(made.space[parents[:, place]] - X, axis=1) for place in (0, 1)]
    return Fallen(
        label, parents, share, found[:, 0], distance[:, 0], own[0] == 0, own[1] == 0, np.minimum(*to_parents), X
    )


def nearest_real(X: np.ndarray, space: np.ndarray, real: np.ndarray, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """The real rows nearest to synthetic ones, nearest first, and their distances, (s, k) int and float64.

    Args:
        X: (s, D) float32.
        space: (N, D) float32.
        real: positions in `space` of those to be found, (n,) int.
        k: how many; three hold one that is no parent.
    """
    k = min(k, len(real))
    best, found = np.full((len(X), k), np.inf, np.float32), np.zeros((len(X), k), int)
    for start in range(0, len(real), PART):
        part = real[start : start + PART]
        rows = space[part]
        squared = np.square(rows).sum(axis=1) - 2 * (X @ rows.T)  # (s, part); |x|² is the same for all of a line
        near = np.argpartition(squared, min(k, len(part)) - 1, axis=1)[:, :k]
        values = np.concatenate([best, np.take_along_axis(squared, near, 1)], axis=1)
        ids = np.concatenate([found, part[near]], axis=1)
        order = np.argsort(values, axis=1, kind="stable")[:, :k]
        best, found = np.take_along_axis(values, order, 1), np.take_along_axis(ids, order, 1)
    exact = np.stack([np.linalg.norm((space[column] - X).astype(np.float64), axis=1) for column in found.T], axis=1)
    order = np.argsort(exact, axis=1, kind="stable")
    return np.take_along_axis(found, order, 1), np.take_along_axis(exact, order, 1)


def is_of(evidence: Evidence, label: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """1 where a feature row is of a class, 0 where it is of another or has not the label, -1 where that is not known.

    Args:
        evidence: has the targets.
        label: class numbers, (s,) int.
        rows: feature rows, (s,) int.
    """
    if evidence.multilabel:
        return evidence.targets[rows, label].astype(int)
    known = evidence.targets[rows]
    return np.where(known < 0, -1, (known == label).astype(int))


def effective(parents: np.ndarray) -> float:
    """Number of parents that would be reused as evenly: the exponential of the entropy of their shares."""
    _, counts = np.unique(parents, return_counts=True)
    shares = counts / counts.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _of_class(evidence: Evidence, made: Synthetic, fallen: Fallen, label: int) -> dict[str, Any]:
    own = fallen.label == label
    role, natural = evidence.role(), evidence.natural
    member = is_of(evidence, np.full(len(role), label), np.arange(len(role))) == 1
    train, held = np.flatnonzero(member & (role == "train")), np.flatnonzero(member & (role != "") & (role != "train"))
    table, distances = evidence.neighbours(evidence.file)
    train_natural = train[natural[train]]
    reach = distances[train_natural, 0]
    usual = float(np.median(reach[np.isfinite(reach)])) if np.isfinite(reach).any() else float("nan")
    whole = made.parents[made.labels == label]
    groups = evidence.groups
    first = is_of(evidence, np.full(len(train_natural), label), table[train_natural, 0])
    figure = {
        "rows": len(whole),
        "looked_at": int(own.sum()),
        "real_rows": len(train),
        "foreign": _share(fallen.foreign[own]),
        "foreign_without_parents": _share(fallen.apart[own]),
        "foreign_real": _share(first == 0),
        "copies": _share(fallen.from_parent[own] < COPY * usual),
        "distance_from_parent": float(np.median(fallen.from_parent[own]) / usual) if own.any() else None,
        "off_manifold": float(np.median(fallen.distance[own]) / usual) if own.any() else None,
        "effective_parents": effective(whole),
        "effective_share": effective(whole) / max(1, len(train)),
        "cross_patient": _share(groups[whole[:, 0]] != groups[whole[:, 1]]),
    }
    if made.notes.get(label):
        figure["note"] = made.notes[label]
    return figure | _two_samples(evidence, fallen, own, train_natural, held[natural[held]])


def _two_samples(
    evidence: Evidence, fallen: Fallen, own: np.ndarray, train: np.ndarray, held: np.ndarray
) -> dict[str, float | None]:
    """Areas under the curve of synthetic, and of training rows, against the held-out rows of their class."""
    groups = evidence.groups
    Z, real = axes(evidence).of(fallen.X[own]), components(evidence)
    sides = {"auc_synthetic": (Z, groups[fallen.parents[own, 0]]), "auc_train": (real[train], groups[train])}
    out: dict[str, float | None] = {}
    for name, (rows, of) in sides.items():
        second = np.r_[np.ones(len(rows), bool), np.zeros(len(held), bool)]
        patients = np.r_[of, groups[held]]
        both = np.concatenate([rows, real[held]])
        out[name] = told_apart(both, second, patients).auc if comparable(second, patients) else None
    return out


def _table(evidence: Evidence, name: str, fallen: Fallen) -> pd.DataFrame:
    """Rows among another class, the deepest first: those that are farthest from a parent for how near the other is."""
    depth = fallen.from_parent / np.maximum(fallen.distance, 1e-9)
    rows = np.flatnonzero(fallen.foreign)
    rows = rows[np.argsort(-depth[rows], kind="stable")][:SHOWN]
    images = [image_ids(evidence.rows, of) for of in (*fallen.parents[rows].T, fallen.nearest[rows])]
    classes = np.array(evidence.classes, dtype=object)
    found = (
        name,
        classes[fallen.label[rows]],
        images[0],
        images[1],
        fallen.share[rows].round(4),
        images[2],
        [_class_of(evidence, row, label) for row, label in zip(fallen.nearest[rows], fallen.label[rows], strict=True)],
        fallen.distance[rows].round(4),
    )
    return pd.DataFrame(dict(zip(COLUMNS, found, strict=True)))


def _class_of(evidence: Evidence, row: int, label: int) -> str:
    return f"no {evidence.classes[label]}" if evidence.multilabel else str(evidence.classes[evidence.targets[row]])


def _sentence(
    figures: Mapping[str, Any],
    shares: Mapping[tuple[str, str], float],
    worst: tuple[str, str] | None,
    threshold: float,
    made: Mapping[str, Any],
) -> str:
    if not worst:
        return "No resampler of the grid makes rows of its own in the first fold." if not made else "Too few to judge."
    name, label = worst
    of = figures[name][label]
    if shares[worst] > threshold:
        guilty = [other for other in dict.fromkeys(key[0] for key in shares) if other != name]
        guilty = [other for other in guilty if max(s for key, s in shares.items() if key[0] == other) > threshold]
        sentence = (
            f"{name} invents points of other classes: of its rows of {label}, {shares[worst]:.0%} lie nearest to a "
            "real row of another class"
        )
        sentence += f"; so do {', '.join(guilty)}" if guilty else ""
    else:
        sentence = (
            f"Synthetic rows lie among their own class: at worst, of those of {name} for {label}, {shares[worst]:.0%} "
            "lie nearest to a real row of another class"
        )
    sentence += (
        f" ({of['foreign_without_parents']:.0%} if its parents are left out; of real rows {of['foreign_real']:.0%})"
    )
    sampled = any(folds[0].sample or len(folds[0].labels) > MOST for folds in made.values())
    return sentence + (f"; of samples of {MOST:,} rows." if sampled else ".")


def _share(rows: np.ndarray) -> float:
    return float(rows.mean()) if len(rows) else 0.0
