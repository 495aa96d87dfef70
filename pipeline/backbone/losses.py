"""Losses by name: (logits (B, K), labels (B,) int64, class counts (K,)) → mean loss."""

from collections.abc import Callable

import torch
from torch.nn import functional

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, every image alike."""
    return functional.cross_entropy(logits, labels)


def weighted(logits: torch.Tensor, labels: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Cross-entropy with class weights n / (K n_c), the 'balanced' rule of scikit-learn (King & Zeng 2001)."""
    return functional.cross_entropy(logits, labels, weight=counts.sum() / (len(counts) * counts.clamp(min=1)))


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "weighted": weighted}
