import dataclasses
import logging
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from dicoms import dataset, to_bytes, write
from imports import ROOT
from PIL import Image

from pipeline import artifacts, params
from pipeline.__main__ import main
from pipeline.errors import PipelineError
from pipeline.imaging import picture, preview, sheet
from pipeline.imaging.picture import Look
from pipeline.imaging.sheet import Cell
from pipeline.stages import index, show

PARAMS = params.load(ROOT / "params.yaml")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKEWRAY_KEY", "test")


@pytest.fixture
def cells(monkeypatch):
    """The cells of the sheet that was drawn last."""
    last, draw = [], sheet.draw

    def record(drawn, title, size):
        last[:] = drawn
        return draw(drawn, title, size)

    monkeypatch.setattr(sheet, "draw", record)
    return last


def grey(seed=0, shape=(16, 16)):
    return np.random.default_rng(seed).integers(1, 256, shape, np.uint8)


def put(name, seed=0, **tags):
    return write(Path(name), grey(seed), **{"WindowCenter": 128, "WindowWidth": 256, **tags})


def given(data=None, **render):
    settings = {"images": "images", "labels": "labels.csv", "label": "label", **(data or {})}
    return dataclasses.replace(
        PARAMS,
        data=dataclasses.replace(PARAMS.data, **settings),
        render=dataclasses.replace(PARAMS.render, **{"size": 16, **render}),
    )


def run(*paths, data=None, **render):
    show.run(given(data, **render), [str(path) for path in paths])


def test_a_picture_is_shown_as_the_store_would_hold_it_with_what_decided_it(cells):
    put("images/a/0.dcm")
    run("images/a/0.dcm")
    (cell,) = cells
    np.testing.assert_array_equal(cell.picture, grey())
    assert (cell.name, cell.fault, cell.whole) == ("images/a/0.dcm", "", None)
    assert list(cell.lines) == [
        "Explicit VR Little Endian, MONOCHROME2",
        "16 × 16, 8 bits",
        "window: 128 / 256 LINEAR",
    ]
    with Image.open("show.png") as image:
        assert image.format == "PNG"


def test_colour_is_shown_in_colour_and_grey_in_grey(cells):
    put("images/grey.dcm")
    write(Path("images/red.dcm"), np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8))
    Image.fromarray(grey(7)).save("images/p.png")
    run("images")
    assert [(cell.name, cell.picture.shape) for cell in cells] == [
        ("images/grey.dcm", (16, 16)),
        ("images/p.png", (16, 16)),
        ("images/red.dcm", (16, 16, 3)),
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"no image", "not a DICOM file"),
        (to_bytes(dataset(np.full((4, 4), 512, np.uint16))), "blank: every pixel has the value 512"),
        (to_bytes(dataset(grey()))[:-100], "truncated: (7FE0,0010) Pixel Data has 156 bytes, Rows × Columns need 256"),
    ],
)
def test_what_cannot_be_shown_has_a_cell_with_reason_and_remedy_and_the_rest_is_shown(cells, content, reason):
    put("images/1.dcm")
    Path("images/0.dcm").write_bytes(content)
    run("images")
    bad, good = cells
    assert (bad.picture, bad.fault) == (None, reason)
    assert bad.remedy
    assert good.picture is not None


def stumble(task, look):
    """Stands for `preview.cell`, in the process where it runs."""
    if "0.dcm" in task.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "1.dcm" in task.name:
        time.sleep(60)
    if "2.dcm" in task.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return Cell(task.name, grey())


def test_a_decoder_that_crashes_or_hangs_costs_its_own_cell_and_no_other(cells, monkeypatch):
    for number in range(4):
        put(f"images/{number}.dcm")
    monkeypatch.setattr(preview, "cell", stumble)
    show.run(dataclasses.replace(given(), pixels=dataclasses.replace(PARAMS.pixels, timeout=0.3)), ["images"])
    assert [cell.fault for cell in cells] == [
        "its decoder crashed (SIGSEGV)",
        "took longer than 0.3 s",
        "not enough memory",
        "",
    ]
    assert all(cell.remedy for cell in cells[:3])


def test_no_text_of_a_decoder_is_shown(monkeypatch):
    def fail(*_):
        raise KeyError("Patient^Name")

    monkeypatch.setattr(picture, "show", fail)
    (task,) = preview.frames(preview.Task(put("images/0.dcm"), "0.dcm"), "first")
    cell = preview.cell(task, Look(**vars(given().render), channels=1))
    assert cell.fault == "cannot be decoded: damaged or truncated (KeyError)"
    assert "Patient" not in cell.remedy


def test_no_tag_that_names_a_person_is_shown(cells):
    run(put("images/0.dcm", PatientID="MRN-77", PatientName="Doe^Jane", AccessionNumber="ACC-5"))
    shown = f"{cells[0].name} {cells[0].lines}"
    assert not any(text in shown for text in ("MRN-77", "Doe", "ACC-5"))


def test_of_a_large_folder_files_are_shown_that_lie_evenly_over_it_and_it_says_how_many(cells, caplog):
    for number in range(47):
        put(f"images/{number:02}.dcm", number)
    with caplog.at_level(logging.INFO, logger="pipeline.stages.show"):
        run("images")
    assert [cell.name for cell in cells] == [f"images/{number:02}.dcm" for number in range(0, 47, 2)]
    assert caplog.messages == ["24 of 47 files, 24 pictures: show.png"]


