"""The whole state of a training after an epoch, as bytes and back.

Random streams are no part of it: those of an epoch follow from the seed and its number alone.
"""

import dataclasses
import io
from collections.abc import Callable
from typing import Any

import torch
from timm.utils.model_ema import ModelEmaV3

from pipeline.backbone import optimise
from pipeline.backbone.models import TimmModel


@dataclasses.dataclass
class Progress:
    """What a training knows after some epochs, besides what its model, optimiser and running mean hold.

    Attributes:
        epoch: the last one finished, from 1.
        steps: of the optimiser, so far.
        reduction: factor of the learning rate, below 1 after a collapse with on_collapse: reduce_lr.
        recall: of each class on validation after that epoch.
        key: of the best epoch.
        chosen: the best epoch.
        best: weights after it.
        history: one dict per epoch.
    """

    epoch: int = 0
    steps: int = 0
    reduction: float = 1.0
    recall: list[float] | None = None
    key: tuple[float, ...] | None = None
    chosen: int = 0
    best: dict[str, torch.Tensor] = dataclasses.field(default_factory=dict)
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Keeper:
    """Where a training leaves its state after each epoch, and finds that of an interrupted one."""

    load: Callable[[], bytes | None]
    save: Callable[[bytes], None]


def to_bytes(progress: Progress, model: TimmModel, adam: torch.optim.Optimizer, average: ModelEmaV3 | None) -> bytes:
    """All of it, in torch's format; tensors and plain values only."""
    buffer = io.BytesIO()
    torch.save(
        {
            "progress": {field.name: getattr(progress, field.name) for field in dataclasses.fields(progress)},
            "model": model.state_dict(),
            "adam": optimise.state_by_name(adam, model),
            "average": average.module.state_dict() if average else None,
        },
        buffer,
    )
    return buffer.getvalue()


def restore(content: bytes, model: TimmModel, adam: torch.optim.Optimizer, average: ModelEmaV3 | None) -> Progress:
    """Put everything back to where `to_bytes` found it."""
    state = torch.load(io.BytesIO(content), map_location=next(model.parameters()).device, weights_only=True)
    model.load_state_dict(state["model"])
    optimise.set_state_by_name(adam, model, state["adam"])
    if average:
        average.module.load_state_dict(state["average"])
    return Progress(**state["progress"])
