"""Who is in the phantom data set: patients, their density, their images and the labels they are given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

VIEWS = (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))

# Latent density within a class is normal; this is its deviation, where neighbouring classes lie one apart.
# They overlap, so that a rare class drowns in a common neighbour unless the class counts are compensated for.
SPREAD = 0.4


@dataclass(frozen=True)
class Patient:
    """One patient and the one study of that patient.

    Attributes:
        number: from 0; tells nothing about the density.
        density: latent share of fibroglandular tissue, about 0 to 1.
        label: the class in labels.csv, the same for all images.
        views: (laterality, view position) of each image, up to four.
    """

    number: int
    density: float
    label: str
    views: tuple[tuple[str, str], ...]

    @property
    def id(self) -> str:
        """The DICOM Patient ID."""
        return f"DEMO-{self.number:04d}"

    @property
    def paths(self) -> list[str]:
        """File of each view, below the image folder."""
        return [f"{self.id}/{laterality}_{position}.dcm" for laterality, position in self.views]


def patients(images: int, count: int, classes: Mapping[str, float], label_noise: float, seed: int) -> list[Patient]:
    """Patients with `images` images together, at most four each.

    Args:
        images: number of images, from `count` to 4 times that.
        count: number of patients.
        classes: proportion by class, from the least to the most dense.
        label_noise: share of the patients whose label is a neighbouring class.
        seed: of the random numbers.
    """
    rng = np.random.default_rng([seed, 0])
    truth = np.repeat(np.arange(len(classes)), apportion(count, np.array(list(classes.values()))))
    views = _view_counts(images, count, rng)
    density = (truth + 0.5 + SPREAD * rng.standard_normal(count)) / len(classes)
    label = _with_noise(truth, len(classes), label_noise, np.random.default_rng([seed, 3]))
    names = list(classes)
    return [
        Patient(number, float(density[row]), names[label[row]], _views(int(views[row]), rng))
        for number, row in enumerate(rng.permutation(count))
    ]


def apportion(total: int, proportions: np.ndarray) -> np.ndarray:
    """Whole numbers that add up to `total`, by largest remainder; at least one each, (n,) int64."""
    exact = proportions / proportions.sum() * (total - len(proportions))
    whole = np.floor(exact).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: total - len(proportions) - whole.sum()]] += 1
    return whole + 1


def _view_counts(images: int, count: int, rng: np.random.Generator) -> np.ndarray:
    further = rng.permutation(np.repeat(np.arange(count), 3))[: images - count]
    counts = np.sort(1 + np.bincount(further, minlength=count))
    # Patients stand in class order; the golden ratio deals every run of them a fair sample of the counts.
    golden = (np.arange(count) * (5**0.5 - 1) / 2) % 1
    return counts[np.argsort(np.argsort(golden))]


def _with_noise(truth: np.ndarray, classes: int, share: float, rng: np.random.Generator) -> np.ndarray:
    label = truth.copy()
    mistaken = rng.permutation(len(truth))[: round(share * len(truth))]
    step = rng.choice([-1, 1], size=len(mistaken))
    beyond = (truth[mistaken] + step < 0) | (truth[mistaken] + step >= classes)
    label[mistaken] += np.where(beyond, -step, step)
    return label


def _views(count: int, rng: np.random.Generator) -> tuple[tuple[str, str], ...]:
    return tuple(VIEWS[place] for place in np.sort(rng.permutation(4)[:count]))


def broken(count: int, first: int, label: str, faults: Sequence[str]) -> list[tuple[Patient, str]]:
    """Patients numbered from `first` with one image and the fault it gets, by turns."""
    return [(Patient(first + place, 0.5, label, VIEWS[:1]), faults[place % len(faults)]) for place in range(count)]
