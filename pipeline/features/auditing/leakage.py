"""Leakage: does anything of validation and test rows stand among the training rows?"""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.auditing.evidence import Evidence, Finding, look, strict
from pipeline.features.auditing.twins import contradict, crosses, roles, twins

HELD_OUT = ("val", "test")


def patients_across_roles(evidence: Evidence, threshold: float) -> Finding:
    """Is each patient in one role per fold? Value: patients that are in several."""
    seen = evidence.roles.drop_duplicates(["fold", "group", "role"])
    torn = seen.loc[seen.duplicated(["fold", "group"]), ["fold", "group"]].drop_duplicates()
    patients = len(set(torn["group"]))
    if not patients:
        sentence = "No patient is in two roles of a fold."
    else:
        folds = ", ".join(str(fold) for fold in sorted(set(torn["fold"])))
        sentence = f"Patients in more than one of train, val and test: {patients:,} (fold {folds})."
    return strict(patients, threshold, set(evidence.roles.merge(torn)["image_id"]), sentence)


def twins_across_roles(evidence: Evidence, threshold: float) -> Finding:
    """Do pictures stand twice, in two roles? Value: share of validation and test images, in the worst fold.

    A pair is of the same bytes, or near in feature space and alike in detail. Twins of one patient in one role are no
    leak.
    """
    found, share = twins(evidence), {}
    crossing = {fold: crosses(evidence, found.rows, fold) for fold in roles(evidence)}
    for fold, role in roles(evidence).items():
        held_out = np.isin(role, HELD_OUT) & evidence.natural
        concerned = np.unique(found.rows[crossing[fold]])
        share[fold] = float(held_out[concerned].sum() / max(1, held_out.sum()))
    anywhere = np.any(list(crossing.values()), axis=0) if crossing else np.zeros(len(found.rows), bool)
    if not anywhere.any():
        return Finding(0, threshold, "ok", [], _none(evidence, "in two roles"), _table(evidence, anywhere, crossing))
    fold = max(share, key=lambda one: share[one])
    kinds = Counter(found.kind[crossing[fold]].tolist())
    counted = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    between = Counter(" and ".join(sorted(pair)) for pair in roles(evidence)[fold][found.rows[crossing[fold]]].tolist())
    sentence = (
        f"Of the validation and test images of fold {fold}, {100 * share[fold]:.1f} % stand in another role, too: "
        f"{crossing[fold].sum():,} pairs ({counted}), most of {between.most_common(1)[0][0]}."
    )
    figures: dict[str, Any] = {"pairs": dict(kinds), "between": dict(between)}
    figures["share_by_fold"] = {str(number): value for number, value in share.items()}
    table = _table(evidence, anywhere, crossing)
    return Finding(share[fold], threshold, look(share[fold], threshold), _named(table), sentence, table, figures)


def twins_across_labels(evidence: Evidence, threshold: float) -> Finding:
    """Does one picture stand twice, with two labels? Value: share of the images."""
    found = twins(evidence)
    wrong = contradict(evidence, found.rows)
    crossing = {fold: crosses(evidence, found.rows, fold) for fold in roles(evidence)}
    table = _table(evidence, wrong, crossing)
    if not wrong.any():
        return Finding(0, threshold, "ok", [], _none(evidence, "with two labels"), table)
    share = len(np.unique(found.rows[wrong])) / int(evidence.natural.sum())
    named = Counter(" and ".join(sorted(pair)) for pair in table[["label", "other_label"]].to_numpy().tolist())
    often, count = named.most_common(1)[0]
    sentence = f"Pairs that show the same with different labels: {wrong.sum():,}, most often {often} ({count:,})."
    figures = {"pairs": dict(named.most_common(50))}
    return Finding(share, threshold, look(share, threshold), _named(table), sentence, table, figures)


def trained_on_held_out(evidence: Evidence, threshold: float) -> Finding:
    """Was the backbone trained on rows that it is judged on? Value: validation and test images that it has seen.

    Of a fine-tuned backbone, the checksum of its split tells. Where it is that of another fold, the training rows of
    that fold are known; where it is that of no fold, any row may be among them.
    """
    splits = {inputs["split"]: name for name, inputs in evidence.on_disk.items() if "split" in inputs}
    seen: dict[str, np.ndarray] = {}
    for name, inputs in evidence.made_from.items():
        if "split" not in inputs or evidence.on_disk.get(name, {}).get("split") == inputs["split"]:
            continue
        held_out = np.isin(roles(evidence).get(_fold(name), evidence.role()), HELD_OUT)
        other = splits.get(inputs["split"])
        seen[name] = held_out & (evidence.role(_fold(other)) == "train") if other else held_out
    images = {name: sorted(set(evidence.rows.loc[rows & evidence.natural, "image_id"])) for name, rows in seen.items()}
    if not any(images.values()):
        tuned = any("split" in inputs for inputs in evidence.made_from.values())
        sentence = "Each backbone was trained on the training rows of its own fold." if tuned else _UNTUNED
        return strict(0, threshold, [], sentence)
    name = max(images, key=lambda one: len(images[one]))
    other = splits.get(evidence.made_from[name]["split"])
    known = f"the training rows of {other}" if other else "another split than that of now, of which any row may be"
    sentence = f"The backbone of {name}.npy was trained on {known}: validation and test images that it has seen"
    sentence += f"{'' if other else ', at most'}: {len(images[name]):,}."
    return strict(len(images[name]), threshold, images[name], sentence)


def _fold(name: str) -> int:
    return int(name.removeprefix("fold-"))


def _none(evidence: Evidence, where: str) -> str:
    if evidence.take is None:
        return f"No row of features stands twice {where}; there are no pictures to compare."
    return f"No picture stands twice {where}."


def _named(table: pd.DataFrame) -> list[str]:
    """Images in the order of the table."""
    return list(dict.fromkeys(table[["image_id", "other_id"]].to_numpy().ravel().tolist()))


def _table(evidence: Evidence, chosen: np.ndarray, crossing: dict[int, np.ndarray]) -> pd.DataFrame:
    """A pair in each row; the fold is the first in which it is in two roles, if there is one."""
    found, folds = twins(evidence), list(crossing)
    rows = found.rows[chosen]
    across = np.stack([crossing[fold][chosen] for fold in folds], axis=1) if folds else np.zeros((len(rows), 1), bool)
    first = across.argmax(axis=1)
    every = np.stack([roles(evidence)[fold] for fold in folds]) if folds else np.full((1, len(evidence.rows)), "")
    role, labels = every[first[:, None], rows], evidence.labels
    columns: dict[str, Any] = {}
    for side, before in ((0, ""), (1, "other_")):
        columns |= {f"{before or 'image_'}id": evidence.rows["image_id"].to_numpy()[rows[:, side]]}
        columns |= {f"{before}role": role[:, side], f"{before}label": labels[rows[:, side]]}
    return pd.DataFrame(
        {
            **columns,
            "kind": found.kind[chosen],
            "fold": np.array(folds or [0])[first],
            "same_patient": evidence.groups[rows[:, 0]] == evidence.groups[rows[:, 1]],
            "likeness": found.likeness[chosen].round(4),
            "difference": found.difference[chosen].round(5),
            "distance": found.distance[chosen].round(4),
        }
    )


_UNTUNED = "The backbone was not trained on any of these images."
