"""What a file says of itself, without decoding its pixels. No name, no date, no raw id leaves this module."""

import os
import re
import stat
from pathlib import Path
from typing import Any, BinaryIO

from pydicom.multival import MultiValue
from pydicom.uid import UID

from pipeline.errors import PipelineError
from pipeline.imaging import elements, files, fingerprint, scan
from pipeline.imaging.identity import pseudonym
from pipeline.imaging.quarantine import AGAIN, to_read

_TAGS = [keyword for keyword, _ in elements.WANTED.values()]
_DIRECTORY = b"\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10"  # (0002,0002) Media Storage SOP Class UID
_MOST = 2**31 - 1
_NATIVE = ("Explicit VR Little Endian", "Implicit VR Little Endian", "Explicit VR Big Endian")
_LEAST = 8  # bytes that a compressed frame takes at least, its item included

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
        place = os.path.join(root, path)  # a Path for each file costs more than opening it
        if not stat.S_ISREG(os.stat(place).st_mode):  # opening a pipe would wait for its other end
            raise PipelineError(path, "no regular file", "move it out of the image folder")
        with open(place, "rb") as file:
            row["fingerprint"] = fingerprint.of(file)
            row.update(_fields(file, path, key))
            _refuse(path, row, file.seek(0, 2))
    except PipelineError as error:
        row.update(reason=error.what, remedy=error.remedy)
    except OSError as error:
        if row["fingerprint"]:  # Pillow raises OSError for what it can't decode
            row.update(reason="header is damaged", remedy=AGAIN)
        else:
            row.update(reason=f"cannot be read: {error.strerror}", remedy=to_read(error))
    except Exception:  # pydicom and Pillow raise whatever the damage makes them stumble over; their text may hold ids
        row.update(reason="header is damaged", remedy=AGAIN)
    return row


def _fields(file: BinaryIO, path: str, key: bytes) -> dict[str, Any]:
    kind = files.kind(file)
    if kind in files.PICTURES:
        return _picture_fields(file, kind)
    if file.seek(0, 2) == 0:
        raise PipelineError(path, "empty file", "copy or export the file again")
    return dicom_fields(elements.read(file) or read_slowly(file, path), key)


def read_slowly(file: BinaryIO, path: str) -> elements.Values:
    """What `elements.read` returns, of any file that pydicom can read.

    Raises:
        PipelineError: it is no DICOM image.
        Exception: of pydicom.
    """
    file.seek(0)
    if _DIRECTORY in file.read(1024):
        raise PipelineError(path, scan.DIRECTORY, "leave it out of the labels")
    dataset = files.read_dicom(file, path, stop_before_pixels=True, specific_tags=_TAGS)
    values: elements.Values = {"TransferSyntaxUID": str(files.transfer_syntax(dataset))}
    for keyword in _TAGS:
        value = dataset.get(keyword)
        if keyword in elements.NUMBERS and value not in (None, ""):
            values[keyword] = int(value)
        elif keyword in dataset:
            values[keyword] = _text(value, keyword == "ImageType")
    return values


def _text(value: object, several: bool) -> str:
    if several and isinstance(value, MultiValue):
        return "\\".join(map(str, value)).strip()
    return str(value or "").strip()


def dicom_fields(values: elements.Values, key: bytes) -> dict[str, Any]:
    """The columns of a scan row that a DICOM header gives.

    Raises:
        KeyError, TypeError: (0028,0010) Rows or (0028,0011) Columns has no value.
    """

    def text(keyword: str) -> str:
        return str(values.get(keyword) or "")

    uid = text("SOPInstanceUID")
    kinds = [kind.strip() for kind in text("ImageType").split("\\")]
    return {
        "sop_uid": uid if is_valid_uid(uid) else "",
        "patient": pseudonym(key, text("PatientID")),
        "accession": pseudonym(key, text("AccessionNumber")),
        "study": pseudonym(key, text("StudyInstanceUID")),
        "modality": _code(text("Modality")),
        "rows": values["Rows"],
        "columns": values["Columns"],
        "frames": max(1, int(values.get("NumberOfFrames") or 1)),
        "bits_stored": values.get("BitsStored") or values.get("BitsAllocated") or 0,
        "signed": values.get("PixelRepresentation") == 1,
        "photometric": _code(text("PhotometricInterpretation")),
        "transfer_syntax": _code(UID(text("TransferSyntaxUID")).name, 64),
        "laterality": _code(text("ImageLaterality") or text("Laterality")),
        "view": _code(text("ViewPosition")),
        "burned_in": _code(text("BurnedInAnnotation")),
        "derived": kinds[0] == "DERIVED",
        "secondary": kinds[1:2] == ["SECONDARY"],
        "intent": _code(text("PresentationIntentType")),
        "manufacturer": _code(" ".join(text("Manufacturer").split()), 64),
    }


def _picture_fields(file: BinaryIO, kind: str) -> dict[str, Any]:
    with files.open_picture(file) as picture:
        grey = picture.mode in files.GREY_BITS
        return {
            "rows": picture.height,
            "columns": picture.width,
            "frames": getattr(picture, "n_frames", 1) if kind == "TIFF" else 1,  # others hold previews or animations
            "bits_stored": files.GREY_BITS.get(picture.mode, 8),
            "signed": picture.mode in ("I", "F"),
            "photometric": "MONOCHROME2" if grey else "RGB",
            "transfer_syntax": kind,
        }


def _refuse(path: str, row: dict[str, Any], size: int) -> None:
    """Refuse a header that can't be true; `size` of the file in bytes."""
    if row["rows"] < 1 or row["columns"] < 1:
        what = f"no pixels: (0028,0010) Rows {row['rows']}, (0028,0011) Columns {row['columns']}"
        raise PipelineError(path, what, AGAIN)
    native = row["transfer_syntax"] in _NATIVE
    least = row["rows"] * row["columns"] * row["bits_stored"] // 8 if native else _LEAST
    if row["frames"] > 1 and (row["frames"] > _MOST or row["frames"] * least > size):
        what = f"absurd size: (0028,0008) Number of Frames {row['frames']} in {size} bytes"
        raise PipelineError(path, what, AGAIN)
    if max(row["rows"], row["columns"]) > _MOST or row["bits_stored"] > 64:
        raise PipelineError(path, "header is damaged", AGAIN)


def is_valid_uid(text: str) -> bool:
    """Whether it is a UID by PS3.5 section 9.1."""
    return len(text) <= 64 and re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+", text, re.ASCII) is not None


def _code(text: str, length: int = 16) -> str:
    """A coded value, cut to what VR CS allows so that no free text slips through."""
    return text[:length]
