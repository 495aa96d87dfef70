"""Every file that pydicom ships is shown as pydicom shows it, or refused with a reason."""

import io
from collections import Counter
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom.data
import pytest
from dicoms import to_bytes
from imaging import reference
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEGExtended12Bit

from pipeline.errors import PipelineError
from pipeline.imaging import files, picture
from pipeline.imaging.picture import Look

ROOT = Path(pydicom.data.__file__).parent
FILES = sorted(
    path
    for folder in ("charset_files", "palettes", "test_files")
    for path in (ROOT / folder).rglob("*")
    if path.is_file()
)
LOOK = Look(size=32, fit="pad", window="file", voi=1, crop="none", face="as_is", bits=8, channels=3)

# What pydicom shows with no more than a warning, or can't tell from a header of its own.
STRICTER = {"MR_small_padded.dcm": "pixel data does not fit the header: .* has 8320 bytes, Rows × Columns need 8192"}


def frames(content: bytes) -> list[int]:
    """Those of the policies first, middle and max."""
    try:
        with files.quiet():
            count = files.frames(pydicom.dcmread(io.BytesIO(content), force=True, stop_before_pixels=True))
    except Exception:  # files of other kinds, and damaged ones
        count = 1
    return [1] if count == 1 else [1, (count + 1) // 2, 0]


def shown(content: bytes, frame: int) -> np.ndarray | Exception:
    """The small picture, or what a refusal is made of."""
    try:
        return picture.show(content, "x", frame, LOOK).picture
    except Exception as error:
        return error


def by_pydicom(content: bytes, frame: int) -> np.ndarray | Exception:
    try:
        with files.quiet():
            return reference.full(_uncompressed(content), frame, LOOK)
    except Exception as error:
        return error


def _uncompressed(content: bytes) -> bytes:
    """JPEG Extended of 12 bits, for which pydicom has no decoder here."""
    dataset = pydicom.dcmread(io.BytesIO(content), force=True)
    if dataset.file_meta.get("TransferSyntaxUID") != JPEGExtended12Bit or dataset.BitsStored != 12:
        return content
    dataset.PixelData = imagecodecs.jpeg8_decode(next(generate_frames(dataset.PixelData, number_of_frames=1))).tobytes()
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OW", False
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return to_bytes(dataset)


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_it_is_shown_as_pydicom_shows_it_or_refused(path):
    content = path.read_bytes()
    for frame in frames(content):
        ours, theirs = shown(content, frame), by_pydicom(content, frame)
        if path.name in STRICTER:
            with pytest.raises(PipelineError, match=STRICTER[path.name]):
                raise ours if isinstance(ours, Exception) else AssertionError("shown")
        elif isinstance(theirs, Exception):
            assert isinstance(ours, Exception), "shown, though pydicom can't decode it"
            assert not isinstance(ours, MemoryError)
        elif (theirs == theirs[:1, :1]).all():
            assert isinstance(ours, PipelineError)
        else:
            np.testing.assert_allclose(picture.full(content, "x", frame, LOOK), theirs, rtol=0, atol=1e-6)
            assert isinstance(ours, np.ndarray)
            assert np.abs(ours.astype(int) - reference.show(theirs, LOOK)).max() <= 1


def test_as_many_are_shown_as_ever_and_each_refusal_has_a_reason():
    # A decoder that is lost, or a check that grows too strict, changes these numbers.
    counts: Counter[str] = Counter()
    for path in FILES:
        found = shown(path.read_bytes(), 1)
        if isinstance(found, PipelineError):
            counts[found.what.partition(":")[0]] += 1
        else:
            counts[type(found).__name__ if isinstance(found, Exception) else "shown"] += 1
    assert counts == {
        "shown": 99,
        "a DICOM object without pixels": 67,
        "truncated": 20,  # mostly directories and other objects without (0008,0016) SOP Class UID
        "not a DICOM file": 12,
        "its window leaves every pixel with the same brightness": 2,
        "pixel data does not fit the header": 2,
        "TypeError": 1,  # badVR.dcm: pydicom stumbles over a value
    }
