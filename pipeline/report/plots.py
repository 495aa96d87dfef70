"""The figures of the page; a legend is the page's business, since a class may have any name."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup

from pipeline.report.svg import Drawing

# Okabe and Ito (2008) without black and yellow, which vanish on one of the two grounds; the second tuple is lighter.
NOMINAL = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
NOMINAL_DARK = ("#4ea8de", "#ff8a4c", "#2cc79a", "#e39bc4", "#f0b429", "#9bd4f5", "#b0b0b0")
DASHES = ("-", "--", ":")
# Viridis (van der Walt and Smith, 2015) at every tenth, and the parts that stand out from white and from near-black.
VIRIDIS = (
    "#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c", "#22a884", "#44bf70", "#7ad151", "#bddf26",
    "#fde725",
)  # fmt: skip
ORDERED_LIGHT, ORDERED_DARK = (0.0, 0.78), (0.42, 1.0)
WIDE = (320, 220)
SHOWN = 100  # points of a curve


def palette(classes: int, ordered: bool) -> tuple[list[str], list[str]]:
    """Colours of the classes on a light and on a dark ground: sequential for ordered classes."""
    if not ordered:
        light, dark = ([tones[i % len(tones)] for i in range(classes)] for tones in (NOMINAL, NOMINAL_DARK))
        return light, dark
    light, dark = ([_viridis(place) for place in np.linspace(*ends, classes)] for ends in (ORDERED_LIGHT, ORDERED_DARK))
    return light, dark


def _viridis(place: float) -> str:
    tones = np.array([[int(tone[at : at + 2], 16) for at in (1, 3, 5)] for tone in VIRIDIS])  # (11, 3)
    mixed = [np.interp(place, np.linspace(0, 1, len(tones)), channel) for channel in tones.T]
    return "#" + "".join(f"{round(value):02x}" for value in mixed)


def dash(number: int, ordered: bool) -> str:
    """Line style of class `number`: nominal colours repeat, with another dash."""
    return "-" if ordered else DASHES[number // len(NOMINAL) % len(DASHES)]


def losses(histories: Sequence[pd.DataFrame]) -> Markup:
    """Loss by epoch, one colour per fold: training dashed, validation solid, the chosen epoch a dot."""
    most = max(history[["train_loss", "val_loss"]].to_numpy(float).max() for history in histories)
    drawing = Drawing(_epochs(histories), (0, 1.04 * most), ("epoch", "loss"), WIDE)
    for number, history in enumerate(histories):
        drawing.line(history["epoch"], history["train_loss"], _series(number), "--")
        _marked(drawing, history, "val_loss", number)
    return drawing.render("Training and validation loss by epoch", _epoch_ticks(histories))


def metric(histories: Sequence[pd.DataFrame], column: str, label: str) -> Markup:
    """One validation metric by epoch, one colour per fold: the chosen epoch a dot, those that collapsed a cross."""
    values = np.concatenate([history[column].to_numpy(float) for history in histories])
    drawing = Drawing(_epochs(histories), (min(0, np.nanmin(values, initial=0)) - 0.02, 1.02), ("epoch", label), WIDE)
    for number, history in enumerate(histories):
        _marked(drawing, history, column, number)
    return drawing.render(f"Validation {label} by epoch", _epoch_ticks(histories))


def predicted_share(epochs: np.ndarray, counts: np.ndarray, truth: Sequence[float]) -> Markup:
    """Share of the validation predictions that each class gets, stacked, by epoch; at the right the true shares.

    Args:
        epochs: (E,) int.
        counts: (E, K): images predicted as each class.
        truth: (K,) images of each class.
    """
    first, last, gap = epochs[0] - 0.5, epochs[-1] + 0.5, max(1.0, 0.06 * len(epochs))
    drawing = Drawing((first, last + 1.5 * gap), (0, 1), ("epoch", "share of predictions"), WIDE)
    bars = [(np.append(epochs - 0.5, last), counts), (np.array([last + gap / 2, last + 1.5 * gap]), np.array([truth]))]
    for edges, heights in bars:
        shares = heights / np.maximum(heights.sum(axis=1, keepdims=True), 1)  # (E, K)
        tops = np.cumsum(shares, axis=1)
        for number in range(shares.shape[1]):
            drawing.steps(edges, tops[:, number] - shares[:, number], tops[:, number], f"class-{number}")
    marks = [*_whole(epochs[0], epochs[-1]), (last + gap, "true")]
    return drawing.render("Share of the predictions that each class gets, by epoch", marks)


def recalls(epochs: np.ndarray, values: np.ndarray) -> Markup:
    """Recall of each label on validation by epoch, (E,) int and (E, L); NaN for a label that no image has."""
    drawing = Drawing((epochs[0] - 0.3, epochs[-1] + 0.3), (-0.02, 1.02), ("epoch", "recall"), WIDE)
    for number, of_label in enumerate(values.T):
        drawing.line(epochs, of_label, f"class-{number}", dash(number, False))
        if len(epochs) < 3:
            drawing.dots(epochs, of_label, f"class-{number}", 2)
    return drawing.render("Recall of each label on validation, by epoch", _whole(epochs[0], epochs[-1]))


def roc(points: pd.DataFrame, name: str) -> Markup:
    """ROC of one class against the rest with its band: fpr, tpr, low, high."""
    drawing = Drawing((0, 1), (0, 1), ("1 − specificity", "recall"))
    drawing.line([0, 1], [0, 1], "soft", kind="rule")
    return _curve(drawing, points, "fpr", "tpr").render(f"ROC curve of {name}")


def precision_recall(points: pd.DataFrame, name: str, prevalence: float) -> Markup:
    """Precision by recall of one class with its band: recall, precision, low, high; a rule at what guessing has."""
    drawing = Drawing((0, 1), (0, 1), ("recall", "precision"))
    drawing.line([0, 1], [prevalence, prevalence], "soft", kind="rule")
    return _curve(drawing, points, "recall", "precision").render(f"Precision-recall curve of {name}")


def reliability(bins: pd.DataFrame, plain: pd.DataFrame, name: str) -> Markup:
    """Frequency of one class by its probability, with intervals: probability, frequency, low, high.

    Args:
        bins: of the selected arm.
        plain: of that without its calibrator, drawn dashed; may be empty.
        name: of the class.
    """
    reached = np.nanmax(bins[["probability", "high"]].to_numpy(float), initial=0)
    top = next(top for top in (0.1, 0.2, 0.5, 1) if reached <= top or top == 1)  # a rare class stays below
    drawing = Drawing((0, top), (0, top), ("probability", "frequency"))
    drawing.line([0, top], [0, top], "soft", kind="rule")
    drawing.line(plain["probability"], plain["frequency"], "soft", "--")
    drawing.whiskers(bins["probability"], bins["low"], bins["high"], "accent")
    drawing.line(bins["probability"], bins["frequency"], "accent")
    drawing.dots(bins["probability"], bins["frequency"], "accent", 2.2)
    return drawing.render(f"Reliability of the probabilities of {name}")


def net_benefit(curve: pd.DataFrame, name: str) -> Markup:
    """Net benefit by threshold probability with its band: threshold, model, all (treating everybody), low, high."""
    top = 1.25 * max(np.nanmax(curve[["model", "all"]].to_numpy(float)), 0.001)
    last = curve["threshold"].max()
    drawing = Drawing((0, last), (-0.3 * top, top), ("threshold probability", "net benefit"))
    drawing.line([0, last], [0, 0], "soft", kind="rule")
    drawing.line(curve["threshold"], curve["all"], "soft", "--")
    return _curve(drawing, curve, "threshold", "model").render(f"Net benefit of finding {name}")


def _curve(drawing: Drawing, points: pd.DataFrame, x: str, y: str) -> Drawing:
    kept = points.iloc[np.unique(np.linspace(0, len(points) - 1, min(len(points), SHOWN)).astype(int))]
    if {"low", "high"} <= set(kept):
        drawing.band(kept[x], kept["low"], kept["high"], "accent")
    drawing.line(kept[x], kept[y], "accent")
    return drawing


def _marked(drawing: Drawing, history: pd.DataFrame, column: str, number: int) -> None:
    drawing.line(history["epoch"], history[column], _series(number))
    chosen, fallen = history[history["chosen"].astype(bool)], history[history["collapse"] != ""]
    drawing.dots(chosen["epoch"], chosen[column], _series(number))
    drawing.crosses(fallen["epoch"], fallen[column], _series(number))


def _epochs(histories: Sequence[pd.DataFrame]) -> tuple[float, float]:
    return 0.7, max(history["epoch"].max() for history in histories) + 0.3


def _epoch_ticks(histories: Sequence[pd.DataFrame]) -> list[tuple[float, str]]:
    return _whole(1, max(history["epoch"].max() for history in histories))


def _whole(first: int, last: int) -> list[tuple[float, str]]:
    """At most nine whole numbers from the first on, the first among them."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, last) if (last - first) / step <= 8 or step == last)
    return [(number, str(number)) for number in sorted({int(first), *range(step, int(last) + 1, step)} - {0})]


def _series(number: int) -> str:
    return f"series-{number % len(NOMINAL)}"
