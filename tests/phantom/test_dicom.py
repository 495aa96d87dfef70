"""How a phantom becomes a DICOM file."""

import dataclasses
import io

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_modality_lut, apply_windowing

from pipeline.phantom import dicom

VALUES = np.random.default_rng(0).integers(0, 4096, (70, 65)).astype(np.uint16)


def read_back(machine):
    ds = dicom.dataset(VALUES, (100, 3300), machine, "DEMO-0007", ("R", "MLO"), 4, seed=0)
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    file.seek(0)
    return dcmread(file)


def displayed(ds):
    """Brightness from 0 to 1, after PS3.4 N.2."""
    shown = apply_windowing(apply_modality_lut(ds.pixel_array, ds), ds)
    low = ds.RescaleSlope * 0 + ds.RescaleIntercept
    high = ds.RescaleSlope * 4095 + ds.RescaleIntercept
    share = (shown - low) / (high - low)
    return 1 - share if ds.PhotometricInterpretation == "MONOCHROME1" else share


@pytest.mark.parametrize("machine", dicom.MACHINES, ids=lambda machine: machine.model)
def test_every_machine_shows_the_same_picture(machine):
    expected = np.clip((VALUES - 99.5) / 3199, 0, 1)
    assert np.abs(displayed(read_back(machine)) - expected).max() < 1e-3  # the -0.5 and -1 of LINEAR do not rescale


@pytest.mark.parametrize("machine", dicom.MACHINES, ids=lambda machine: machine.model)
def test_both_photometrics_of_a_machine_show_exactly_the_same_picture(machine):
    one, two = (read_back(dataclasses.replace(machine, photometric=f"MONOCHROME{n}")) for n in (1, 2))
    assert not np.array_equal(one.pixel_array, two.pixel_array)
    assert np.abs(displayed(one) - displayed(two)).max() < 1e-9


@pytest.mark.parametrize("machine", dicom.MACHINES, ids=lambda machine: machine.model)
def test_pixels_come_back_bit_for_bit_in_the_syntax_of_the_machine(machine):
    ds = read_back(machine)
    assert ds.file_meta.TransferSyntaxUID == machine.syntax
    stored = 4095 - VALUES if machine.photometric == "MONOCHROME1" else VALUES
    assert np.array_equal(ds.pixel_array, stored)
    assert (ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation) == (16, 12, 11, 0)


def test_machines_cover_syntaxes_photometrics_and_rescales():
    assert {machine.syntax.name for machine in dicom.MACHINES} == {
        "Explicit VR Little Endian",
        "RLE Lossless",
        "JPEG-LS Lossless Image Compression",
        "JPEG 2000 Image Compression (Lossless Only)",
    }
    assert {machine.photometric for machine in dicom.MACHINES} == {"MONOCHROME1", "MONOCHROME2"}
    assert len({(machine.slope, machine.intercept) for machine in dicom.MACHINES}) > 2


def test_the_header_is_that_of_a_mammogram_for_presentation():
    ds = read_back(dicom.MACHINES[0])
    assert ds.SOPClassUID.name == "Digital Mammography X-Ray Image Storage - For Presentation"
    assert (ds.PatientID, ds.AccessionNumber, ds.Modality) == ("DEMO-0007", "ACC0007", "MG")
    assert (ds.ImageLaterality, ds.ViewPosition, ds.BodyPartExamined) == ("R", "MLO", "BREAST")
    assert (ds.PresentationIntentType, ds.BurnedInAnnotation) == ("FOR PRESENTATION", "NO")
    assert ds.ViewCodeSequence[0].CodeMeaning == "medio-lateral oblique"
    uids = [ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID]
    assert all(uid.is_valid for uid in uids)
    assert len(set(uids)) == 3
