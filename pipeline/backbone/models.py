"""timm models by name: their weights, what of them is trained, and their pooled features."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import timm
import torch
from timm.models import adapt_input_conv, group_parameters, load_state_dict
from torch import nn

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from pipeline.choices import Choice

TimmModel = Any  # an nn.Module with timm's attributes, which the type of nn.Module does not know
REMEDY = "give backbone.weights the path of a checkpoint file, or set backbone.weights: none"
MOST_KEYS_LISTED = 3
COUNT = "num_batches_tracked"  # of BatchNorm; it shapes no output


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
    state, own = _comparable(state, last), _comparable(model.state_dict(), last)
    wrong = sorted(own.keys() ^ state.keys()) or [key for key in own if own[key].shape != state[key].shape]
    if wrong:
        only_size = own.keys() == state.keys() and cfg.get("fixed_input_size", False)
        raise PipelineError(
            path,
            f"does not fit {cfg['architecture']}: {len(wrong)} tensors are absent, unknown or of another shape, "
            f"such as {', '.join(wrong[:MOST_KEYS_LISTED])}",
            "name the model of these weights in backbone.model"
            + ", and set render.size to the size of the pictures that they were trained on" * only_size,
        )
    model.load_state_dict(state, strict=False)


def _comparable(state: dict[str, torch.Tensor], classifier: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """A state without the classifier, and without the counts of batches, which older checkpoints lack."""
    layers = {key: key.rpartition(".") for key in state}
    return {key: state[key] for key, (layer, _, kind) in layers.items() if layer not in classifier and kind != COUNT}


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


def freeze(model: TimmModel, policy: "Choice", epoch: int = 1) -> tuple[int, int]:
    """Leave trainable only what the policy trains in that epoch; returns the counts of parameters (trainable, all)."""
    trained = POLICIES[policy.name](model, epoch, **policy.values)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)
    counts = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, trains in counts if trains), sum(n for n, _ in counts)


def train_mode(model: TimmModel) -> None:
    """Training mode of what `freeze` left trainable; what is frozen behaves as in `eval()`.

    A frozen layer drops nothing and keeps its running statistics. BatchNorm keeps them also where only its scale and
    shift are trained and no weight of a layer is (`bias`): it stays the fixed map of each channel that the pretrained
    weights know, the same in training and in prediction, whatever the batch and the sampler.
    """
    head = _head(model)
    moving = any(p.requires_grad and p.ndim > 1 and name not in head for name, p in model.named_parameters())
    _set_mode(model, True, moving)


def _set_mode(module: nn.Module, trained: bool, moving: bool) -> None:
    """A module without parameters, such as dropout, goes with the one that holds it."""
    own = list(module.parameters())
    trained = any(p.requires_grad for p in own) if own else trained
    module.training = trained and (moving or not hasattr(module, "running_var"))
    for child in module.children():
        _set_mode(child, trained, moving)


def _head(model: TimmModel) -> set[str]:
    layers = _names(model.pretrained_cfg["classifier"])
    return {name for name, _ in model.named_parameters() if name.rpartition(".")[0] in layers}


def _layers(model: TimmModel, coarse: bool) -> dict[str, int]:
    """The number of the layer that each parameter belongs to, from the input on."""
    try:
        return group_parameters(model, model.group_matcher(coarse=coarse), reverse=True)
    except (AttributeError, AssertionError):  # a few models have no groups, or none of that kind
        raise PipelineError(
            "finetune.policy",
            f"timm does not say which layers {model.pretrained_cfg['architecture']} has",
            "set it to full, bias or frozen, or take another model",
        ) from None


def frozen(model: TimmModel, epoch: int) -> dict[str, float]:
    """Nothing is trained."""
    return {}


def last_block(model: TimmModel, epoch: int) -> dict[str, float]:
    """The last of timm's coarse groups (a stage of a CNN, a block of a transformer), the final norm, the classifier."""
    layers = _layers(model, coarse=True)
    return {name: 1.0 for name, layer in layers.items() if layer >= max(layers.values()) - 1}


def full(model: TimmModel, epoch: int) -> dict[str, float]:
    """Everything is trained."""
    return {name: 1.0 for name, _ in model.named_parameters()}


def warmup(model: TimmModel, epoch: int, epochs: int, then: str) -> dict[str, float]:
    """The classifier alone for `epochs` epochs, then the policy `then` (Kumar et al. 2022, arXiv:2202.10054).

    A fresh classifier would otherwise send large gradients into good features.
    """
    return dict.fromkeys(_head(model), 1.0) if epoch <= epochs else POLICIES[then](model, epoch)


def layer_decay(model: TimmModel, epoch: int, decay: float) -> dict[str, float]:
    """Everything, the learning rate times `decay` for each of timm's layers below the classifier.

    As BEiT is fine-tuned (Bao et al. 2022, arXiv:2106.08254).
    """
    layers = _layers(model, coarse=False)
    return {name: decay ** (max(layers.values()) - layer) for name, layer in layers.items()}


def bias(model: TimmModel, epoch: int) -> dict[str, float]:
    """Every parameter of at most one dimension (biases, scales and shifts of norms), and the classifier.

    BitFit, Zaken et al. 2022 (arXiv:2106.10199), where LayerNorm's scales are frozen.
    """
    small = {name for name, parameter in model.named_parameters() if parameter.ndim <= 1}
    return dict.fromkeys(small | _head(model), 1.0)


# The learning-rate factor of each parameter that is trained in an epoch (from 1), by its name.
POLICIES: dict[str, Callable[..., dict[str, float]]] = {
    "frozen": frozen,
    "last_block": last_block,
    "full": full,
    "warmup": warmup,
    "layer_decay": layer_decay,
    "bias": bias,
}
