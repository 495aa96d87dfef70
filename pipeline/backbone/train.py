"""Train a backbone on the training rows of one fold."""

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from pipeline.backbone import inputs, models
from pipeline.backbone.augment import augment
from pipeline.backbone.losses import LOSSES, Setting
from pipeline.backbone.sampling import SAMPLERS, Rows
from pipeline.errors import PipelineError
from pipeline.params import Finetune

Take = Callable[[np.ndarray], np.ndarray]
Judge = Callable[[np.ndarray, np.ndarray], tuple[tuple[float, ...], dict[str, Any]]]


def train(
    model: models.TimmModel,
    take: Take,
    labels: np.ndarray,
    train_rows: np.ndarray,
    val_rows: np.ndarray,
    classes: int,
    recipe: Finetune,
    judge: Judge,
    watch: Callable[[range], Iterator[int]] = iter,
) -> tuple[models.TimmModel, pd.DataFrame]:
    """The model as it was after the epoch that validation rates best, and its history.

    AdamW with the one-cycle schedule (Smith & Topin 2018, arXiv 1708.07120), bfloat16 autocast where it is native.
    Only `train_rows` are sampled and augmented; `val_rows` keep their natural distribution.

    Args:
        model: with its trainable parameters marked.
        take: positions (B,) → pictures (B, H, W) or (B, H, W, 3) uint8.
        labels: class numbers by position, (N,) int.
        train_rows: positions to learn from.
        val_rows: positions that choose the epoch.
        classes: number of classes.
        recipe: the finetune section of the params.
        judge: labels and probabilities (n, K) of validation → (key to maximise, columns for the history).
        watch: wraps the range of epochs, for a progress bar.

    Raises:
        PipelineError: the loss is not finite.
    """
    where = inputs.device()
    model.to(where, memory_format=torch.channels_last)
    torch.manual_seed(recipe.seed)  # dropout and its kin
    rng = np.random.default_rng(recipe.seed)
    batches = -(-len(train_rows) // recipe.batch_size)
    optimiser = torch.optim.AdamW(_decay_groups(model, recipe.weight_decay), lr=recipe.lr, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.lr, total_steps=recipe.epochs * batches)
    best_key, best_state, history = None, copy.deepcopy(model.state_dict()), []
    for epoch in watch(range(1, recipe.epochs + 1)):
        start = time.perf_counter()
        train_loss = _train_epoch(model, take, labels, train_rows, classes, recipe, epoch, optimiser, schedule, rng)
        if not np.isfinite(train_loss):
            raise PipelineError(f"finetune, epoch {epoch}", "the training loss is not finite", "lower finetune.lr")
        val_loss, probabilities = predict(model, take, labels, val_rows, recipe.batch_size)
        if not np.isfinite(probabilities).all():
            raise PipelineError(f"finetune, epoch {epoch}", "the model's outputs are not finite", "lower finetune.lr")
        key, columns = judge(labels[val_rows], probabilities)
        if best_key is None or key > best_key:
            best_key, best_state, best_epoch = key, copy.deepcopy(model.state_dict()), epoch
        history.append(
            {
                "epoch": epoch,
                "train_loss": train_loss,
                "val_loss": val_loss,
                "lr": schedule.get_last_lr()[0],
                **columns,
                "seconds": time.perf_counter() - start,
            }
        )
    model.load_state_dict(best_state)
    frame = pd.DataFrame(history)
    return model, frame.assign(chosen=frame["epoch"] == best_epoch)


def _decay_groups(model: models.TimmModel, weight_decay: float) -> list[dict[str, Any]]:
    """No weight decay on biases and the scales of normalisation layers."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _train_epoch(
    model: models.TimmModel,
    take: Take,
    labels: np.ndarray,
    rows: np.ndarray,
    classes: int,
    recipe: Finetune,
    epoch: int,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    rng: np.random.Generator,
) -> float:
    where = next(model.parameters()).device
    counts = torch.from_numpy(np.bincount(labels[rows], minlength=classes)).float().to(where)
    setting = Setting(counts, counts.sum() - counts, (epoch - 1) / recipe.epochs)
    known = Rows(labels[rows], classes, rows, epoch, recipe.epochs)
    order = rows[SAMPLERS[recipe.sampler.name](known, rng, **recipe.sampler.values)]
    amplitudes = {key: value for key, value in vars(recipe.augment).items() if key not in ("minority", "mixup")}
    models.train_mode(model)
    losses = []
    for batch in np.array_split(order, -(-len(order) // recipe.batch_size)):
        pictures = augment(inputs.to_tensor(take(batch), where), rng, np.ones(len(batch)), **amplitudes)
        target = torch.from_numpy(labels[batch]).long().to(where)
        with torch.autocast(where.type, torch.bfloat16, enabled=inputs.has_bf16(where)):
            logits = model(inputs.normalise(pictures, model))
        loss = LOSSES[recipe.loss.name](logits.float(), target, setting, **recipe.loss.values).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


def predict(
    model: models.TimmModel, take: Take, labels: np.ndarray, rows: np.ndarray, batch_size: int
) -> tuple[float, np.ndarray]:
    """Mean cross-entropy and probabilities (n, K) float64 of the model's own classifier on `rows`."""
    where = next(model.parameters()).device
    model.eval()
    logits = []
    with torch.inference_mode(), torch.autocast(where.type, torch.bfloat16, enabled=inputs.has_bf16(where)):
        for batch in np.array_split(rows, -(-len(rows) // batch_size)):
            logits.append(model(inputs.normalise(inputs.to_tensor(take(batch), where), model)).float())
    joined = torch.cat(logits)
    loss = nn.functional.cross_entropy(joined, torch.from_numpy(labels[rows]).long().to(where))
    return float(loss), joined.double().softmax(1).cpu().numpy()
