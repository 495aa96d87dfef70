"""The sentences of the page: verdicts, what they rest on, and the signs of collapse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.report.words import absent, count, difference, estimate, number, percent, probability

HEADLINE = ("macro_f1", "kappa", "balanced_accuracy_adjusted")
CLAUSES = {
    "one_class": "almost all predictions are {}",
    "always_predicted": "{} is predicted of almost every image",
    "never_predicted": "{} is never predicted",
    "class_f1": "low F1 of {}",
    "balanced_accuracy_adjusted": "low adjusted balanced accuracy",
    "kappa": "low kappa",
    "macro_f1": "low macro-F1",
}


def collapse(clause: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """A clause of collapse.json that fired: what was seen, and the limit that it passed."""
    kind, value, limit = clause["clause"], clause["value"], clause["threshold"]
    if kind == "one_class":
        return f"{percent(value)} of the predictions are {clause['class']} (limit {percent(limit)})"
    if kind == "always_predicted":
        return f"{clause['class']} is predicted of {percent(value)} of the images (limit {percent(limit)})"
    if kind == "never_predicted":
        return f"{clause['class']} is never predicted"
    figure = f"F1 of {clause['class']}" if kind == "class_f1" else names.get(kind, kind)
    return f"{figure} is {number(value)} (limit {number(limit)})"


def signs(clauses: str) -> str:
    """`kappa; class_f1 A` of history.csv in words."""
    return "; ".join(map(_sign, clauses.split("; ")))


def _sign(clause: str) -> str:
    kind, _, name = clause.partition(" ")
    return CLAUSES[kind].format(name).strip() if kind in CLAUSES else clause


def verdict(
    selected: str, baseline: str | None, arms: int, gains: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]
) -> str:
    """The first sentence of the page, and another where the arm is better or worse by a metric but not by macro-F1.

    Args:
        selected: the arm.
        baseline: the arm without mitigation, None where the grid has none.
        arms: how many were compared.
        gains: rows of comparison.csv by metric, for the selected arm against the baseline.
        names: by metric.
    """
    if arms == 1:
        return f"{selected} is the only arm."
    if selected == baseline:
        return f"The baseline {selected} itself was selected on validation: no other arm ranked above it."
    chosen = f"{selected} was selected on validation"
    if baseline is None or not gains:
        return f"{chosen}, from {arms} arms."
    endings = {
        "better": f"and has a better macro-F1 on test than the baseline {baseline}.",
        "worse": f"but has a worse macro-F1 on test than the baseline {baseline}.",
        "practically the same": f"but has practically the same macro-F1 on test as the baseline {baseline}.",
        "can't tell": "but these test images can't tell whether its macro-F1 is better than that of the baseline "
        f"{baseline}.",
    }
    first = gains[HEADLINE[0]]["verdict"]
    others = {key: gains[key]["verdict"] for key in HEADLINE if gains[key]["verdict"] in ("better", "worse")}
    told = [f" By {names[key]} it is {found}." for key, found in others.items() if found != first]
    return f"{chosen}, {endings[first]}{''.join(told)}"


@dataclass(frozen=True)
class Tested:
    """Of how many the selected arm was asked, each counted once: units, their images, and the patients of these."""

    unit: str
    units: int
    images: int
    patients: int

    def __str__(self) -> str:
        """1,000 test images of 400 patients; 500 test exams (1,000 images) of 400 patients."""
        own = count(self.units, f"test {self.unit}")
        more = "" if self.unit == "image" else f" ({count(self.images, 'image')})"
        return own + more + ("" if self.unit == "patient" else f" of {count(self.patients, 'patient')}")


def measured(figures: Mapping[str, Any], names: Mapping[str, str], tested: Tested, folds: int) -> str:
    """On 1,000 test images of 400 patients: macro-F1 0.61 (0.55–0.67), ….

    Args:
        figures: test figures of the selected arm, as in metrics.json.
        names: by metric.
        tested: on what.
        folds: whose test predictions are pooled.
    """
    pooled = f" ({folds} folds, pooled)" if folds > 1 else ""
    values = ", ".join(f"{names[key]} {estimate(figures, key)}" for key in HEADLINE)
    return f"On {tested}{pooled}: {values}."


def stands_behind(many: str, rows: Sequence[Mapping[str, Any]], counted: str) -> str:
    """How many test cases the means over classes rest on.

    Args:
        many: classes or labels.
        counted: what a test case is.
        rows: of per_class.csv; those without a test case are left out of the means.
    """
    known = sorted((row for row in rows if row["n"]), key=lambda row: row["n"])
    cases = [f"{row['class']} with {count(int(row['n']), f'test {counted}')}" for row in (known[0], known[-1])]
    return f"Means over {len(known)} {many} count each alike, {cases[0]} as {cases[1]}."


def against(other: str, gains: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]) -> str:
    """Against the baseline none-logistic: macro-F1 +0.12 (+0.05 to +0.19, p = 0.012): better.

    Args:
        other: what is compared with, with its article.
        gains: rows of comparison.csv by metric; those whose verdict is not that of macro-F1 are told as well.
        names: by metric.
    """
    first = gains[HEADLINE[0]]
    told = [first, *(gains[key] for key in HEADLINE if gains[key]["verdict"] != first["verdict"])]
    parts = [f"{names[row['metric']]} {difference(row)}: {row['verdict']}" for row in told]
    return f"Against {other}: {'; '.join(parts)}."


def over_folds(row: Mapping[str, Any], folds: int, rope: float) -> str:
    """What the folds say of one comparison, by its row of comparison.csv; "" where there are too few."""
    if absent(row.get("better")):
        return ""
    same = f", practically the same (within ±{rope:g}) {percent(row['same'])}" if rope else ""
    corrected = probability(row["p_folds"])
    return (
        f"Over {folds} folds its macro-F1 is better with a probability of {percent(row['better'])}{same}, "
        f"worse {percent(row['worse'])}{f' (corrected t-test: {corrected})' if corrected else ''}."
    )


def positive(arm: str, row: Mapping[str, Any], other: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    """How a task of two classes is told: sensitivity and specificity of the positive one.

    Args:
        arm: the selected one.
        row: its row of per_class.csv for the positive class.
        other: its row for the other class, whose recall is the specificity.
        figures: its test figures, as in metrics.json.
    """
    return (
        f"{row['class']} is the positive class ({percent(row['n'] / row['rows'])} of the test cases): {arm} has "
        f"sensitivity {estimate(row, 'recall')}, specificity {estimate(other, 'recall')}, "
        f"AUC {estimate(figures, 'auc')} and average precision {estimate(figures, 'average_precision')}."
    )


def size(row: Mapping[str, Any], unit: str, distinct: int) -> str:
    """25 test images, 20 patients; what was tested several times is told apart from its predictions.

    Args:
        row: of per_class.csv.
        unit: what is judged as one.
        distinct: of these, each counted once.
    """
    told = count(distinct, f"test {unit}")
    told += "" if unit == "patient" else f", {count(int(row['patients']), 'patient')}"
    return told + (f", {count(int(row['n']), 'prediction')}" if row["n"] > distinct else "")


def rarest(
    named: str, arm: str, row: Mapping[str, Any], other: str, before: Mapping[str, Any] | None, of_size: str
) -> str:
    """What happens to the rarest class, by the arms' rows of per_class.csv for it.

    Args:
        named: class A, or label A.
        arm: the selected one.
        row: its row.
        other: what it is compared with, with its article.
        before: the other's row, if there is one.
        of_size: how many there are.
    """
    told = [_found(arm, row), *([_found(other, before)] if before is not None else [])]
    return f"The rarest {named} ({of_size}): {'; '.join(told)}."


def _found(arm: str, row: Mapping[str, Any]) -> str:
    """smote-mlp finds 14 of 25, recall 0.56 (0.46–0.76), and predicts it 32 times, precision 0.44."""
    hits = "–" if absent(row["recall"]) else count(round(row["recall"] * row["n"]))
    predicted = count(int(row["predicted"]), "time")
    precision = "" if absent(row["precision"]) else f", precision {number(row['precision'])}"
    return (
        f"{arm} finds {hits} of {count(int(row['n']))}, recall {estimate(row, 'recall')}, "
        f"and predicts it {predicted}{precision}"
    )


def few(rows: Sequence[Mapping[str, Any]]) -> str:
    """That classes with few patients can't be judged well, by their rows of per_class.csv; "" of none."""
    if not rows:
        return ""
    named = ", ".join(f"{row['class']} ({count(int(row['patients']))})" for row in rows)
    return f"Few test patients: {named}. One patient more or less moves such figures; read their intervals first."
