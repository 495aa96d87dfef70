import dataclasses
import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dicoms import dataset, to_bytes, write
from imports import ROOT
from PIL import Image
from pydicom.uid import MediaStorageDirectoryStorage

from pipeline import artifacts, engine, params
from pipeline.errors import PipelineError
from pipeline.imaging import headers
from pipeline.stages import index

PARAMS = params.load(ROOT / "params.yaml")
REAL = Path(os.environ.get("SKEWRAY_REAL_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKEWRAY_KEY", "test")
    return tmp_path


@pytest.fixture(autouse=True)
def reads(monkeypatch):
    """Paths whose header was read."""
    paths, read = [], headers.read
    monkeypatch.setattr(headers, "read", lambda root, path, key: paths.append(path) or read(root, path, key))
    return paths


def run(**data):
    given = {"images": "images", "labels": "labels.csv", "label": "label", "max_quarantined": 1.0, **data}
    index.run(
        dataclasses.replace(
            PARAMS, data=dataclasses.replace(PARAMS.data, **given), engine=dataclasses.replace(PARAMS.engine, workers=1)
        )
    )
    return artifacts.load_index()


def pixels(seed):
    return np.random.default_rng(seed).integers(0, 4096, (4, 4), np.uint16)


def make(count=4, **tags):
    """Files 0.dcm…, of two patients, labelled x and y in turn."""
    for number in range(count):
        uid = {"SOPInstanceUID": f"1.2.{number}", "PatientID": f"Person{number // 2}", **tags}
        write(Path("images") / f"{number}.dcm", pixels(number), **uid)
    label("".join(f"{number}.dcm,{'xy'[number % 2]}\n" for number in range(count)))


def label(rows, header="path,label"):
    Path("labels.csv").write_text(f"{header}\n{rows}")


def quarantine():
    table = artifacts.load_quarantine()
    assert (table["remedy"] != "").all()
    return dict(zip(table["path"], table["reason"], strict=True))


def artifact_bytes():
    return {path: path.read_bytes() for path in sorted(artifacts.ROOT.rglob("*")) if path.is_file()}


def test_the_index_has_the_columns_of_the_contract_in_the_order_of_image_id():
    make()
    table = run()
    assert list(table) == list(artifacts.INDEX_COLUMNS)
    assert table["image_id"].tolist() == ["1.2.0", "1.2.1", "1.2.2", "1.2.3"]
    assert table["label"].tolist() == ["x", "y", "x", "y"]
    assert table["path"].tolist() == ["0.dcm", "1.dcm", "2.dcm", "3.dcm"]
    assert table["group"].tolist() == [table["group"][0]] * 2 + [table["group"][2]] * 2
    assert table["group"].nunique() == 2
    assert (table["split"] == "").all()
    assert quarantine() == {}


def test_a_second_run_reads_nothing_and_writes_the_same_bytes(reads):
    make()
    Path("images/bad.dcm").write_text("text")
    run()
    assert sorted(reads) == ["0.dcm", "1.dcm", "2.dcm", "3.dcm", "bad.dcm"]
    before = artifact_bytes()
    run()
    assert len(reads) == 5
    assert artifact_bytes() == before


def test_only_what_changed_is_read_again(reads):
    make(6)
    run()
    reads.clear()
    write(Path("images/1.dcm"), pixels(99), SOPInstanceUID="1.2.77")  # replaced
    os.utime("images/2.dcm")  # touched
    Path("images/3.dcm").unlink()
    write(Path("images/new.dcm"), pixels(100))
    table = run()
    assert sorted(reads) == ["1.dcm", "2.dcm", "new.dcm"]
    assert set(table["image_id"]) == {"1.2.0", "1.2.2", "1.2.4", "1.2.5", "1.2.77"}
    assert quarantine() == {"3.dcm": "label without an image", "new.dcm": "no label"}


def test_a_copied_folder_gives_the_same_index():
    make()
    before = run()
    for path in Path("images").iterdir():
        os.utime(path, ns=(1, 1))
    pd.testing.assert_frame_equal(run(), before)


def test_a_folder_with_equal_names_sizes_and_times_is_read_anew():
    make()
    run()
    for number in range(4):
        uid = {"SOPInstanceUID": f"1.2.{number + 5}", "PatientID": f"Person{number // 2}"}
        other = write(Path("others") / f"{number}.dcm", pixels(number + 5), **uid)
        old = Path(f"images/{number}.dcm").stat()
        assert other.stat().st_size == old.st_size
        os.utime(other, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert run(images="others")["image_id"].tolist() == ["1.2.5", "1.2.6", "1.2.7", "1.2.8"]


def test_a_tilde_stands_for_the_home_folder(here, monkeypatch):
    make()
    monkeypatch.setenv("HOME", str(here))
    assert len(run(images="~/images", labels="~/labels.csv")) == 4


def test_a_file_that_could_not_be_opened_is_tried_again(reads):
    make()
    Path("images/4.dcm").symlink_to("gone")
    run()
    reads.clear()
    run()
    assert reads == ["4.dcm"]


def test_the_key_changes_the_groups_but_not_the_partition(monkeypatch):
    make(6)
    one = run()
    monkeypatch.setenv("SKEWRAY_KEY", "another")
    other = run()
    assert not set(one["group"]) & set(other["group"])
    assert pd.factorize(one["group"])[0].tolist() == pd.factorize(other["group"])[0].tolist()
    columns = [name for name in artifacts.INDEX_COLUMNS if name not in ("group", "exam")]
    pd.testing.assert_frame_equal(one[columns], other[columns])


def test_no_personal_value_is_in_any_artifact(caplog):
    personal = {
        "PatientID": "SECRET-1",
        "AccessionNumber": "SECRET-2",
        "PatientName": "SECRET^3",
        "StudyID": "SECRET-4",
    }
    make(4, **personal, PatientBirthDate="19620229", StudyInstanceUID="1.3.555.777")
    label("SECRET-5,0.dcm,x\nSECRET-5,1.dcm,y\nSECRET-6,gone.dcm,y\n", "who,path,label")
    caplog.set_level("DEBUG")
    run(patient="who")
    label("SECRET-2,x\nSECRET-7,y\n,\n", "accession,label")
    with pytest.raises(PipelineError) as raised:
        run(path=None, id="accession")
    written = b"".join(artifact_bytes().values()) + str(raised.value).encode() + caplog.text.encode()
    assert b"1.2.0" in written
    for word in (b"SECRET", b"19620229", b"1.3.555.777"):
        assert word not in written


def test_the_patient_column_comes_before_the_patient_of_the_file():
    make()
    label("0.dcm,x,A\n1.dcm,y,B\n2.dcm,x,A\n3.dcm,y,\n", "path,label,who")
    table = run(patient="who")
    assert pd.factorize(table["group"])[0].tolist() == [0, 1, 0, 2]


def test_pictures_without_a_patient_are_a_group_each():
    Path("images").mkdir()
    for number in range(3):
        Image.fromarray(pixels(number).astype(np.uint8)).save(f"images/{number}.png")
    label("0.png,x\n1.png,y\n2.png,y\n")
    table = run()
    assert table["group"].nunique() == table["exam"].nunique() == 3
    assert table["image_id"].str.fullmatch("sha-[0-9a-f]{32}").all()


def make_views(*views):
    """File N.dcm for each (patient, accession, study), labelled x and y in turn."""
    for number, (patient, accession, study) in enumerate(views):
        tags = {"PatientID": patient, "AccessionNumber": accession, "StudyInstanceUID": study}
        write(Path("images") / f"{number}.dcm", pixels(number), SOPInstanceUID=f"1.2.{number}", **tags)
    label("".join(f"{number}.dcm,{'xy'[number % 2]}\n" for number in range(len(views))))


def partition(table):
    return pd.factorize(table["group"])[0].tolist()


def test_without_patient_the_views_of_an_exam_are_one_group(caplog):
    caplog.set_level("INFO")
    make_views(("", "A", "1.3"), ("", "A", "1.4"), ("", "", "1.5"), ("", "", "1.5"), ("", "", ""), ("", "", ""))
    Image.fromarray(pixels(9).astype(np.uint8)).save("images/p.png")
    label(Path("labels.csv").read_text().partition("\n")[2] + "p.png,x\n")
    assert partition(run()) == [0, 0, 1, 1, 2, 3, 4]
    assert "no patient: 4 DICOM images are grouped by exam, 2 stand alone" in caplog.messages


def test_a_view_without_patient_goes_with_the_patient_of_its_exam():
    make_views(("", "A", ""), ("P", "A", ""), ("P", "B", ""), ("", "B", ""), ("Q", "C", ""))
    assert partition(run()) == [0, 0, 0, 0, 1]


def test_an_exam_number_that_is_also_a_patient_id_joins_nobody():
    make_views(("7", "A", ""), ("", "7", ""))
    assert partition(run()) == [0, 1]


def test_nothing_is_said_of_patients_where_all_are_known(caplog):
    caplog.set_level("INFO")
    make()
    run()
    assert "no patient" not in caplog.text


def test_views_of_one_exam_share_it_and_their_label():
    for number in range(4):
        write(Path("images") / f"{number}.dcm", pixels(number), AccessionNumber=f"A{number // 2}")
    label("A0,x\nA1,y\n", "accession,label")
    table = run(path=None, id="accession").sort_values("path")
    assert table["label"].tolist() == ["x", "x", "y", "y"]
    assert pd.factorize(table["exam"])[0].tolist() == [0, 0, 1, 1]


def test_a_uid_that_two_images_have_is_the_id_of_neither():
    make()
    write(Path("images/2.dcm"), pixels(2), SOPInstanceUID="1.2.3")
    ids = run().set_index("path")["image_id"]
    assert ids["0.dcm"] == "1.2.0"
    assert ids["2.dcm"].startswith("sha-")
    assert ids["3.dcm"].startswith("sha-")


def test_of_the_same_image_twice_the_first_is_kept():
    make()
    Path("images/a.dcm").write_bytes(Path("images/1.dcm").read_bytes())
    label("0.dcm,x\n1.dcm,y\na.dcm,y\n2.dcm,x\n3.dcm,y\n")
    assert run()["path"].tolist() == ["0.dcm", "1.dcm", "2.dcm", "3.dcm"]
    assert quarantine() == {"a.dcm": "second copy: same content as 1.dcm"}


def test_of_the_same_image_twice_with_two_labels_none_is_kept():
    make()
    Path("images/a.dcm").write_bytes(Path("images/1.dcm").read_bytes())
    label("0.dcm,x\n1.dcm,y\na.dcm,x\n2.dcm,x\n3.dcm,y\n")
    assert run()["path"].tolist() == ["0.dcm", "2.dcm", "3.dcm"]
    reason = "copies with different labels, splits or patients: same content as "
    assert quarantine() == {"1.dcm": f"{reason}a.dcm", "a.dcm": f"{reason}1.dcm"}


def test_a_copy_without_a_label_does_not_displace_the_one_with():
    make()
    Path("images/0-copy.dcm").write_bytes(Path("images/0.dcm").read_bytes())
    assert len(run()) == 4
    assert quarantine() == {"0-copy.dcm": "no label"}


def test_every_file_and_every_label_row_ends_as_an_image_or_in_quarantine():
    make(5)
    Path("images/text.dcm").write_text("this is text")
    Path("images/none").write_bytes(b"")
    write(Path("images/damaged.dcm"), pixels(9), BitsStored=99)
    os.mkfifo("images/pipe")
    Path("images/notes.txt").write_text("ignored")
    label("0.dcm,x\n1.dcm,y\n2.dcm,\n3.dcm,x\n3.dcm,y\ngone.dcm,x\ntext.dcm,x\n,y\n4.dcm,other\n")
    assert run(classes=["x", "y"])["path"].tolist() == ["0.dcm", "1.dcm"]
    assert quarantine() == {
        "2.dcm": "empty label",
        "3.dcm": "label rows disagree",
        "4.dcm": "label not in data.classes: other",
        "gone.dcm": "label without an image",
        "text.dcm": "not a DICOM file",
        "none": "empty file",
        "damaged.dcm": "header is damaged",
        "pipe": "no regular file",
        "labels.csv line 9": "label row without path and id",
    }


def frames(**data):
    """The index of a file with 4 frames, one with 5 and one with 1."""
    for number, count in enumerate([4, 5, 1]):
        volume = np.stack([pixels(10 * number + frame) for frame in range(count)])
        tags = {"NumberOfFrames": count, "Rows": 4, "Columns": 4} if count > 1 else {}
        uid = {"SOPInstanceUID": f"1.2.{number}", "PatientID": "P", "AccessionNumber": f"A{number}"}
        write(Path("images") / f"{number}.dcm", volume if count > 1 else volume[0], **uid, **tags)
    label("0.dcm,x\n1.dcm,y\n2.dcm,y\n")
    return run(**data)


@pytest.mark.parametrize(("policy", "chosen"), [("first", [1, 1, 1]), ("middle", [2, 3, 1]), ("max", [0, 0, 1])])
def test_of_a_file_with_several_frames_one_is_chosen(policy, chosen):
    table = frames(frames=policy)
    assert table["image_id"].tolist() == ["1.2.0", "1.2.1", "1.2.2"]
    assert table["frame"].tolist() == chosen
    assert table["frames"].tolist() == [4, 5, 1]
    assert [mark.partition(":")[2] for mark in table["fingerprint"]] == [str(chosen[0]), str(chosen[1]), ""]


def test_every_frame_may_be_an_image_of_its_own():
    table = frames(frames="all")
    names = [*(f"1.2.0#{n}" for n in range(1, 5)), *(f"1.2.1#{n}" for n in range(1, 6)), "1.2.2"]
    assert table["image_id"].tolist() == names
    assert table["frame"].tolist() == [1, 2, 3, 4, 1, 2, 3, 4, 5, 1]
    assert table["label"].tolist() == ["x"] * 4 + ["y"] * 6
    assert table["fingerprint"].nunique() == 10
    assert table["fingerprint"][1] == f"{table['fingerprint'][0].partition(':')[0]}:2"
    assert (table["group"].nunique(), table["exam"].nunique(), quarantine()) == (1, 3, {})


def test_another_policy_reads_no_file_again_and_leaves_single_frames_as_they_are(reads):
    first = frames(frames="first").set_index("path")
    reads.clear()
    table = run(frames="all").set_index("path")
    assert reads == []
    pd.testing.assert_frame_equal(table.loc[["2.dcm"]], first.loc[["2.dcm"]])


def test_pages_of_a_tiff_are_frames():
    Path("images").mkdir()
    pages = [Image.fromarray(pixels(number).astype(np.uint8)) for number in range(4)]
    pages[0].save("images/a.tif", save_all=True, append_images=pages[1:3])
    pages[3].save("images/b.tif")
    label("a.tif,x\nb.tif,y\n")
    assert sorted(run(frames="all")["frame"]) == [1, 1, 2, 3]


def test_a_dicomdir_is_counted_and_not_set_aside(caplog):
    caplog.set_level("INFO")
    make()
    made = dataset(pixels(0), SOPClassUID=MediaStorageDirectoryStorage)
    for word in ("Rows", "Columns", "PixelData"):
        delattr(made, word)
    for name in ("DICOMDIR", "DICOMDIR.dcm", "other.dcm"):
        Path(f"images/{name}").write_bytes(to_bytes(made))
    for _ in range(2):
        assert len(run()) == 4
        assert quarantine() == {}
        assert caplog.messages[-1] == "files of other kinds: 3 DICOMDIR"


def test_flags_are_logged(caplog):
    make(4, BurnedInAnnotation="YES")
    run()
    assert [record.message for record in caplog.records] == [
        "burned-in annotation: 4 of 4 images have text burned into the pixels: it may name the patient, "
        "and a model may read it"
    ]


def lose(unlabelled=0):
    """Ten labelled images of which two can't be used, a label without an image, a copy, and files without a label."""
    make(8)
    Path("images/8.dcm").write_text("text")
    Path("images/9.dcm").write_text("")
    Path("images/copy.dcm").write_bytes(Path("images/0.dcm").read_bytes())
    for number in range(unlabelled):
        Path(f"images/more{number}").write_text("text")
    label(Path("labels.csv").read_text().partition("\n")[2] + "8.dcm,x\n9.dcm,x\ngone.dcm,y\ncopy.dcm,x\n,\n")


def test_too_many_labelled_images_set_aside_stop_the_stage_after_the_table_is_written():
    lose(unlabelled=5)
    message = (
        r"data.labels: 3 of 11 labelled images \(27.3%\) are set aside, more than the 27.0% of data.max_quarantined: "
        r"1 not a DICOM file, 1 empty file, 1 label without an image\n  Remedy: see artifacts/quarantine.csv"
    )
    with pytest.raises(PipelineError, match=message):
        run(max_quarantined=0.27)
    assert len(quarantine()) == 9
    assert not artifacts.INDEX.exists()


def test_up_to_the_limit_the_stage_goes_on():
    lose()
    assert len(run(max_quarantined=0.273)) == 8


def test_an_empty_label_is_no_label_and_no_loss():
    make(4)
    label("0.dcm,x\n1.dcm,y\n2.dcm,\n3.dcm,\n")
    assert len(run(max_quarantined=0.0)) == 2


def test_disputed_labels_are_a_loss():
    make(4)
    label("0.dcm,x\n1.dcm,y\n2.dcm,x\n2.dcm,y\n3.dcm,\n3.dcm,x\n")
    with pytest.raises(
        PipelineError, match=r"2 of 4 labelled images \(50.0%\) are set aside, .* 2 label rows disagree"
    ):
        run(max_quarantined=0.4)


def test_folders_give_class_and_split():
    for number, name in enumerate(["train/NORMAL", "train/SICK", "val/NORMAL", "test/SICK"]):
        write(Path("images") / name / f"{number}.dcm", pixels(number))
    table = run(labels="folders").sort_values("path")
    assert table[["label", "split"]].to_numpy().tolist() == [
        ["SICK", "test"],
        ["NORMAL", "train"],
        ["SICK", "train"],
        ["NORMAL", "val"],
    ]


def test_absolute_paths_outside_the_folder_work(tmp_path):
    make()
    label("".join(f"{tmp_path}/images/{n}.dcm,{'xy'[n % 2]}\n" for n in range(4)))
    (tmp_path / "elsewhere").mkdir()
    os.chdir(tmp_path / "elsewhere")
    assert len(run(images=str(tmp_path / "images"), labels=str(tmp_path / "labels.csv"))) == 4


def test_a_single_class_is_an_error():
    make()
    label("0.dcm,x\n1.dcm,x\n2.dcm,\n")
    with pytest.raises(
        PipelineError, match=r"all 2 images have the label 'x' \(set aside: 1 empty label, 1 no label\)"
    ):
        run()


@pytest.mark.parametrize("spellings", [("1", "1.0"), ("sick", "Sick")])
def test_two_spellings_of_a_class_are_an_error(spellings):
    make()
    one, other = spellings
    label(f"0.dcm,{one}\n1.dcm,{other}\n2.dcm,healthy\n")
    with pytest.raises(PipelineError, match=r"'.*' and '.*' look like one class\n  Remedy: spell it in one way"):
        run()


def test_a_binary_task_refuses_a_third_class_with_the_counts():
    make()
    label("0.dcm,x\n1.dcm,y\n2.dcm,z\n3.dcm,y\n")
    with pytest.raises(
        PipelineError, match=r"data.task: binary has two classes, but the labels have 3: x 1, y 2, z 1\n"
    ):
        run(task="binary")
    assert len(run(task="binary", classes=["x", "y"])) == 3


def test_joined_labels_that_are_no_classes_lead_to_the_task_that_takes_them_apart(caplog):
    make(12)
    label("".join(f"{number}.dcm,{'|'.join('abcdefghijkl'[: number + 1])}\n" for number in range(12)))
    message = (
        r"have 12: a 1, a\|b 1, .* and 4 more\n  Remedy: set data.task: multilabel, which takes joined labels apart"
    )
    with pytest.raises(PipelineError, match=message):
        run(task="binary")
    run()
    assert "11 classes such as 'a|b' look joined: data.task: multilabel takes them apart" in caplog.messages


def test_several_label_columns_become_columns_of_the_index(caplog):
    caplog.set_level("INFO")
    make()
    label("0.dcm,1,0\n1.dcm,0,-1\n2.dcm,1.0,1\n3.dcm,,\n", "path,Mass,Nodule")
    table = run(task="multilabel", label=["Nodule", "Mass"])
    assert list(table) == [*artifacts.INDEX_COLUMNS, "label_Nodule", "label_Mass"]
    assert table["label"].tolist() == ["Mass", "No Finding", "Nodule|Mass"]
    assert table[["label_Nodule", "label_Mass"]].to_numpy().tolist() == [[0, 1], [-1, 0], [1, 1]]
    assert (table.dtypes[["label_Nodule", "label_Mass"]] == np.int8).all()
    assert quarantine() == {"3.dcm": "empty label"}
    assert "index: 3 images of 2 patients (Nodule 1 and 1 unknown, Mass 2, none of them 1)" in caplog.messages
    before = artifact_bytes()
    run(task="multilabel", label=["Nodule", "Mass"])
    assert artifact_bytes() == before


def test_joined_labels_become_columns_of_the_index(caplog):
    caplog.set_level("INFO")
    make()
    label("0.dcm,Mass|Nodule\n1.dcm,no finding\n2.dcm,Hernia|Nodule\n3.dcm,Mass|No Finding\ngone.dcm,Edema\n")
    table = run(task="multilabel")
    assert artifacts.classes(table, None) == ["Hernia", "Mass", "Nodule"]
    assert table["label"].tolist() == ["Mass|Nodule", "No Finding", "Hernia|Nodule"]
    assert quarantine()["3.dcm"] == "label contradicts itself: No Finding beside a finding"
    assert "labels that no usable image has: Edema" in caplog.messages
    table = run(task="multilabel", classes=["Nodule", "Hernia"])
    assert table["label"].tolist() == ["Nodule", "No Finding", "Nodule|Hernia"]
    assert "labels that data.classes leaves out (rows): Edema 1, Mass 2" in caplog.messages


def test_rows_and_copies_that_disagree_about_one_label_are_set_aside():
    make(5)
    Path("images/a.dcm").write_bytes(Path("images/3.dcm").read_bytes())
    rows = "0.dcm,1,0\n0.dcm,1.0,0.0\n1.dcm,0,1\n1.dcm,0,-1\n2.dcm,0,1\n2.dcm,0,x\n3.dcm,0,0\na.dcm,0,-1\n4.dcm,0,1\n"
    label(rows, "path,Mass,Nodule")
    table = run(task="multilabel", label=["Mass", "Nodule"])
    assert table["path"].tolist() == ["0.dcm", "4.dcm"]
    reason = "copies with different labels, splits or patients: same content as "
    disputed = dict.fromkeys(["1.dcm", "2.dcm"], "label rows disagree")
    assert quarantine() == {**disputed, "3.dcm": f"{reason}a.dcm", "a.dcm": f"{reason}3.dcm"}


def test_a_label_that_is_neither_0_nor_1_is_a_loss_and_one_that_is_missing_is_none():
    make()
    label("0.dcm,1,0\n1.dcm,0,1\n2.dcm,,x\n3.dcm,,\n", "path,Mass,Nodule")
    what = r"1 of 3 labelled images .* are set aside, .*: 1 label is not 0 or 1\n"
    with pytest.raises(PipelineError, match=what):
        run(task="multilabel", label=["Mass", "Nodule"], max_quarantined=0.3)
    assert len(run(task="multilabel", label=["Mass", "Nodule"], max_quarantined=0.34)) == 2


@pytest.mark.parametrize(("text", "what"), [("Mass", "'Mass' is the only label"), ("No Finding", "no row has a label")])
def test_a_multilabel_task_needs_two_labels(text, what):
    make()
    label(f"0.dcm,{text}\n1.dcm,No Finding\n")
    with pytest.raises(PipelineError, match=what):
        run(task="multilabel")


def test_no_usable_image_is_an_error_with_the_counts():
    make()
    label("a.dcm,x\nb.dcm,y\n")
    with pytest.raises(PipelineError, match="no image can be used: 4 no label, 2 label without an image"):
        run()
    assert not artifacts.INDEX.exists()


def test_of_three_copies_each_names_another():
    make(2)
    for name in "abc":
        Path(f"images/{name}.dcm").write_bytes(Path("images/1.dcm").read_bytes())
    label("0.dcm,x\n1.dcm,y\na.dcm,x\nb.dcm,y\nc.dcm,\n2.dcm,y\n")
    write(Path("images/2.dcm"), pixels(2))
    run()
    reason = "copies with different labels, splits or patients: same content as "
    assert quarantine() == {
        "1.dcm": f"{reason}a.dcm",
        "a.dcm": f"{reason}1.dcm",
        "b.dcm": f"{reason}1.dcm",
        "c.dcm": "empty label",
    }


def test_many_files_are_read_by_processes(monkeypatch):
    monkeypatch.setattr(index, "BLOCK", index.CHUNK + 1)
    make(2 * index.CHUNK + 1)
    given = dataclasses.replace(PARAMS.data, images="images", labels="labels.csv", label="label")
    index.run(dataclasses.replace(PARAMS, data=given, engine=dataclasses.replace(PARAMS.engine, workers=2)))
    assert len(artifacts.load_index()) == 2 * index.CHUNK + 1


def test_a_killed_scan_is_continued(monkeypatch, reads):
    make(2 * index.CHUNK + 1)
    monkeypatch.setattr(index, "SAVE_EVERY", 0.0)

    def killed(function, items, processes, label):
        yield function(items[0])
        yield function(items[1])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(engine, "map", killed)
        with pytest.raises(KeyboardInterrupt):
            run()
    reads.clear()
    run()
    assert len(reads) == 1


@pytest.mark.parametrize(
    ("number", "message"), [(errno.ENOSPC, "no space left on the disk"), (errno.EACCES, "cannot be written")]
)
def test_a_disk_that_refuses_is_an_error_with_a_remedy(monkeypatch, number, message):
    make()

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PipelineError, match=message):
        run()
    assert not [path for path in artifacts.ROOT.rglob("*") if path.is_file()]


def test_a_rescan_imports_neither_pydicom_nor_the_engine():
    make()
    run()
    text = (ROOT / "params.yaml").read_text()
    for old, new in {
        "data/demo/images": "images",
        "data/demo/labels": "labels",
        "label: density": "label: label",
    }.items():
        text = text.replace(old, new)
    Path("params.yaml").write_text(text)
    code = (
        "import sys, pipeline.__main__ as m; assert m.main(['index']) == 0; "
        "sys.exit(' '.join({'pydicom', 'PIL', 'joblib', 'torch', 'sklearn'} & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="the real images are not here")
@pytest.mark.parametrize(
    ("name", "split", "images", "patients"), [("rbc12", None, 6571, 170), ("pneumoniamnist", "split", 5856, 5856)]
)
def test_real_images_are_all_used(name, split, images, patients):
    table = run(images=str(REAL / name), labels=str(REAL / name / "labels.csv"), patient="patient_id", split=split)
    assert (len(table), table["group"].nunique(), quarantine()) == (images, patients, {})


def test_a_pattern_groups_pictures_by_patient_and_sets_other_files_aside():
    for number, name in enumerate(["a/p1_40.png", "a/p1_100.png", "b/p2_40.png", "b/cover.png"]):
        Path(f"images/{name}").parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels(number) >> 4).astype(np.uint8)).save(f"images/{name}")
    pattern = r"^(?P<label>\w)/(?P<patient>p\d+)_(?P<zoom>\d+)"
    table = run(labels="folders", pattern=pattern, attributes=["zoom"], max_quarantined=0.0).sort_values("path")
    assert list(table) == [*artifacts.INDEX_COLUMNS, "attribute_zoom"]
    assert table[["label", "attribute_zoom"]].to_numpy().tolist() == [["a", "100"], ["a", "40"], ["b", "40"]]
    assert table["group"].nunique() == 2
    assert quarantine() == {"b/cover.png": "path does not match data.pattern"}
    before = artifact_bytes()
    run(labels="folders", pattern=pattern, attributes=["zoom"], max_quarantined=0.0)
    assert artifact_bytes() == before


def test_attributes_of_a_csv_are_columns_of_the_index():
    make()
    label("".join(f"{n}.dcm,{'xy'[n % 2]},{'FM'[n // 2]}\n" for n in range(4)), "path,label,sex")
    assert run(attributes=["sex"])["attribute_sex"].tolist() == ["F", "F", "M", "M"]


def test_the_rest_is_one_class():
    make()
    label("0.dcm,Mass|Hernia\n1.dcm,Mass\n2.dcm,No Finding\n3.dcm,\n")
    table = run(task="binary", classes=["other", "Hernia"], rest="other")
    assert table["label"].tolist() == ["Hernia", "other", "other"]
    assert quarantine() == {"3.dcm": "empty label"}
