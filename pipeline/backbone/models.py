"""timm models by name: their weights, what of them is trained, and their pooled features."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
from timm.models import adapt_input_conv, group_parameters, load_state_dict
from torch import nn

from pipeline.errors import PipelineError

TimmModel = Any  # an nn.Module with timm's attributes, which the type of nn.Module does not know
REMEDY = "give backbone.weights the path of a checkpoint file, or set backbone.weights: none"
MOST_KEYS_LISTED = 3


def create(name: str, weights: str, channels: int, size: int, classes: int, seed: int) -> TimmModel:
    """A timm model with a fresh classifier.

    Args:
        name: of any timm model.
        weights: `imagenet` (timm's default weights, from the hub or its local cache), `none` (random), or the path of
            a .safetensors, .pth or .bin checkpoint of the same model; the first convolution is adapted to `channels`.
        channels: of the pictures, 1 or 3.
        size: height and width of the pictures in pixels.
        classes: outputs of the classifier.
        seed: of the random weights.

    Raises:
        PipelineError: unknown model, weights that can't be had, or weights of another model.
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name.split(".")[0], timm.list_models(), n=3)
        raise PipelineError(
            "backbone.model",
            f"timm {timm.__version__} has no model {name!r}",
            f"did you mean {', '.join(near)}?" if near else "see timm.list_models()",
        )
    torch.manual_seed(seed)
    if weights == "imagenet":
        return _from_hub(name, channels, size, classes)
    model = _build(name, False, channels, size, classes)
    if weights != "none":
        _load_file(model, Path(weights), channels)
    return model


def _build(name: str, pretrained: bool, channels: int, size: int, classes: int) -> TimmModel:
    """Transformers and mixers are built for one size of picture; the others take any."""
    cfg = timm.models.get_pretrained_cfg(name)
    fixed: dict[str, Any] = {"img_size": size} if cfg and cfg.fixed_input_size else {}
    try:
        return timm.create_model(name, pretrained=pretrained, in_chans=channels, num_classes=classes, **fixed)
    except (AssertionError, ValueError) as error:
        if not fixed:
            raise
        native = cfg.input_size[-1] if cfg else "its own"
        raise PipelineError(
            "backbone.model", f"{name} can't be built for pictures of {size} px ({error})", f"set render.size: {native}"
        ) from error


def _from_hub(name: str, channels: int, size: int, classes: int) -> TimmModel:
    if not timm.models.is_model_pretrained(name):
        raise PipelineError("backbone.weights", f"timm has no pretrained weights for {name}", REMEDY)
    try:
        return _build(name, True, channels, size, classes)
    except OSError as error:  # huggingface_hub's offline and not-found errors, and those of its HTTP client
        raise PipelineError(
            "backbone.weights",
            f"the imagenet weights of {name} can't be downloaded ({type(error).__name__})",
            REMEDY,
        ) from error


def _load_file(model: TimmModel, path: Path, channels: int) -> None:
    if not path.is_file():
        raise PipelineError("backbone.weights", f"{path} is no file", REMEDY)
    try:
        state = load_state_dict(str(path), device="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise a class of their own for each kind of damage
        what = f"is no checkpoint that can be read ({type(error).__name__})"
        raise PipelineError(path, what, REMEDY) from error
    cfg = model.pretrained_cfg
    first, last = _names(cfg["first_conv"]), _names(cfg["classifier"])
    for layer in first:
        if f"{layer}.weight" in state:
            state[f"{layer}.weight"] = adapt_input_conv(channels, state[f"{layer}.weight"])
    state = {key: value for key, value in state.items() if key.rpartition(".")[0] not in last}
    own = {key: value for key, value in model.state_dict().items() if key.rpartition(".")[0] not in last}
    wrong = sorted(own.keys() ^ state.keys()) + [
        key for key in own.keys() & state.keys() if own[key].shape != state[key].shape
    ]
    if wrong:
        raise PipelineError(
            path,
            f"does not fit {cfg['architecture']}: {len(wrong)} tensors are absent, unknown or of another shape, "
            f"such as {', '.join(wrong[:MOST_KEYS_LISTED])}",
            "name the model of these weights in backbone.model",
        )
    model.load_state_dict(state, strict=False)


def _names(entry: str | tuple[str, ...]) -> tuple[str, ...]:
    return (entry,) if isinstance(entry, str) else tuple(entry)


def to_bytes(model: TimmModel) -> bytes:
    """The state of a model in safetensors format."""
    return safetensors.torch.save({key: value.contiguous().cpu() for key, value in model.state_dict().items()})


def from_bytes(name: str, channels: int, size: int, classes: int, weights: bytes) -> TimmModel:
    """The model whose state `to_bytes` gave."""
    model = _build(name, False, channels, size, classes)
    model.load_state_dict(safetensors.torch.load(weights))
    return model


def pooled_features(model: TimmModel, pictures: torch.Tensor) -> torch.Tensor:
    """Pooled features before the classifier, (B, D), of normalised pictures (B, C, H, W)."""
    return model.forward_head(model.forward_features(pictures), pre_logits=True)


def _frozen(model: TimmModel) -> set[str]:
    return set()


def _last_block(model: TimmModel) -> set[str]:
    groups = group_parameters(model, model.group_matcher(coarse=True))
    return {name for number in sorted(groups)[-2:] for name in groups[number]}


def _full(model: TimmModel) -> set[str]:
    return {name for name, _ in model.named_parameters()}


def freeze(model: TimmModel, policy: str) -> tuple[int, int]:
    """Leave only the parameters of the policy trainable; returns the counts (trainable, all)."""
    trainable = POLICIES[policy](model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trainable)
    counts = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, trained in counts if trained), sum(n for n, _ in counts)


def train_mode(model: TimmModel) -> None:
    """Training mode, save that frozen normalisation layers keep their running statistics."""
    model.train()
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not any(p.requires_grad for p in own):
            module.eval()


# Names of the parameters that are trained. `last_block` is the last of timm's coarse groups (a stage of a CNN, a block
# of a transformer) with the final norm and the classifier.
POLICIES: dict[str, Callable[[TimmModel], set[str]]] = {
    "frozen": _frozen,
    "last_block": _last_block,
    "full": _full,
}
