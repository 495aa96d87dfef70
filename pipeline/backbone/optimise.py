"""How fast each parameter learns, and when: parameter groups, the one-cycle schedule, a running mean of the weights."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from timm.utils.model_ema import ModelEmaV3

from pipeline.backbone.models import TimmModel

# The numbers of torch.optim.lr_scheduler.OneCycleLR.
RISE = 0.3  # share of the steps until the learning rate is greatest
FIRST, LAST = 1 / 25, 1 / 25 / 1e4  # learning rate at both ends, as shares of the greatest
SLOW, FAST = 0.95, 0.85  # Adam's first beta at both ends and at the greatest learning rate


def one_cycle(step: float, steps: int) -> tuple[float, float]:
    """Share of the greatest learning rate, and Adam's first beta, at a step (from 0) of so many.

    Smith & Topin 2018, arXiv:1708.07120, with cosines. A function of the step alone: nothing of it needs to be kept
    when training is interrupted.
    """
    peak, end = RISE * steps - 1, steps - 1
    if step <= peak:
        return _cosine(FIRST, 1, step / peak), _cosine(SLOW, FAST, step / peak)
    gone = (step - peak) / (end - peak)
    return _cosine(1, LAST, gone), _cosine(FAST, SLOW, gone)


def optimiser(model: TimmModel) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) whose groups and rates are still to be set."""
    return torch.optim.AdamW(model.parameters(), fused=True)


def regroup(adam: torch.optim.Optimizer, model: TimmModel, factors: Mapping[str, float], weight_decay: float) -> None:
    """Put the parameters that `factors` names into one group per factor and weight decay; the others into none.

    What Adam knows of a parameter stays with it. No weight decay on biases, the scales of normalisation layers and what
    the model itself excepts, such as position embeddings.
    """
    excepted = model.no_weight_decay() if hasattr(model, "no_weight_decay") else set()
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        parameter.grad = None
        if name in factors:
            decays = parameter.ndim > 1 and name not in excepted
            groups.setdefault((factors[name], weight_decay * decays), []).append(parameter)
    adam.param_groups.clear()
    for (factor, decay), parameters in groups.items():
        adam.add_param_group({"params": parameters, "factor": factor, "weight_decay": decay})


def set_rates(adam: torch.optim.Optimizer, lr: float, beta: float) -> None:
    """This learning rate, times the factor of each group, and this first beta."""
    for group in adam.param_groups:
        group["lr"], group["betas"] = lr * group["factor"], (beta, group["betas"][1])


def state_by_name(adam: torch.optim.Optimizer, model: TimmModel) -> dict[str, dict[str, Any]]:
    """What Adam knows of each parameter that was ever trained."""
    return {name: dict(adam.state[p]) for name, p in model.named_parameters() if p in adam.state}


def set_state_by_name(adam: torch.optim.Optimizer, model: TimmModel, state: Mapping[str, Mapping[str, Any]]) -> None:
    """Give Adam what `state_by_name` gave."""
    parameters = dict(model.named_parameters())
    for name, of_one in state.items():
        adam.state[parameters[name]] = dict(of_one)


def running_mean(model: TimmModel, decay: float) -> ModelEmaV3 | None:
    """A copy of the model that follows it; None for a decay of 0.

    The decay rises with the steps, 1 - step^(-2/3) until it reaches what was asked for, so that the random weights of
    the start are soon forgotten. BatchNorm statistics are averaged as the weights are.
    """
    return ModelEmaV3(model, decay, use_warmup=True) if decay else None


def _cosine(start: float, end: float, gone: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * gone))
