"""How figures are put into words."""

import math
from collections.abc import Mapping
from typing import Any

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
TONES = {
    **{"better": "ok", "worse": "bad", "practically the same": "same", "can't tell": ""},
    **{"ok": "ok", "look": "look", "invalid": "bad"},
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
    """+0.12 (+0.05 to +0.19, p = 0.012), from `difference`, `low`, `high` and `p_holm`, if there.

    An end near 0 shows on which side it lies.
    """
    text = signed(row["difference"])
    if absent(row["low"]):
        return text
    low, high = (signed(end, 4 if 0 < abs(end) < 0.005 else 2) for end in (row["low"], row["high"]))
    chance = probability(row.get("p_holm"))
    return f"{text} ({low} to {high}{', ' + chance if chance else ''})"


def count(value: int, noun: str = "", plural: str = "") -> str:
    """1,000 images; 1 image."""
    return f"{value:,}" + (f" {noun if value == 1 else plural or noun + 's'}" if noun else "")


def percent(share: float | None) -> str:
    """0.034 → 3.4 %; 0.34 → 34 %; a share that rounds to nothing is told from none."""
    if absent(share) or share is None:
        return DASH
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{number(100 * share, 1 if 0 < abs(share) < 0.0995 else 0)} %"


def probability(p: float | None) -> str:
    """p = 0.21, p = 0.012, p < 0.001; "" for none."""
    if absent(p) or p is None:
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.0995 else f"p = {p:.2f}"
