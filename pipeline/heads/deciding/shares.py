"""Class shares of an arm's training rows, from what its fit.json says."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.heads.deciding.calibration import Shares


def of_fit(report: Mapping[str, Any], classes: Sequence[str]) -> dict[int, Shares]:
    """By fold, the natural shares and those after resampling; none where fit.json has no counts.

    Augmented views are no part of the natural ones. A class weight counts as so many rows. A head that balances the
    classes by itself, as a balanced forest does, does not tell: its shares are those of the rows that it was given.
    Of a vote or a stack both are the natural ones: its arms resampled on their own.
    """
    if not all("counts_before" in fold for fold in report["folds"]):
        return {}
    found = {fold["fold"]: _of_fold(fold, report.get("head"), classes) for fold in report["folds"]}
    joined = "vote" in report or "stack" in report
    return {fold: Shares(of.natural, of.natural) for fold, of in found.items()} if joined else found


def _of_fold(fold: Mapping[str, Any], head: object, classes: Sequence[str]) -> Shares:
    """Of labels that of being present; weights of a label's absence and presence are by these names."""
    before, after = (_counts(fold, "counts", when, classes) for when in _WHEN)
    if "absent_before" not in fold:
        counts = after * _weights(head, fold, after, classes, None)
        return Shares(before / max(before.sum(), 1), counts / max(counts.sum(), 1))
    absent = [_counts(fold, "absent", when, classes) for when in _WHEN]
    pairs = [np.stack(both) for both in zip(absent, (before, after), strict=True)]  # (2, L) each
    given = zip(classes, pairs[1].T, strict=True)
    pairs[1] = np.stack([of * _weights(head, fold, of, ("absent", "present"), label) for label, of in given], axis=1)
    return Shares(*(pair[1] / np.maximum(pair.sum(axis=0), 1e-9) for pair in pairs))


def _counts(fold: Mapping[str, Any], kind: str, when: str, classes: Sequence[str]) -> np.ndarray:
    """Rows of each class, (K,) float64; where fit.json does not know the natural ones, those before resampling."""
    known = f"{kind}_{when}" if f"{kind}_{when}" in fold else f"{kind}_before"
    return np.array([fold[known][name] for name in classes], np.float64)


def _weights(
    head: object, fold: Mapping[str, Any], counts: np.ndarray, classes: Sequence[str], label: str | None
) -> np.ndarray:
    """Weight of each class in the head, (K,), of several labels in that of one."""
    values = dict(head) if isinstance(head, Mapping) else {}
    for record in fold.get("searched", []):
        if record.get("label") == label:
            values |= {key.removeprefix("head."): value for key, value in record["chosen"].items()}
    given, cost = values.get("class_weight"), values.get("cost")
    if given == "balanced":
        return np.divide(1, counts, out=np.zeros(len(counts)), where=counts > 0)
    if isinstance(given, Mapping):
        return np.array([given.get(name, 1.0) for name in classes], np.float64)
    return np.ones(len(classes)) if cost is None else np.asarray(cost, np.float64).sum(axis=1)


_WHEN = ("natural", "after")
