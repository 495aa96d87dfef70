"""How figures and verdicts are put into words."""

import math
from collections.abc import Mapping
from typing import Any

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
HEADLINE = ("macro_f1", "kappa", "balanced_accuracy_adjusted")
TONES = {"better": "ok", "worse": "bad", "can't tell": "", "ok": "ok", "look": "look", "invalid": "bad"}
CLAUSES = {
    "one_class": "almost all predictions are {}",
    "always_predicted": "{} is predicted of almost every image",
    "never_predicted": "{} is never predicted",
    "class_f1": "low F1 of {}",
    "balanced_accuracy_adjusted": "low adjusted balanced accuracy",
    "kappa": "low kappa",
    "macro_f1": "low macro-F1",
}


def metric_names(kappa: str) -> dict[str, str]:
    """What the metrics are called on the page; `kappa` is its weighting (`none` for classes without an order)."""
    return {
        "macro_f1": "macro-F1",
        "kappa": "kappa" if kappa == "none" else f"{kappa} kappa",
        "balanced_accuracy_adjusted": "adjusted balanced accuracy",
        "auc": "AUC",
        "average_precision": "average precision",
        "balanced_accuracy": "balanced accuracy",
        "accuracy": "accuracy",
        "brier": "Brier score",
        "log_loss": "log loss",
        "ece": "calibration error",
    }


def absent(value: Any) -> bool:
    """Whether a figure is not there: JSON has null for NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def number(value: float | None, digits: int = 2) -> str:
    """0.614 → 0.61; −0.0 → 0.00; a dash for none."""
    if absent(value):
        return DASH
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def signed(value: float | None, digits: int = 2) -> str:
    """+0.12, −0.03; a difference that rounds to nothing has no sign."""
    text = number(value, digits)
    return text if absent(value) or text.startswith(MINUS) or float(text) == 0 else f"+{text}"


def span(low: float | None, high: float | None) -> str:
    """0.55–0.67, or −0.05 to 0.10, since a dash before a minus can't be read."""
    if absent(low) or absent(high):
        return ""
    ends = number(low), number(high)
    return (" to " if MINUS in "".join(ends) else DASH).join(ends)


def estimate(figures: Mapping[str, Any], key: str) -> str:
    """0.61 (0.55–0.67), from `key`, `key_low` and `key_high`."""
    interval = span(figures.get(f"{key}_low"), figures.get(f"{key}_high"))
    return number(figures.get(key)) + (f" ({interval})" if interval else "")


def difference(row: Mapping[str, Any]) -> str:
    """+0.12 (+0.05 to +0.19), from `difference`, `low` and `high`; an end near 0 shows on which side it lies."""
    text = signed(row["difference"])
    if absent(row["low"]):
        return text
    low, high = (signed(end, 4 if 0 < abs(end) < 0.005 else 2) for end in (row["low"], row["high"]))
    return f"{text} ({low} to {high})"


def count(value: int, noun: str = "", plural: str = "") -> str:
    """1,000 images; 1 image."""
    return f"{value:,}" + (f" {noun if value == 1 else plural or noun + 's'}" if noun else "")


def percent(share: float | None) -> str:
    """0.034 → 3.4 %; 0.34 → 34 %."""
    if absent(share) or share is None:
        return DASH
    return f"{number(100 * share, 1 if 0 < abs(share) < 0.0995 else 0)} %"


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


