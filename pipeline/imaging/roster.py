"""Who is in, and who is set aside with which reason."""

from collections.abc import Sequence

import pandas as pd

from pipeline.imaging.identity import pseudonym

Row = dict[str, str]
PICTURES = ("PNG", "JPEG", "TIFF")  # as transfer syntax; these name neither patient nor exam


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


def count_without_patient(index: pd.DataFrame) -> tuple[int, int]:
    """How many DICOM images without patient are grouped by their exam, and how many stand alone."""
    lost = index[(index["patient"] == "") & ~index["transfer_syntax"].isin(PICTURES)]
    alone = (lost["accession"] == "") & (lost["study"] == "")
    return int((~alone).sum()), int(alone.sum())


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
    same: dict[str, list[tuple[str, ...]]] = {}
    for fingerprint, *values in copies[["fingerprint", "path", "label", "split", "patient"]].itertuples(index=False):
        same.setdefault(fingerprint, []).append(tuple(values))
    disputed, spare = {}, {}
    for group in same.values():
        first, second = group[0][0], group[1][0]
        if len({values[1:] for values in group}) > 1:
            disputed |= {path: second if path == first else first for path, *_ in group}
        else:
            spare |= {path: first for path, *_ in group[1:]}
    _set_copies(table, disputed, "copies with different labels, splits or patients", "keep the copy whose row is right")
    _set_copies(table, spare, "second copy", "nothing to do: the first copy is used")


def _set_copies(table: pd.DataFrame, others: dict[str, str], kind: str, remedy: str) -> None:
    reasons = table["path"].map({path: f"{kind}: same bytes as {other}" for path, other in others.items()})
    _set_aside(table, reasons.notna(), reasons, remedy)


def _identify(table: pd.DataFrame, key: bytes) -> pd.DataFrame:
    """Add image_id, exam, and group: the patient, else the exam, else the image alone."""
    known = (table["sop_uid"] != "") & ~table["sop_uid"].duplicated(keep=False)
    table["image_id"] = table["sop_uid"].where(known, "sha-" + table["fingerprint"])
    exam = table["accession"].where(table["accession"] != "", table["study"])
    table["group"] = _else_alone(_else_exam(table["patient"], exam, key), table["image_id"], key)
    table["exam"] = _else_alone(exam, table["image_id"], key)
    table["frame"] = 1
    return table


def _else_exam(patients: pd.Series, exam: pd.Series, key: bytes) -> pd.Series:
    """The patient; without one, the patient of another view of the exam; without any, a pseudonym of the exam.

    The exam is hashed again, since one number may be an accession here and a patient there.
    """
    lost = (patients == "") & (exam != "")
    owners = patients[patients != ""].groupby(exam[patients != ""]).first().to_dict()
    groups = {name: owners.get(name) or pseudonym(key, f"exam {name}") for name in exam[lost].unique()}
    return patients.mask(lost, exam[lost].map(groups).astype("str"))


def _else_alone(groups: pd.Series, images: pd.Series, key: bytes) -> pd.Series:
    """The group, or one of its own for an image without."""
    alone = groups == ""
    return groups.mask(alone, images[alone].map(lambda name: pseudonym(key, str(name))).astype("str"))