def test_a_path_may_lie_below_the_image_folder(cells):
    put("elsewhere/a/0.dcm")
    run("a/0.dcm", "a", data={"images": "elsewhere"})
    assert [cell.name for cell in cells] == ["elsewhere/a/0.dcm", "a/0.dcm"]


def test_of_a_long_path_the_end_is_shown(cells):
    run(put("images/patient/study/series/0.dcm").absolute())
    assert [cell.name for cell in cells] == ["study/series/0.dcm"]


def test_an_image_of_the_index_is_found_by_its_id(cells):
    put("images/0.dcm", SOPInstanceUID="1.2.0")
    put("images/1.dcm", seed=1, SOPInstanceUID="1.2.1")
    Path("labels.csv").write_text("path,label\n0.dcm,x\n1.dcm,y\n")
    index.run(given())
    run("1.2.1")
    assert [cell.name for cell in cells] == ["1.dcm"]
    np.testing.assert_array_equal(cells[0].picture, grey(1))
    with pytest.raises(PipelineError, match=r"^1\.2\.7: is no file or folder, neither here nor below images, and no"):
        run("1.2.7")


def test_a_path_that_names_nothing_is_an_error(cells):
    message = (
        r"^nix\.dcm: is no file or folder, neither here nor below images, and no image_id of artifacts/index\.parquet\n"
        r"  Remedy: give the path of an image file or of a folder, or an image_id$"
    )
    with pytest.raises(PipelineError, match=message):
        run(put("images/0.dcm"), "nix.dcm")
    assert not Path("show.png").exists()


def test_folders_without_images_are_passed_over_unless_all_are(cells):
    Path("empty").mkdir()
    run("empty", put("images/0.dcm"))
    assert len(cells) == 1
    with pytest.raises(PipelineError, match=r"^empty: holds no image\n  Remedy: give the path of an image file"):
        run("empty")


@pytest.mark.parametrize("out", ["sheet.jpg", "sheet", "folder.png"])
def test_the_sheet_is_a_png(out):
    Path("folder.png").mkdir()
    with pytest.raises(PipelineError, match=f"^{out}: is no name for a PNG file\n  Remedy: give --out a name"):
        show.run(given(), [str(put("images/0.dcm"))], out)


FRAMES = grey(3, (10, 4, 4))


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("first", ["frame 1 of 10"]),
        ("middle", ["frame 5 of 10"]),
        ("max", ["brightest value of 10 frames"]),
        ("all", [f"frame {number} of 10" for number in range(1, 11)]),
    ],
)
def test_of_a_file_with_several_frames_those_of_the_policy_are_shown(cells, policy, words):
    put("images/0.dcm", NumberOfFrames=10, Rows=4, Columns=4, PixelData=FRAMES.tobytes())
    run("images/0.dcm", data={"frames": policy})
    assert [cell.lines[-1] for cell in cells] == words


@pytest.mark.parametrize("policy", ["first", "middle", "max", "all"])
def test_the_frames_shown_are_those_of_the_index_and_each_is_found_by_its_id(cells, policy):
    put("images/0.dcm", NumberOfFrames=10, Rows=4, Columns=4, PixelData=FRAMES.tobytes(), SOPInstanceUID="1.2.0")
    put("images/1.dcm", SOPInstanceUID="1.2.1")
    Path("labels.csv").write_text("path,label\n0.dcm,x\n1.dcm,y\n")
    index.run(given({"frames": policy}))
    rows = artifacts.load_index()
    for name in ("0.dcm", "1.dcm"):
        tasks = preview.frames(preview.Task(Path("images") / name, name), policy)
        assert [task.frame for task in tasks] == sorted(rows["frame"][rows["path"] == name])
    last = rows[rows["path"] == "0.dcm"].iloc[-1]
    run(last["image_id"], data={"frames": policy})
    words = f"frame {last['frame']} of 10" if last["frame"] else "brightest value of 10 frames"
    assert [cell.lines[-1] for cell in cells] == [words]


def test_a_cropped_picture_stands_beside_the_whole_with_the_part_that_is_shown(cells):
    values = np.zeros((60, 40), np.uint8)
    values[10:50, 20:40] = grey(0, (40, 20)) // 2 + 128
    write(Path("images/0.dcm"), values, WindowCenter=128, WindowWidth=256)
    run("images/0.dcm", crop="foreground", face="right", fit="pad")
    (cell,) = cells
    assert cell.whole.shape == (320, 213)
    top, left, height, width = (round(length * 60 / 320) for length in cell.box)
    assert abs(top - 10) <= 2
    assert abs(left - 20) <= 2
    assert abs(height - 40) <= 4
    assert abs(width - 20) <= 4
    assert cell.lines[3].startswith("crop: ")


def test_the_command_takes_paths_and_a_file_and_says_where_it_is(caplog, capfd):
    put("images/0.dcm")
    Path("params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    with caplog.at_level(logging.INFO, logger="pipeline.stages.show"):
        assert main(["show", "images", "images/0.dcm", "--out", "sheets/a.png"]) == 0
    assert Path("sheets/a.png").exists()
    assert caplog.messages == ["2 of 2 files, 2 pictures: sheets/a.png"]
    assert main(["show", "nix"]) == 1
    assert "error: nix: is no file or folder" in capfd.readouterr().err


def test_a_file_that_breaks_the_standard_but_can_be_read_is_shown_without_a_warning(cells):
    content = to_bytes(dataset(grey()))
    # Its transfer syntax says implicit, while the elements are explicit; a warning would be an error in these tests.
    content = content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0")
    Path("0.dcm").write_bytes(content)
    run("0.dcm")
    assert (cells[0].fault, cells[0].picture is not None) == ("", True)
