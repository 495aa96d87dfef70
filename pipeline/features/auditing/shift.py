"""Whether training, validation and test rows of a class are alike, and which rows are unlike their class."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.auditing.evidence import Evidence, Finding, image_ids, look
from pipeline.features.auditing.learning import components, labelled, questions
from pipeline.features.auditing.samples import LEAST_PATIENTS, MOST, Told, comparable, discrepancy, holm, told_apart

PAIRS = (("train", "val"), ("train", "test"), ("val", "test"))
SURE = 0.01  # p-value, corrected for the number of tests
SHOWN = 200  # rows of the table
COLUMNS = ("image_id", "class", "role", "against", "score")


@dataclass(frozen=True, eq=False)
class Compared:
    """The rows of one class in two roles.

    Attributes:
        label: name of the class.
        roles: the two of them.
        told: what a classifier tells.
        p: of that, corrected for the number of comparisons.
        rows: feature rows that were looked at, (n,) int, beside the scores of `told`.
        second: which of them are in the second role, (n,) bool.
    """

    label: str
    roles: tuple[str, str]
    told: Told
    p: float
    rows: np.ndarray
    second: np.ndarray


def compared(evidence: Evidence) -> list[Compared]:
    """Each class in each pair of roles, where it has enough rows and patients in both."""
    Z, role = components(evidence), evidence.role()
    found = []
    for question in questions(evidence):
        rows = labelled(evidence, question)
        for label, name in enumerate(question.classes):
            own = rows[question.y[rows] == label]
            for pair in PAIRS:
                here = own[np.isin(role[own], pair)]
                second, groups = role[here] == pair[1], evidence.groups[here]
                if comparable(second, groups):
                    told = told_apart(Z[here], second, groups)
                    found.append((name, pair, told, here[told.rows], second[told.rows]))
    corrected = holm(np.array([told.p for _, _, told, _, _ in found]))
    return [
        Compared(name, pair, told, float(p), rows, second)
        for (name, pair, told, rows, second), p in zip(found, corrected, strict=True)
    ]


def trained(evidence: Evidence) -> bool:
    """Whether the backbone of the first fold has learned from training rows."""
    return "split" in evidence.made_from.get(evidence.file, {})


def shift(evidence: Evidence, threshold: float) -> Finding:
    """Are the rows of a class alike in all roles? Value: the greatest area under the curve that is no chance, else 0.5.

    A classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv:1610.06545) of each class and pair of roles, and the
    maximum mean discrepancy (Gretton et al. 2012, JMLR 13) beside it. Of a backbone that has learned from training
    rows, only validation against test rows can tell a shift: `overfit_gap` has the others.
    """
    every = evidence.once("compared", lambda: compared(evidence))
    tuned = trained(evidence)
    judged = [one for one in every if not tuned or "train" not in one.roles]
    sure = [one for one in judged if one.p <= SURE]
    worst = max(sure, key=lambda one: one.told.auc, default=None)
    value = worst.told.auc if worst else 0.5
    shifted = [one for one in sure if one.told.auc > threshold]
    table = _unlike(evidence, shifted)
    return Finding(
        value,
        threshold,
        look(value, threshold),
        list(dict.fromkeys(table["image_id"])),
        _sentence(judged, shifted, worst, tuned, evidence),
        table=table,
        figures=_figures(evidence, every),
    )


def overfit_gap(evidence: Evidence, threshold: float) -> Finding:
    """Has the backbone learned its training rows by heart?

    Value: how much better rows of a class are told apart in training and validation (area under the curve, mean over
    classes by their validation rows) than in validation and test, where no row was learned from; 0 if frozen.
    """
    if not trained(evidence):
        return Finding(0.0, threshold, "ok", [], f"{evidence.file}.npy is of a backbone that learned from no row here.")
    every = evidence.once("compared", lambda: compared(evidence))
    areas = {
        pair: {one.label: (one.told.auc, int(one.second.sum())) for one in every if one.roles == pair} for pair in PAIRS
    }
    seen, unseen = areas["train", "val"], areas["val", "test"]
    if not seen:
        return Finding(0.0, threshold, "ok", [], f"No class has {LEAST_PATIENTS} validation patients to compare with.")
    by_class = {name: max(area, 0.5) - max(unseen.get(name, (0.5, 0))[0], 0.5) for name, (area, _) in seen.items()}
    value = float(np.average([*by_class.values()], weights=[count for _, count in seen.values()]))
    worst = max(by_class, key=lambda name: by_class[name])
    sentence = (
        f"Training rows can be told from validation rows of their class by {value:+.2f} in area under the curve beyond "
        f"validation from test rows; most of all {worst} (AUC {seen[worst][0]:.2f}"
        + (f" against {unseen[worst][0]:.2f}" if worst in unseen else "")
        + ")"
        + ("; a head that learns from these rows is too sure of itself." if value > threshold else ".")
    )
    figures = {
        name: {"gap": gap, "train_val": seen[name][0], "val_test": unseen.get(name, (None, 0))[0]}
        for name, gap in by_class.items()
    }
    return Finding(value, threshold, look(value, threshold), [], sentence, figures=figures)


def _unlike(evidence: Evidence, shifted: list[Compared]) -> pd.DataFrame:
    """Rows of the later role that are least like those of the other one, the least alike first."""
    tables = []
    for one in sorted(shifted, key=lambda one: -one.told.auc):
        second = np.flatnonzero(one.second)
        first = second[np.argsort(-one.told.scores[second], kind="stable")][:SHOWN]
        images, scores = image_ids(evidence.rows, one.rows[first]), one.told.scores[first].round(4)
        tables.append(pd.DataFrame(dict(zip(COLUMNS, (images, one.label, *one.roles[::-1], scores), strict=True))))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*COLUMNS])


def _figures(evidence: Evidence, every: list[Compared]) -> dict[str, Any]:
    Z = components(evidence)
    found: dict[str, dict[str, Any]] = {}
    for one in every:
        mmd, p = discrepancy(Z[one.rows], one.second, evidence.groups[one.rows])
        found.setdefault(one.label, {})["-".join(one.roles)] = {
            "auc": one.told.auc,
            "p": one.p,
            "mmd": mmd,
            "mmd_p": p,
            "rows": [int((~one.second).sum()), int(one.second.sum())],
        }
    return found


def _sentence(
    judged: list[Compared], shifted: list[Compared], worst: Compared | None, tuned: bool, evidence: Evidence
) -> str:
    if not judged:
        sentence = f"No class has {LEAST_PATIENTS} patients in two roles to compare"
    elif shifted and worst:
        others = ", ".join(dict.fromkeys(one.label for one in shifted if one.label != worst.label))
        sentence = (
            f"{worst.label} is another in {worst.roles[1]} than in {worst.roles[0]} rows: a classifier tells them "
            f"apart (AUC {worst.told.auc:.2f}, p {worst.p:.2g})" + (f"; likewise {others}" if others else "")
        )
    else:
        best = max(judged, key=lambda one: one.told.auc)
        sentence = (
            f"Rows of a class are alike in all roles that were compared; told apart best is {best.label} in "
            f"{' and '.join(best.roles)} (AUC {best.told.auc:.2f}, p {best.p:.2g})"
        )
    left = [name for name in evidence.classes if not any(one.label == name for one in judged)]
    sentence += f"; too few rows or patients of {', '.join(left)}" if judged and left else ""
    sentence += "; only validation against test, since the backbone has learned from training rows" if tuned else ""
    largest = max((max((~one.second).sum(), one.second.sum()) for one in judged), default=0)
    return sentence + (f"; of samples of {MOST:,} rows." if largest == MOST else ".")
