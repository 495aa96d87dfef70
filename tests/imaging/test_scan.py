import os
from pathlib import Path

import imports
import pandas as pd
import pytest

from pipeline.errors import PipelineError
from pipeline.imaging import scan


def put(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(root):
    return scan.candidates(root)[0]["path"].tolist()


def test_images_are_found_at_any_depth_in_any_case_and_sorted(tmp_path):
    put(tmp_path, "b.PNG", "a/b/c.dcm", "a/IM0001", "a/1.2.840.1", "x.tiff", "x.IMA")
    assert names(tmp_path) == ["a/1.2.840.1", "a/IM0001", "a/b/c.dcm", "b.PNG", "x.IMA", "x.tiff"]


def test_hidden_files_are_left_out_and_side_files_counted(tmp_path):
    put(tmp_path, "a.dcm", ".b.dcm", ".git/c.dcm", "labels.csv", "sub/other.CSV", "readme.md", "csv")
    table, strays, side = scan.candidates(tmp_path)
    assert (table["path"].tolist(), strays, side) == (["a.dcm", "csv"], [], {".csv": 2, ".md": 1})


def test_a_dicomdir_is_a_side_file_by_several_names_and_a_folder_of_that_name_is_a_folder(tmp_path):
    put(
        tmp_path,
        "DICOMDIR",
        "b/dicomdir",
        "c/DICOMDIR.dcm",
        "c/DICOMDIR2",
        "dicomdir.d/DICOMDIR",
        "x/DICOMDIR.dir/a.dcm",
    )
    table, strays, side = scan.candidates(tmp_path)
    assert (table["path"].tolist(), strays, side) == (["c/DICOMDIR2", "x/DICOMDIR.dir/a.dcm"], [], {"DICOMDIR": 4})


def test_what_is_no_regular_file_is_set_aside_and_not_opened(tmp_path):
    put(tmp_path, "a.dcm")
    os.mkfifo(tmp_path / "pipe.dcm")
    (tmp_path / "null.dcm").symlink_to(os.devnull)
    table, strays, _ = scan.candidates(tmp_path)
    remedy = "move it out of the image folder"
    assert table["path"].tolist() == ["a.dcm"]
    assert sorted(strays, key=str) == [
        {"path": "null.dcm", "reason": "no regular file", "remedy": remedy},
        {"path": "pipe.dcm", "reason": "no regular file", "remedy": remedy},
    ]


def test_linked_folders_are_followed_once(tmp_path):
    put(tmp_path / "elsewhere", "a.dcm")
    root = tmp_path / "root"
    root.mkdir()
    (root / "one").symlink_to(tmp_path / "elsewhere")
    (root / "two").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    (tmp_path / "elsewhere" / "back").symlink_to(root)
    assert len(names(root)) == 1


def test_a_linked_folder_is_followed_whose_name_begins_that_of_the_root(tmp_path):
    put(tmp_path / "mammo", "a.dcm")
    put(tmp_path / "mammo_all", "b.dcm")
    (tmp_path / "mammo_all" / "more").symlink_to(tmp_path / "mammo")
    assert names(tmp_path / "mammo_all") == ["b.dcm", "more/a.dcm"]


def test_a_dangling_link_is_a_candidate(tmp_path):
    (tmp_path / "a.dcm").symlink_to(tmp_path / "gone")
    assert names(tmp_path) == ["a.dcm"]


def test_a_name_that_is_no_text_is_told_apart(tmp_path):
    put(tmp_path, "ä.dcm")
    (tmp_path / os.fsdecode(b"\xff.dcm")).write_bytes(b"x")
    table, strays, _ = scan.candidates(tmp_path)
    row = {"path": "\\xff.dcm", "reason": "file name is no valid UTF-8", "remedy": "rename the file"}
    assert (table["path"].tolist(), strays) == (["ä.dcm"], [row])


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(PipelineError, match=r"gone: cannot be read as a folder \(No such file .*\n.*data.images"):
        scan.candidates(tmp_path / "gone")


def test_an_empty_folder_is_named_with_what_it_holds(tmp_path):
    with pytest.raises(PipelineError, match="holds no image\n"):
        scan.candidates(tmp_path)
    put(tmp_path, "labels.csv")
    with pytest.raises(PipelineError, match=r"holds no image; it has 1 files of other kinds \(\.csv\)"):
        scan.candidates(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_named(tmp_path):
    put(tmp_path, "a.dcm", "sub/b.dcm")
    (tmp_path / "sub").chmod(0)
    try:
        with pytest.raises(PipelineError, match=r"sub: cannot be read as a folder .*Permission denied"):
            scan.candidates(tmp_path)
    finally:
        (tmp_path / "sub").chmod(0o755)


def test_only_rows_with_the_same_path_size_time_and_stamp_still_hold():
    memo = pd.DataFrame({"stamp": "s", "path": list("abcd"), "size": 1, "mtime_ns": 1, "rows": range(4)})
    memo.loc[3, "stamp"] = "old"
    files = pd.DataFrame({"path": list("abcde"), "size": [1, 2, 1, 1, 1], "mtime_ns": [1, 1, 2, 1, 1]})
    known, fresh = scan.compare(files, memo, "s")
    assert (known["path"].tolist(), known["rows"].tolist(), fresh) == (["a"], [0], ["b", "c", "d", "e"])


def test_the_stamp_knows_every_module_that_makes_a_header_row(monkeypatch):
    read = []
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path.name) or b"")
    scan.stamp(b"k", Path())
    closure = {
        path.name for path in imports.closure(Path("pipeline/imaging/headers.py")) if path.parent.name == "imaging"
    }
    assert set(read) == closure - {"__init__.py"}


def test_another_key_or_another_folder_gives_another_stamp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    Path("link").symlink_to("here")
    stamps = [scan.stamp(key, Path(root)) for key, root in [(b"a", "here"), (b"b", "here"), (b"a", ".")]]
    assert len(set(stamps)) == 3
    assert scan.stamp(b"a", Path("link")) == scan.stamp(b"a", tmp_path / "here") == stamps[0]
