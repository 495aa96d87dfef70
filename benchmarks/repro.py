"""What a day's work costs: swapping a head, and scanning a folder in which nothing changed.

    make repro && python benchmarks/repro.py

Works on a copy of this checkout with its demo data and artifacts. On a busy machine the seconds say little.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import claims
import numpy as np
import pandas as pd
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
FILES = 10_000


def main() -> None:
    options = claims.parser(__doc__.splitlines()[0])
    chosen = options.parse_args()
    repeats = 1 if chosen.quick else 5
    with tempfile.TemporaryDirectory() as folder:
        copy = checkout(Path(folder) / "copy")
        overhead, to_report = zip(*[swap(copy, 0.002 * (n + 1)) for n in range(repeats)], strict=True)
        rescan = scan(copy, Path(folder) / "images", repeats)
    claims.publish(
        {
            "head_swap": {
                "value": 4 / statistics.median(overhead),
                "unit": f"4 s / {statistics.median(overhead):.2f} s on top of the fit",
                "goal": 1,
            },
            "new_report": {
                "value": 15 / statistics.median(to_report),
                "unit": f"15 s / {statistics.median(to_report):.2f} s from there to a new report",
                "goal": 1,
            },
            "rescan_files_per_s": {
                "value": FILES / statistics.median(rescan),
                "unit": f"files/s, {FILES} in {statistics.median(rescan):.2f} s, the start of Python included",
                "goal": FILES,
            },
        },
        chosen.json,
    )


def checkout(copy: Path) -> Path:
    """Tracked files, data, artifacts and DVC's cache, with their times, and everything up to date."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(copy)], check=True)
    for name in ("data", "artifacts", ".dvc/cache", ".dvc/tmp"):
        shutil.copytree(ROOT / name, copy / name, dirs_exist_ok=True)
    shutil.copy(ROOT / "dvc.lock", copy)
    run(copy, "dvc", "repro")
    return copy


def swap(copy: Path, strength: float) -> tuple[float, float]:
    """Seconds of `dvc repro fit@none-logistic` beyond the fit, and of `dvc repro` after it."""
    yaml = YAML()
    values = yaml.load(copy / "params.yaml")
    values["heads"]["logistic"]["C"] = strength
    yaml.dump(values, copy / "params.yaml")
    alone = run(copy, "dvc", "repro", "fit@none-logistic")
    folds = json.loads((copy / "artifacts/fits/none-logistic/fit.json").read_text())["folds"]
    fit = sum(fold["seconds_resample"] + fold["seconds_fit"] for fold in folds)
    return alone - fit, run(copy, "dvc", "repro")


def scan(copy: Path, images: Path, repeats: int) -> list[float]:
    """Seconds of the index stage over files that it has seen."""
    write_files(images)
    yaml = YAML()
    values = yaml.load(copy / "params.yaml")
    values["data"] |= {"images": str(images), "labels": str(images / "labels.csv"), "label": "label"}
    yaml.dump(values, copy / "params.yaml")
    run(copy, "python", "-m", "pipeline", "index")
    return [run(copy, "python", "-m", "pipeline", "index") for _ in range(repeats)]


def write_files(images: Path) -> None:
    images.mkdir()
    rows = []
    for number in range(FILES):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(number)])
        ds.PatientID = f"P{number // 4}"
        ds.Rows = ds.Columns = 8
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 8
        ds.HighBit, ds.PixelRepresentation = 7, 0
        ds.PixelData = np.full(64, number % 251, np.uint8).tobytes()
        name = f"{number // 500:02d}/{number:05d}.dcm"
        (images / name).parent.mkdir(exist_ok=True)
        ds.save_as(images / name, enforce_file_format=True)
        rows.append((name, "ABCD"[number % 4]))
    pd.DataFrame(rows, columns=["path", "label"]).to_csv(images / "labels.csv", index=False)


def run(folder: Path, *command: str) -> float:
    """Wall seconds of a command; its output is shown when it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
