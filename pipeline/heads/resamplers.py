"""Resamplers in feature space, on training rows only.

One signature: (rows: Rows, random_state, **values) → Resampled. Real rows come first and unchanged;
a RandomState, not an integer, is passed on: with an integer, imbalanced-learn restarts the stream for each class.
What takes long or much memory is known before: `costs.foretell`.
"""

from collections.abc import Callable

import numpy as np

from pipeline.heads.resampling.cleaning import edited_nearest_neighbours, smote_enn, smote_tomek, tomek_links
from pipeline.heads.resampling.drawing import planned, repeated
from pipeline.heads.resampling.guided import kmeans_smote, svm_smote
from pipeline.heads.resampling.mixing import eos, mgs, remix
from pipeline.heads.resampling.rows import Resampled, Rows, Strategy, of_real
from pipeline.heads.resampling.smotes import adasyn, borderline_smote, smote
from pipeline.heads.resampling.undersampling import cluster_centroids, near_miss, random_under


def none(rows: Rows, random_state: np.random.RandomState) -> Resampled:
    """The rows as they are, not copied."""
    return of_real(rows, np.arange(len(rows.y)))


def random_over(rows: Rows, random_state: np.random.RandomState, strategy: Strategy = "full") -> Resampled:
    """Rows of the smaller classes repeated at random."""
    return planned(rows, strategy, lambda label, size: repeated(rows, label, size, random_state)).written()


RESAMPLERS: dict[str, Callable[..., Resampled]] = {
    "none": none,
    "random_over": random_over,
    "random_under": random_under,
    "smote": smote,
    "borderline_smote": borderline_smote,
    "adasyn": adasyn,
    "svm_smote": svm_smote,
    "kmeans_smote": kmeans_smote,
    "smote_tomek": smote_tomek,
    "smote_enn": smote_enn,
    "tomek_links": tomek_links,
    "edited_nearest_neighbours": edited_nearest_neighbours,
    "near_miss": near_miss,
    "cluster_centroids": cluster_centroids,
    "remix": remix,
    "eos": eos,
    "mgs": mgs,
}
"""`none` is the baseline that every other arm must beat."""
