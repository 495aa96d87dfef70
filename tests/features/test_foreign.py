import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.errors import PipelineError
from pipeline.features import foreign

VALUES = np.arange(12, dtype=np.float64).reshape(4, 3)
TABLE = pd.DataFrame(VALUES, columns=["a", "b", "c"])


@pytest.mark.parametrize("kind", ["float64", "float16", "int8", "bool"])
def test_an_array_becomes_float32(tmp_path, kind):
    np.save(tmp_path / "f.npy", VALUES.astype(kind))
    found = foreign.read(tmp_path / "f.npy", [])
    assert found.values.dtype == np.float32
    np.testing.assert_array_equal(found.values, VALUES.astype(kind).astype(np.float32))
    assert found.columns == {}


def test_the_only_flat_array_of_an_archive_holds_the_features(tmp_path):
    np.savez(tmp_path / "f.npz", x=VALUES, labels=["u", "v", "u", " v "], patients=[7, 7, 8, 9], more=np.zeros(3))
    found = foreign.read(tmp_path / "f.npz", [])
    np.testing.assert_array_equal(found.values, VALUES)
    assert found.columns == {"label": ["u", "v", "u", "v"], "patient": ["7", "7", "8", "9"]}
    assert found.notes == ["arrays that are not used: more"]


def test_of_several_flat_arrays_the_one_called_features_holds_them(tmp_path):
    np.savez(
        tmp_path / "f.npz", other=VALUES[:, :1], features=VALUES, labels=np.array([[1, 0], [0, -1], [1, 1], [0, 0]])
    )
    found = foreign.read(tmp_path / "f.npz", [])
    assert found.values.shape == (4, 3)
    assert found.columns == {"label 0": ["1", "0", "1", "0"], "label 1": ["0", "-1", "1", "0"]}
    np.savez(tmp_path / "g.npz", one=VALUES, other=VALUES)
    with pytest.raises(
        PipelineError, match=r"g.npz: has 2 arrays of two dimensions \(one, other\), and none is called"
    ):
        foreign.read(tmp_path / "g.npz", [])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"labels": ["a"] * 3}, r"array labels has shape \(3,\), but features has 4 rows"),
        ({"ids": np.zeros((4, 2, 2))}, r"array ids has shape \(4, 2, 2\)"),
        (
            {"labels": np.array(["a", None, "b", "c"], object)},
            r"holds Python objects\n  Remedy: save it again; text as",
        ),
    ],
)
def test_arrays_beside_the_features_that_do_not_fit_are_refused(tmp_path, more, message):
    np.savez(tmp_path / "f.npz", features=VALUES, **more)
    with pytest.raises(PipelineError, match=message):
        foreign.read(tmp_path / "f.npz", [])


def save(table, path):
    table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path, index=path.stem == "numbered", sep=";")


@pytest.mark.parametrize("name", ["f.parquet", "f.csv", "numbered.csv"])
def test_what_is_no_metadata_and_a_number_is_a_feature(tmp_path, name):
    save((TABLE + 0.5).assign(grade=[1.0, 2.0, 1.0, 0.0], who=["NA", "007", "x", "y"], scanner="Acme"), tmp_path / name)
    found = foreign.read(tmp_path / name, ["grade", "who", "absent"])
    np.testing.assert_array_equal(found.values, VALUES + 0.5)
    grades = ["1.0", "2.0", "1.0", "0.0"] if name.endswith(".csv") else ["1", "2", "1", "0"]
    assert found.columns == {"grade": grades, "who": ["NA", "007", "x", "y"]}
    assert found.notes[0] == "features: 3 columns, a … c"
    assert found.notes[-1] == "columns that are not numbers and are left out: scanner"
    assert ("columns without a name, taken for row numbers and left out: 1" in found.notes) == (name == "numbered.csv")


@pytest.mark.parametrize("name", ["f.parquet", "f.csv"])
def test_columns_of_whole_numbers_among_others_are_named_as_possible_ids_or_labels(tmp_path, name):
    save((TABLE + 0.5).assign(patient=[7, 7, 8, 9], Mass=[0.0, 1.0, 0.0, 1.0]), tmp_path / name)
    told = "whole numbers, taken for features: patient, Mass; leave out of the file what is an id or a label"
    assert foreign.read(tmp_path / name, []).notes[-1] == told
    save(TABLE, tmp_path / name)
    assert foreign.read(tmp_path / name, []).notes == ["features: 3 columns, a … c"]


def test_what_is_missing_in_a_column_of_metadata_is_empty(tmp_path):
    TABLE.assign(grade=[1.0, None, 0.0, 2.5], who=["a", None, "b", "c"]).to_parquet(tmp_path / "f.parquet")
    columns = foreign.read(tmp_path / "f.parquet", ["grade", "who"]).columns
    assert columns == {"grade": ["1", "", "0", "2.5"], "who": ["a", "", "b", "c"]}


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
@pytest.mark.parametrize("name", ["f.npy", "f.parquet", "f.csv"])
def test_what_is_not_finite_is_refused_with_its_place(tmp_path, value, name):
    values = VALUES.copy()
    values[2, 1] = values[3, 0] = value
    np.save(tmp_path / name, values) if name == "f.npy" else save(
        pd.DataFrame(values, columns=list("abc")), tmp_path / name
    )
    first = "2" if name == "f.npy" else "b"
    message = (
        rf"2 of 4 rows hold NaN, infinity or .*, in 2 of 3 features; the first is row 3, feature {first}\n  Remedy"
    )
    with pytest.raises(PipelineError, match=message):
        foreign.read(tmp_path / name, [])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f.txt", b"", r"f.txt: is none of .npy, .npz, .parquet, .csv"),
        ("f.npy", b"nothing", "is damaged, or is no such file"),
        ("f.npz", b"nothing", "is damaged, or is no such file"),
        ("f.parquet", b"nothing", "is damaged, or is no such file"),
        ("f.csv", b"who\nx\n", r"holds no features\n  Remedy: it needs rows and numeric columns \(\(1, 0\) found\)"),
        ("f.csv", b"a;b\n", "holds no features"),
        ("f.csv", b"", "is damaged, or is no such file"),
    ],
)
def test_a_file_without_features_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PipelineError, match=message):
        foreign.read(tmp_path / name, ["who"])


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((2, 2, 2)), np.array([["a", "b"]]), np.zeros((2, 2), complex)])
def test_an_array_of_another_shape_or_type_is_refused(tmp_path, array):
    np.save(tmp_path / "f.npy", array)
    with pytest.raises(PipelineError, match="not rows × features of numbers"):
        foreign.read(tmp_path / "f.npy", [])


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(PipelineError, match=r"f.npy: cannot be read \(No such file or directory\)"):
        foreign.read(tmp_path / "f.npy", [])


@settings(max_examples=25, deadline=None)
@given(arrays.arrays(np.float32, (3, 2), elements=st.floats(allow_nan=False, allow_infinity=False, width=32)))
def test_a_table_of_text_gives_the_same_numbers_as_an_array(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("f") / "f.csv"
    pd.DataFrame(values.astype(float), columns=["a", "b"]).to_csv(path, index=False)
    np.testing.assert_array_equal(foreign.read(path, []).values, values)
