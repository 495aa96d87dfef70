"""The demo data set on disk."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from pipeline import demo, params
from pipeline.phantom import dicom, study

REPOSITORY = Path(__file__).parents[1]


def settings(workers=1, **changes):
    loaded = params.load(REPOSITORY / params.FILE)
    small = dataclasses.replace(
        loaded.demo, **{"images": 48, "patients": 20, "rows": 96, "columns": 80, "broken": 7, **changes}
    )
    return dataclasses.replace(loaded, demo=small, engine=dataclasses.replace(loaded.engine, workers=workers))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        demo.run(settings())
    return folder / demo.FOLDER


@pytest.fixture(scope="module")
def images(written):
    return {
        path.relative_to(written / "images").as_posix(): dcmread(path)
        for path in sorted(written.glob("images/DEMO-000?/*.dcm")) + sorted(written.glob("images/DEMO-001?/*.dcm"))
    }


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_labels_name_every_image_once_with_its_patient_and_nothing_else(written, images):
    labels = pd.read_csv(written / "labels.csv")
    assert list(labels.columns) == ["path", "patient_id", "density"]
    assert labels["path"].is_unique
    assert len(images) == 48
    assert set(images) <= set(labels["path"])
    patients = labels.set_index("path")["patient_id"]
    assert all(patients[path] == ds.PatientID for path, ds in images.items())
    assert (labels.groupby("patient_id")["density"].nunique() == 1).all()


def test_images_are_twelve_bit_mammograms_of_the_size_asked_for(images):
    for ds in images.values():
        pixels = ds.pixel_array
        assert pixels.shape == (96, 80)
        assert 0 <= pixels.min() < pixels.max() <= 4095
        assert ds.Modality == "MG"


def test_all_syntaxes_and_both_photometrics_occur(images):
    assert {ds.file_meta.TransferSyntaxUID for ds in images.values()} == {m.syntax for m in dicom.MACHINES}
    assert {ds.PhotometricInterpretation for ds in images.values()} == {"MONOCHROME1", "MONOCHROME2"}


def test_a_patient_has_one_study_and_every_image_its_own_uid(images):
    studies = {(ds.PatientID, ds.StudyInstanceUID, ds.AccessionNumber) for ds in images.values()}
    assert len(studies) == 20
    assert len({ds.SOPInstanceUID for ds in images.values()}) == 48
    views = Counter(ds.PatientID for ds in images.values())
    assert max(views.values()) <= 4


def test_each_fault_is_on_disk(written):
    labels = set(pd.read_csv(written / "labels.csv")["path"])
    broken = {fault: f"DEMO-{20 + place:04d}/L_CC.dcm" for place, fault in enumerate(study.FAULTS)}
    path = {fault: written / "images" / file for fault, file in broken.items()}
    assert labels & set(broken.values()) == {file for fault, file in broken.items() if fault != "unlabelled"}
    assert not path["missing"].exists()
    assert path["empty"].read_bytes() == b""
    with pytest.raises(InvalidDicomError):
        dcmread(path["text"])
    assert "PixelData" not in dcmread(path["no_pixels"])
    assert len(set(dcmread(path["constant"]).pixel_array.ravel())) == 1
    assert dcmread(path["unlabelled"]).pixel_array.std() > 100
    assert path["truncated"].stat().st_size < 0.7 * 96 * 80 * 2


def test_the_same_params_give_the_same_bytes_on_any_number_of_workers(written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    demo.run(settings(workers=2))
    assert contents(tmp_path / demo.FOLDER) == contents(written)


def test_another_seed_gives_other_pixels_and_other_uids(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    demo.run(settings(seed=1, broken=0))
    others = [dcmread(path) for path in Path(demo.FOLDER).rglob("*.dcm")]
    assert len(others) == 48
    assert not {ds.SOPInstanceUID for ds in others} & {ds.SOPInstanceUID for ds in images.values()}
    assert not {ds.PixelData for ds in others} & {ds.PixelData for ds in images.values()}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = settings(images=20, patients=12, rows=64, columns=64, broken=0)
    demo.run(small)
    return small


def stamps():
    return {path: path.stat().st_mtime_ns for path in Path(demo.FOLDER).rglob("*")}


def test_a_second_call_writes_nothing(tiny):
    before = stamps()
    demo.run(tiny)
    assert stamps() == before


def test_a_lost_file_or_another_param_brings_a_new_data_set(tiny):
    first = next(Path(demo.FOLDER).rglob("*.dcm"))
    first.unlink()
    demo.run(tiny)
    assert first.exists()
    demo.run(settings(images=21, patients=12, rows=64, columns=64, broken=0))
    assert sum(1 for _ in Path(demo.FOLDER).rglob("*.dcm")) == 21
    assert json.loads((demo.FOLDER / "demo.json").read_text())["made_by"]["params"]["images"] == 21


def test_a_killed_call_leaves_the_old_data_set_and_no_litter(tiny, monkeypatch):
    before = contents(demo.FOLDER)

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        demo.run(settings(seed=5))
    assert contents(demo.FOLDER) == before
    assert list(Path("data").iterdir()) == [demo.FOLDER]
