"""What a breast looks like: outline, fat, fibroglandular tissue, pectoral muscle, exposure."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

WHITE = 4095  # greatest of 12 bits


@dataclass(frozen=True)
class Outline:
    """Geometry of a breast on a grid whose chest wall is the left edge; each (h, w) float32.

    Attributes:
        x: distance from the chest wall, in units of the breast's depth.
        y: height above (negative) or below the nipple, in units of the breast's half height.
        inside: depth below the skin as a share of the radius; negative outside.
    """

    x: np.ndarray
    y: np.ndarray
    inside: np.ndarray


def mammogram(
    density: float, size: float, view: str, laterality: str, shape: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Attenuation of one view, (rows, columns) float32: 0 is air, about 1 the densest tissue.

    Args:
        density: latent share of fibroglandular tissue, 0 to 1 or so; dense area and contrast grow with it.
        size: of the breast, 1 on average.
        view: CC or MLO; MLO shows the pectoral muscle.
        laterality: R has its chest wall at the right edge.
        shape: rows, columns.
        rng: random numbers.
    """
    half = shape[0] // 2, shape[1] // 2
    outline = _outline(size, view, half, rng)
    image = _parenchyma(density, outline, rng)
    if view == "MLO":
        image = _with_pectoral(image, rng)
    image = np.asarray(Image.fromarray(image).resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
    return image[:, ::-1] if laterality == "R" else image


def exposed(image: np.ndarray, gain: float, gamma: float, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Display values of an attenuation image, (rows, columns) uint16 of 12 bits, with noise as of counts."""
    signal = 60 + 3300 * gain * np.clip(image, 0, None) ** gamma
    signal += noise * np.sqrt(signal) * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(np.rint(signal), 0, WHITE).astype(np.uint16)


def power_law(shape: tuple[int, int], beta: float, rng: np.random.Generator) -> np.ndarray:
    """Noise with mean 0, deviation 1 and a power spectrum of 1/f^beta, (h, w) float32.

    Mammograms have beta near 3: Burgess, Jacobson & Judy 2001, doi:10.1118/1.1355308.
    """
    white = rng.standard_normal((shape[0], shape[1] // 2 + 1, 2), dtype=np.float32).view(np.complex64)[..., 0]
    noise = np.fft.irfft2(white * _amplitude(shape, beta), s=shape)
    return noise / noise.std()


@cache
def _amplitude(shape: tuple[int, int], beta: float) -> np.ndarray:
    f = np.hypot(np.fft.fftfreq(shape[0])[:, None] * shape[0], np.fft.rfftfreq(shape[1])[None] * shape[1])
    f[0, 0] = np.inf  # no mean
    return (f ** (-beta / 2)).astype(np.float32)


def _outline(size: float, view: str, shape: tuple[int, int], rng: np.random.Generator) -> Outline:
    depth = np.clip(0.68 * size * rng.uniform(0.95, 1.05), 0.4, 0.93)
    height = np.clip(0.74 * size * rng.uniform(0.95, 1.05), 0.45, 0.93)
    nipple = rng.uniform(-0.04, 0.04) + (0.18 if view == "MLO" else 0)
    x = np.linspace(0, 1, shape[1], dtype=np.float32)[None] / np.float32(depth)
    y = (np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None] - np.float32(nipple)) / np.float32(height)
    if view == "MLO":
        y = np.where(y < 0, y / np.float32(2), y)  # the axillary tail reaches the upper edge
    radius = np.hypot(x, y)
    teat = np.hypot((x - 1) * depth, y * height * shape[0] / shape[1] / 2) / 0.035
    return Outline(x + 0 * y, y + 0 * x, 1 - np.minimum(radius, 0.97 + 0.03 * teat))


def _parenchyma(density: float, outline: Outline, rng: np.random.Generator) -> np.ndarray:
    shape, inside = outline.x.shape, outline.inside
    core = np.exp(-(((outline.x - 0.45) / 0.45) ** 2) - (outline.y / 0.55) ** 2)
    fat_rim = np.exp(-np.clip(inside, 0, None) / 0.05) + np.exp(-outline.x / 0.06)
    field = power_law(shape, 3.0, rng) + 2.2 * core - 1.6 * fat_rim
    area = np.clip(0.04 + 0.78 * density + 0.03 * rng.standard_normal(), 0.02, 0.92)
    edge = np.quantile(field[inside > 0], 1 - area)
    dense = 1 / (1 + np.exp(np.clip((edge - field) / 0.3, -30, 30)))
    strands = np.exp(-((power_law(shape, 3.2, rng) / 0.07) ** 2))
    contrast = np.clip(0.16 + 0.30 * density, 0.1, 0.5)
    texture = power_law(shape, 2.4, rng)
    tissue = 0.34 + 0.035 * texture + dense * (contrast + 0.04 * texture) + 0.05 * strands * (0.35 + dense)
    thickness = np.sqrt(1 - (1 - np.clip(inside / 0.16, 0, 1)) ** 2)
    skin = 0.12 * np.exp(-(((inside - 0.012) / 0.009) ** 2))
    return np.where(inside > 0, thickness * np.clip(tissue, 0.1, None) + skin, 0).astype(np.float32)


def _with_pectoral(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    shape = image.shape[0], image.shape[1]
    top, foot = rng.uniform(0.25, 0.42), rng.uniform(0.5, 0.75)
    x, y = np.linspace(0, 1, shape[1])[None], np.linspace(0, 1, shape[0])[:, None]
    texture = power_law(shape, 3.2, rng)
    within = (1 - y / foot - x / top) / 0.05 + 0.4 * texture
    share = 1 / (1 + np.exp(np.clip(-within, -30, 30)))
    muscle = rng.uniform(0.60, 0.72) + 0.02 * texture
    return (image * (1 - share) + np.maximum(image, muscle) * share).astype(np.float32)
