"""The processes of one training under `torchrun`; without it, one process that leads.

Batches are cut among them, gradients are averaged (DistributedDataParallel). BatchNorm sees its own process's part of a
batch (of at least two pictures), and its running statistics are averaged over the processes after each epoch, as in
timm's own training; a synchronised BatchNorm would need a GPU and slow each step.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

Value = TypeVar("Value")


@contextmanager
def processes() -> Iterator[bool]:
    """Join the processes that torchrun started, if it did; gives whether this one leads, and so writes.

    When one fails, it ends without a word to the others: torchrun ends them.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield True
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    yield rank() == 0
    distributed.destroy_process_group()


def count() -> int:
    """Number of processes."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def shared(make: Callable[[], Value]) -> Value:
    """What the leading process makes, in all of them."""
    if count() == 1:
        return make()
    box: list[Any] = [make() if rank() == 0 else None]
    distributed.broadcast_object_list(box, src=0)
    return box[0]


def gathered(value: Value) -> list[Value]:
    """The value of every process, in all of them."""
    box: list[Any] = [value] * count()
    if count() > 1:
        distributed.all_gather_object(box, value)
    return box


def average_statistics(model: torch.nn.Module, *others: torch.nn.Module) -> None:
    """Give BatchNorm layers that `model` trains the mean of all processes' running statistics; likewise in `others`."""
    if count() == 1:
        return
    moving = [name for name, module in model.named_modules() if module.training and hasattr(module, "running_var")]
    for owner in (model, *others):
        for name in moving:
            layer: Any = owner.get_submodule(name)
            for statistics in (layer.running_mean, layer.running_var):
                distributed.all_reduce(statistics)
                statistics /= count()


def parallel(model: torch.nn.Module) -> torch.nn.Module:
    """The model with its trained parameters' gradients averaged over the processes."""
    if count() == 1:
        return model
    with warnings.catch_warnings():  # newer versions of torch have another name for the option
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(model, broadcast_buffers=False)


@contextmanager
def averaging(forward: object, wanted: bool) -> Iterator[None]:
    """Gradients are averaged over the processes at the end of a backward pass only where it is wanted."""
    module = getattr(forward, "_orig_mod", forward)  # of a compiled model
    with nullcontext() if wanted or not isinstance(module, DistributedDataParallel) else module.no_sync():
        yield
