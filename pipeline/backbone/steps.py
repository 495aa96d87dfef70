"""The steps of one epoch, and what a model says of rows."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from timm.utils.model_ema import ModelEmaV3
from torch.nn import functional
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from pipeline.backbone import distributed, inputs, models, optimise
from pipeline.backbone.augment import augment, mix
from pipeline.backbone.losses import LOSSES, Setting
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from pipeline.params import Finetune

CHECK_EVERY = 64  # steps; to look at the losses is to wait for the GPU
MOST_IDS = 16  # in one error


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Pictures, and what is to be learned of them.

    Attributes:
        take: positions (B,) int → pictures (B, H, W) or (B, H, W, 3), uint8 or uint16.
        targets: by position, class numbers (N,) int; or (N, L) int8 of 1 present, 0 absent, -1 missing.
        groups: number of the patient by position, (N,) int.
        ids: what an error calls a picture, by position.
        classes: their number, K or L.
        train_rows: positions to learn from.
        val_rows: positions that choose the epoch.
    """

    take: Callable[[np.ndarray], np.ndarray]
    targets: np.ndarray
    groups: np.ndarray
    ids: list[str]
    classes: int
    train_rows: np.ndarray
    val_rows: np.ndarray


@dataclasses.dataclass
class Learner:
    """What a step changes.

    Attributes:
        model: the weights.
        forward: the model as training calls it: maybe compiled, or its gradients averaged over processes.
        adam: the optimiser.
        average: running mean of the weights, if any.
        trained: names of the parameters that this epoch trains.
        steps: taken so far.
    """

    model: models.TimmModel
    forward: Callable[[torch.Tensor], torch.Tensor]
    adam: torch.optim.Optimizer
    average: ModelEmaV3 | None
    trained: set[str] = dataclasses.field(default_factory=set)
    steps: int = 0


@dataclasses.dataclass(frozen=True)
class Step:
    """What is looked at later, so that no step waits for it."""

    rows: np.ndarray  # (B,) int
    losses: torch.Tensor  # (B,)
    norm: torch.Tensor  # () of the gradient, before clipping


def learn(
    learner: Learner,
    data: Data,
    recipe: "Finetune",
    order: np.ndarray,
    strength: np.ndarray,
    epoch: int,
    lr: float,
    rng: np.random.Generator,
) -> dict[str, float]:
    """One epoch over `order`.

    A step learns from `accumulate` batches, the last one from those that are left; what it lowers is the mean loss of
    all their rows, in all processes.

    Args:
        learner: is changed.
        data: pictures and targets.
        recipe: the finetune section of the params.
        order: positions in the order in which they are shown, (m,) int; the same in every process.
        strength: of the augmentation, (N,) float by position.
        epoch: from 1.
        lr: the greatest learning rate.
        rng: of the augmentation.

    Returns:
        train_loss, lr (of the last step), grad_norm (mean over the steps, before clipping).

    Raises:
        PipelineError: a loss or a gradient is not finite.
    """
    models.train_mode(learner.model)
    losses_of = _losses(learner, data, recipe, strength, epoch, rng)
    batches = split(order, recipe.batch_size)
    parts = [batch[distributed.rank() :: distributed.count()] for batch in batches]
    stored = inputs.read_ahead(data.take, parts, _where(learner.model))
    places = np.arange(len(batches))
    groups = [places[start : start + recipe.accumulate] for start in places[:: recipe.accumulate]]
    share, done = 0.0, []
    for number, group in enumerate(groups):
        share, beta = optimise.one_cycle((epoch - 1) * len(groups) + number, recipe.epochs * len(groups))
        optimise.set_rates(learner.adam, lr * share, beta)
        rows, losses = sum(len(batches[place]) for place in group), []
        for place in group:
            with distributed.averaging(learner.forward, place == group[-1]):
                losses.append(losses_of(next(stored), parts[place]))
                (losses[-1].sum() * (distributed.count() / rows)).backward()
        shown = np.concatenate([parts[place] for place in group])
        done.append(Step(shown, torch.cat(losses).detach(), _step(learner, recipe.clip)))
        if len(done) % CHECK_EVERY == 0 or len(done) == len(groups):
            _check(done[-CHECK_EVERY:], data.ids, epoch)
    return {"train_loss": _mean_loss(done), "lr": lr * share, "grad_norm": _mean([step.norm for step in done])}


def predict(model: models.TimmModel, data: Data, rows: np.ndarray, batch_size: int) -> tuple[float, np.ndarray]:
    """Mean loss and probabilities (n, K) float64 of the model's own classifier on `rows`, in their order.

    The loss is plain cross-entropy, over all labels that are known where there are several, whatever was trained with.
    The processes share the rows; all of them get the answer.
    """
    where, size = _where(model), distributed.count()
    model.eval()
    parts = split(rows[distributed.rank() :: size], batch_size)
    own = [torch.empty(0, data.classes)]
    with torch.inference_mode(), _autocast(where):
        for stored in inputs.read_ahead(data.take, parts, where):
            own.append(model(inputs.normalise(inputs.to_tensor(stored, where), model)).float().cpu())
    logits = torch.empty(len(rows), data.classes)
    for rank, part in enumerate(distributed.gathered(torch.cat(own))):
        logits[rank::size] = part
    targets = torch.from_numpy(data.targets[rows])
    if targets.ndim == 1:
        return float(functional.cross_entropy(logits, targets.long())), logits.double().softmax(1).numpy()
    known = (targets >= 0).float()
    loss = functional.binary_cross_entropy_with_logits(logits, (targets == 1).float(), known, reduction="sum")
    return float(loss / known.sum()), logits.double().sigmoid().numpy()


