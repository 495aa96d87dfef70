"""From display values to DICOM: Digital Mammography X-Ray Image Storage - For Presentation (PS3.3 A.26)."""

import logging
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from pipeline.phantom.tissue import WHITE

logging.getLogger("openjpeg").setLevel(logging.WARNING)  # else a line for each image

# Named, so that another installed encoder does not change the bytes.
ENCODERS: dict[str, str] = {RLELossless: "gdcm", JPEGLSLossless: "pyjpegls", JPEG2000Lossless: "pylibjpeg"}
VIEW_CODES = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}


@dataclass(frozen=True)
class Machine:
    """How a mammography unit stores its images; makers are fictional."""

    manufacturer: str
    model: str
    photometric: str
    syntax: str
    slope: float
    intercept: float


MACHINES = (
    Machine("Halcyon Phantom Works", "H1", "MONOCHROME2", ExplicitVRLittleEndian, 1.0, 0.0),
    Machine("Petrel Imaging", "Storm 5", "MONOCHROME2", JPEGLSLossless, 2.0, -1024.0),
    Machine("Halcyon Phantom Works", "H1 Film", "MONOCHROME1", RLELossless, 1.0, 0.0),
    Machine("Umbra Medical", "Penumbra", "MONOCHROME2", JPEG2000Lossless, 1.0, 0.0),
    Machine("Petrel Imaging", "Storm 3", "MONOCHROME1", ExplicitVRLittleEndian, 0.5, 10.0),
    Machine("Umbra Medical", "Antumbra", "MONOCHROME1", JPEGLSLossless, 1.0, -2048.0),
    Machine("Halcyon Phantom Works", "H2", "MONOCHROME2", RLELossless, 1.0, 0.0),
    Machine("Petrel Imaging", "Storm 6", "MONOCHROME2", ExplicitVRLittleEndian, 1.0, -1000.0),
)


def dataset(
    values: np.ndarray,
    window: tuple[int, int],
    machine: Machine,
    patient_id: str,
    view: tuple[str, str],
    instance: int,
    seed: int,
) -> Dataset:
    """A mammogram ready to be saved, in the machine's transfer syntax.

    Args:
        values: display values, (rows, columns) uint16 of 12 bits; greater is brighter.
        window: display values that become black and white.
        machine: the unit that made it.
        patient_id: also the root of the UIDs, together with `seed`.
        view: laterality and view position.
        instance: number of the image in its study.
        seed: of the data set.
    """
    ds = Dataset()
    _identify(ds, patient_id, view, instance, seed)
    _describe(ds, view, machine)
    _set_pixels(ds, values, window, machine)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if machine.syntax != ExplicitVRLittleEndian:
        ds.compress(machine.syntax, encoding_plugin=ENCODERS[machine.syntax], generate_instance_uid=False)
    return ds


def _identify(ds: Dataset, patient_id: str, view: tuple[str, str], instance: int, seed: int) -> None:
    def uid(kind: str) -> str:
        return generate_uid(entropy_srcs=["skewray phantom", str(seed), patient_id, kind])

    digits = patient_id.split("-")[-1]
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    ds.SOPInstanceUID = uid("/".join(view))
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid("study"), uid("series")
    ds.PatientName, ds.PatientID = f"Phantom^{digits}", patient_id
    ds.PatientBirthDate, ds.PatientSex = "19600101", "F"
    ds.AccessionNumber, ds.StudyID = f"ACC{digits}", digits
    ds.StudyDate = ds.ContentDate = "20240102"
    ds.StudyTime = ds.ContentTime = "080000"
    ds.ReferringPhysicianName = ""
    ds.SeriesNumber, ds.InstanceNumber = 1, instance


def _describe(ds: Dataset, view: tuple[str, str], machine: Machine) -> None:
    laterality, position = view
    ds.Modality = "MG"
    ds.Manufacturer, ds.ManufacturerModelName = machine.manufacturer, machine.model
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.BodyPartExamined = "BREAST"
    ds.ImageLaterality, ds.ViewPosition = laterality, position
    ds.PatientOrientation = ["A" if laterality == "L" else "P", "R" if position == "CC" else "F"]
    ds.ViewCodeSequence = [_code(*VIEW_CODES[position])]
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = []
    ds.AnatomicRegionSequence = [_code("76752008", "Breast")]
    ds.AcquisitionContextSequence = []
    ds.PositionerType, ds.DetectorType = "MAMMOGRAPHIC", "DIRECT"
    ds.OrganExposed, ds.BreastImplantPresent = "BREAST", "NO"
    ds.ImagerPixelSpacing = [0.4, 0.4]
    ds.BurnedInAnnotation, ds.QualityControlImage = "NO", "NO"
    ds.LossyImageCompression = "00"


def _code(value: str, meaning: str) -> Dataset:
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, "SCT", meaning
    return ds


def _set_pixels(ds: Dataset, values: np.ndarray, window: tuple[int, int], machine: Machine) -> None:
    centre = machine.slope * (window[0] + window[1]) / 2 + machine.intercept
    inverted = machine.photometric == "MONOCHROME1"
    if inverted:
        # LINEAR (PS3.3 C.11.2.1.2.1) is symmetric about centre - 0.5, hence the 1.
        values = WHITE - values
        centre = machine.slope * WHITE + 2 * machine.intercept - centre + 1
    ds.Rows, ds.Columns = values.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, machine.photometric
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1 if inverted else 1
    ds.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    ds.WindowCenter, ds.WindowWidth = centre, machine.slope * (window[1] - window[0])
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = machine.slope, machine.intercept, "US"
    ds.PixelData = np.ascontiguousarray(values, dtype="<u2").tobytes()
    ds["PixelData"].VR = "OW"
