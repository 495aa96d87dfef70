"""Which cached features still serve, and how new ones join them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.artifacts import FEATURE_ROWS, Features


def reusable(cached: Features | None, name: str, made_by: Mapping[str, Any], rows: pd.DataFrame) -> np.ndarray:
    """Position in the cached file of each row of `rows`, (N,) int, -1 where it must be computed.

    A cached row serves when weights, render settings, code and packages are the same, and the image's fingerprint too.
    """
    if cached is None or name not in cached.values:
        return np.full(len(rows), -1)
    old = cached.manifest["made_by"][name]
    if {**old, "inputs": {**old["inputs"], "pixels": made_by["inputs"]["pixels"]}} != made_by:
        return np.full(len(rows), -1)
    return pd.MultiIndex.from_frame(cached.rows[list(FEATURE_ROWS)]).get_indexer(
        pd.MultiIndex.from_frame(rows[list(FEATURE_ROWS)])
    )


def merge(cached: np.ndarray | None, kept: np.ndarray, computed: np.ndarray) -> np.ndarray:
    """One row per entry of `kept`, (N, D) float32: the cached one at that position, or for -1 the next computed one."""
    if cached is None:
        return computed
    merged = np.empty((len(kept), cached.shape[1]), np.float32)
    merged[kept >= 0] = cached[kept[kept >= 0]]
    merged[kept < 0] = computed
    return merged
