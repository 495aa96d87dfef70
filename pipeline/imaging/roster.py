"""Who is in, and who is set aside with which reason."""

from collections.abc import Iterable, Sequence
from itertools import chain

import pandas as pd

from pipeline import artifacts
from pipeline.imaging.identity import pseudonym

Row = dict[str, str]
SECOND_COPY = "second copy"
NO_ROW = ("no label", "add a row to the labels, or remove the file")
NO_MATCH = ("path does not match data.pattern", "mend the pattern, or remove the file")
PICTURES = ("PNG", "JPEG", "TIFF")  # as transfer syntax; these name neither patient nor exam


def admit(
    files: pd.DataFrame,
    given: pd.DataFrame,
    classes: Sequence[str] | None,
    key: bytes,
    frames: str,
    unlabelled: tuple[str, str] = NO_ROW,
) -> tuple[pd.DataFrame, list[Row]]:
    """Join files with their labels and decide which are used.

    Args:
        files: rows of the scan.
        given: of `labels.match`; at most one row per file.
        classes: the only labels allowed, or None; label columns have been chosen before.
        key: of the pseudonyms.
        frames: of a file with several: `first`, `middle`, `max` (brightest value over all), or `all`, a row each.
        unlabelled: reason and remedy of a file that `given` lacks.

    Returns:
        The index, sorted by image_id, and quarantine rows.
    """
    table = files.merge(given.rename(columns={"patient": "given_patient"}), on="path", how="left")
    table = table.sort_values("path", ignore_index=True)
    _set_aside(table, table["label"].isna(), *unlabelled)
    _set_aside(table, table["disputed"].eq(True), "label rows disagree", "keep one of the rows that name this image")
    _set_aside(table, table["fault"].fillna("") != "", table["fault"], "mend the label, or drop the row")
    _set_aside(table, table["label"].isin(["", "nan"]), "empty label", "fill in the label, or drop the row")
    if classes is not None:
        kinds = {name: f"label not in data.classes: {name}" for name in table["label"].dropna().unique()}
        reasons = table["label"].map(kinds).astype("str")
        _set_aside(table, ~table["label"].isin(classes), reasons, "add the class to data.classes, or mend the label")
    table["patient"] = table["given_patient"].where(table["given_patient"].fillna("") != "", table["patient"])
    _set_copies_aside(table)
    admitted = table[table["reason"] == ""].astype(dict.fromkeys(artifacts.label_columns(table), "int8"))
    index = _choose_frames(_identify(admitted, key), frames)
    out = table.loc[table["reason"] != "", ["path", "reason", "remedy"]]
    cells = zip(*(out[name].tolist() for name in out), strict=True)  # pandas' to_dict is many times slower on text
    return index.sort_values("image_id", ignore_index=True), [
        dict(zip(("path", "reason", "remedy"), row, strict=True)) for row in cells
    ]


def lost(quarantine: Iterable[Row], given: pd.DataFrame) -> list[Row]:
    """Quarantine rows of files that a label names, as far as another copy of the image does not stand for them."""
    labelled = set(given["path"][(given["label"] != "") | (given["fault"] != "") | given["disputed"]].tolist())
    return [row for row in quarantine if row["path"] in labelled and row["reason"].partition(":")[0] != SECOND_COPY]


def count_without_patient(index: pd.DataFrame) -> tuple[int, int]:
    """How many DICOM images without patient are grouped by their exam, and how many stand alone."""
    lost = index[(index["patient"] == "") & ~index["transfer_syntax"].isin(PICTURES)]
    alone = (lost["accession"] == "") & (lost["study"] == "")
    return int((~alone).sum()), int(alone.sum())


def frame_numbers(count: int, policy: str) -> list[int]:
    """The frames that data.frames takes of a file with so many, from 1; 0 is the brightest value over all."""
    if count == 1:
        return [1]
    return {"first": [1], "middle": [(count + 1) // 2], "max": [0], "all": [*range(1, count + 1)]}[policy]


def _set_aside(table: pd.DataFrame, where: pd.Series, reason: str | pd.Series, remedy: str) -> None:
    """Give a reason to the rows that have none yet."""
    where = where & (table["reason"] == "")
    if where.any():
        table.loc[where, "reason"] = reason if isinstance(reason, str) else reason[where]
        table.loc[where, "remedy"] = remedy


def _set_copies_aside(table: pd.DataFrame) -> None:
    """Of files with the same content keep the first, and none if they differ in label, split or patient."""
    usable = table[table["reason"] == ""]
    copies = usable[usable["fingerprint"].duplicated(keep=False)]
    if copies.empty:
        return
    content = pd.Series(pd.factorize(copies["fingerprint"])[0], copies.index)
    place = content.groupby(content).cumcount()
    first, second = (
        content.map(dict(zip(content[place == n], copies["path"][place == n], strict=True))) for n in (0, 1)
    )
    columns = ["label", *artifacts.label_columns(copies), "split", "patient"]
    distinct = copies[columns].assign(content=content).drop_duplicates()
    differs = content.isin(distinct["content"][distinct["content"].duplicated()])
    others = first.where(place > 0, second)
    reasons = "copies with different labels, splits or patients: same content as " + others[differs]
    _set_aside(table, _at(table, differs), reasons, "keep the copy whose row is right")
    spare = ~differs & (place > 0)
    reasons = f"{SECOND_COPY}: same content as " + others[spare]
    _set_aside(table, _at(table, spare), reasons, "nothing to do: the first copy is used")


def _at(table: pd.DataFrame, some: pd.Series) -> pd.Series:
    """True for the rows of `table` that are true in `some`, which has a part of its rows."""
    return some.reindex(table.index, fill_value=False)


def _identify(table: pd.DataFrame, key: bytes) -> pd.DataFrame:
    """Add image_id, exam, and group: the patient, else the exam, else the image alone."""
    known = (table["sop_uid"] != "") & ~table["sop_uid"].duplicated(keep=False)
    table["image_id"] = table["sop_uid"].where(known, "sha-" + table["fingerprint"])
    exam = table["accession"].where(table["accession"] != "", table["study"])
    table["group"] = _else_alone(_else_exam(table["patient"], exam, key), table["image_id"], key)
    table["exam"] = _else_alone(exam, table["image_id"], key)
    return table


def _choose_frames(table: pd.DataFrame, policy: str) -> pd.DataFrame:
    """Add frame, a row for each. Another frame is another picture, so the fingerprint names it."""
    by_count = {int(count): frame_numbers(int(count), policy) for count in table["frames"].unique()}
    chosen = [by_count[count] for count in table["frames"].tolist()]
    table = table.loc[table.index.repeat([*map(len, chosen)])].reset_index(drop=True)
    table["frame"] = [*chain.from_iterable(chosen)]
    several, number = table["frames"] > 1, table["frame"].astype("str")
    table["fingerprint"] = table["fingerprint"].mask(several, table["fingerprint"] + ":" + number)
    if policy == "all":
        table["image_id"] = table["image_id"].mask(several, table["image_id"] + "#" + number)
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
