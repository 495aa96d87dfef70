"""The images of one patient as DICOM files, and files that no pipeline should swallow."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom import dcmread

from pipeline.phantom import dicom, tissue
from pipeline.phantom.plan import VIEWS, Patient


def write(patient: Patient, folder: Path, shape: tuple[int, int], seed: int) -> None:
    """Write the patient's images below `folder`.

    Exposure and machine are the study's, chosen without regard to the density.
    """
    rng = np.random.default_rng([seed, 1, patient.number])
    size, gain, gamma = rng.normal(1, 0.12), rng.uniform(0.85, 1.15), rng.uniform(0.9, 1.2)
    window = round(rng.uniform(20, 120)), round(60 + 3000 * gain * rng.uniform(0.9, 1.1))
    machine = dicom.MACHINES[patient.number % len(dicom.MACHINES)]
    (folder / patient.id).mkdir(parents=True)
    for view, path in zip(patient.views, patient.paths, strict=True):
        place = VIEWS.index(view)
        rng = np.random.default_rng([seed, 2, patient.number, place])
        image = tissue.mammogram(patient.density, size, view[1], view[0], shape, rng)
        values = tissue.exposed(image, gain, gamma, rng.uniform(0.5, 1.5), rng)
        ds = dicom.dataset(values, window, machine, patient.id, view, place + 1, seed)
        ds.save_as(folder / path, enforce_file_format=True)


def truncate(path: Path) -> None:
    """Cut the file off in the midst of its pixels."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])


def replace_by_text(path: Path) -> None:
    """No DICOM, but for the name."""
    path.write_text("The archive did not answer; export this study again.\n")


def make_constant(path: Path) -> None:
    """Every pixel alike, as after a failed exposure."""
    ds = dcmread(path)
    values = np.full((ds.Rows, ds.Columns), 512, dtype=np.uint16)
    ds.set_pixel_data(values, ds.PhotometricInterpretation, ds.BitsStored, generate_instance_uid=False)
    ds.save_as(path)


def drop_pixels(path: Path) -> None:
    """A valid header without an image."""
    ds = dcmread(path)
    del ds.PixelData
    ds.save_as(path)


def remove(path: Path) -> None:
    """A label whose file does not exist."""
    path.unlink()


def keep(path: Path) -> None:
    """A sound file; it has no label."""


def empty(path: Path) -> None:
    """Zero bytes."""
    path.write_bytes(b"")


FAULTS: dict[str, Callable[[Path], None]] = {
    "truncated": truncate,
    "text": replace_by_text,
    "constant": make_constant,
    "no_pixels": drop_pixels,
    "missing": remove,
    "unlabelled": keep,
    "empty": empty,
}
