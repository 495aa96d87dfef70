"""Small data of separated classes, and arms of given values, for the tests of arms."""

import numpy as np

from pipeline.heads.cases import Cases
from pipeline.heads.entries import Entry
from pipeline.heads.named import Pair
from pipeline.heads.protocol import Protocol

LOGISTIC = {"C": 1.0, "max_iter": 1000}
NAMES = ("A", "B", "C", "D", "E")


def blobs(sizes, dimensions=6, seed=0):
    """Rows around one centre per class, in random order: (n, D) float32, (n,) int."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    X = rng.normal(size=(len(y), dimensions)) + 2 * rng.normal(size=(len(sizes), dimensions))[y]
    order = rng.permutation(len(y))
    return X[order].astype(np.float32), y[order]


def cases(X, y, patients=None, natural=None, classes=None):
    """Cases of which each row is a patient and a picture itself, unless given otherwise."""
    rows = np.arange(len(y))
    return Cases(
        X,
        y,
        rows if patients is None else patients,
        np.ones(len(y), bool) if natural is None else natural,
        NAMES[: max(y) + 1] if classes is None else classes,
    )


def pair(resampler="none", head="logistic", of_resampler=None, of_head=None):
    """A pair with the values that these two need."""
    return Pair(
        Entry("resamplers", resampler, of_resampler or {}, f"resamplers.{resampler}"),
        Entry("heads", head, LOGISTIC if of_head is None else of_head, f"heads.{head}"),
    )


def hits(labels, probabilities):
    """Share of right predictions; picklable, and more is better."""
    return float((probabilities.argmax(1) == labels).mean())


PROTOCOL = Protocol(folds=3, most=16, metric="accuracy", score=hits)
