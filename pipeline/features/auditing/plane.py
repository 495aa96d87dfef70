"""Features in two dimensions."""

from collections.abc import Mapping

import numpy as np


def project(X: np.ndarray, synthetic: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Coordinates of rows and, among them, of synthetic ones: their two principal components.

    Args:
        X: (M, D) float32, finite.
        synthetic: (s, D) float32 by resampler.

    Returns:
        (M, 2) float32, and (s, 2) float32 by resampler.
    """
    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = X - mean
    axes = np.linalg.eigh(centred.T @ centred)[1][:, :-3:-1]
    return centred @ axes, {name: (rows - mean) @ axes for name, rows in synthetic.items()}
