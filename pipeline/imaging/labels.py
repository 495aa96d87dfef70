"""Labels of images as rows of a CSV."""

import csv
import io
import posixpath
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.artifacts import ATTRIBUTE, LABEL, attribute_columns, label_columns
from pipeline.errors import PipelineError
from pipeline.imaging.identity import pseudonym

SPLIT_WORDS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
}

Row = dict[str, str]


@dataclass(frozen=True)
class Columns:
    """What the columns of the CSV are called; None for a column that it need not have."""

    label: str | tuple[str, ...]
    path: str | None = None
    id: str | None = None
    patient: str | None = None
    split: str | None = None
    attributes: tuple[str, ...] = ()

    def roles(self) -> dict[str, str]:
        """Column of the table of `read_csv` → column of the CSV, as far as one is named."""
        given = {role: name for role, name in vars(self).items() if isinstance(name, str)}
        several = self.label if isinstance(self.label, tuple) else ()
        return {LABEL + name: name for name in several} | given | {ATTRIBUTE + name: name for name in self.attributes}


def read_csv(path: Path, names: Columns) -> pd.DataFrame:
    """Rows of a labels CSV as text: line, path, id, label, patient, split; stripped, empty where it has no such column.

    Of several label columns each is there as `label_<name>`, and each attribute as `attribute_<name>`. The delimiter
    may be a comma, a semicolon or a tab.

    Raises:
        PipelineError: the file can't be read, or a named column is missing.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PipelineError(path, f"cannot be read ({error.strerror})", "mend data.labels in params.yaml") from None
    except UnicodeDecodeError:
        raise PipelineError(path, "is not in UTF-8", "save it as `CSV UTF-8`") from None
    header, cells, lines = _cells(path, text, names)
    found = names.roles()
    if names.path not in header and names.id:
        found.pop("path", None)
    absent = [f"{name!r} (data.{param_of(role)})" for role, name in found.items() if name not in header]
    if absent:
        what = f"has no column {', '.join(absent)}; it has {', '.join(header)}"
        raise PipelineError(path, what, "mend the column names in section data of params.yaml")
    table = pd.DataFrame(cells, columns=range(len(header)), dtype="str")
    roles = dict.fromkeys(["path", "id", "label", "patient", "split", *found])
    picked = {role: table[header.index(found[role])] if role in found else "" for role in roles}
    return pd.DataFrame({"line": lines, **picked}, index=table.index)


def match(
    table: pd.DataFrame, files: pd.DataFrame, root: Path, key: bytes, source: str = "labels.csv"
) -> tuple[pd.DataFrame, list[Row]]:
    """Find the image of each row: by path where the row has one, else by id; a bare file name may lie in any folder.

    Args:
        table: of `read_csv`; label columns and faults come from `findings`.
        files: path, sop_uid, and accession and patient as pseudonyms.
        root: the image folder, for absolute paths.
        key: of the pseudonyms.
        source: name of the labels file.

    Returns:
        One row per labelled file: path, label, label columns, fault (why its labels can't be used, or empty), patient
        (pseudonym), split, attributes, disputed (whether rows of the CSV give it different values); and quarantine rows
        for the rows without an image.

    Raises:
        PipelineError: a split is no split word, or no id is known.
    """
    paths, several = _find_names(_normal_paths(table["path"], root), files["path"].tolist())
    table = table.assign(
        fault=table.get("fault", ""),
        path=paths,
        patient=pseudonyms(table["patient"], key),
        split=_splits(table["split"], table["line"]),
    )
    by_path = table[table["path"] != ""]
    by_id = table[(table["path"] == "") & (table["id"] != "")]
    blank = table[(table["path"] == "") & (table["id"] == "")]
    there = set(files["path"].tolist())  # pandas' isin is many times slower on text
    known = np.array([path in there for path in by_path["path"].tolist()], dtype=bool)
    matched, strangers = _match_ids(by_id, files, key)
    strays = [
        *(_stray(path, *_astray(several.get(path, 0))) for path in by_path["path"][~known]),
        *(
            _stray(f"{source} line {line}", "label without an image", "mend its id, or drop the row")
            for line in strangers["line"]
        ),
        *(_stray(f"{source} line {line}", "label row without path and id", "fill in one") for line in blank["line"]),
    ]
    columns = ["path", "label", *label_columns(table), "fault", "patient", "split", *attribute_columns(table)]
    return _merge_repeats(pd.concat([by_path[known], matched], ignore_index=True)[columns]), strays


def param_of(role: str) -> str:
    """Key of section data that names the column of a role: `attribute_sex` → attributes."""
    return "attributes" if role.startswith(ATTRIBUTE) else role.split("_")[0]


def pseudonyms(identifiers: pd.Series, key: bytes) -> pd.Series:
    """Pseudonym of each; empty stays empty."""
    return identifiers.map({text: pseudonym(key, text) for text in identifiers.unique()}).astype("str")


def _cells(path: Path, text: str, names: Columns) -> tuple[list[str], list[list[str]], list[int]]:
    """Header, cells of each row that is not blank, and its line."""
    wanted = set(names.roles().values())
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=lambda mark: (len(wanted & set(_split(first, mark))), first.count(mark)))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    cells, lines = [], []
    try:
        for row in reader:
            stripped = [cell.strip() for cell in row]
            if any(stripped):
                cells.append(stripped)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise PipelineError(path, f"line {reader.line_num} is no CSV ({error})", "mend this line") from None
    if len(cells) < 2:
        raise PipelineError(path, "holds no rows", "write a header and one row per image")
    header = cells.pop(0)
    lines.pop(0)
    if len(set(header)) < len(header) and (twice := wanted & {name for name in header if header.count(name) > 1}):
        raise PipelineError(path, f"has the column {', '.join(sorted(map(str, twice)))} twice", "rename one of them")
    for line, row in zip(lines, cells, strict=True):
        if any(row[len(header) :]):
            what = f"line {line} has {len(row)} cells, but the header has {len(header)}"
            raise PipelineError(path, what, "quote the cells that hold a delimiter")
        row[len(header) :] = [""] * max(0, len(header) - len(row))
    return header, cells, lines


def _split(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]


def _normal_paths(paths: pd.Series, root: Path) -> list[str]:
    """Relative to the image folder, with slashes."""
    above = f"{root.absolute().as_posix()}/", f"{root.resolve().as_posix()}/"
    normal = [posixpath.normpath(path.replace("\\", "/")) if path else "" for path in paths.tolist()]
    return [path.removeprefix(above[0]).removeprefix(above[1]) if path[:1] == "/" else path for path in normal]


def _find_names(paths: list[str], there: list[str]) -> tuple[list[str], dict[str, int]]:
    """Put the path of a file for its bare name, if no other file has that name; and how many have, of the others."""
    bare = {path for path in paths if "/" not in path}.difference(["", *there])
    homes = defaultdict(list)
    for path in there if bare else []:
        if (name := path.rpartition("/")[2]) in bare:
            homes[name].append(path)
    only = {name: of[0] for name, of in homes.items() if len(of) == 1}
    return [only.get(path, path) for path in paths], {name: len(of) for name, of in homes.items() if len(of) > 1}


def _astray(count: int) -> tuple[str, str]:
    """Reason and remedy for a path that is none, and for a name that so many files have."""
    if count:
        return f"label of one of several images: {count} files have this name", "write the path below data.images"
    return "label without an image", "mend its path, or drop the row"


def _splits(words: pd.Series, lines: pd.Series) -> pd.Series:
    found = words.unique().tolist()
    if found == [""]:
        return words
    unknown = lines[words.isin([word for word in found if word.lower() not in SPLIT_WORDS])]
    if len(unknown):
        what = f"{len(unknown)} rows have no split word, the first in line {unknown.min()}"
        raise PipelineError("data.split", what, f"use only {', '.join(SPLIT_WORDS)}, in every row")
    return words.map({word: SPLIT_WORDS[word.lower()] for word in found}).astype("str")


def _match_ids(rows: pd.DataFrame, files: pd.DataFrame, key: bytes) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows with the path of each file that has their id, and the rows that no file has."""
    if rows.empty:
        return rows, rows
    hashed = pseudonyms(rows["id"], key)
    kinds = {"sop_uid": rows["id"], "accession": hashed, "patient": hashed}
    counts = {kind: int(ids.isin(files[kind]).sum()) for kind, ids in kinds.items()}
    best = max(counts, key=lambda kind: counts[kind])
    if not counts[best]:
        what = (
            f"none of the {len(rows)} ids is the SOP Instance UID, accession number or patient id of one of the "
            f"{len(files)} files (matches: 0, 0, 0)"
        )
        remedy = "name another column in data.id, or a path column in data.path"
        if _matches_but_for_zeros(rows["id"], files, key):
            what += ", but some would be with other leading zeros"
            remedy = (
                "write the ids as they are in the files: spreadsheets drop leading zeros of columns that are no text"
            )
        raise PipelineError("data.id", what, remedy)
    rows = rows.assign(id=kinds[best]).drop(columns="path")
    matched = rows.merge(files[["path", best]].rename(columns={best: "id"}), on="id")
    return matched, rows[~rows["id"].isin(files[best])]


def _matches_but_for_zeros(ids: pd.Series, files: pd.DataFrame, key: bytes) -> bool:
    """Whether a file has one of the first ids with more or fewer zeros before it, up to the 16 characters of VR SH."""
    known = set(files["accession"]) | set(files["patient"])
    bare = [text.lstrip("0") for text in ids.unique()[:1000].tolist()]
    return any(pseudonym(key, text.zfill(length)) in known for text in bare if text for length in range(len(text), 17))


def _merge_repeats(given: pd.DataFrame) -> pd.DataFrame:
    distinct = given.drop_duplicates()
    disputed = distinct["path"].duplicated(keep=False)
    return distinct.assign(disputed=disputed).drop_duplicates("path")


def _stray(path: str, reason: str, remedy: str) -> Row:
    return {"path": path, "reason": reason, "remedy": remedy}
