"""What a resampler will take, known before it starts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.errors import PipelineError
from pipeline.heads import memory
from pipeline.heads.resampling.rows import Strategy
from pipeline.heads.resampling.strategy import lacking, remaining

PRODUCTS = 4e10  # multiplications of float32 per second of one core, as measured with AVX-512; about half without
OFFERS = 5e8  # pairs compared per second
LONG = 60.0  # seconds


@dataclass(frozen=True)
class Cost:
    """An estimate, good to a factor of about two.

    Attributes:
        seconds: on one core.
        bytes: of memory besides the rows themselves.
    """

    seconds: float
    bytes: int


def cost(name: str, counts: Sequence[int], dims: int, strategy: Strategy = "full") -> Cost:
    """Time and memory that a resampler will take.

    Args:
        name: of RESAMPLERS.
        counts: rows of each class, by class number.
        dims: of the features.
        strategy: as the resampler gets it.
    """
    y = np.repeat(np.arange(len(counts)), counts)
    rows, more, fewer = len(y), lacking(y, strategy)[0], remaining(y, strategy)[0]
    made = rows + sum(more.values())
    within = sum(counts[label] ** 2 for label in more) / 2
    among = sum(counts[label] for label in more) * rows
    kept = sum(counts[label] * size for label, size in fewer.items())
    pairs = {
        "smote": within,
        "mgs": within,
        "borderline_smote": among,
        "adasyn": among,
        "eos": among,
        "remix": among,
        "svm_smote": 10 * rows**2,  # of iterations of the solver; its own documentation says between n² and n³
        "kmeans_smote": 100 * rows + within,
        "smote_tomek": rows**2 / 2 + within,
        "smote_enn": rows**2 / 2 + within,
        "tomek_links": rows**2 / 2,
        "edited_nearest_neighbours": rows**2 / 2,
        "near_miss": min((n for n in counts if n), default=0) * rows,
        "cluster_centroids": 50 * kept,  # of iterations
    }.get(name, 0)
    after = made**2 / 2 if name in ("smote_tomek", "smote_enn") else 0
    under = ("none", "random_under", "near_miss", "cluster_centroids", "tomek_links", "edited_nearest_neighbours")
    size = 4 * dims * (0 if name == "none" else rows if name in under else made)
    seconds = pairs * dims / PRODUCTS + (pairs + after) / OFFERS + size / 2**30
    return Cost(float(seconds), int(1.5 * size))


def foretell(name: str, counts: Sequence[int], dims: int, strategy: Strategy = "full") -> str:
    """What to say before a resampler starts, empty where it takes less than a minute.

    Raises:
        PipelineError: it would need more memory than there is.
    """
    expected, free = cost(name, counts, dims, strategy), memory.available()
    what = f"{name} of {sum(counts)} rows of {dims} features"
    if expected.bytes > free:
        raise PipelineError(
            what,
            f"takes about {expected.bytes / 2**30:.1f} GiB of memory, {free / 2**30:.1f} GiB are free",
            "ask for a smaller strategy, such as 0.1, or use random_under",
        )
    return f"{what} takes about {expected.seconds / 60:.0f} minutes on one core" if expected.seconds > LONG else ""
