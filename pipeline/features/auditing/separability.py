"""How classes lie among each other: whose neighbours are whose."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.auditing.evidence import Evidence, Finding, image_ids, look
from pipeline.features.auditing.learning import Question, capped, labelled, questions
from pipeline.features.neighbours import nearest

MOST = 2_000  # rows whose ten neighbours are looked at
HUBS = 50  # rows of the table of hubs
FEW = 10  # training rows of a class below which its share of noise is not judged
M = 10  # neighbours that Borderline-SMOTE looks at
KINDS = ("safe", "borderline", "noise")
COLUMNS = ("image_id", "class", "others", "of")


def separability(evidence: Evidence, threshold: float) -> Finding:
    """Do rare classes have a place of their own? Value: share of noise among training rows of the worst rare class.

    Safe, borderline (in danger) and noise as Borderline-SMOTE has them (Han et al. 2005, doi:10.1007/11538059_91): of
    the ten nearest training rows less than half, at least half, or all are of other classes. Of all classes but the
    largest. Beside it the purity of each class, the mean share of neighbours of other patients that are of the same
    class, and the overlap, their shares by class.
    """
    figures: dict[str, dict[str, Any]] = {}
    tables = [pd.DataFrame(columns=[*COLUMNS])]
    for question in questions(evidence):
        figure, noise = _of_question(evidence, question)
        figures |= figure
        tables.append(noise)
    rare = {name: of["noise_share"] for name, of in figures.items() if sum(of[kind] for kind in KINDS) >= FEW}
    worst = max(rare, key=lambda name: rare[name], default="")
    value, table = rare.get(worst, 0.0), pd.concat(tables, ignore_index=True)
    images = list(dict.fromkeys(table["image_id"])) if value > threshold else []
    sentence, verdict = _sentence(worst, figures), look(value, threshold)
    return Finding(value, threshold, verdict, images, sentence, table=table, figures={"classes": figures})


def hubness(evidence: Evidence, threshold: float) -> Finding:
    """Are a few rows the neighbours of all others? Value: skewness of how often a row is one.

    Such hubs (Radovanović et al. 2010, JMLR 11) decide for a neighbour search whatever is asked: SMOTE mixes other rows
    with them, and a vote of neighbours is theirs.
    """
    table, _ = evidence.neighbours(evidence.file)
    occurrence = np.bincount(table[table >= 0], minlength=len(table))
    looked = np.flatnonzero(evidence.natural & (evidence.role() != ""))
    order = looked[np.argsort(-occurrence[looked], kind="stable")][:HUBS]
    value = skewness(occurrence[looked])
    most, never = (
        int(occurrence[looked].max(initial=0)),
        float((occurrence[looked] == 0).mean()) if len(looked) else 0.0,
    )
    sentence = (
        f"Skewness of how often a row is one of the {table.shape[1]} neighbours of another: {value:.1f}; the most "
        f"frequent one is that of {most:,} of {len(table):,} rows, and {never:.0%} are of none."
    )
    columns = {"image_id": image_ids(evidence.rows, order), "role": evidence.role()[order], "of": occurrence[order]}
    verdict, hubs = look(value, threshold), pd.DataFrame(columns)
    rows = hubs["image_id"].tolist() if verdict != "ok" else []
    return Finding(value, threshold, verdict, rows, sentence, table=hubs, figures={"most": most, "never": never})


def skewness(counts: np.ndarray) -> float:
    """Third standardised moment, of the population; 0 of equal counts."""
    away = counts - counts.mean() if len(counts) else np.zeros(1)
    spread = float(np.sqrt(np.square(away).mean()))
    return float((away**3).mean() / spread**3) if spread else 0.0


def kinds(others: np.ndarray, m: int) -> np.ndarray:
    """Place in KINDS of rows by how many of their m neighbours are of other classes, (n,) int (Han et al. 2005)."""
    return np.where(others == m, 2, np.where(2 * others >= m, 1, 0))


def neighbourhoods(evidence: Evidence, question: Question) -> tuple[np.ndarray, np.ndarray, int, bool]:
    """Training rows of the smaller classes, their neighbours of other classes among m training rows, m, and if sampled.

    Of many rows, a sample asks in which each class has an equal part; all of them are found.
    """
    y, train = question.y, np.flatnonzero(evidence.natural & (evidence.role() == "train") & (question.y >= 0))
    counts = np.bincount(y[train], minlength=len(question.classes))
    asked = train[(counts < counts.max(initial=0))[y[train]]]
    asked, m, sampled = asked[capped(y[asked], MOST)], min(M, len(train) - 1), len(asked) > MOST
    if not len(asked) or m < 1:
        return asked[:0], np.zeros(0, int), 0, False
    table = nearest(evidence.space(evidence.file), m, queries=asked, pool=train)
    return asked, (y[table] != y[asked][:, None]).sum(axis=1), m, sampled


def overlaps(evidence: Evidence, question: Question, rows: np.ndarray) -> np.ndarray:
    """Share of each class among the neighbours of other patients, (n, K) float64; 0 where there are none."""
    table, y = evidence.neighbours(evidence.file)[0][rows], question.y
    other = evidence.groups[table] != evidence.groups[rows][:, None]
    counts = (table >= 0) & (evidence.role()[table] != "") & other & (y[table] >= 0)
    votes = [((y[table] == label) & counts).sum(axis=1) for label in range(len(question.classes))]
    return np.stack(votes, axis=1) / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _of_question(evidence: Evidence, question: Question) -> tuple[dict[str, dict[str, Any]], pd.DataFrame]:
    rows = labelled(evidence, question)
    overlap = overlaps(evidence, question, rows)
    asked, others, m, sampled = neighbourhoods(evidence, question)
    kind, counts = kinds(others, m), np.bincount(question.y[rows], minlength=len(question.classes))
    figures = {}
    for label, name in enumerate(question.classes):
        own = overlap[question.y[rows] == label]
        found = np.bincount(kind[question.y[asked] == label], minlength=len(KINDS)).tolist()
        mean = own.mean(axis=0).tolist() if len(own) else [0.0] * len(question.classes)
        figures[name] = {
            "rows": len(own),
            "sampled": sampled,
            "purity": mean[label],
            "chance": float(counts[label] / max(1, counts.sum())),
            "overlap": {other: share for other, share in zip(question.classes, mean, strict=True) if other != name},
            **dict(zip(KINDS, found, strict=True)),
            "noise_share": found[2] / max(1, sum(found)),
        }
    noise = np.flatnonzero(kind == 2)
    classes = np.array(question.classes, dtype=object)[question.y[asked[noise]]]
    found = image_ids(evidence.rows, asked[noise]), classes, others[noise], m
    return figures, pd.DataFrame(dict(zip(COLUMNS, found, strict=True)))


def _sentence(worst: str, figures: dict[str, dict[str, Any]]) -> str:
    if not worst:
        return f"No rare class has {FEW} training rows to judge."
    of = figures[worst]
    overlap, total = of["overlap"], sum(of[kind] for kind in KINDS)
    among = max(overlap, key=lambda name: overlap[name])
    asked = (
        f"a sample of {total:,}" if sum(each[kind] for each in figures.values() for kind in KINDS) >= MOST else total
    )
    return (
        f"{worst} is the least separable rare class: of {asked} training rows {of['safe']:,} are safe, "
        f"{of['borderline']:,} borderline and {of['noise']:,} noise ({of['noise_share']:.0%}, surrounded by other "
        f"classes); {of['purity']:.0%} of its neighbours are {worst} and {overlap[among]:.0%} {among}."
    )
