"""Pooled features of pictures."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from pipeline.backbone import inputs, models


def encode(
    model: models.TimmModel,
    take: Callable[[np.ndarray], np.ndarray],
    rows: np.ndarray,
    batch_size: int,
    watch: Callable[[range], Iterator[int]] = iter,
) -> np.ndarray:
    """Pooled features before the classifier, (n, D) float32, in the order of `rows`.

    `eval()` and float32: what a picture's features are does not depend on the batch it is computed in.

    Args:
        model: a timm model.
        take: positions (B,) → pictures (B, H, W) or (B, H, W, 3) uint8.
        rows: positions to encode, (n,) int.
        batch_size: pictures at a time.
        watch: wraps the range of batches, for a progress bar.
    """
    where = inputs.device()
    model.to(where, memory_format=torch.channels_last).eval()
    features = [torch.empty(0, model.head_hidden_size or model.num_features)]
    with torch.inference_mode():
        for start in watch(range(0, len(rows), batch_size)):
            pictures = inputs.normalise(inputs.to_tensor(take(rows[start : start + batch_size]), where), model)
            features.append(models.pooled_features(model, pictures).float().cpu())
    return torch.cat(features).numpy()
