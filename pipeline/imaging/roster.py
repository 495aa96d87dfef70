"""Who is in, and who is set aside with which reason."""

from collections.abc import Sequence

import pandas as pd

from pipeline.imaging.identity import pseudonym

Row = dict[str, str]


def admit(
    files: pd.DataFrame, given: pd.DataFrame, classes: Sequence[str] | None, key: bytes
) -> tuple[pd.DataFrame, list[Row]]:
    """Join files with their labels and decide which are used.

    Args:
        files: rows of the scan.
        given: path, label, patient (pseudonym), split, disputed; at most one row per file.
        classes: the only labels allowed, or None.
        key: of the pseudonyms.

    Returns:
        The index, sorted by image_id, and quarantine rows.
    """
    table = files.merge(given.rename(columns={"patient": "given_patient"}), on="path", how="left")
    table = table.sort_values("path", ignore_index=True)
    _set_aside(table, table["label"].isna(), "no label", "add a row to the labels, or remove the file")
    _set_aside(table, table["disputed"].eq(True), "label rows disagree", "keep one of the rows that name this image")
    _set_aside(table, table["label"] == "", "empty label", "fill in the label, or drop the row")
    if classes is not None:
        kinds = {name: f"label not in data.classes: {name}" for name in table["label"].dropna().unique()}
        reasons = table["label"].map(kinds).astype("str")
        _set_aside(table, ~table["label"].isin(classes), reasons, "add the class to data.classes, or mend the label")
    table["patient"] = table["given_patient"].where(table["given_patient"].fillna("") != "", table["patient"])
    _set_copies_aside(table)
    index = _identify(table[table["reason"] == ""].copy(), key)
    out = table.loc[table["reason"] != "", ["path", "reason", "remedy"]]
    return index.sort_values("image_id", ignore_index=True), [*map(dict, out.to_dict("records"))]  # type: ignore[arg-type]


def _set_aside(table: pd.DataFrame, where: pd.Series, reason: str | pd.Series, remedy: str) -> None:
    """Give a reason to the rows that have none yet."""
    where = where & (table["reason"] == "")
    if where.any():
        table.loc[where, "reason"] = reason if isinstance(reason, str) else reason[where]
        table.loc[where, "remedy"] = remedy


def _set_copies_aside(table: pd.DataFrame) -> None:
    """Of files with the same bytes keep the first, and none if they differ in label, split or patient."""
    usable = table[table["reason"] == ""]
    copies = usable[usable["fingerprint"].duplicated(keep=False)]
    for _, same in copies.groupby("fingerprint"):
        first, *others = same["path"]
        if len(same[["label", "split", "patient"]].drop_duplicates()) > 1:
            kind, remedy = "copies with different labels, splits or patients", "keep the copy whose row is right"
            others_of = {path: others[0] if path == first else first for path in same["path"]}
        else:
            kind, remedy = "second copy", "nothing to do: the first copy is used"
            others_of = dict.fromkeys(others, first)
        for path, other in others_of.items():
            _set_aside(table, table["path"] == path, f"{kind}: same bytes as {other}", remedy)


def _identify(table: pd.DataFrame, key: bytes) -> pd.DataFrame:
    """Add image_id, group and exam."""
    known = (table["sop_uid"] != "") & ~table["sop_uid"].duplicated(keep=False)
    table["image_id"] = table["sop_uid"].where(known, "sha-" + table["fingerprint"])
    alone = pd.Series([pseudonym(key, name) for name in table["image_id"]], index=table.index, dtype="str")
    table["group"] = table["patient"].where(table["patient"] != "", alone)
    exam = table["accession"].where(table["accession"] != "", table["study"])
    table["exam"] = exam.where(exam != "", alone)
    return table
