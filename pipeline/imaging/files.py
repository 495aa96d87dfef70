"""Opening image files of any kind, without the chatter of the libraries below."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pydicom
from PIL import Image
from pydicom import config
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pipeline.errors import PipelineError
from pipeline.imaging.quarantine import AGAIN

Image.MAX_IMAGE_PIXELS = None  # `stored.check_size` has a limit of its own, above that of the largest detectors

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
}
_UNREAD = {b"BM": "BMP", b"GIF8": "GIF", b"RIFF": "WebP", b"\0\0\0\x0cjP": "JPEG 2000", b"\xff\x4f": "JPEG 2000"}
PICTURES = ("PNG", "JPEG", "TIFF")
# Pillow's modes with one channel, and the bits of each; every other mode becomes RGB.
GREY_BITS = {"1": 1, "L": 8, "I;16": 16, "I;16L": 16, "I;16B": 16, "I;16N": 16, "I": 32, "F": 32}
_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


def kind(file: BinaryIO) -> str:
    """DICOM, PNG, JPEG or TIFF by the first bytes of the file; empty where they tell nothing."""
    file.seek(0)
    start = file.read(132)
    file.seek(0)
    if start[128:] == b"DICM":
        return "DICOM"
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what pydicom and Pillow say of files that they can read nonetheless.

    pydicom both logs and warns, once for each file; what it can't read it raises, and that is kept.
    """
    logger = logging.getLogger("pydicom")
    level = logger.level
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)


def read_dicom(file: BinaryIO, name: str, **options: object) -> pydicom.Dataset:
    """A DICOM object, also one without the preamble of PS3.10.

    Raises:
        PipelineError: it is none, or has no pixels.
    """
    known = kind(file) == "DICOM"
    try:
        dataset = pydicom.dcmread(file, force=True, **options)  # type: ignore[arg-type]
    except Exception as error:  # on bytes that are no DICOM, pydicom stumbles over whatever comes first
        if known:
            raise
        raise _not_an_image(file, name) from error
    if not known and not ("SOPClassUID" in dataset or ("Rows" in dataset and "BitsAllocated" in dataset)):
        raise _not_an_image(file, name)
    if "SOPClassUID" not in dataset and "Rows" not in dataset:
        raise PipelineError(name, "truncated: the file ends within its header or its pixels", AGAIN)
    if "Rows" not in dataset or "Columns" not in dataset:
        kind_of = UID(str(dataset.get("SOPClassUID", "")))
        about = kind_of.name if kind_of.type else "of unknown kind"  # else the name is the text of the file
        raise PipelineError(name, f"a DICOM object without pixels: {about}", "leave it out of the labels")
    if "PhotometricInterpretation" not in dataset:
        what = "(0028,0004) Photometric Interpretation is missing"
        raise PipelineError(name, what, AGAIN)
    return dataset


def open_picture(file: BinaryIO) -> Image.Image:
    """A PNG, JPEG or TIFF, not decoded yet."""
    return Image.open(file, formats=PICTURES)


def transfer_syntax(dataset: pydicom.Dataset) -> UID:
    """(0002,0010) Transfer Syntax UID; for a file without meta header, what its encoding shows."""
    meta = getattr(dataset, "file_meta", None)
    if meta is not None and meta.get("TransferSyntaxUID"):
        return UID(meta.TransferSyntaxUID)
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def frames(dataset: pydicom.Dataset) -> int:
    """(0028,0008) Number of Frames, at least 1."""
    return max(1, int(dataset.get("NumberOfFrames") or 1))


def _not_an_image(file: BinaryIO, name: str) -> PipelineError:
    file.seek(0)
    start = file.read(16)
    for magic, known in _UNREAD.items():
        if start.startswith(magic):
            return PipelineError(name, f"a {known} file", "convert it to PNG, or drop its row from the labels")
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    what = f"not a {suffix[1:].upper()} file" if suffix in _SUFFIXES else "not a DICOM file"
    return PipelineError(name, what, "remove it, or put the file there that was meant")
