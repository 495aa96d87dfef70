"""pixels, splits → backbone/fold-K/ (or backbone/shared/ for a frozen one)."""

import dataclasses
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import artifacts, backbone, engine, judge, provenance
from pipeline.backbone import models, train
from pipeline.errors import PipelineError
from pipeline.judge import collapse, metrics
from pipeline.params import Params

log = logging.getLogger(__name__)
PACKAGES = ("torch", "timm", "numpy")
SOURCES = provenance.sources(__file__, backbone, judge)


def run(params: Params) -> None:
    """Train one backbone per fold; a fold whose inputs did not change is kept."""
    pictures, index, splits = artifacts.load_pixels(), artifacts.load_index(), artifacts.load_splits()
    classes = artifacts.classes(index, params.data.classes)
    frozen = params.finetune.policy.name == "frozen"
    folds = [None] if frozen else sorted(splits["fold"].unique())
    names = []
    for fold in folds:
        names.append(artifacts.backbone_name(fold))
        made_by = _made_by(params, pictures, classes, None if fold is None else splits[splits["fold"] == fold], index)
        if artifacts.has_backbone(names[-1], made_by):
            log.info("%s: nothing changed, kept", names[-1])
            continue
        model = models.create(
            params.backbone.model,
            params.backbone.weights,
            pictures.channels,
            pictures.size,
            len(classes),
            params.finetune.seed,
        )
        trainable, total = models.freeze(model, params.finetune.policy)
        log.info("%s: %s of %s parameters are trained", names[-1], f"{trainable:,}", f"{total:,}")
        history = pd.DataFrame(columns=["epoch"])
        if not frozen:
            model, history = _train(model, params, pictures, index, splits[splits["fold"] == fold], classes, names[-1])
        artifacts.save_backbone(names[-1], models.to_bytes(model), history, made_by)
    for stale in set(artifacts.backbone_names()) - set(names):
        shutil.rmtree(artifacts.BACKBONE / stale)


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


def _train(
    model: Any,
    params: Params,
    pictures: artifacts.Pictures,
    index: pd.DataFrame,
    split: pd.DataFrame,
    classes: list[str],
    name: str,
) -> tuple[Any, pd.DataFrame]:
    rows = artifacts.join_rows(pictures.rows, index, split, classes)
    labels = rows["label_number"].to_numpy()
    train_rows, val_rows = (np.flatnonzero(rows["role"] == role) for role in ("train", "val"))
    for role, positions in (("train", train_rows), ("val", val_rows)):
        if not len(positions):
            raise PipelineError(f"finetune, {name}", f"no {role} row has a picture", "see artifacts/quarantine.csv")
    log.info("%s: %s, loss %s", name, _balance(params), params.finetune.loss)

    def rate(truth: np.ndarray, probabilities: np.ndarray) -> tuple[tuple[float, ...], dict[str, Any]]:
        scores = metrics.score(truth, probabilities, params.evaluate.kappa)
        predicted = np.bincount(probabilities.argmax(1), minlength=len(classes))
        fired = collapse.flags(truth, probabilities, classes, params.evaluate.kappa)
        return metrics.selection_key(scores, params.evaluate.select), {
            **{f"val_{key}": scores[key] for key in ("macro_f1", "kappa", "balanced_accuracy_adjusted", "auc")},
            **{f"predicted_{label}": int(n) for label, n in zip(classes, predicted, strict=True)},
            "collapse": "; ".join(
                " ".join(str(flag[key]) for key in ("clause", "class") if key in flag) for flag in fired
            ),
        }

    return train.train(
        model,
        pictures.take,
        labels,
        train_rows,
        val_rows,
        len(classes),
        params.finetune,
        rate,
        lambda epochs: engine.track(iter(epochs), len(epochs), f"{name}: epochs"),
    )


def _balance(params: Params) -> str:
    return "batches balanced by class" if params.finetune.sampler.name == "weighted" else "batches as the data are"
