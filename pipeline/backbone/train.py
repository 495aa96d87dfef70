"""Train a backbone on the training rows of one fold."""

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from pipeline.backbone import checkpoint, distributed, inputs, models, optimise, steps
from pipeline.backbone.augment import strength
from pipeline.backbone.checkpoint import Keeper, Progress
from pipeline.backbone.sampling import SAMPLERS, Rows
from pipeline.backbone.steps import Data, Learner
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from pipeline.params import Finetune

LOWER = 0.5  # what on_collapse: reduce_lr multiplies the learning rate with, again and again
LOWEST = 1 / 16  # but not below this: what hardly moves does not recover
SAMPLER, AUGMENT, MODEL = range(3)  # random streams of an epoch
LEAST_PART = 2  # pictures of a batch per process, since BatchNorm takes no fewer


@dataclasses.dataclass(frozen=True)
class Rating:
    """What validation says of a model.

    Attributes:
        key: what is to be greatest, its first figure first.
        columns: for the history, plain values.
        recall: of each class, (K,) float; NaN where there is none.
        signs: of collapse; none for a sound model.
    """

    key: tuple[float, ...]
    columns: dict[str, Any]
    recall: np.ndarray
    signs: list[str]


def train(
    model: models.TimmModel,
    data: Data,
    recipe: "Finetune",
    rate: Callable[[np.ndarray, np.ndarray], Rating],
    keeper: Keeper | None = None,
    watch: Callable[[range], Iterator[int]] = iter,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[models.TimmModel, pd.DataFrame]:
    """The model as it was after the epoch that validation rates best, and its history.

    AdamW with the one-cycle schedule, bfloat16 autocast where it is native. Only training rows are sampled and
    augmented; validation rows keep their natural distribution. Where a running mean of the weights is asked for,
    validation rates that, and it is what is given back. Under torchrun the processes share each batch.

    Args:
        model: is changed.
        data: pictures, targets and rows.
        recipe: the finetune section of the params.
        rate: targets and probabilities (n, K) of the validation rows → Rating.
        keeper: where the state after each epoch goes, and where that of an interrupted training is found.
        watch: wraps the range of epochs, for a progress bar.
        tell: takes a line for the log.

    Returns:
        The model, and a row per epoch: epoch, train_loss, val_loss, lr (of the last step), trainable (parameters), the
        columns of the rating, collapse, grad_norm, seconds, chosen.

    Raises:
        PipelineError: a loss, a gradient or an output is not finite; the model has collapsed and is to stop then; the
            batches are too small for so many processes; validation rates no epoch, since its rows have too few classes.
    """
    model.to(inputs.device(), memory_format=torch.channels_last)
    learner = Learner(model, model, optimise.optimiser(model), optimise.running_mean(model, recipe.average))
    progress = _resume(learner, keeper, tell)
    strengths = np.ones(len(data.targets))
    strengths[data.train_rows] = strength(data.targets[data.train_rows], data.classes, recipe.augment.minority)
    for epoch in watch(range(progress.epoch + 1, recipe.epochs + 1)):
        if recipe.patience is not None and progress.epoch - max(progress.chosen, _warmup(recipe)) >= recipe.patience:
            tell(f"no epoch was better than epoch {progress.chosen} for {recipe.patience} epochs: training ends")
            break
        start = time.perf_counter()
        trainable = _begin(learner, recipe, epoch, tell)
        order, rng = _draw(data, recipe, epoch, progress.recall), _stream(recipe, epoch, AUGMENT, distributed.rank())
        lr = recipe.lr * progress.reduction
        figures = steps.learn(learner, data, recipe, order, strengths, epoch, lr, rng)
        val_loss, rating = _rate(learner, data, recipe, epoch, rate)
        row = {
            "epoch": epoch,
            "train_loss": figures["train_loss"],
            "val_loss": val_loss,
            "lr": figures["lr"],
            "trainable": trainable,
            **rating.columns,
            "collapse": "; ".join(rating.signs),
            "grad_norm": figures["grad_norm"],
            "seconds": time.perf_counter() - start,
        }
        _note(progress, learner, epoch, rating, row)
        _guard(progress, recipe, rating.signs, tell)
        if keeper and distributed.rank() == 0:
            keeper.save(checkpoint.to_bytes(progress, model, learner.adam, learner.average))
    model.load_state_dict(progress.best)
    history = pd.DataFrame(progress.history)
    return model, history.assign(chosen=history["epoch"] == progress.chosen)


def guarded_from(recipe: "Finetune") -> int:
    """The first epoch in which signs of collapse count.

    Before it they have honest reasons: the learning rate still rises, or a head-only warm-up has just ended. The last
    epoch always counts.
    """
    return min(1 + max(math.ceil(optimise.RISE * recipe.epochs), _warmup(recipe)), recipe.epochs)


def _warmup(recipe: "Finetune") -> int:
    """Epochs that train the classifier alone; patience and signs of collapse begin to count after them."""
    return recipe.policy.values.get("epochs", 0)


def _resume(learner: Learner, keeper: Keeper | None, tell: Callable[[str], None]) -> Progress:
    kept = distributed.shared(keeper.load) if keeper else None
    if kept is None:
        return Progress()
    progress = checkpoint.restore(kept, learner.model, learner.adam, learner.average)
    learner.steps = progress.steps
    tell(f"goes on after epoch {progress.epoch}, where it was interrupted")
    return progress


def _begin(learner: Learner, recipe: "Finetune", epoch: int, tell: Callable[[str], None]) -> int:
    """Seed the model's own randomness (dropout), and free what the policy trains in this epoch; the count of it."""
    torch.manual_seed(int(_stream(recipe, epoch, MODEL, distributed.rank()).integers(2**63)))
    trainable, total = models.freeze(learner.model, recipe.policy, epoch)
    factors = models.POLICIES[recipe.policy.name](learner.model, epoch, **recipe.policy.values)
    optimise.regroup(learner.adam, learner.model, factors, recipe.weight_decay)
    if learner.trained != set(factors):
        tell(f"from epoch {epoch} on, {trainable:,} of {total:,} parameters are trained")
        learner.trained = set(factors)
        forward = distributed.parallel(learner.model)
        learner.forward = torch.compile(forward) if recipe.compile else forward
    return trainable


def _draw(data: Data, recipe: "Finetune", epoch: int, recall: list[float] | None) -> np.ndarray:
    """Positions in the order of this epoch, (m,) int; the same in every process."""
    rows = Rows(
        data.targets[data.train_rows],
        data.classes,
        data.groups[data.train_rows],
        epoch,
        recipe.epochs,
        None if recall is None else np.array(recall),
    )
    drawn = SAMPLERS[recipe.sampler.name](rows, _stream(recipe, epoch, SAMPLER), **recipe.sampler.values)
    smallest = len(drawn) // len(steps.split(drawn, recipe.batch_size)) // distributed.count()
    if smallest < LEAST_PART:
        raise PipelineError(
            "finetune.batch_size",
            f"{recipe.batch_size} cuts {len(drawn)} training rows into batches of which some leave {smallest} to a "
            f"process (of {distributed.count()}); BatchNorm needs {LEAST_PART}",
            f"set it to at least {2 * LEAST_PART * distributed.count() - 1}, add training images, or start fewer "
            "processes",
        )
    return data.train_rows[drawn]


def _rate(
    learner: Learner,
    data: Data,
    recipe: "Finetune",
    epoch: int,
    rate: Callable[[np.ndarray, np.ndarray], Rating],
) -> tuple[float, Rating]:
    """Validation loss and rating of the running mean of the weights, or of the weights."""
    judged = learner.average.module if learner.average else learner.model
    distributed.average_statistics(learner.model, *[judged] * (judged is not learner.model))
    loss, probabilities = steps.predict(judged, data, data.val_rows, recipe.batch_size)
    if not np.isfinite(probabilities).all():
        raise PipelineError(f"finetune, epoch {epoch}", "the model's outputs are not finite", "lower finetune.lr")
    rating = distributed.shared(lambda: rate(data.targets[data.val_rows], probabilities))
    if not np.isfinite(rating.key).any():
        raise PipelineError(
            f"finetune, epoch {epoch}",
            f"no figure of evaluate.select is defined on the {len(data.val_rows)} validation rows, so that no epoch is "
            "better than another",
            "validation needs images of at least two classes: see artifacts/splits.json, then change the split",
        )
    return loss, rating


def _note(progress: Progress, learner: Learner, epoch: int, rating: Rating, row: dict[str, Any]) -> None:
    """Enter a finished epoch."""
    progress.epoch, progress.steps, progress.recall = epoch, learner.steps, rating.recall.tolist()
    progress.history.append(
        {key: value.item() if isinstance(value, np.generic) else value for key, value in row.items()}
    )
    if progress.key is None or rating.key > progress.key:
        judged = learner.average.module if learner.average else learner.model
        progress.key, progress.chosen = tuple(map(float, rating.key)), epoch
        progress.best = copy.deepcopy(judged.state_dict())


def _guard(progress: Progress, recipe: "Finetune", signs: list[str], tell: Callable[[str], None]) -> None:
    """Do what on_collapse says."""
    if not signs or progress.epoch < guarded_from(recipe):
        return
    where, what = f"epoch {progress.epoch}", f"signs of collapse: {'; '.join(signs)}"
    if recipe.on_collapse == "stop":
        raise PipelineError(
            f"finetune, {where}",
            what,
            "try another finetune.sampler or finetune.loss, lower finetune.lr, or set finetune.on_collapse: warn",
        )
    if recipe.on_collapse == "reduce_lr":
        progress.reduction = max(progress.reduction * LOWER, LOWEST)
        what += f"; from here on {progress.reduction:g} times the learning rate"
    tell(f"{where}: {what}")


def _stream(recipe: "Finetune", epoch: int, *which: int) -> np.random.Generator:
    """A random stream of its own, so that an interrupted training goes on with the numbers of one that was not."""
    return np.random.default_rng([recipe.seed, epoch, *which])
