"""Resamplers against stock imbalanced-learn: how fast, whether the rows are the same, how much memory.

    python benchmarks/resampling.py [--quick] [--json FILE]

Features are standard normal, plus a direction of the class times a strength between 0 and 2, so that the classes
overlap; their proportions are those of breast density (EMBED), the largest is about half. There is no structure that a
search could use, so real features are no harder. Both sides get the same RandomState, take turns, and run in one
thread, as the folds of an arm do; the best time of each counts. Peak memory is what is allocated while a resampler
runs, its output included.
"""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import claims
import numpy as np
from imblearn import combine, over_sampling

from pipeline.heads import arms
from pipeline.heads.resamplers import RESAMPLERS
from pipeline.heads.resampling.rows import Rows

DENSITIES = np.array([40, 363, 849, 335])
STOCK: dict[str, Callable[..., Any]] = {
    "smote": over_sampling.SMOTE,
    "borderline_smote": over_sampling.BorderlineSMOTE,
    "adasyn": over_sampling.ADASYN,
    "smote_tomek": combine.SMOTETomek,
    "smote_enn": combine.SMOTEENN,
}
CLAIMS = {
    "smote_vs_imblearn": ("smote", 2.0),
    "borderline_vs_imblearn": ("borderline_smote", 2.0),
    "adasyn_vs_imblearn": ("adasyn", 2.0),
    "smote_tomek_vs_imblearn": ("smote_tomek", 10.0),
    "smote_enn_vs_imblearn": ("smote_enn", 10.0),
}
SIZES = {"smote": [(20_000, 512, 3), (100_000, 512, 1)], "smote_tomek": [(20_000, 1280, 1)]}  # rows, features, turns
QUICK = {"smote": [(20_000, 512, 2)], "smote_tomek": [(10_000, 1280, 1)]}


def measured(quick: bool) -> dict[str, dict[str, Any]]:
    """Claims by name; of several sizes the smallest ratio counts."""
    sizes, ratios, said, same, memory = QUICK if quick else SIZES, {}, {}, {}, {}
    for resample in RESAMPLERS:  # what is compiled or imported at the first call stays out of the times
        if resample in STOCK:
            RESAMPLERS[resample](generated(300, 16), random_state())
    for claim, (name, _) in CLAIMS.items():
        for rows, dims, turns in sizes["smote_tomek" if "smote_" in name and "borderline" not in name else "smote"]:
            data = generated(rows, dims)
            stock, ours, equal = in_turns(name, data, turns)
            ratios[claim] = min(ratios.get(claim, np.inf), stock / ours)
            said.setdefault(claim, []).append(f"{stock:.1f} / {ours:.1f} s at {rows:,} × {dims}")
            same[f"{name} {rows:,}"], memory[f"{name} {rows:,}"] = equal, 1 / peak(name, data)
    found = {
        claim: {"value": ratios[claim], "unit": f"imbalanced-learn / ours: {'; '.join(said[claim])}", "goal": goal}
        for claim, (_, goal) in CLAIMS.items()
    }
    least, most = min(same, key=lambda name: same[name]), min(memory, key=lambda name: memory[name])
    found["resampled_rows_as_imblearn"] = {"value": same[least], "unit": f"share, least: {least}", "goal": 0.9999}
    found["resampling_memory"] = {
        "value": memory[most],
        "unit": f"output / peak, least: {most} rows, {1 / memory[most]:.2f} times its output",
        "goal": 1 / 1.5,
    }
    return found


def in_turns(name: str, data: Rows, turns: int) -> tuple[float, float, float]:
    """Seconds of imbalanced-learn, of ours, and the share of rows that are the same."""
    stock, ours, equal = [], [], 0.0
    for _ in range(turns):
        start = time.perf_counter()
        expected = STOCK[name](random_state=random_state()).fit_resample(data.X, data.y)[0]
        middle = time.perf_counter()
        made = RESAMPLERS[name](data, random_state()).X
        stock, ours = [*stock, middle - start], [*ours, time.perf_counter() - middle]
        equal = share_of_equal_rows(expected, made)
    return min(stock), min(ours), equal


def share_of_equal_rows(expected: np.ndarray, made: np.ndarray) -> float:
    """Of the rows of both, those that the other has bit by bit."""
    one, other = ({row.tobytes() for row in rows} for rows in (expected, made))
    return len(one & other) / max(len(one), len(other))


def peak(name: str, data: Rows) -> float:
    """Most memory that is held while it runs, in relation to its output."""
    tracemalloc.start()
    size = RESAMPLERS[name](data, random_state()).X.nbytes
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / size


def random_state() -> np.random.RandomState:
    return np.random.RandomState(0)


def generated(rows: int, dims: int) -> Rows:
    rng = np.random.default_rng(0)
    sizes = (DENSITIES / DENSITIES.sum() * rows).astype(int)
    sizes[2] += rows - sizes.sum()
    y = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    X = rng.standard_normal((rows, dims), np.float32)
    X += 2 * rng.random((rows, 1), np.float32) * rng.standard_normal((len(sizes), dims), np.float32)[y]
    return Rows(X, y, np.arange(rows))


if __name__ == "__main__":
    options = claims.parser(__doc__.splitlines()[0]).parse_args()
    with arms.one_thread_each():
        found = measured(options.quick)
    claims.publish(found, options.json)
