"""A model made ready for inference: the same function of a picture in fewer steps."""

import copy
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm_act import BatchNormAct2d
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pipeline.backbone.models import TimmModel, pooled_features

PLAIN_CONVOLUTIONS = (nn.Conv2d, Conv2dSame)  # others change their weights at each call


def fold_norms(model: TimmModel, pictures: torch.Tensor) -> TimmModel:
    """A copy in which a BatchNorm that follows a convolution is part of its weights and bias.

    Which follows which is seen on `pictures`, normalised, (B, C, H, W), and not guessed from the names.
    """
    folded = copy.deepcopy(model).eval()
    for conv_name, norm_name in _pairs(folded, pictures):
        conv, norm = folded.get_submodule(conv_name), folded.get_submodule(norm_name)
        fused = fuse_conv_bn_eval(conv, norm)
        conv.weight, conv.bias = fused.weight, fused.bias
        rest = [module for module in norm.children() if isinstance(norm, BatchNormAct2d)]  # drop, then act
        folded.set_submodule(norm_name, nn.Sequential(*rest))
    return folded


def _pairs(model: TimmModel, pictures: torch.Tensor) -> list[tuple[str, str]]:
    """Names of a convolution and the BatchNorm that alone takes its output, where each of them runs once."""
    made, taken = _flow(model, pictures)
    maker = {id(output): name for name, output in made}  # all outputs are held, so no number is given twice
    takers: dict[str, list[str]] = {}
    for name, given in taken:
        takers.setdefault(maker.get(id(given), ""), []).append(name)
    runs = Counter(name for name, _ in made) + Counter(name for name, _ in taken if name not in maker.values())
    return [
        (conv, names[0])
        for conv, names in takers.items()
        if len(names) == 1
        and runs[conv] == runs[names[0]] == 1
        and isinstance(model.get_submodule(names[0]), nn.BatchNorm2d)
    ]


def _flow(model: TimmModel, pictures: torch.Tensor) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """What each convolution gave, and what each innermost module and BatchNorm took, in the order of the calls."""
    made: list[tuple[str, Any]] = []
    taken: list[tuple[str, Any]] = []
    hooks = []
    for name, module in model.named_modules():
        if type(module) in PLAIN_CONVOLUTIONS:
            hooks.append(module.register_forward_hook(lambda _, __, out, name=name: made.append((name, out))))
        if isinstance(module, nn.BatchNorm2d) or not list(module.children()):
            hooks.append(module.register_forward_pre_hook(lambda _, given, name=name: taken.append((name, *given[:1]))))
    with torch.no_grad():
        pooled_features(model, pictures)
    for hook in hooks:
        hook.remove()
    return made, [(name, *given) for name, *given in taken if given]


class Scripted:
    """A module on the CPU as oneDNN's graph compiler fuses it: convolution, sum and activation in one step.

    A rewritten function per shape of input, the first call with which takes as long as three others. The compiler is
    part of torch and reached through TorchScript; `torch.compile` would need a C++ compiler on the user's machine.
    Where it knows an operation not, the module is called as it is.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._by_shape: dict[torch.Size, Any] = {}
        self._refused = False

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        """What the module makes of them, to rounding."""
        if self._refused:
            return self._module(pictures)
        enabled = torch.jit.onednn_fusion_enabled()
        torch.jit.enable_onednn_fusion(True)
        try:
            if pictures.shape not in self._by_shape:
                self._by_shape[pictures.shape] = _script(self._module, pictures)
            return self._by_shape[pictures.shape](pictures)
        except RuntimeError:  # what the tracer and the compiler raise for an operation that they can't take
            self._refused = True
            return self._module(pictures)
        finally:
            torch.jit.enable_onednn_fusion(enabled)


def _script(module: nn.Module, pictures: torch.Tensor) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is to go, and that shapes are taken as they are
        scripted = torch.jit.freeze(torch.jit.trace(module, pictures, check_trace=False))
    scripted(pictures)  # observed, not yet fused, and so rounded otherwise than the calls that follow
    return scripted


def compiled(module: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """A module through `torch.compile`, weights taken as constants; needs a C++ compiler (or Triton, for a GPU)."""
    return torch.compile(module, dynamic=False, options={"freezing": True})
