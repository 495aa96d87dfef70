"""The split stage on as many images, patients and labels as NIH ChestX-ray14 has: how long, and how even.

    python benchmarks/splits.py [--quick] [--json FILE]

The data set is generated: images, patients, the most images of a patient and the images of each label are those of the
paper (arXiv:1705.02315) and its CSV; a patient's labels go together, patients with many images are more often ill, and
about as many images have no label. `python -m pipeline split` is timed from start to end, with the tries of
params.yaml, 70/10/20. Drift of a label: how far the share of its images that a role has is from the wanted one, in
relation to that; it may be 5 %, or 10 % for a label with fewer than 300 images. No other work should run.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import chdir
from pathlib import Path

import claims
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from pipeline import artifacts

ROOT = Path(__file__).parents[1]
IMAGES, PATIENTS, MOST = 112_120, 30_805, 184
LABELS = {
    "Infiltration": 19894,
    "Effusion": 13317,
    "Atelectasis": 11559,
    "Nodule": 6331,
    "Mass": 5782,
    "Pneumothorax": 5302,
    "Consolidation": 4667,
    "Pleural_Thickening": 3385,
    "Cardiomegaly": 2776,
    "Emphysema": 2516,
    "Edema": 2303,
    "Fibrosis": 1686,
    "Pneumonia": 1431,
    "Hernia": 227,
}
# Shares of the variance of a label's tendency. With these, 60,401 images have no label; there it is 60,361.
ILL, PATIENT = 0.15, 0.45
WANTED = {"train": 0.7, "val": 0.1, "test": 0.2}
SECONDS, SMALL, BOUND, BOUND_OF_SMALL = 20.0, 300, 0.05, 0.10


def main() -> None:
    options = claims.parser(__doc__.splitlines()[0]).parse_args()
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        index = generate(np.random.default_rng(0))
        artifacts.save_index(index)
        write_params()
        seconds = statistics.median(split() for _ in range(1 if options.quick else 3))
        roles = artifacts.load_splits().set_index("image_id")["role"].reindex(index["image_id"])
    ours = drift(index, roles.to_numpy(str))
    show(index, ours)
    random = drift(index, random_roles(index, np.random.default_rng(0)))
    bounds = pd.Series({name: BOUND_OF_SMALL if count < SMALL else BOUND for name, count in LABELS.items()})
    claims.publish(
        {
            "split_seconds": {"value": SECONDS / seconds, "unit": "20 s / wall time of the stage", "goal": 1},
            "split_drift": {"value": float((bounds / ours).min()), "unit": "bound / drift, worst label", "goal": 1},
            "split_drift_vs_random": {
                "value": float(random.max() / ours.max()),
                "unit": "worst drift of patients at random / ours",
                "goal": 5,
            },
        },
        options.json,
    )


def generate(rng: np.random.Generator) -> pd.DataFrame:
    """An index of IMAGES rows with the images of each label exactly as in LABELS."""
    images = sizes(rng)
    rows = np.repeat(np.arange(PATIENTS), images)
    followed = (np.log(images) - np.log(images).mean()) / np.log(images).std()
    illness = 0.5 * (0.4 * followed + 0.9 * rng.normal(size=PATIENTS))[rows] + 0.5 * rng.normal(size=IMAGES)
    codes = np.zeros((IMAGES, len(LABELS)), np.int8)
    for number, count in enumerate(LABELS.values()):
        own = np.sqrt(PATIENT) * rng.normal(size=PATIENTS)[rows]
        latent = np.sqrt(2 * ILL) * illness + own + np.sqrt(1 - ILL - PATIENT) * rng.normal(size=IMAGES)
        codes[np.argpartition(-latent, count)[:count], number] = artifacts.PRESENT
    empty = {name: pd.Series(["" if kind == "str" else 0] * IMAGES) for name, kind in artifacts.INDEX_COLUMNS.items()}
    index = pd.DataFrame(empty | {artifacts.LABEL + name: codes[:, number] for number, name in enumerate(LABELS)})
    index["image_id"] = [f"{number:08d}" for number in rng.permutation(IMAGES)]
    index["group"] = [f"{patient:016x}" for patient in rows.tolist()]
    return index.sort_values("image_id", ignore_index=True)


def sizes(rng: np.random.Generator) -> np.ndarray:
    """Images of each patient, (PATIENTS,) int: more than half have one, a few nearly MOST; IMAGES in all."""
    tail = np.exp(1.75 * rng.normal(size=PATIENTS))
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        enough = np.minimum(1 + np.floor(middle * tail), MOST).sum() > IMAGES
        low, high = (low, middle) if enough else (middle, high)
    images = np.minimum(1 + np.floor(low * tail), MOST).astype(int)
    few = rng.choice(np.flatnonzero(images < MOST), IMAGES - images.sum(), replace=False)
    images[few] += 1
    return images


def write_params() -> None:
    yaml = YAML()
    content = yaml.load(ROOT / "params.yaml")
    content["data"] |= {"task": "multilabel", "label": list(LABELS), "classes": None}
    content["finetune"]["loss"] = "bce"
    content["split"] |= {"folds": 1, "repeats": 1, "val": WANTED["val"], "test": WANTED["test"]}
    yaml.dump(content, Path("params.yaml"))


def split() -> float:
    """Wall seconds of the stage."""
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "pipeline", "split"], env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return time.perf_counter() - start


def random_roles(index: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Patients at random, until a role has its share of them."""
    numbers = pd.factorize(index["group"])[0]
    cuts = np.round(np.cumsum([0, *WANTED.values()]) * PATIENTS).astype(int)
    of_patient = np.empty(PATIENTS, object)
    of_patient[rng.permutation(PATIENTS)] = np.repeat(list(WANTED), np.diff(cuts))
    return of_patient[numbers].astype(str)


def drift(index: pd.DataFrame, roles: np.ndarray) -> pd.Series:
    """Worst of the roles, by label."""
    present = index[[artifacts.LABEL + name for name in LABELS]].to_numpy() == artifacts.PRESENT
    shares = np.stack([present[roles == role].sum(0) / present.sum(0) for role in WANTED])  # (3, L)
    wanted = np.array([*WANTED.values()])[:, None]
    return pd.Series(np.abs(shares / wanted - 1).max(0), [*LABELS])


def show(index: pd.DataFrame, drifts: pd.Series) -> None:
    table = Table("label", "images", "patients", "drift")
    for name, value in drifts.items():
        having = index[index[f"{artifacts.LABEL}{name}"] == artifacts.PRESENT]
        table.add_row(str(name), str(len(having)), str(having["group"].nunique()), f"{value:.2%}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
