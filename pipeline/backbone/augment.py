"""Random changes of a batch that leave its labels true."""

import numpy as np
import torch
from torch.nn import functional


def augment(
    pictures: torch.Tensor,
    rng: np.random.Generator,
    flip: bool,
    turns: bool,
    degrees: float,
    shift: float,
    scale: float,
    contrast: float,
    gamma: float = 0,
    noise: float = 0,
    minority: float = 1,
    mixup: float = 0,
) -> torch.Tensor:
    """Each picture moved and its contrast changed on its own; outside of a picture is black.

    Args:
        pictures: (B, C, H, W) float32 in 0..1.
        rng: the only source of randomness, whatever the device.
        flip: left-right, for half of the pictures.
        turns: a random right-angle turn, and up-down for half of the pictures.
        degrees: rotation is uniform within ± this.
        shift: along each side, uniform within ± this share of it.
        scale: magnification is uniform within 1 ± this.
        contrast: contrast and brightness are uniform within 1 ± and 0 ± this (brightness a half of it).
    """
    n = len(pictures)
    angle = np.deg2rad(rng.uniform(-degrees, degrees, n)) + turns * np.pi / 2 * rng.integers(0, 4, n)
    zoom = 1 / rng.uniform(1 - scale, 1 + scale, n)
    mirror_x = np.where(rng.random(n) < 0.5 * flip, -1.0, 1.0)
    mirror_y = np.where(rng.random(n) < 0.5 * turns, -1.0, 1.0)
    offset = 2 * rng.uniform(-shift, shift, (n, 2))  # grid coordinates span 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)  # (B, 2, 2)
    turn *= zoom[:, None, None] * np.stack([mirror_x, mirror_y], 1)[:, None, :]
    matrix = torch.as_tensor(np.concatenate([turn, offset[:, :, None]], 2), dtype=torch.float32)
    grid = functional.affine_grid(matrix.to(pictures.device), list(pictures.shape), align_corners=False)
    moved = functional.grid_sample(pictures, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    gain = torch.as_tensor(rng.uniform(1 - contrast, 1 + contrast, (n, 1, 1, 1)), dtype=torch.float32)
    lift = torch.as_tensor(rng.uniform(-contrast / 2, contrast / 2, (n, 1, 1, 1)), dtype=torch.float32)
    changed = (moved * gain.to(moved.device) + lift.to(moved.device)).clamp_(0, 1)
    return changed.contiguous(memory_format=torch.channels_last)
