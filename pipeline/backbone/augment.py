"""Random changes of a batch that leave its labels true."""

import numpy as np
import torch
from torch.nn import functional

from pipeline.backbone import inputs, sampling


def augment(
    pictures: torch.Tensor,
    rng: np.random.Generator,
    strength: np.ndarray,
    flip: bool,
    turns: bool,
    degrees: float,
    shift: float,
    scale: float,
    contrast: float,
    colour: float,
    gamma: float,
    noise: float,
) -> torch.Tensor:
    """Each picture moved, and its tones changed, on its own.

    What comes in from outside continues the edge, so that a black surround stays black and a light slide light. A step
    whose amplitude is 0 is left out; flips and turns alone move pixels without interpolating them.

    Args:
        pictures: (B, C, H, W) float32 in 0..1; square, if they are turned.
        rng: the only source of randomness.
        strength: of each picture, (B,) float: every amplitude below is multiplied by it.
        flip: left-right, for half of the pictures.
        turns: a random right-angle turn, and up-down for half of the pictures.
        degrees: rotation is uniform within ± this.
        shift: along each side, uniform within ± this share of it.
        scale: magnification is between 1 / (1 + this) and 1 + this, its logarithm uniform.
        contrast: values are multiplied by between 1 / (1 + this) and 1 + this, its logarithm uniform, and moved by
            within ± a half of this.
        colour: the same for each channel of a colour picture on its own, as stains and white balance differ.
        gamma: values are raised to a power between 1 / (1 + this) and 1 + this, its logarithm uniform.
        noise: standard deviation of normal noise on every value.

    Returns:
        (B, C, H, W) float32 in 0..1, channels last in memory.
    """
    moved = _move(pictures, rng, np.asarray(strength), flip, turns, degrees, shift, scale)
    return _tone(moved, rng, np.asarray(strength), contrast, colour, gamma, noise)


def strength(targets: np.ndarray, classes: int, minority: float) -> np.ndarray:
    """How much stronger each row is augmented, (n,) float64.

    1 for the most frequent class, `minority` for the rarest, and between them by the logarithm of the class's count.
    Of several labels the rarest present one counts, as for the samplers.

    Args:
        targets: of the training rows, (n,) int or (n, L) int8.
        classes: K, or L.
        minority: at least 1.
    """
    pool = sampling.pools(targets, classes)
    logs = np.log(np.bincount(pool).clip(min=1))[pool]
    span = np.ptp(logs) if len(logs) else 0.0
    return 1 + (minority - 1) * (logs.max() - logs) / span if span else np.ones(len(pool))


def mix(
    pictures: torch.Tensor, rng: np.random.Generator, alpha: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Each picture blended with another of the batch (mixup, Zhang et al. 2018, arXiv:1710.09412).

    Args:
        pictures: (B, C, H, W) float32.
        rng: the only source of randomness.
        alpha: above 0; the share of the own picture is drawn from Beta(alpha, alpha).

    Returns:
        The blend; the position of each partner, (B,) int64; the share of the own picture, (B,) float32.
    """
    partner = inputs.send(rng.permutation(len(pictures)), pictures.device)
    share = _column(rng.beta(alpha, alpha, len(pictures)), pictures.device)
    return torch.lerp(pictures[partner], pictures, share), partner, share.reshape(-1)


def _move(
    pictures: torch.Tensor,
    rng: np.random.Generator,
    strength: np.ndarray,
    flip: bool,
    turns: bool,
    degrees: float,
    shift: float,
    scale: float,
) -> torch.Tensor:
    n = len(pictures)
    quarters = rng.integers(0, 4, n) if turns else np.zeros(n, np.int64)
    mirrored = np.stack([rng.random(n) < 0.5 * flip, rng.random(n) < 0.5 * turns], 1)  # (B, 2): left-right, up-down
    if not (degrees or shift or scale):
        return _mirror_and_turn(pictures, mirrored, quarters)
    angle = np.deg2rad(degrees) * strength * rng.uniform(-1, 1, n) + np.pi / 2 * quarters
    zoom = np.exp(np.log1p(scale * strength) * rng.uniform(-1, 1, n))
    offset = 2 * shift * strength[:, None] * rng.uniform(-1, 1, (n, 2))  # the grid spans 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)  # (B, 2, 2)
    turn *= np.where(mirrored, -1, 1)[:, None, :] / zoom[:, None, None]
    grid = _grid(np.concatenate([turn, offset[:, :, None]], 2), pictures)
    moved = functional.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return moved.contiguous(memory_format=torch.channels_last)


def _mirror_and_turn(pictures: torch.Tensor, mirrored: np.ndarray, quarters: np.ndarray) -> torch.Tensor:
    kinds = mirrored @ [1, 2] + 4 * quarters
    moved = pictures.clone(memory_format=torch.channels_last)
    for kind in np.unique(kinds[kinds > 0]):
        rows = inputs.send(np.flatnonzero(kinds == kind), pictures.device)
        axes = [axis for bit, axis in ((1, -1), (2, -2)) if kind & bit]
        moved[rows] = pictures[rows].flip(axes).rot90(int(kind // 4), (-2, -1))
    return moved


def _grid(matrix: np.ndarray, pictures: torch.Tensor) -> torch.Tensor:
    """Where each pixel comes from, (B, H, W, 2), of affine maps (B, 2, 3).

    As torch's affine_grid, which takes a matrix product: slower, and under autocast or TF32 half a pixel off.
    """
    height, width = pictures.shape[-2:]
    x, y = ((2 * torch.arange(side, device=pictures.device) + 1) / side - 1 for side in (width, height))
    maps = inputs.send(matrix.astype(np.float32), pictures.device)
    grid = torch.empty(len(pictures), height, width, 2, device=pictures.device)
    for axis in range(2):
        of_x, of_y, offset = maps[:, axis, :, None].unbind(1)  # (B, 1) each
        torch.add((of_x * x)[:, None, :], (of_y * y + offset)[:, :, None], out=grid[..., axis])
    return grid


def _tone(
    pictures: torch.Tensor,
    rng: np.random.Generator,
    strength: np.ndarray,
    contrast: float,
    colour: float,
    gamma: float,
    noise: float,
) -> torch.Tensor:
    """Changes the pictures in place."""
    n, where = len(pictures), pictures.device
    if gamma:
        pictures.pow_(_column(np.exp(np.log1p(gamma * strength) * rng.uniform(-1, 1, n)), where))
    for amplitude, channels in ((contrast, 1), (colour * (pictures.shape[1] > 1), pictures.shape[1])):
        if amplitude:
            size = strength[:, None] * amplitude
            gain = np.exp(np.log1p(size) * rng.uniform(-1, 1, (n, channels)))
            lift = size / 2 * rng.uniform(-1, 1, (n, channels))
            pictures.mul_(_column(gain, where)).add_(_column(lift, where))
    if noise:
        generator = torch.Generator(where).manual_seed(int(rng.integers(2**63)))
        b, c, h, w = pictures.shape
        grain = torch.randn(b, h, w, c, generator=generator, device=where).permute(0, 3, 1, 2)
        pictures.add_(grain.mul_(_column(noise * strength, where)))
    return pictures.clamp_(0, 1)


def _column(values: np.ndarray, where: torch.device) -> torch.Tensor:
    """Per picture (B,) or per picture and channel (B, C) → (B, 1 or C, 1, 1) float32."""
    return inputs.send(values.astype(np.float32), where).reshape(len(values), -1, 1, 1)
