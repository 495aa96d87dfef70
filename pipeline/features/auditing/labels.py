"""Labels that the features speak against, to take to the person who gave them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.auditing.evidence import Evidence, Finding, look
from pipeline.features.auditing.learning import MOST, Question, counted, labelled, out_of_fold, principal, questions

WIDTH = 32  # principal components; probabilities from more of them are less well calibrated
FILES = 3  # of several, those that probabilities are averaged over
LEAST = 1e-3  # probability below which two are as good as one
ODDS = 100.0  # of model and neighbours together for another class, from which a label is suspicious
NEARLY = 0.8  # of its class's threshold, that is enough: half the rows of a well separated class lie just below it
COLUMNS = ("image_id", "label", "suggested", "confidence", "given", "neighbours", "role")


@dataclass(frozen=True, eq=False)
class Opinion:
    """What model and neighbours say to the labels of n rows.

    Attributes:
        suggested: class number that confident learning counts a row to, (n,) int; the given one where it is not sure.
        confidence: probability of the suggested class, (n,) float64.
        given: probability of the class that the label says, (n,) float64.
        odds: of the suggested class against the given one: of its probabilities times of its neighbours, one being
            added to the number of either, (n,) float64.
        suspicious: which labels both speak against, (n,) bool.
        thresholds: mean probability of a class among the rows that bear its label, (K,) float64.
    """

    suggested: np.ndarray
    confidence: np.ndarray
    given: np.ndarray
    odds: np.ndarray
    suspicious: np.ndarray
    thresholds: np.ndarray


def suspicious_labels(evidence: Evidence, threshold: float) -> Finding:
    """Which labels do the features speak against? Value: share of them, of the label that has most.

    Confident learning (Northcutt et al. 2021, doi:10.1613/jair.1.12125) on probabilities of a logistic regression that
    has not seen the patient, and the neighbours in feature space, those of the same patient left out, must be for
    another class by odds of 100 together. Both are divided by the square root of the class shares, and each class has
    its own threshold: else a rare class would be suspicious as a whole for being rare.
    """
    found = [(question, *_of_question(evidence, question)) for question in questions(evidence)]
    if not found:
        return Finding(0.0, threshold, "ok", [], "There are no labels to look at.")
    tables = [table for _, table, _ in found if len(table)]
    table = pd.concat(tables).sort_values("odds", ascending=False, kind="stable") if tables else pd.DataFrame()
    table = table.reindex(columns=[*COLUMNS]).reset_index(drop=True)
    figures = {question.name or "label": figure for question, _, figure in found}
    name = max(figures, key=lambda key: figures[key]["share"])
    value = figures[name]["share"]
    images = list(dict.fromkeys(table["image_id"]))
    sentence = _sentence(name, figures[name], len(found))
    return Finding(value, threshold, look(value, threshold), images, sentence, table=table, figures=figures)


def opinions(P: np.ndarray, votes: np.ndarray, y: np.ndarray) -> Opinion:
    """What probabilities and votes of neighbours say to labels.

    Args:
        P: probabilities out of fold, (n, K) float64.
        votes: neighbours of each class, (n, K), of any scale.
        y: labels, (n,) int.
    """
    rows, shares = np.arange(len(y)), np.bincount(y, minlength=P.shape[1]) / len(y)
    weights = 1 / np.sqrt(np.where(shares > 0, shares, np.inf))
    Q = P * weights
    Q /= np.maximum(Q.sum(axis=1, keepdims=True), 1e-12)
    suggested, thresholds = confident(Q, y, NEARLY)
    given, confidence, voted = Q[rows, y], Q[rows, suggested], votes * weights / (weights @ shares)
    odds = (confidence + LEAST) / (given + LEAST) * (voted[rows, suggested] + 1) / (voted[rows, y] + 1)
    against = voted[rows, suggested] > voted[rows, y]
    return Opinion(suggested, confidence, given, odds, (suggested != y) & against & (odds >= ODDS), thresholds)


def confident(P: np.ndarray, y: np.ndarray, nearly: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """The class that the confident joint counts each row to, and the threshold of each class.

    A row counts to a class whose probability is at least the mean one among the rows with its label; to the most
    probable class where there are several such, and to its own where there is none (Northcutt et al. 2021, 3.1).

    Args:
        P: (n, K) float64.
        y: (n,) int.
        nearly: share of its threshold that is enough.

    Returns:
        (n,) int and (K,) float64; the threshold of a class without rows is infinite.
    """
    counts = np.bincount(y, minlength=P.shape[1])
    sums = np.bincount(y, P[np.arange(len(y)), y], P.shape[1])
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    sure = nearly * thresholds - 1e-6 <= P
    return np.where(sure.any(axis=1), np.where(sure, P, -1).argmax(axis=1), y), thresholds


def neighbours_labels(evidence: Evidence, question: Question, rows: np.ndarray) -> np.ndarray:
    """How many neighbours in the features of the first fold are of each class, (n, K) int.

    Neighbours of the same patient are left out.
    """
    table = evidence.neighbours(evidence.file)[0][rows]
    y, groups = question.y, evidence.groups
    counted_ones = (table >= 0) & (y[table] >= 0) & (groups[table] != groups[rows][:, None])
    return np.stack([((y[table] == label) & counted_ones).sum(axis=1) for label in range(len(question.classes))], 1)


def _of_question(evidence: Evidence, question: Question) -> tuple[pd.DataFrame, dict[str, Any]]:
    rows = labelled(evidence, question)
    y, groups = question.y[rows], evidence.groups[rows]
    patients = [len(np.unique(groups[y == label])) for label in range(len(question.classes))]
    alone = np.array([count < 2 for count in patients])
    if (~alone).sum() < 2:
        return pd.DataFrame(), _figures(question, y, y, np.zeros(len(y), bool), alone)
    votes = neighbours_labels(evidence, question, rows)
    said = opinions(_probabilities(evidence, question, rows), votes, y)
    suspicious = said.suspicious & ~alone[y]
    chosen = np.flatnonzero(suspicious)[np.argsort(-said.odds[suspicious], kind="stable")]
    names = np.array(question.classes, dtype=object)
    table = pd.DataFrame(
        {
            "image_id": evidence.rows["image_id"].to_numpy()[rows[chosen]],
            "label": names[y[chosen]],
            "suggested": names[said.suggested[chosen]],
            "confidence": said.confidence[chosen].round(4),
            "given": said.given[chosen].round(4),
            "neighbours": [_votes(question.classes, votes[row]) for row in chosen],
            "role": evidence.role()[rows[chosen]],
            "odds": said.odds[chosen],
        }
    )
    return table, _figures(question, y, said.suggested, suspicious, alone)


def _probabilities(evidence: Evidence, question: Question, rows: np.ndarray) -> np.ndarray:
    """Out of fold, (n, K); means over the files whose backbone has not seen a row in training, if there are such."""
    y, groups = question.y[rows], evidence.groups[rows]
    files = list(evidence.features)[:FILES]
    total, weights = np.zeros((len(rows), len(question.classes))), np.zeros((len(rows), 1))
    for name in files:
        fold = int(name.removeprefix("fold-")) if name.startswith("fold-") else evidence.fold
        seen = (evidence.role(fold)[rows] == "train")[:, None]
        weight = np.where(seen, 1e-6, 1.0)
        space = evidence.space(name)
        Z = principal(space, rows).of(space[rows])[:, :WIDTH]
        total += weight * out_of_fold(Z, y, groups, len(question.classes))
        weights += weight
    return total / weights


def _votes(classes: Sequence[str], votes: np.ndarray) -> str:
    return counted(dict(zip(classes, votes.tolist(), strict=True)))


def _figures(
    question: Question, y: np.ndarray, suggested: np.ndarray, suspicious: np.ndarray, alone: np.ndarray
) -> dict[str, Any]:
    by_class = {}
    for label, name in enumerate(question.classes):
        own = y == label
        count, doubted = int(own.sum()), int((own & suspicious).sum())
        instead = np.bincount(suggested[own & suspicious], minlength=len(question.classes)).tolist()
        by_class[name] = {
            "rows": count,
            "suspicious": doubted,
            "share": doubted / count if count else 0.0,
            "confident_joint": np.bincount(suggested[own], minlength=len(question.classes)).tolist(),
            "suggested": {other: n for other, n in zip(question.classes, instead, strict=True) if n},
        }
    share = float(suspicious.mean()) if len(y) else 0.0
    judged = {name: not skip for name, skip in zip(question.classes, alone.tolist(), strict=True)}
    skipped = [name for name, there in judged.items() if not there and by_class[name]["rows"]]
    return {
        "share": share,
        "rows": len(y),
        "suspicious": int(suspicious.sum()),
        "not_judged": skipped,
        "classes": by_class,
    }


def _sentence(name: str, figure: dict[str, Any], several: int) -> str:
    where = f"of {name}" if several > 1 else ""
    if not figure["suspicious"]:
        sentence = f"No label {where} is spoken against by both model and neighbours".replace("  ", " ")
    else:
        classes = figure["classes"]
        worst = max(classes, key=lambda key: classes[key]["share"])
        instead = counted(classes[worst]["suggested"])
        sentence = (
            f"Labels {where} that model and neighbours speak against: {figure['suspicious']:,} of {figure['rows']:,} "
            f"({figure['share']:.1%}); most often {worst}, {classes[worst]['suspicious']:,} of "
            f"{classes[worst]['rows']:,} (rather {instead})"
        ).replace("  ", " ")
    if figure["rows"] > MOST:
        sentence += f"; each model learned from a sample of {MOST:,} rows"
    if figure["not_judged"]:
        sentence += f"; not judged, for having a single patient: {', '.join(figure['not_judged'])}"
    return sentence + "."
