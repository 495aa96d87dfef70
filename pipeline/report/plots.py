"""Small inline SVG figures that follow the page's light or dark colours.

Colours are CSS variables (`--class-I`, `--series-I`, see `palette`), black is `currentColor`, and a legend is the
page's business, so that names of any length or alphabet never meet the drawing.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Okabe and Ito (2008) without black and yellow, which vanish on one of the two grounds; the second tuple is lighter.
NOMINAL = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
NOMINAL_DARK = ("#4ea8de", "#ff8a4c", "#2cc79a", "#e39bc4", "#f0b429", "#9bd4f5", "#b0b0b0")
DASHES = ("-", "--", ":")
# Parts of viridis that stand out from white and from near-black.
ORDERED_LIGHT, ORDERED_DARK = (0.0, 0.78), (0.42, 1.0)

WIDTH, HEIGHT = 330, 240  # px
FRAME = (0.135, 0.165, 0.845, 0.805)  # left, bottom, width, height: to fit it would double the time of a figure
CURVE_POINTS = 200
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "axes.grid": True,
    "grid.color": "#000000",
    "grid.alpha": 0.12,
    "grid.linewidth": 0.7,
    "path.simplify_threshold": 0.2,
}


def palette(classes: int, ordered: bool) -> tuple[list[str], list[str]]:
    """Colours of the classes on a light and on a dark ground: sequential for ordered classes."""
    if not ordered:
        light, dark = ([tones[i % len(tones)] for i in range(classes)] for tones in (NOMINAL, NOMINAL_DARK))
        return light, dark
    viridis = matplotlib.colormaps["viridis"]
    light, dark = (
        [to_hex(viridis(place)) for place in np.linspace(*ends, classes)] for ends in (ORDERED_LIGHT, ORDERED_DARK)
    )
    return light, dark


def dash(number: int, ordered: bool) -> str:
    """Line style of class `number`: nominal colours repeat, with another dash."""
    return "-" if ordered else DASHES[number // len(NOMINAL) % len(DASHES)]


def losses(histories: Sequence[pd.DataFrame]) -> str:
    """Loss by epoch, one colour per fold: training dashed, validation solid, the chosen epoch a dot."""
    figure, axes = _canvas("epoch", "loss")
    for number, history in enumerate(histories):
        axes.plot(history["epoch"], history["train_loss"], "--", color=_series(number), alpha=0.8)
        _marked(axes, history, "val_loss", number)
    axes.set_ylim(bottom=0)
    return _svg(figure, "losses", "Training and validation loss by epoch")


def metric(histories: Sequence[pd.DataFrame], column: str, label: str) -> str:
    """One validation metric by epoch, one colour per fold: the chosen epoch a dot, those that collapsed a cross."""
    figure, axes = _canvas("epoch", label)
    for number, history in enumerate(histories):
        _marked(axes, history, column, number)
    values = np.concatenate([history[column].to_numpy(float) for history in histories])
    axes.set_ylim(np.nanmin(values, initial=0.0), 1.0)
    return _svg(figure, column, f"Validation {label} by epoch")


def predicted_share(epochs: np.ndarray, counts: np.ndarray, truth: Sequence[float], name: str) -> str:
    """Share of the validation predictions that each class gets, stacked, by epoch; at the right the true shares.

    Args:
        epochs: (E,) int.
        counts: (E, K): images predicted as each class.
        truth: (K,) images of each class.
        name: of the figure, unique on the page.
    """
    figure, axes = _canvas("epoch", "share of predictions")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (E, K)
    first, last = int(epochs[0]), int(epochs[-1])
    gap = max(1.0, 0.06 * len(counts))
    colours = [_class(number) for number in range(counts.shape[1])]
    edges = np.append(epochs - 0.5, last + 0.5)
    axes.stackplot(edges, np.vstack([shares, shares[-1:]]).T, step="post", colors=colours, linewidth=0)
    true = np.asarray(truth, float) / max(1.0, sum(truth))
    right = np.array([last + 0.5 + gap / 2, last + 0.5 + 1.5 * gap])
    axes.stackplot(right, np.repeat(true[:, None], 2, axis=1), colors=colours, linewidth=0)
    step = _step(len(counts))
    ticks = sorted({first, *range(first - 1 + step, last + 1, step)})
    axes.set_xticks([*ticks, right.mean()], [*(str(tick) for tick in ticks), "true"])
    axes.set_ylim(0, 1)
    axes.grid(visible=False)
    return _svg(figure, name, "Share of the predictions that each class gets, by epoch")


def recalls(epochs: np.ndarray, values: np.ndarray, name: str) -> str:
    """Recall of each label on validation by epoch.

    Args:
        epochs: (E,) int.
        values: (E, L); NaN for a label that no validation image has.
        name: of the figure, unique on the page.
    """
    figure, axes = _canvas("epoch", "recall")
    for number, of_label in enumerate(values.T):
        marker = "." if len(epochs) < 3 else ""
        axes.plot(epochs, of_label, color=_class(number), linestyle=dash(number, False), marker=marker)
    axes.set_ylim(-0.01, 1.01)
    return _svg(figure, name, "Recall of each label on validation, by epoch")


def roc(curves: pd.DataFrame, classes: Sequence[str], ordered: bool) -> str:
    """ROC of each class against the rest; `curves` has class, fpr, tpr."""
    figure, axes = _canvas("1 − specificity", "recall")
    axes.plot([0, 1], [0, 1], color="#000000", linewidth=0.7, alpha=0.5)
    _by_class(axes, curves, classes, ("fpr", "tpr"), ordered)
    return _svg(figure, "roc", "ROC curves")


def precision_recall(curves: pd.DataFrame, classes: Sequence[str], ordered: bool) -> str:
    """Precision by recall of each class against the rest; `curves` has class, recall, precision."""
    figure, axes = _canvas("recall", "precision")
    _by_class(axes, curves, classes, ("recall", "precision"), ordered)
    return _svg(figure, "pr", "Precision-recall curves")


def _by_class(
    axes: Axes, curves: pd.DataFrame, classes: Sequence[str], columns: tuple[str, str], ordered: bool
) -> None:
    for number, name in enumerate(classes):
        points = curves.loc[curves["class"] == name, list(columns)].to_numpy(float)
        kept = np.unique(np.linspace(0, len(points) - 1, min(len(points), CURVE_POINTS)).astype(int))
        axes.plot(*points[kept].T, color=_class(number), linestyle=dash(number, ordered))
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))


def _marked(axes: Axes, history: pd.DataFrame, column: str, number: int) -> None:
    axes.plot(history["epoch"], history[column], color=_series(number), marker="." if len(history) < 3 else "")
    chosen = history[history["chosen"].astype(bool)]
    axes.plot(chosen["epoch"], chosen[column], "o", markersize=5, color=_series(number))
    fallen = history[history["collapse"] != ""]
    axes.plot(fallen["epoch"], fallen[column], "x", markersize=6, color=_series(number))


def _step(epochs: int) -> int:
    return next(step for step in (1, 2, 5, 10, 20, 50, 100, epochs) if epochs / step <= 8 or step == epochs)


def _class(number: int) -> str:
    return f"#fe{number:04x}"


def _series(number: int) -> str:
    return f"#fd{number % len(NOMINAL):04x}"


def _canvas(x: str, y: str) -> tuple[Figure, Axes]:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))
        axes = figure.add_axes(FRAME)
    axes.set(xlabel=x, ylabel=y)
    if x == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, axes


def _svg(figure: Figure, name: str, description: str) -> str:
    """Inline SVG without prologue, metadata, style sheet or address; its ids start with `name`."""
    buffer = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"<svg[^>]*>", _opening(name, description), text, count=1)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', text).replace("url(#", f"url(#{name}-")
    text = re.sub(r"#f([de])([0-9a-f]{4})", _variable, text)
    text = re.sub(r" font-family: [^;\"]*;", "", text).replace("#000000", "currentColor")
    text = re.sub(r"(\d\.\d\d)\d+", r"\1", text)  # hundredths of a pixel
    return re.sub(r"\s*\n\s*", " ", text)


def _opening(name: str, description: str) -> str:
    box = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    return f'<svg {box} role="img" aria-label="{description}" id="figure">'


def _variable(found: re.Match[str]) -> str:
    kind: Mapping[str, str] = {"e": "class", "d": "series"}
    return f"var(--{kind[found[1]]}-{int(found[2], 16)})"
