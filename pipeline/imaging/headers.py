"""What a file says of itself, without decoding its pixels. No name, no date, no raw id leaves this module."""

import re
from pathlib import Path
from typing import Any, BinaryIO

import pydicom

from pipeline.errors import PipelineError
from pipeline.imaging import files, fingerprint
from pipeline.imaging.identity import pseudonym

# Of a DICOM file, these elements are read and no other.
TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "PatientID",
    "AccessionNumber",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "PhotometricInterpretation",
    "ImageLaterality",
    "Laterality",
    "ViewPosition",
    "BurnedInAnnotation",
    "ImageType",
    "PresentationIntentType",
    "Manufacturer",
]

_EMPTY: dict[str, Any] = {
    "fingerprint": "",
    "sop_uid": "",
    "patient": "",
    "accession": "",
    "study": "",
    "modality": "",
    "rows": 0,
    "columns": 0,
    "frames": 0,
    "bits_stored": 0,
    "signed": False,
    "photometric": "",
    "transfer_syntax": "",
    "laterality": "",
    "view": "",
    "burned_in": "",
    "derived": False,
    "secondary": False,
    "intent": "",
    "manufacturer": "",
    "reason": "",
    "remedy": "",
}


def read_chunk(paths: list[str], root: Path, key: bytes) -> list[dict[str, Any]]:
    """The headers of several files; see `read`."""
    with files.quiet():
        return [read(root, path, key) for path in paths]


def read(root: Path, path: str, key: bytes) -> dict[str, Any]:
    """Fingerprint and header of one file as a row of the scan; `reason` says why it can't be used.

    The fingerprint is empty where the file could not be read at all.
    """
    row = {"path": path, **_EMPTY}
    try:
        with (root / path).open("rb") as file:
            row["fingerprint"] = fingerprint.of(file)
            row.update(_fields(file, path, key))
            _refuse(path, row)
    except PipelineError as error:
        row.update(reason=error.what, remedy=error.remedy)
    except OSError as error:
        if row["fingerprint"]:  # Pillow raises OSError for what it can't decode
            row.update(reason="header is damaged", remedy="export the file again, or drop its row from the labels")
        else:
            row.update(reason=f"cannot be read: {error.strerror}", remedy="give yourself permission to read it")
    except Exception:  # pydicom and Pillow raise whatever the damage makes them stumble over; their text may hold ids
        row.update(reason="header is damaged", remedy="export the file again, or drop its row from the labels")
    return row


def _fields(file: BinaryIO, path: str, key: bytes) -> dict[str, Any]:
    kind = files.kind(file)
    if kind in ("PNG", "JPEG", "TIFF"):
        return _picture_fields(file, kind)
    if file.seek(0, 2) == 0:
        raise PipelineError(path, "empty file", "copy or export the file again")
    return _dicom_fields(files.read_dicom(file, path, stop_before_pixels=True, specific_tags=TAGS), key)


def _dicom_fields(dataset: pydicom.Dataset, key: bytes) -> dict[str, Any]:
    def text(keyword: str) -> str:
        return str(dataset.get(keyword) or "").strip()

    uid = text("SOPInstanceUID")
    kinds = [str(value) for value in dataset.get("ImageType") or []]
    return {
        "sop_uid": uid if is_valid_uid(uid) else "",
        "patient": pseudonym(key, text("PatientID")),
        "accession": pseudonym(key, text("AccessionNumber")),
        "study": pseudonym(key, text("StudyInstanceUID")),
        "modality": _code(text("Modality")),
        "rows": int(dataset.Rows),
        "columns": int(dataset.Columns),
        "frames": files.frames(dataset),
        "bits_stored": int(dataset.get("BitsStored") or dataset.get("BitsAllocated") or 0),
        "signed": dataset.get("PixelRepresentation") == 1,
        "photometric": _code(text("PhotometricInterpretation")),
        "transfer_syntax": _code(files.transfer_syntax(dataset).name, 64),
        "laterality": _code(text("ImageLaterality") or text("Laterality")),
        "view": _code(text("ViewPosition")),
        "burned_in": _code(text("BurnedInAnnotation")),
        "derived": kinds[:1] == ["DERIVED"],
        "secondary": kinds[1:2] == ["SECONDARY"],
        "intent": _code(text("PresentationIntentType")),
        "manufacturer": _code(text("Manufacturer"), 64),
    }


def _picture_fields(file: BinaryIO, kind: str) -> dict[str, Any]:
    with files.open_picture(file) as picture:
        grey = picture.mode in files.GREY_BITS
        return {
            "rows": picture.height,
            "columns": picture.width,
            "frames": getattr(picture, "n_frames", 1),
            "bits_stored": files.GREY_BITS.get(picture.mode, 8),
            "signed": picture.mode in ("I", "F"),
            "photometric": "MONOCHROME2" if grey else "RGB",
            "transfer_syntax": kind,
        }


def _refuse(path: str, row: dict[str, Any]) -> None:
    if row["frames"] > 1:
        what = f"several frames: {row['frames']}"
        raise PipelineError(path, what, "write the frame that is meant to a file of its own")
    if row["rows"] < 1 or row["columns"] < 1:
        what = f"no pixels: (0028,0010) Rows {row['rows']}, (0028,0011) Columns {row['columns']}"
        raise PipelineError(path, what, "export the file again, or drop its row from the labels")


def is_valid_uid(text: str) -> bool:
    """Whether it is a UID by PS3.5 section 9.1."""
    return len(text) <= 64 and re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+", text, re.ASCII) is not None


def _code(text: str, length: int = 16) -> str:
    """A coded value, cut to what VR CS allows so that no free text slips through."""
    return text[:length]
