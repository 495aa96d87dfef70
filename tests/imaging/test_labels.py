from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.imaging import labels
from pipeline.imaging.identity import pseudonym
from pipeline.imaging.labels import Columns

KEY = b"k" * 32
ROOT = Path("/images")
FILES = pd.DataFrame(
    {
        "path": ["a/1.dcm", "a/2.dcm", "b/3.dcm"],
        "sop_uid": ["1.2.1", "1.2.2", "1.2.3"],
        "accession": [pseudonym(KEY, name) for name in ("007", "007", "8")],
        "patient": [pseudonym(KEY, name) for name in ("P1", "P1", "P2")],
    }
)


def read(tmp_path, text, names=None, encoding="utf-8"):
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return labels.read_csv(path, names or Columns("label", "path"))


def match(tmp_path, text, names=None):
    return labels.match(read(tmp_path, text, names), FILES, ROOT, KEY)


def as_dict(given_labels):
    return dict(zip(given_labels["path"], given_labels["label"], strict=True))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiter_and_byte_order_mark_do_not_matter(tmp_path, delimiter, encoding, end):
    rows = [["path", "label"], ["a/1.dcm", "x"], ["a/2.dcm", '"y, or z; or"']]
    table = read(tmp_path, end.join(delimiter.join(row) for row in rows), encoding=encoding)
    assert table[["line", "path", "label"]].to_numpy().tolist() == [[2, "a/1.dcm", "x"], [3, "a/2.dcm", "y, or z; or"]]


def test_cells_stay_text(tmp_path):
    table = read(tmp_path, "path,label,n\n1.png,007,1\n2.png,NA,2\n3.png,1.0,\n")
    assert table["label"].tolist() == ["007", "NA", "1.0"]


def test_blank_lines_do_not_shift_the_line_numbers(tmp_path):
    assert read(tmp_path, "path,label\n\n1.png,x\n,\n2.png,y\n")["line"].tolist() == [3, 5]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (Columns("grade", "path"), r"has no column 'grade' \(data.label\); it has path, label, extra"),
        (Columns("label", "file"), r"has no column 'file' \(data.path\)"),
        (Columns("label", "path", patient="who"), r"has no column 'who' \(data.patient\)"),
        (Columns("label", "path", split="part"), r"has no column 'part' \(data.split\)"),
        (Columns("label", "path", id="uid"), r"has no column 'uid' \(data.id\)"),
    ],
)
def test_a_missing_column_is_named_with_those_that_exist(tmp_path, names, message):
    with pytest.raises(PipelineError, match=message):
        read(tmp_path, "path,label,extra\n1.png,x,\n", names)


def test_the_path_column_may_be_missing_where_there_are_ids(tmp_path):
    table = read(tmp_path, "uid,label\n1.2.1,x\n", Columns("label", "path", id="uid"))
    assert (table["path"].tolist(), table["id"].tolist()) == ([""], ["1.2.1"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no rows"),
        (b"path,label\n", "holds no rows"),
        ("path,label\n1.png,é\n".encode("latin-1"), "is not in UTF-8"),
        (b"path,label\n1.png,x,y\n", "line 2 has 3 cells, but the header has 2"),
        (b"path,label,label\n1.png,x,y\n", "has the column label twice"),
    ],
)
def test_a_csv_that_cannot_be_read_says_why(tmp_path, content, message):
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(PipelineError, match=message):
        labels.read_csv(path, Columns("label", "path"))


def test_a_missing_csv_is_named(tmp_path):
    with pytest.raises(PipelineError, match=r"labels.csv: cannot be read \(No such file"):
        labels.read_csv(tmp_path / "labels.csv", Columns("label", "path"))


@pytest.mark.parametrize("written", ["a/1.dcm", "./a/1.dcm", "a\\1.dcm", ".\\a\\1.dcm", "/images/a/1.dcm", " a/1.dcm "])
def test_paths_may_be_written_in_many_ways(tmp_path, written):
    found, strays = match(tmp_path, f"path,label\n{written},x\n")
    assert as_dict(found) == {"a/1.dcm": "x"}
    assert not strays


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["1.2.1", "1.2.3"], {"a/1.dcm": "0", "b/3.dcm": "1"}),
        (["007", " 8 "], {"a/1.dcm": "0", "a/2.dcm": "0", "b/3.dcm": "1"}),
        (["P2"], {"b/3.dcm": "0"}),
    ],
)
def test_an_id_is_a_sop_instance_uid_an_accession_number_or_a_patient(tmp_path, ids, expected):
    text = "id,label\n" + "".join(f"{name},{row}\n" for row, name in enumerate(ids))
    found, strays = match(tmp_path, text, Columns("label", "path", id="id"))
    assert as_dict(found) == expected
    assert not strays


def test_an_id_that_lost_its_zeros_is_another(tmp_path):
    found, strays = match(tmp_path, "id,label\n7,x\n8,y\n", Columns("label", id="id"))
    assert as_dict(found) == {"b/3.dcm": "y"}
    assert strays == [
        {"path": "labels.csv line 2", "reason": "label without an image", "remedy": "mend its id, or drop the row"}
    ]


def test_no_known_id_is_an_error(tmp_path):
    with pytest.raises(PipelineError, match=r"none of the 2 ids is the SOP Instance UID, .* of one of the 3 files"):
        match(tmp_path, "id,label\nsecret-1,x\nsecret-2,y\n", Columns("label", id="id"))


