import logging
import os

import numpy as np
import pytest
from dicoms import dataset, to_bytes, write
from PIL import Image
from pydicom.uid import (
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from pipeline.imaging import elements, files, headers
from pipeline.imaging.identity import pseudonym

KEY = b"k"
RAMP = np.arange(6, dtype=np.uint16).reshape(2, 3)


def read(root, name):
    return headers.read_chunk([name], root, KEY)[0]


def test_header_of_a_dicom_file(tmp_path):
    tags = {
        "SOPInstanceUID": "1.2.3",
        "PatientID": " P7 ",
        "AccessionNumber": "A1",
        "StudyInstanceUID": "1.9",
        "Modality": "MG",
        "BitsStored": 12,
        "ImageLaterality": "L",
        "ViewPosition": "CC",
        "BurnedInAnnotation": "NO",
        "PhotometricInterpretation": "MONOCHROME1",
        "ImageType": ["DERIVED", "PRIMARY"],
        "PresentationIntentType": "FOR PRESENTATION",
        "Manufacturer": " Acme  Imaging ",
    }
    write(tmp_path / "a.dcm", RAMP, **tags)
    row = read(tmp_path, "a.dcm")
    assert len(row.pop("fingerprint")) == 32
    assert row == {
        "path": "a.dcm",
        "sop_uid": "1.2.3",
        "patient": pseudonym(KEY, "P7"),
        "accession": pseudonym(KEY, "A1"),
        "study": pseudonym(KEY, "1.9"),
        "modality": "MG",
        "rows": 2,
        "columns": 3,
        "frames": 1,
        "bits_stored": 12,
        "signed": False,
        "photometric": "MONOCHROME1",
        "transfer_syntax": "Explicit VR Little Endian",
        "laterality": "L",
        "view": "CC",
        "burned_in": "NO",
        "derived": True,
        "secondary": False,
        "intent": "FOR PRESENTATION",
        "manufacturer": "Acme Imaging",
        "reason": "",
        "remedy": "",
    }


@pytest.mark.parametrize(
    ("mode", "suffix", "bits", "photometric"),
    [
        ("L", "png", 8, "MONOCHROME2"),
        ("I;16", "png", 16, "MONOCHROME2"),
        ("RGB", "jpg", 8, "RGB"),
        ("P", "tif", 8, "RGB"),
    ],
)
def test_header_of_a_picture(tmp_path, mode, suffix, bits, photometric):
    Image.new(mode, (3, 2)).save(tmp_path / f"a.{suffix}")
    row = read(tmp_path, f"a.{suffix}")
    kind = {"png": "PNG", "jpg": "JPEG", "tif": "TIFF"}[suffix]
    found = [row[name] for name in ("rows", "columns", "bits_stored", "photometric", "transfer_syntax", "reason")]
    assert found == [2, 3, bits, photometric, kind, ""]


@pytest.mark.parametrize(
    ("kinds", "derived", "secondary"),
    [
        (["ORIGINAL", "PRIMARY", "AXIAL"], False, False),
        (["DERIVED", "SECONDARY"], True, True),
        (["ORIGINAL", "SECONDARY"], False, True),
        ("DERIVED", True, False),
        (["SECONDARY", "DERIVED"], False, False),
        ("", False, False),
    ],
)
def test_image_type_tells_what_is_derived_and_what_secondary(tmp_path, kinds, derived, secondary):
    write(tmp_path / "a.dcm", RAMP, ImageType=kinds)
    row = read(tmp_path, "a.dcm")
    assert (row["derived"], row["secondary"]) == (derived, secondary)


def test_free_text_is_cut():
    assert len(headers.dicom_fields({"Rows": 1, "Columns": 1, "Manufacturer": "x" * 99}, KEY)["manufacturer"]) == 64


def test_frames_are_counted(tmp_path):
    write(tmp_path / "a.dcm", np.stack([RAMP[0], RAMP[1]]), NumberOfFrames=2)
    pages(tmp_path / "a.tif")
    moving(tmp_path / "a.png")
    assert [read(tmp_path, name)["frames"] for name in ("a.dcm", "a.tif", "a.png")] == [2, 2, 1]


def test_a_dicom_file_without_preamble_is_read(tmp_path):
    (tmp_path / "a").write_bytes(to_bytes(dataset(RAMP))[132:])
    row = read(tmp_path, "a")
    assert (row["reason"], row["rows"], row["transfer_syntax"]) == ("", 2, "Explicit VR Little Endian")
    made = dataset(RAMP)
    made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    sop_class = b"\x08\x00\x16\x00"  # where the meta header ends
    (tmp_path / "b").write_bytes(sop_class + to_bytes(made).partition(sop_class)[2])
    assert read(tmp_path, "b")["transfer_syntax"] == "Implicit VR Little Endian"


def state(path, kind: str = GrayscaleSoftcopyPresentationStateStorage):
    made = dataset(RAMP, SOPClassUID=kind)
    for word in ("Rows", "Columns", "PixelData"):
        delattr(made, word)
    path.write_bytes(to_bytes(made))


def pages(path):
    Image.new("L", (3, 2)).save(path, format="TIFF", save_all=True, append_images=[Image.new("L", (3, 2))])


def moving(path):
    Image.new("L", (3, 2)).save(path, save_all=True, append_images=[Image.new("L", (3, 2), 9)])


def directory(path):
    made = dataset(RAMP, SOPClassUID=MediaStorageDirectoryStorage)
    for word in ("Rows", "Columns", "PixelData", "SOPClassUID"):
        delattr(made, word)
    made.FileSetID = "DISK"
    path.write_bytes(to_bytes(made))


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("a.dcm", lambda path: path.write_text("hello, this is a text file called .dcm\n" * 9), "not a DICOM file"),
        ("README", lambda path: path.write_text("hello"), "not a DICOM file"),
        ("a.png", lambda path: path.write_text("hello"), "not a PNG file"),
        ("a.dcm", lambda path: path.write_bytes(b""), "empty file"),
        ("a.dcm", lambda path: path.symlink_to("gone"), "cannot be read: No such file or directory"),
        (
            "a.dcm",
            lambda path: path.write_bytes(to_bytes(dataset(RAMP))[:140]),
            "truncated: the file ends within its header",
        ),
        ("a.dcm", state, "a DICOM object without pixels: Grayscale Softcopy Presentation State Storage"),
        ("a.dcm", lambda path: state(path, "1.2.826.0.1.19620229"), "a DICOM object without pixels: of unknown kind"),
        ("a.dcm", directory, "a DICOM directory"),
        ("a.dcm", lambda path: write(path, RAMP, NumberOfFrames=10**6), "absurd size: (0028,0008) Number of Frames 10"),
        ("a.dcm", lambda path: write(path, RAMP, BitsStored=65), "header is damaged"),
        ("a.dcm", lambda path: write(path, RAMP, Rows=0), "no pixels: (0028,0010) Rows 0"),
        ("a.dcm", lambda path: write(path, RAMP, PhotometricInterpretation=""), ""),
        ("a.png", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 50), "header is damaged"),
    ],
)
def test_what_can_not_be_used_has_a_reason_and_a_remedy(tmp_path, name, make, reason):
    make(tmp_path / name)
    row = read(tmp_path, name)
    assert row["reason"].startswith(reason)
    assert bool(row["remedy"]) == bool(row["reason"])


