"""Writes the demo: phantom mammograms as DICOM files, and their labels.

data/demo/images/DEMO-0000/L_CC.dcm   one folder per patient; behind the last patient, the broken files
data/demo/labels.csv                  path, patient_id, density
data/demo/demo.json                   what made it; nothing is written while that stays the same
"""

import dataclasses
import json
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import engine, phantom, provenance, storage
from pipeline.params import Params
from pipeline.phantom import plan, study

FOLDER = Path("data/demo")
PACKAGES = ("numpy", "pillow", "pydicom", "pyjpegls", "pylibjpeg-openjpeg", "python-gdcm")

log = logging.getLogger(__name__)


def run(params: Params) -> None:
    """Write the phantom data set, unless the one on disk was made by the same params and code."""
    demo = params.demo
    made_by = provenance.of("demo", dataclasses.asdict(demo), {}, PACKAGES, provenance.sources(__file__, phantom))
    if _is_current(made_by):
        log.info("%s is up to date", FOLDER)
        return
    people = plan.patients(demo.images, demo.patients, demo.classes, demo.label_noise, demo.seed)
    commonest = max(demo.classes, key=lambda name: demo.classes[name])
    broken = plan.broken(demo.broken, demo.patients, commonest, tuple(study.FAULTS))
    write = partial(study.write, shape=(demo.rows, demo.columns), seed=demo.seed)
    with storage.folder_atomic(FOLDER.absolute()) as folder:  # workers may stand elsewhere
        images = folder / "images"
        images.mkdir()
        list(engine.map(partial(write, folder=images), people, params.engine.workers, "demo patients"))
        for patient, fault in broken:
            write(patient, folder=images)
            study.FAULTS[fault](images / patient.paths[0])
        labelled = [*people, *(patient for patient, fault in broken if fault != "unlabelled")]
        _labels(labelled).to_csv(folder / "labels.csv", index=False, lineterminator="\n")
        manifest = {"made_by": made_by, "files": _files(images)}
        (folder / "demo.json").write_text(json.dumps(manifest, indent=1) + "\n")
    log.info("%s: %d files, %d of them broken on purpose", FOLDER, manifest["files"], len(broken))


def _is_current(made_by: Mapping[str, Any]) -> bool:
    try:
        manifest = json.loads((FOLDER / "demo.json").read_bytes())
    except (OSError, ValueError):
        return False
    whole = (FOLDER / "labels.csv").exists() and _files(FOLDER / "images") == manifest.get("files")
    return whole and manifest.get("made_by") == made_by


def _files(images: Path) -> int:
    return sum(1 for _ in images.glob("*/*.dcm"))


def _labels(patients: list[plan.Patient]) -> pd.DataFrame:
    rows = [(path, patient.id, patient.label) for patient in patients for path in patient.paths]
    return pd.DataFrame(rows, columns=["path", "patient_id", "density"]).sort_values("path")