@pytest.mark.parametrize("ids", ["7,x\n9,y\n", "00008,x\n", "0000000000000008,x\n"])
def test_ids_that_differ_by_leading_zeros_alone_are_told(tmp_path, ids):
    text = "id,label\n" + ids
    files = FILES[FILES["path"] != "b/3.dcm"] if "7," in ids else FILES
    table = read(tmp_path, text, Columns("label", id="id"))
    with pytest.raises(PipelineError, match=r"but some would be with other leading zeros\n  Remedy: write the ids as"):
        labels.match(table, files, ROOT, KEY)


def test_nothing_is_said_of_zeros_where_they_are_not_the_cause(tmp_path):
    with pytest.raises(PipelineError, match=r"matches: 0, 0, 0\)\n  Remedy: name another column"):
        match(tmp_path, "id,label\n0,x\n77,y\n", Columns("label", id="id"))


def test_the_path_comes_first_and_the_id_for_rows_without_one(tmp_path):
    text = "path,id,label\na/1.dcm,1.2.3,x\n,1.2.2,y\n,,z\n"
    found, strays = match(tmp_path, text, Columns("label", "path", id="id"))
    assert as_dict(found) == {"a/1.dcm": "x", "a/2.dcm": "y"}
    assert [(row["path"], row["reason"]) for row in strays] == [("labels.csv line 4", "label row without path and id")]


def test_a_label_without_its_file_is_set_aside_under_its_path(tmp_path):
    found, strays = match(tmp_path, "path,label\na/1.dcm,x\na/9.dcm,y\n")
    assert as_dict(found) == {"a/1.dcm": "x"}
    assert [(row["path"], row["reason"]) for row in strays] == [("a/9.dcm", "label without an image")]


def test_rows_that_disagree_are_disputed_and_rows_that_agree_are_not(tmp_path):
    found, _ = match(tmp_path, "path,label\na/1.dcm,x\na/1.dcm,y\na/2.dcm,x\na/2.dcm,x\n")
    assert dict(zip(found["path"], found["disputed"], strict=True)) == {"a/1.dcm": True, "a/2.dcm": False}


def test_split_words_are_translated(tmp_path):
    text = "path,label,split\na/1.dcm,x,Train\na/2.dcm,x,VALIDATION\nb/3.dcm,y,test\n"
    found, _ = match(tmp_path, text, Columns("label", "path", split="split"))
    assert found["split"].tolist() == ["train", "val", "test"]


@pytest.mark.parametrize("word", ["", "secret-1"])
def test_other_split_words_are_located_and_not_shown(tmp_path, word):
    text = f"path,label,split\na/1.dcm,x,train\na/2.dcm,x,{word}\nb/3.dcm,x,other\n"
    with pytest.raises(PipelineError, match="2 rows have no split word, the first in line 3") as raised:
        match(tmp_path, text, Columns("label", "path", split="split"))
    assert "secret" not in str(raised.value)


def test_patients_come_as_pseudonyms(tmp_path):
    found, _ = match(tmp_path, "path,label,who\na/1.dcm,x, 0012 \n", Columns("label", "path", patient="who"))
    assert found["patient"].tolist() == [pseudonym(KEY, "0012")]


def test_a_bare_file_name_is_found_in_any_folder(tmp_path):
    found, strays = match(tmp_path, "path,label\n1.dcm,x\n3.dcm,y\na/2.dcm,z\n")
    assert as_dict(found) == {"a/1.dcm": "x", "b/3.dcm": "y", "a/2.dcm": "z"}
    assert not strays


def test_a_file_name_that_several_files_have_is_set_aside_with_their_number(tmp_path):
    files = pd.concat([FILES, FILES.iloc[:1].assign(path="b/1.dcm")], ignore_index=True)
    found, strays = labels.match(read(tmp_path, "path,label\n1.dcm,x\n3.dcm,y\n"), files, ROOT, KEY)
    assert as_dict(found) == {"b/3.dcm": "y"}
    assert strays == [
        {
            "path": "1.dcm",
            "reason": "label of one of several images: 2 files have this name",
            "remedy": "write the path below data.images",
        }
    ]


def test_a_path_that_is_there_is_no_bare_name(tmp_path):
    files = pd.concat([FILES, FILES.iloc[:1].assign(path="1.dcm")], ignore_index=True)
    assert as_dict(labels.match(read(tmp_path, "path,label\n1.dcm,x\n"), files, ROOT, KEY)[0]) == {"1.dcm": "x"}


def test_attributes_come_as_text_and_rows_that_differ_in_them_are_disputed(tmp_path):
    names = Columns("label", "path", attributes=("sex", "site"))
    text = "path,label,site,sex\na/1.dcm,x,S 1,F\na/2.dcm,x,,M\na/2.dcm,x,S2,M\n"
    found, _ = match(tmp_path, text, names)
    assert found[["attribute_sex", "attribute_site", "disputed"]].to_numpy().tolist() == [
        ["F", "S 1", False],
        ["M", "", True],
    ]
    with pytest.raises(PipelineError, match=r"has no column 'age' \(data\.attributes\)"):
        read(tmp_path, text, Columns("label", "path", attributes=("sex", "age")))


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_rows_does_not_matter(order):
    table = pd.DataFrame(
        {
            "line": range(6),
            "path": ["a/1.dcm", "a/1.dcm", "a/2.dcm", "a/2.dcm", "b/3.dcm", "gone"],
            "id": "",
            "label": ["x", "y", "x", "x", "y", "y"],
            "patient": "",
            "split": "",
        }
    )
    columns = ["path", "disputed"]
    expected = labels.match(table, FILES, ROOT, KEY)[0].sort_values("path")[columns].to_numpy().tolist()
    found = labels.match(table.iloc[list(order)], FILES, ROOT, KEY)[0].sort_values("path")[columns].to_numpy().tolist()
    assert found == expected
