"""How the backbones were trained, from their history.csv."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from pipeline.report import plots, sentences, tables
from pipeline.report.results import Results

CURVES = ("macro_f1", "kappa", "balanced_accuracy_adjusted", "auc")


def of(results: Results) -> dict[str, Any]:
    """`training` of these results."""
    several = results.task == "multilabel"
    return training(results.histories, results.split_summary, results.classes, results.names, several)


def training(
    histories: Mapping[str, pd.DataFrame],
    summary: Mapping[str, Any],
    classes: Sequence[str],
    names: Mapping[str, str],
    multilabel: bool,
) -> dict[str, Any]:
    """Figures and epochs of every trained backbone; none where all are frozen or imported.

    Args:
        histories: history.csv by backbone; an empty table for one that was not trained.
        summary: splits.json.
        classes: or labels, in order.
        names: of the metrics.
        multilabel: whether an image may have several of `classes`.
    """
    trained = {name: _read(history) for name, history in histories.items() if len(history)}
    epochs = [epoch for name, history in trained.items() for epoch in _epochs(name, history)]
    return {
        "trained": list(trained),
        "history_figures": _figures(list(trained.values()), summary, names),
        "class_figures": [
            (name, _of_classes(name, history, summary, classes, multilabel)) for name, history in trained.items()
        ],
        "trained_rarest": rarest(summary),
        "epoch_seconds": sum(history["seconds"].sum() for history in trained.values()),
        "epochs": epochs,
        "collapsed_epochs": sum(bool(epoch["collapse"]) for epoch in epochs),
    }


def collapsed(histories: Mapping[str, pd.DataFrame]) -> list[str]:
    """The backbones whose kept epoch has signs of collapse."""
    trained = {name: _read(history) for name, history in histories.items() if len(history)}
    return [name for name, of in trained.items() if (of["chosen"].astype(bool) & of["collapse"].ne("")).any()]


def _read(history: pd.DataFrame) -> pd.DataFrame:
    return history.assign(collapse=history["collapse"].astype(object).fillna(""))  # without a sign, a column of NaN


def _figures(histories: list[pd.DataFrame], summary: Mapping[str, Any], names: Mapping[str, str]) -> list[Markup]:
    if not histories:
        return []
    # A class may be called anything, so its name stays out of the drawing.
    rare = [history.rename(columns={f"recall_{rarest(summary)}": "recall"}) for history in histories]
    return [
        plots.losses(histories),
        *(plots.metric(histories, f"val_{key}", names[key]) for key in CURVES),
        plots.metric(rare, "recall", "recall of the rarest"),
    ]


def rarest(summary: Mapping[str, Any]) -> str:
    """The class or label that the fewest images have, of those that some have; of equals the first."""
    roles = summary["folds"][0]["roles"].values()
    counts = {name: sum(role["classes"].get(name, 0) for role in roles) for name in summary["classes"]}
    return min((name for name in counts if counts[name]), key=counts.__getitem__, default=summary["classes"][0])


def _of_classes(
    name: str, history: pd.DataFrame, summary: Mapping[str, Any], classes: Sequence[str], multilabel: bool
) -> Markup:
    """Of one backbone: which share of the images it gives to each class, or which share of each label it finds."""
    epochs = history["epoch"].to_numpy()
    if multilabel:
        found = np.stack([history[f"recall_{label}"].to_numpy(float) for label in classes], axis=1)
        return plots.recalls(epochs, found)
    counts = np.stack([history[f"predicted_{label}"].to_numpy(float) for label in classes], axis=1)
    fold = next(fold for fold in summary["folds"] if f"fold-{fold['fold']}" == name)
    truth = [fold["roles"]["val"]["classes"].get(label, 0) for label in classes]
    return plots.predicted_share(epochs, counts, truth)


def _epochs(name: str, history: pd.DataFrame) -> list[dict[str, Any]]:
    keys = ("train_loss", "val_loss", "val_macro_f1", "lr", "trainable", "grad_norm", "seconds")
    return [
        {
            "backbone": name,
            "epoch": int(row["epoch"]),
            "chosen": bool(row["chosen"]),
            "collapse": sentences.signs(row["collapse"]) if row["collapse"] else "",
            **{key: row.get(key) for key in keys},
        }
        for row in tables.records(history)
    ]
