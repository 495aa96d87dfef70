"""Features from elsewhere, as files hold them: of foundation models as arrays, of radiomics as tables."""

import csv
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import PipelineError

KINDS = (".npy", ".npz", ".parquet", ".csv")
BESIDE = {"labels": "label", "ids": "id", "patients": "patient", "splits": "split"}  # arrays of a .npz, and their role
ROW_NUMBERS = ("Unnamed: ", "__index_level_")  # how pandas calls a column without a name when it reads a table again
MOST_NAMED = 5  # columns in one line
NOT_FILLED = ["", "nan", "NaN", "NA", "N/A", "null"]


@dataclass(frozen=True)
class Foreign:
    """What a file holds.

    Attributes:
        values: (N, D) float32, finite.
        columns: text of each row by name: of a table its columns of metadata; of a .npz `label` (`label 0` … for an
            array of several labels), `id`, `patient` and `split`, as far as there are.
        notes: what is worth a line of the log.
        names: of the features, where they have some.
    """

    values: np.ndarray
    columns: Mapping[str, list[str]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    names: Sequence[str] = ()


def read(path: Path, metadata: Sequence[str]) -> Foreign:
    """Features and what stands beside them.

    Args:
        path: .npy, .npz, .parquet or .csv.
        metadata: columns of a table that are no features.

    Raises:
        PipelineError: the file can't be read, holds no features, or some that are not finite.
    """
    if path.suffix not in KINDS:
        raise PipelineError(path, f"is none of {', '.join(KINDS)}", "save the features as one of them")
    try:
        found = _read_arrays(path) if path.suffix in (".npy", ".npz") else _read_table(path, metadata)
    except OSError as error:
        raise PipelineError(path, f"cannot be read ({error.strerror or error})", "mend the path") from None
    except (ValueError, zipfile.BadZipFile) as error:  # of a library that does not know what the file holds
        what = "holds Python objects" if "Object arrays" in str(error) else "is damaged, or is no such file"
        raise PipelineError(path, what, "save it again; text as an array of str, such as np.array(ids, str)") from error
    if not found.values.size:
        raise PipelineError(
            path, "holds no features", f"it needs rows and numeric columns ({found.values.shape} found)"
        )
    _refuse_not_finite(path, found)
    whole = [name for name, of in zip(found.names, found.values.T, strict=False) if (of == np.rint(of)).all()]
    if 0 < len(whole) < len(found.names):
        note = f"whole numbers, taken for features: {_some(whole)}; leave out of the file what is an id or a label"
        return replace(found, notes=[*found.notes, note])
    return found


def _read_arrays(path: Path) -> Foreign:
    loaded = np.load(path)
    if isinstance(loaded, np.ndarray):
        return Foreign(_numbers(path, path.name, loaded))
    with loaded as arrays:
        name = _features_among(path, {key: arrays[key].ndim for key in arrays})
        values = _numbers(path, name, arrays[name])
        beside = {role: arrays[key] for key, role in BESIDE.items() if key in arrays and key != name}
        ignored = [key for key in arrays if key not in BESIDE and key != name]
    columns: dict[str, list[str]] = {}
    for role, array in beside.items():
        if array.ndim not in (1, 2) or len(array) != len(values):
            what = f"array {role}s has shape {array.shape}, but {name} has {len(values)} rows"
            raise PipelineError(path, what, "save one entry for each row of the features")
        several = [(f"{role} {number}", column) for number, column in enumerate(array.T)]
        columns |= {key: _text(pd.Series(of)) for key, of in (several if array.ndim == 2 else [(role, array)])}
    return Foreign(values, columns, [f"arrays that are not used: {', '.join(ignored)}"] if ignored else [])


def _features_among(path: Path, dimensions: Mapping[str, int]) -> str:
    flat = [key for key, of in dimensions.items() if of == 2 and key not in BESIDE]
    if "features" in dimensions or len(flat) == 1:
        return "features" if "features" in dimensions else flat[0]
    what = f"has {len(flat)} arrays of two dimensions ({', '.join(flat) or 'none'}), and none is called features"
    raise PipelineError(path, what, "call the array of the features `features`")


def _numbers(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        what = f"{name} has shape {array.shape} and type {array.dtype}, not rows × features of numbers"
        raise PipelineError(path, what, "save an array of (images, features)")
    return _float32(array)


def _read_table(path: Path, metadata: Sequence[str]) -> Foreign:
    table = pd.read_parquet(path) if path.suffix == ".parquet" else _read_csv(path, metadata)
    table.columns = table.columns.astype(str)
    names = table.columns.tolist()
    beside = [name for name in names if name in metadata]
    numbered = [name for name in names if not name or name.startswith(ROW_NUMBERS)]
    rest = [name for name in names if name not in {*beside, *numbered}]
    numeric = [name for name in rest if pd.api.types.is_numeric_dtype(table[name])]
    others = [name for name in rest if name not in set(numeric)]
    notes = [f"features: {len(numeric)} columns, {numeric[0]} … {numeric[-1]}"] if numeric else []
    notes += [f"columns without a name, taken for row numbers and left out: {len(numbered)}"] if numbered else []
    notes += [f"columns that are not numbers and are left out: {', '.join(others)}"] if others else []
    values = _float32(table[numeric].to_numpy(float))
    return Foreign(values, {name: _text(table[name]) for name in beside}, notes, numeric)


def _read_csv(path: Path, metadata: Sequence[str]) -> pd.DataFrame:
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
    mark = max(",;\t", key=first.count)
    header = next(csv.reader([first], delimiter=mark), [])
    text = {name: "str" for name in header if name in metadata}
    empty = {name: NOT_FILLED for name in header if name not in metadata}
    kinds = {"dtype": text, "na_values": empty, "keep_default_na": False}
    return pd.read_csv(path, sep=mark, encoding="utf-8-sig", **kinds)


def _text(values: pd.Series) -> list[str]:
    """As a person would write it: whole numbers without a point, nothing where there is nothing."""
    if pd.api.types.is_bool_dtype(values):
        values = values.astype(int)
    if pd.api.types.is_float_dtype(values):
        return [_number(value) for value in values.astype(float).tolist()]
    return ["" if missing else str(value).strip() for value, missing in zip(values, values.isna(), strict=True)]


def _number(value: float) -> str:
    if np.isnan(value):
        return ""
    return str(int(value)) if np.isfinite(value) and value == int(value) else str(value)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def _float32(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # it becomes infinite, and is refused
        return np.ascontiguousarray(values, np.float32)


def _refuse_not_finite(path: Path, found: Foreign) -> None:
    bad = ~np.isfinite(found.values)  # (N, D)
    if bad.any():
        rows, features = (np.flatnonzero(bad.any(axis)) for axis in (1, 0))
        first = int(bad[rows[0]].argmax())
        what = (
            f"{len(rows):,} of {bad.shape[0]:,} rows hold NaN, infinity or a number beyond float32, in "
            f"{len(features):,} of {bad.shape[1]:,} features; the first is row {rows[0] + 1}, feature "
            f"{found.names[first] if found.names else first + 1}"
        )
        raise PipelineError(path, what, "fill them in, or leave out these rows or features")
