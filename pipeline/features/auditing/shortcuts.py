"""What the features tell of how an image was made, and whether the label goes along with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.features.auditing.evidence import MANY, Evidence, Finding, image_ids, look, stratified
from pipeline.features.auditing.learning import auc, components, labelled, out_of_fold, questions

RARE_ROWS, RARE_PATIENTS = 20, 5  # below either, a value is one of the pooled others
VALUES = 10  # of one nuisance; the rarer ones are pooled
ASSOCIATED = 0.2  # Cramér's V from which label and nuisance go together
SURE = 0.01  # p-value below which that is no chance, shared by all nuisances
DRAWS = 499  # permutations
FEW = 5  # rows of a class with and without a value, below which they tell nothing of it
NOT_GIVEN, OTHERS = "not given", "others"
COLUMNS = ("image_id", "nuisance", "value", "label", "probability")


@dataclass(frozen=True, eq=False)
class Told:
    """What features and labels tell of one nuisance.

    Attributes:
        label: name of the one of several labels that it goes along with most; "" where there is one only.
        values: names, by number.
        auc: of its values, each against the rest, in patients that were not learned from; the mean.
        auc_within: the same among images of one class; NaN where each class has one value.
        v: Cramér's V with the label.
        p: p-value of that.
        rows: feature rows of the class and the value that are together more often than any others, (m,) int.
        cell: names of this class and this value.
        probability: of that value, (m,) float64.
    """

    label: str
    values: list[str]
    auc: float
    auc_within: float
    v: float
    p: float
    rows: np.ndarray
    cell: tuple[str, str]
    probability: np.ndarray

    @property
    def told(self) -> float:
        """Area under the curve, of images of one class if there are any that differ."""
        return self.auc if np.isnan(self.auc_within) else self.auc_within


def shortcuts(evidence: Evidence, threshold: float) -> Finding:
    """Could a head take how an image was made for what it shows?

    Value: how well the features tell a nuisance (area under the curve, of patients that were not learned from) that
    goes along with the label (V of 0.2 or more that is no chance); of those, the one that they tell best; 0.5: none.
    """
    if not any(len(labelled(evidence, question)) for question in questions(evidence)):
        return Finding(0.5, threshold, "ok", [], "There are no labels that anything could go along with.")
    found, skipped = {}, {}
    Z, role = components(evidence), evidence.role()
    for name in evidence.nuisances.columns.drop("image_id"):
        given = evidence.nuisances[name].to_numpy(str)
        values, why = pooled(given, evidence.groups, np.flatnonzero(evidence.natural & (role != "")))
        why = why or ("it is the label" if _is_label(given, evidence) else "")
        if why:
            skipped[name] = why
        else:
            found[name] = _told(evidence, Z, *values)
    sure = SURE / max(1, len(found))
    together = {
        name: told for name, told in found.items() if told.v >= ASSOCIATED and told.p <= max(sure, 1 / (DRAWS + 1))
    }
    worst = max(together, key=lambda name: together[name].told, default="")
    value = together[worst].told if worst else 0.5
    dangerous = {name: told for name, told in together.items() if told.told > threshold}
    table = _table(evidence, dangerous)
    return Finding(
        value,
        threshold,
        look(value, threshold),
        list(dict.fromkeys(table["image_id"])),
        _sentence(found, together, dangerous, worst, skipped, int(role.astype(bool).sum())),
        table=table,
        figures={name: _figures(told) for name, told in found.items()} | {"skipped": skipped},
    )


def pooled(given: np.ndarray, groups: np.ndarray, rows: np.ndarray) -> tuple[tuple[np.ndarray, list[str]], str]:
    """Numbers and names of the values of a nuisance, rare ones pooled; and why it can't be looked at, if so.

    Args:
        given: text of each feature row, (N,) str.
        groups: patients, (N,) int.
        rows: positions that count, (n,) int.

    Returns:
        ((N,) int, -1 where the value was too rare even as one of the others; names), and "" or a reason.
    """
    text = pd.Series(np.where(given == "", NOT_GIVEN, given))
    seen = pd.DataFrame({"value": text.iloc[rows], "patient": groups[rows]})
    counts = (
        seen.groupby("value")["patient"].agg(["size", "nunique"]).sort_values(["size"], ascending=False, kind="stable")
    )
    if len(counts) < 2:
        return (np.zeros(len(given), int), []), f"always {counts.index[0]}" if len(counts) else "no rows"
    common = counts[(counts["size"] >= RARE_ROWS) & (counts["nunique"] >= RARE_PATIENTS)].index[:VALUES].tolist()
    rest = seen[~seen["value"].isin(common)]
    if len(rest) >= RARE_ROWS and rest["patient"].nunique() >= RARE_PATIENTS and common:
        text, common = text.where(text.isin(common), OTHERS), [*common, OTHERS]
    if len(common) < 2:
        return (
            np.zeros(len(given), int),
            [],
        ), f"{len(counts):,} values, at most one of them in {RARE_PATIENTS} patients"
    return (pd.Index(common).get_indexer(pd.Index(text)), common), ""


def cramers_v(y: np.ndarray, values: np.ndarray) -> float:
    """Association of two groupings, from 0 to 1, corrected for bias (Bergsma 2013, doi:10.1016/j.jkss.2012.10.002).

    Args:
        y: (n,) int, 0 or more.
        values: (n,) int, 0 or more.
    """
    table = _crossed(y, values)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    (r, k), n = table.shape, table.sum()
    if min(r, k) < 2:
        return 0.0
    phi = max(0.0, _chi2(table) / n - (k - 1) * (r - 1) / (n - 1))
    smaller = min(k - (k - 1) ** 2 / (n - 1), r - (r - 1) ** 2 / (n - 1))
    return float(np.sqrt(phi / (smaller - 1))) if smaller > 1 else 0.0


def permuted_p(y: np.ndarray, values: np.ndarray, groups: np.ndarray, draws: int = DRAWS, seed: int = 0) -> float:
    """p-value of the association where patients, not images, are independent.

    Each patient is given the values of another one, in their order and from the start again where there are too few,
    so that images of one patient stay as alike as they are.

    Args:
        y: labels, (n,) int.
        values: of the nuisance, (n,) int.
        groups: patients, (n,) int.
        draws: permutations of the patients.
        seed: of the permutations.
    """
    order = np.argsort(groups, kind="stable")
    y, values = y[order], values[order]
    patients, start, size = np.unique(groups[order], return_index=True, return_counts=True)[0:3]
    of = np.repeat(np.arange(len(patients)), size)
    within = np.arange(len(y)) - start[of]
    rng, real, reached = np.random.default_rng(seed), _chi2(_crossed(y, values)), 0
    for _ in range(draws):
        other = rng.permutation(len(patients))[of]
        reached += _chi2(_crossed(y, values[start[other] + within % size[other]])) >= real - 1e-9
    return (1 + reached) / (1 + draws)


def auc_of_values(P: np.ndarray, values: np.ndarray, y: np.ndarray | None = None) -> float:
    """Mean area under the curve of the values, each against the rest; NaN where there is nothing to compare.

    Args:
        P: probabilities, (n, V) float64.
        values: (n,) int.
        y: compare rows of one class only, (n,) int; of a value, classes weigh by the pairs that they have.
    """
    strata = [np.ones(len(values), bool)] if y is None else [y == label for label in np.unique(y)]
    areas = []
    for value in range(P.shape[1]):
        own, found = values == value, []
        for rows in strata:
            pairs = int(own[rows].sum()) * int((~own[rows]).sum())
            if min(own[rows].sum(), (~own[rows]).sum()) >= FEW:
                found.append((auc(P[rows, value], own[rows]), pairs))
        if found:
            areas.append(np.average([area for area, _ in found], weights=[pairs for _, pairs in found]))
    return float(np.mean(areas)) if areas else float("nan")


def _told(evidence: Evidence, Z: np.ndarray, values: np.ndarray, names: list[str]) -> Told:
    candidates = [(question, labelled(evidence, question)) for question in questions(evidence)]
    candidates = [(question, rows[values[rows] >= 0]) for question, rows in candidates]
    strengths = [cramers_v(question.y[rows], values[rows]) for question, rows in candidates]
    question, rows = candidates[int(np.argmax(strengths))]
    rows = rows[stratified(values[rows], MANY)]
    y, of, groups = question.y[rows], values[rows], evidence.groups[rows]
    P = out_of_fold(Z[rows], of, groups, len(names))
    label, value = _most_together(y, of)
    here = np.flatnonzero((y == label) & (of == value))
    here = here[np.argsort(-P[here, value], kind="stable")]
    return Told(
        label=question.name,
        values=names,
        auc=auc_of_values(P, of),
        auc_within=auc_of_values(P, of, y),
        v=cramers_v(y, of),
        p=permuted_p(y, of, groups),
        rows=rows[here],
        cell=(question.classes[label], names[value]),
        probability=P[here, value],
    )


def _is_label(given: np.ndarray, evidence: Evidence) -> bool:
    """Whether the text names the class, as folders do that labels were read from."""
    if evidence.multilabel or not len(evidence.classes):
        return False
    rows = np.flatnonzero(evidence.targets >= 0)
    pairs = {(str(text), int(label)) for text, label in zip(given[rows], evidence.targets[rows], strict=True)}
    named = [evidence.classes[label].casefold() in text.casefold().split("/") for text, label in pairs]
    return bool(named) and all(named)


def _crossed(y: np.ndarray, values: np.ndarray) -> np.ndarray:
    shape = int(y.max(initial=0)) + 1, int(values.max(initial=0)) + 1
    return np.bincount(y * shape[1] + values, minlength=shape[0] * shape[1]).reshape(shape)


def _expected(table: np.ndarray) -> np.ndarray:
    return table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / max(1, table.sum())


def _chi2(table: np.ndarray) -> float:
    expected = _expected(table)
    return float((np.square(table - expected) / np.where(expected > 0, expected, 1)).sum())


def _most_together(y: np.ndarray, values: np.ndarray) -> tuple[int, int]:
    """The class and the value whose count exceeds what chance would give by most standard deviations."""
    table = _crossed(y, values)
    expected = _expected(table)
    label, value = np.unravel_index(np.argmax((table - expected) / np.sqrt(np.maximum(expected, 1))), table.shape)
    return int(label), int(value)


def _table(evidence: Evidence, dangerous: dict[str, Told]) -> pd.DataFrame:
    return pd.concat([pd.DataFrame(columns=[*COLUMNS]), *_tables(evidence, dangerous)], ignore_index=True)


def _tables(evidence: Evidence, dangerous: dict[str, Told]) -> Iterator[pd.DataFrame]:
    for name, told in sorted(dangerous.items(), key=lambda item: -item[1].told):
        label, value = told.cell
        yield pd.DataFrame(
            {
                "image_id": image_ids(evidence.rows, told.rows),
                "nuisance": name,
                "value": value,
                "label": label,
                "probability": told.probability.round(4),
            }
        )


def _figures(told: Told) -> dict[str, Any]:
    return {
        "auc": told.auc,
        "auc_within_class": None if np.isnan(told.auc_within) else told.auc_within,
        "cramers_v": told.v,
        "p": told.p,
        "values": told.values,
        "label": told.label,
        "most_together": list(told.cell),
    }


def _sentence(
    found: dict[str, Told],
    together: dict[str, Told],
    dangerous: dict[str, Told],
    worst: str,
    skipped: dict[str, str],
    count: int,
) -> str:
    if not found:
        sentence = "Nothing that the features should not tell differs from image to image"
    elif dangerous:
        told = dangerous[worst]
        label, value = told.cell
        others = [name for name in dangerous if name != worst]
        sentence = (
            f"The features tell {worst} (AUC {told.told:.2f}), and the label goes along with it (V {told.v:.2f}, "
            f"p {told.p:.2g}): most of all {label} with {value}, {len(told.rows):,} images"
        )
        sentence += f"; likewise {', '.join(others)}" if others else ""
    else:
        best = max(found, key=lambda name: found[name].told)
        sentence = (
            f"No nuisance is both told by the features and associated with the label; {best} is told best "
            f"(AUC {found[best].told:.2f}, V {found[best].v:.2f})"
        )
        if together:
            sentence += f"; {worst} goes along with the label (V {together[worst].v:.2f}), but is told less well"
    if count > MANY:
        sentence += f"; of a sample of {MANY:,} rows"
    if skipped:
        sentence += f". Not looked at: {'; '.join(f'{name} ({why})' for name, why in skipped.items())}"
    return sentence + "."