@pytest.mark.parametrize(
    ("uid", "valid"),
    [
        ("1.2.840.10008.1", True),
        ("1", False),
        ("1.02", False),
        ("1..2", False),
        ("a.b", False),
        ("1." + "2" * 63, False),
    ],
)
def test_uids(uid, valid):
    assert headers.is_valid_uid(uid) == valid


def test_no_element_that_names_a_person_is_read():
    assert not {word for word, _ in elements.WANTED.values() if "Name" in word or "Birth" in word or "Date" in word}


def test_pydicom_is_silent_and_speaks_again_afterwards(caplog):
    logger = logging.getLogger("pydicom")
    with files.quiet():
        logger.warning("hidden")
    logger.warning("shown")
    assert [record.message for record in caplog.records] == ["shown"]


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.dcm")
    row = read(tmp_path, "a.dcm")
    assert (row["reason"], row["remedy"]) == ("no regular file", "move it out of the image folder")


def test_a_dangling_link_is_told_from_a_file_that_may_not_be_read(tmp_path):
    (tmp_path / "a.dcm").symlink_to("nowhere")
    row = read(tmp_path, "a.dcm")
    assert row["reason"] == "cannot be read: No such file or directory"
    assert row["remedy"] == "put it back or mend the link, or drop its row from the labels"


@pytest.mark.parametrize(("start", "kind"), [(b"BM", "BMP"), (b"GIF89a", "GIF"), (b"RIFF", "WebP")])
def test_pictures_of_kinds_that_are_not_read_are_called_by_their_name(tmp_path, start, kind):
    (tmp_path / "a.dcm").write_bytes(start + bytes(200))
    row = read(tmp_path, "a.dcm")
    assert row["reason"] == f"a {kind} file"
    assert row["remedy"].startswith("convert it to PNG")


def test_more_frames_than_the_file_has_bytes_for_are_refused(tmp_path):
    write(tmp_path / "a.dcm", np.zeros((8, 8), np.uint8), NumberOfFrames=1000)
    assert read(tmp_path, "a.dcm")["reason"].startswith("absurd size: (0028,0008) Number of Frames 1000 in ")