def verdict(selected: str, baseline: str | None, arms: int, gain: Mapping[str, Any] | None) -> str:
    """The first sentence of the page.

    Args:
        selected: the arm.
        baseline: the arm without mitigation, None where the grid has none.
        arms: how many were compared.
        gain: row of comparison.csv for the selected arm's macro-F1 against the baseline.
    """
    if arms == 1:
        return f"{selected} is the only arm."
    if selected == baseline:
        return f"The baseline {selected} itself was selected on validation: no other arm ranked above it."
    chosen = f"{selected} was selected on validation"
    if baseline is None or gain is None:
        return f"{chosen}, from {arms} arms."
    endings = {
        "better": f"and has a better macro-F1 on test than the baseline {baseline}.",
        "worse": f"but has a worse macro-F1 on test than the baseline {baseline}.",
    }
    undecided = f"but these test images can't tell whether its macro-F1 is better than that of the baseline {baseline}."
    return f"{chosen}, {endings.get(gain['verdict'], undecided)}"


def measured(figures: Mapping[str, Any], names: Mapping[str, str], images: int, patients: int, folds: int) -> str:
    """On 1,000 test images of 400 patients: macro-F1 0.61 (0.55–0.67), ….

    Args:
        figures: test figures of the selected arm, as in metrics.json.
        names: by metric.
        images: distinct test images over all folds.
        patients: distinct patients of these.
        folds: whose test predictions are pooled.
    """
    pooled = f" ({folds} folds, pooled)" if folds > 1 else ""
    values = ", ".join(f"{names[key]} {estimate(figures, key)}" for key in HEADLINE)
    return f"On {count(images, 'test image')} of {count(patients, 'patient')}{pooled}: {values}."


def against(other: str, gains: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]) -> str:
    """Against the baseline none-logistic: macro-F1 +0.12 (+0.05 to +0.19): better.

    Args:
        other: what is compared with, with its article.
        gains: rows of comparison.csv by metric; those whose verdict is not that of macro-F1 are told as well.
        names: by metric.
    """
    first = gains[HEADLINE[0]]
    told = [first, *(gains[key] for key in HEADLINE if gains[key]["verdict"] != first["verdict"])]
    parts = [f"{names[row['metric']]} {difference(row)}: {row['verdict']}" for row in told]
    return f"Against {other}: {'; '.join(parts)}."


def positive(arm: str, row: Mapping[str, Any], other: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    """How a task of two classes is told: sensitivity and specificity of the positive one.

    Args:
        arm: the selected one.
        row: its row of per_class.csv for the positive class.
        other: its row for the other class, whose recall is the specificity.
        figures: its test figures, as in metrics.json.
    """
    return (
        f"{row['class']} is the positive class ({percent(row['n'] / row['rows'])} of the test images): {arm} has "
        f"sensitivity {estimate(row, 'recall')}, specificity {estimate(other, 'recall')}, "
        f"AUC {estimate(figures, 'auc')} and average precision {estimate(figures, 'average_precision')}."
    )


def rarest(
    kind: str, arm: str, row: Mapping[str, Any], other: str, before: Mapping[str, Any] | None, images: int
) -> str:
    """What happens to the rarest class, by the arms' rows of per_class.csv for it.

    Args:
        kind: class or label.
        arm: the selected one.
        row: its row.
        other: what it is compared with, with its article.
        before: the other's row, if there is one.
        images: distinct test images of the class.
    """
    size = f"{count(images, 'test image')}, {count(int(row['patients']), 'patient')}"
    if row["n"] > images:
        size += f", {count(int(row['n']), 'prediction')}"
    told = [_found(arm, row), *([_found(other, before)] if before is not None else [])]
    return f"The rarest {kind} {row['class']} ({size}): {'; '.join(told)}."


def _found(arm: str, row: Mapping[str, Any]) -> str:
    """smote-mlp finds 14 of 25, recall 0.56 (0.46–0.76), and predicts it 32 times, precision 0.44."""
    hits = "–" if absent(row["recall"]) else count(round(row["recall"] * row["n"]))
    predicted = count(int(row["predicted"]), "time")
    precision = "" if absent(row["precision"]) else f", precision {number(row['precision'])}"
    return (
        f"{arm} finds {hits} of {count(int(row['n']))}, recall {estimate(row, 'recall')}, "
        f"and predicts it {predicted}{precision}"
    )
