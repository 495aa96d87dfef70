"""Losses by name: (logits (B, K) float32, targets, setting, values) → one loss per row, (B,) float32.

Targets are class numbers (B,) int64; or (B, L) int8 of 1 present, 0 absent, -1 missing for several labels, whose loss
is the sum over the known labels, divided by L: each known label weighs the same, and a row without any has 0.
Class weights are scaled so that their mean over the training rows is 1: a learning rate means the same for each loss.
"""

import dataclasses
import math
from collections.abc import Callable

import torch
from torch.nn import functional

Tensor = torch.Tensor


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a loss may know of the training rows, and how far training is.

    Attributes:
        positives: training rows that have each class, (K,) float32.
        negatives: training rows known not to have it, (K,) float32.
        progress: share of the epochs already done, 0 in the first.
    """

    positives: Tensor
    negatives: Tensor
    progress: float


def cross_entropy(logits: Tensor, targets: Tensor, setting: Setting) -> Tensor:
    """Cross-entropy, every row alike."""
    return functional.cross_entropy(logits, targets, reduction="none")


def weighted(logits: Tensor, targets: Tensor, setting: Setting) -> Tensor:
    """Cross-entropy with class weights 1 / n_c (King & Zeng 2001, doi:10.1093/oxfordjournals.pan.a004868)."""
    return _weights(setting, 1 / _counts(setting))[targets] * cross_entropy(logits, targets, setting)


def focal(logits: Tensor, targets: Tensor, setting: Setting, alpha: float, gamma: float) -> Tensor:
    """(1 - p)^gamma × cross-entropy, p being the probability of the true class (Lin et al. 2017, arXiv:1708.02002).

    Their class weights, of which the paper has two, are here 1 / n_c^alpha: none with alpha 0.
    """
    weights = _weights(setting, _counts(setting) ** -alpha)
    return weights[targets] * _focused(cross_entropy(logits, targets, setting), gamma)


def class_balanced(logits: Tensor, targets: Tensor, setting: Setting, beta: float) -> Tensor:
    """Cross-entropy with class weights (1 - beta) / (1 - beta^n_c) (Cui et al. 2019, arXiv:1901.05555)."""
    return _effective(setting, beta)[targets] * cross_entropy(logits, targets, setting)


def ldam(
    logits: Tensor, targets: Tensor, setting: Setting, margin: float, scale: float, beta: float, deferred: float
) -> Tensor:
    """Cross-entropy with a margin on the true class, wider for rarer ones (LDAM, Cao et al. 2019, arXiv:1906.07413).

    Class c has the margin `margin` × (n_min / n_c)^(1/4), so that `margin` is that of the rarest. The paper's logits
    are `scale` × a cosine. Here the classifier is a plain linear one, whose logits stand for that product: the margin
    that is taken off a logit is `scale` × margin, and the logits themselves, hence the probabilities, stay as they are.
    From the share `deferred` of the epochs on (DRW), rows have the weights of `class_balanced` with `beta`.
    """
    counts = _counts(setting)
    margins = scale * margin * (counts.min() / counts) ** 0.25
    moved = logits - functional.one_hot(targets, len(counts)) * margins
    loss = cross_entropy(moved, targets, setting)
    return loss if setting.progress < deferred else _effective(setting, beta)[targets] * loss


def balanced_softmax(logits: Tensor, targets: Tensor, setting: Setting) -> Tensor:
    """Cross-entropy of logits + log n_c (Ren et al. 2020, arXiv:2007.10740)."""
    return logit_adjusted(logits, targets, setting, 1)


def logit_adjusted(logits: Tensor, targets: Tensor, setting: Setting, tau: float) -> Tensor:
    """Cross-entropy of logits + tau × log of the class's share of the training rows.

    Menon et al. 2021 (arXiv:2007.07314). The plain logits, by which the model predicts, are then those of balanced
    classes.
    """
    counts = _counts(setting)
    return cross_entropy(logits + tau * (counts / counts.sum()).log(), targets, setting)


def label_smoothing(logits: Tensor, targets: Tensor, setting: Setting, smoothing: float) -> Tensor:
    """Cross-entropy with the target 1 - smoothing, and smoothing / K for every class.

    Szegedy et al. 2016 (arXiv:1512.00567).
    """
    return functional.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)


def ordinal(logits: Tensor, targets: Tensor, setting: Setting, sharpness: float) -> Tensor:
    """Cross-entropy with soft targets for graded classes, softmax(-sharpness × (class - true class)²).

    SORD, Diaz & Marathe 2019 (doi:10.1109/CVPR.2019.00487). The squared distance is also what quadratic kappa counts.
    """
    distances = torch.arange(logits.shape[1], device=logits.device) - targets[:, None]
    soft = (-sharpness * distances.square()).softmax(1)
    return functional.cross_entropy(logits, soft, reduction="none")


def bce(logits: Tensor, targets: Tensor, setting: Setting) -> Tensor:
    """Binary cross-entropy of each label."""
    return _over_known(_binary(logits, targets), targets)


def weighted_bce(logits: Tensor, targets: Tensor, setting: Setting, most: float) -> Tensor:
    """Binary cross-entropy, a present label weighing n_absent / n_present times an absent one, at most `most` times.

    As in CheXNet (Rajpurkar et al. 2017, arXiv:1711.05225), with a cap; each label's weights have the mean 1.
    """
    ratio = (setting.negatives.clamp(min=1) / setting.positives.clamp(min=1)).clamp(max=most)  # as if each side had one
    known = setting.positives + setting.negatives
    base = known / (setting.positives * ratio + setting.negatives).clamp(min=torch.finfo(ratio.dtype).tiny)
    return _over_known(torch.where(targets == 1, ratio * base, base) * _binary(logits, targets), targets)


def focal_bce(logits: Tensor, targets: Tensor, setting: Setting, alpha: float, gamma: float) -> Tensor:
    """(1 - p)^gamma × binary cross-entropy, times alpha where present and 1 - alpha where absent.

    Lin et al. 2017 (arXiv:1708.02002).
    """
    sides = torch.where(targets == 1, alpha, 1 - alpha)
    return _over_known(sides * _focused(_binary(logits, targets), gamma), targets)


def asymmetric(
    logits: Tensor, targets: Tensor, setting: Setting, gamma_positive: float, gamma_negative: float, clip: float
) -> Tensor:
    """Focal binary cross-entropy with a gamma for each side (ASL, Ridnik et al. 2021, arXiv:2009.14119).

    Where the label is absent, its probability is lowered by `clip` first: what is below `clip` costs nothing.
    """
    log_clip = torch.tensor(math.log(clip) if clip else -math.inf, device=logits.device)
    absent = -torch.logaddexp(functional.logsigmoid(-logits), log_clip).clamp(max=0)
    present = -functional.logsigmoid(logits)
    sides = torch.where(targets == 1, _focused(present, gamma_positive), _focused(absent, gamma_negative))
    return _over_known(sides, targets)


def _counts(setting: Setting) -> Tensor:
    """Rows of each class; one for a class without any, which validation may still have."""
    return setting.positives.clamp(min=1)


def _weights(setting: Setting, weights: Tensor) -> Tensor:
    """Class weights (K,) with the mean 1 over the training rows."""
    return weights * setting.positives.sum() / (weights * setting.positives).sum()


def _effective(setting: Setting, beta: float) -> Tensor:
    return _weights(setting, -1 / torch.expm1(_counts(setting) * math.log(beta)))


def _focused(loss: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma × loss, where loss is -log p; the floor keeps the gradient of the power finite at p = 1."""
    return (-torch.expm1(-loss)).clamp(min=torch.finfo(loss.dtype).tiny) ** gamma * loss


def _binary(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, (targets == 1).float(), reduction="none")


def _over_known(losses: Tensor, targets: Tensor) -> Tensor:
    return (losses * (targets >= 0)).mean(1)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross_entropy": cross_entropy,
    "weighted": weighted,
    "focal": focal,
    "class_balanced": class_balanced,
    "ldam": ldam,
    "balanced_softmax": balanced_softmax,
    "logit_adjusted": logit_adjusted,
    "label_smoothing": label_smoothing,
    "ordinal": ordinal,
    "bce": bce,
    "weighted_bce": weighted_bce,
    "focal_bce": focal_bce,
    "asymmetric": asymmetric,
}
