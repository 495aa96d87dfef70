"""pixels, splits → backbone/fold-K/ (or backbone/shared/ for a frozen one)."""

import dataclasses
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import artifacts, backbone, choices, engine, judge, provenance
from pipeline.backbone import checkpoint, distributed, models, train
from pipeline.errors import PipelineError
from pipeline.judge import collapse, metrics, tally
from pipeline.params import Finetune, Params

log = logging.getLogger(__name__)
PACKAGES = ("torch", "timm", "numpy")
SOURCES = provenance.sources(__file__, backbone, judge)
SHOWN = ("macro_f1", "kappa", "balanced_accuracy_adjusted", "auc")


def run(params: Params) -> None:
    """Train one backbone per fold; a fold whose inputs did not change is kept, an interrupted one goes on.

    Under `torchrun` its processes train each fold together, and the first of them writes.
    """
    pictures, index, splits = artifacts.load_pixels(), artifacts.load_index(), artifacts.load_splits()
    classes = artifacts.classes(index, params.data.classes)
    with distributed.processes() as leads:
        log.setLevel(logging.INFO if leads else logging.ERROR)
        if params.finetune.policy.name == "frozen":
            names = [_keep_frozen(params, pictures, index, leads)]
        else:
            folds = sorted(splits["fold"].unique())
            names = [_fold(params, pictures, classes, index, splits[splits["fold"] == k], k, leads) for k in folds]
        if leads:
            _clear(names)


def _keep_frozen(params: Params, pictures: artifacts.Pictures, index: pd.DataFrame, leads: bool) -> str:
    """Without a classifier: another number of classes makes no feature new."""
    name = artifacts.backbone_name(None)
    made_by = _made_by(params, pictures, [], None, index)
    if leads and not artifacts.has_backbone(name, made_by):
        model = _model(params, pictures, [])
        log.info("%s: nothing is trained (policy frozen)", name)
        artifacts.save_backbone(name, models.to_bytes(model), pd.DataFrame(columns=["epoch"]), made_by)
    return name


def _fold(
    params: Params,
    pictures: artifacts.Pictures,
    classes: list[str],
    index: pd.DataFrame,
    split: pd.DataFrame,
    fold: int,
    leads: bool,
) -> str:
    name = artifacts.backbone_name(fold)
    made_by = _made_by(params, pictures, classes, split, index)
    if distributed.shared(lambda: artifacts.has_backbone(name, made_by)):
        log.info("%s: nothing changed, kept", name)
        return name
    log.info("%s: %s", name, balance(params.finetune))
    model, history = train.train(
        _model(params, pictures, classes),
        _data(pictures, artifacts.join_rows(pictures.rows, index, split, classes), classes, name),
        params.finetune,
        _rate(params, classes),
        checkpoint.Keeper(
            load=lambda: artifacts.load_checkpoint(name, made_by),
            save=lambda state: artifacts.save_checkpoint(name, state, made_by),
        ),
        lambda epochs: engine.track(iter(epochs), len(epochs), f"{name}: epochs") if leads else iter(epochs),
        lambda line: log.info("%s: %s", name, line),
    )
    if leads:
        artifacts.save_backbone(name, models.to_bytes(model), history, made_by)
        artifacts.drop_checkpoint(name)
    return name


def _clear(names: list[str]) -> None:
    """Delete what belongs to no fold."""
    for stale in set(artifacts.backbone_names()) - set(names):
        shutil.rmtree(artifacts.BACKBONE / stale)
    artifacts.drop_checkpoint()


def _model(params: Params, pictures: artifacts.Pictures, classes: list[str]) -> models.TimmModel:
    return models.create(
        params.backbone.model,
        params.backbone.weights,
        pictures.channels,
        pictures.size,
        len(classes),
        params.finetune.seed,
    )


def _data(pictures: artifacts.Pictures, rows: pd.DataFrame, classes: list[str], name: str) -> train.Data:
    train_rows, val_rows = (np.flatnonzero(rows["role"] == role) for role in ("train", "val"))
    for role, positions in (("train", train_rows), ("val", val_rows)):
        if not len(positions):
            raise PipelineError(f"finetune, {name}", f"no {role} row has a picture", "see artifacts/quarantine.csv")
    return train.Data(
        take=pictures.take,
        targets=artifacts.targets(rows, classes),
        groups=pd.factorize(rows["group"])[0],
        ids=rows["image_id"].to_list(),
        classes=len(classes),
        train_rows=train_rows,
        val_rows=val_rows,
    )


def _rate(params: Params, classes: list[str]) -> Callable[[np.ndarray, np.ndarray], train.Rating]:
    def rate(targets: np.ndarray, probabilities: np.ndarray) -> train.Rating:
        scores = metrics.score(targets, probabilities, params.evaluate.kappa)
        given = tally.predictions(targets, probabilities)
        predicted = (given.chosen & given.known).sum(axis=0)
        recall = metrics.point(given, {"recall": metrics.recall})["recall"]
        fired = collapse.flags(targets, probabilities, classes, params.evaluate.kappa)
        return train.Rating(
            metrics.selection_key(scores, params.evaluate.select),
            {
                **{f"val_{key}": scores[key] for key in SHOWN},
                **{f"predicted_{label}": int(n) for label, n in zip(classes, predicted, strict=True)},
                **{f"recall_{label}": float(share) for label, share in zip(classes, recall, strict=True)},
            },
            recall,
            [" ".join(str(flag[key]) for key in ("clause", "class") if key in flag) for flag in fired],
        )

    return rate


def balance(recipe: Finetune) -> str:
    """Which of sampler and loss gives rare classes more weight, for the log."""
    by = [f"sampler {recipe.sampler}"] * (recipe.sampler.name != "none")
    by += [f"loss {recipe.loss}"] * choices.balances(recipe.loss)
    plain = f"loss {recipe.loss}" if recipe.sampler.name != "none" else "sampler none"
    if len(by) == 2:
        return f"rare classes are favoured twice, by {by[0]} and by {by[1]}"
    return (
        f"rare classes are favoured by {by[0]}, {plain}" if by else f"rare classes are not favoured, loss {recipe.loss}"
    )


def _made_by(
    params: Params,
    pictures: artifacts.Pictures,
    classes: list[str],
    split: pd.DataFrame | None,
    index: pd.DataFrame,
) -> dict[str, Any]:
    weights = Path(params.backbone.weights)
    inputs = {"weights": provenance.checksum(weights)} if weights.is_file() else {}
    shape = {"channels": pictures.channels, "classes": classes, "size": pictures.size}
    section: dict[str, Any] = {**dataclasses.asdict(params.backbone), **shape, "seed": params.finetune.seed}
    if split is not None:
        inputs |= {
            "pictures": provenance.checksum_of(pictures.rows[["image_id", "fingerprint"]]),
            "render": provenance.checksum_of_json(pictures.manifest["made_by"]),
            "split": artifacts.split_checksum(split, index),
        }
        section |= dataclasses.asdict(params.finetune) | {
            "key": params.evaluate.select,
            "kappa": params.evaluate.kappa,
        }
    return provenance.of("finetune", section, inputs, PACKAGES, SOURCES)
