"""Class shares of an arm's training rows, from what its fit.json says."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.heads.deciding.calibration import Shares


def of_fit(report: Mapping[str, Any], classes: Sequence[str]) -> dict[int, Shares]:
    """By fold, the shares before and after resampling; none where fit.json has no counts.

    A class weight counts as so many rows. A head that balances the classes by itself, as a balanced forest does, does
    not tell: its shares are those of the rows that it was given.
    """
    if not all("counts_before" in fold for fold in report["folds"]):
        return {}
    return {fold["fold"]: _of_fold(fold, report.get("head"), classes) for fold in report["folds"]}


def _of_fold(fold: Mapping[str, Any], head: object, classes: Sequence[str]) -> Shares:
    """Of labels that of being present; weights of a label's absence and presence are by these names."""
    before, after = (np.array([fold[f"counts_{when}"][name] for name in classes], np.float64) for when in _WHEN)
    if "absent_before" not in fold:
        counts = after * _weights(head, fold, after, classes)
        return Shares(before / max(before.sum(), 1), counts / max(counts.sum(), 1))
    absent = [np.array([fold[f"absent_{when}"][name] for name in classes], np.float64) for when in _WHEN]
    pairs = [np.stack(both) for both in zip(absent, (before, after), strict=True)]  # (2, L) each
    pairs[1] = np.stack([of * _weights(head, fold, of, ("absent", "present")) for of in pairs[1].T], axis=1)
    return Shares(*(pair[1] / np.maximum(pair.sum(axis=0), 1e-9) for pair in pairs))


def _weights(head: object, fold: Mapping[str, Any], counts: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Weight of each class in the head, (K,)."""
    values = dict(head) if isinstance(head, Mapping) else {}
    for record in fold.get("searched", []):
        values |= {key.removeprefix("head."): value for key, value in record["chosen"].items()}
    given, cost = values.get("class_weight"), values.get("cost")
    if given == "balanced":
        return np.divide(1, counts, out=np.zeros(len(counts)), where=counts > 0)
    if isinstance(given, Mapping):
        return np.array([given.get(name, 1.0) for name in classes], np.float64)
    return np.ones(len(classes)) if cost is None else np.asarray(cost, np.float64).sum(axis=1)


_WHEN = ("before", "after")