def split(rows: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Parts of at most `batch_size` rows, whose lengths differ by at most one."""
    return np.array_split(rows, -(-len(rows) // batch_size)) if len(rows) else []


def _losses(
    learner: Learner, data: Data, recipe: "Finetune", strength: np.ndarray, epoch: int, rng: np.random.Generator
) -> Callable[[torch.Tensor, np.ndarray], torch.Tensor]:
    """A function of stored pictures and their positions that gives the loss of each, (B,)."""
    where, setting = _where(learner.model), _setting(data, recipe, epoch, _where(learner.model))
    amplitudes = {key: value for key, value in vars(recipe.augment).items() if key not in ("minority", "mixup")}

    def logits_of(pictures: torch.Tensor) -> torch.Tensor:
        with _autocast(where):
            return learner.forward(inputs.normalise(pictures, learner.model)).float()

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return LOSSES[recipe.loss.name](logits, targets, setting, **recipe.loss.values)

    def losses_of(stored: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
        targets = inputs.send(data.targets[rows], where)
        targets = targets.long() if targets.ndim == 1 else targets
        pictures = augment(inputs.to_tensor(stored, where), rng, strength[rows], **amplitudes)
        if not recipe.augment.mixup:
            return loss(logits_of(pictures), targets)
        pictures, partner, share = mix(pictures, rng, recipe.augment.mixup)
        logits = logits_of(pictures)
        return torch.lerp(loss(logits, targets[partner]), loss(logits, targets), share)

    return losses_of


def _setting(data: Data, recipe: "Finetune", epoch: int, where: torch.device) -> Setting:
    targets = data.targets[data.train_rows]
    if targets.ndim == 1:
        positives = np.bincount(targets, minlength=data.classes)
        negatives = len(targets) - positives
    else:
        positives, negatives = (targets == 1).sum(0), (targets == 0).sum(0)
    both = torch.from_numpy(np.stack([positives, negatives]).astype(np.float32)).to(where)
    return Setting(both[0], both[1], (epoch - 1) / recipe.epochs)


def _step(learner: Learner, clip: float | None) -> torch.Tensor:
    """Move the weights, and their running mean; the norm of the gradient."""
    trained = [parameter for parameter in learner.model.parameters() if parameter.grad is not None]
    norm = get_total_norm([parameter.grad for parameter in trained])
    if clip is not None:
        clip_grads_with_norm_(trained, clip, norm)
    learner.adam.step()
    learner.adam.zero_grad()
    learner.steps += 1
    if learner.average:
        learner.average.update(learner.model, step=learner.steps)
    return norm


def _check(steps: Sequence[Step], ids: list[str], epoch: int) -> None:
    """Refuse the first step whose losses or gradient are not finite."""
    sound = torch.stack([step.losses.isfinite().all() & step.norm.isfinite() for step in steps]).cpu()
    if sound.all():
        return
    step = steps[int(sound.logical_not().nonzero()[0])]
    wrong = ~step.losses.isfinite().cpu().numpy()
    if wrong.all():
        what = f"the loss of all {len(wrong)} images of a batch is not finite, so the weights were not before it"
    elif wrong.any():
        what = f"the loss of {wrong.sum()} of {len(wrong)} images of a batch is not finite"
    else:
        what = "the loss of a batch is finite, but its gradient is not"
    rows = (step.rows[wrong] if wrong.any() else step.rows).tolist()
    more = f" and {len(rows) - MOST_IDS} more" if len(rows) > MOST_IDS else ""
    raise PipelineError(
        f"finetune, epoch {epoch}",
        f"{what}: {', '.join(ids[row] for row in rows[:MOST_IDS])}{more}",
        "lower finetune.lr or set finetune.clip to 1.0; should the same images come again, look at them with "
        "`python -m pipeline show IMAGE_ID`",
    )


def _mean_loss(steps: Sequence[Step]) -> float:
    """Over the rows of all processes."""
    own = torch.cat([step.losses for step in steps]).double()
    sums, rows = zip(*distributed.gathered((float(own.sum()), len(own))), strict=True)
    return sum(sums) / sum(rows)


def _mean(values: Sequence[torch.Tensor]) -> float:
    return float(torch.stack(list(values)).mean())


def _autocast(where: torch.device) -> Any:
    return torch.autocast(where.type, torch.bfloat16, enabled=inputs.has_bf16(where))


def _where(model: models.TimmModel) -> torch.device:
    return next(model.parameters()).device
