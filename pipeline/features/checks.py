"""Can these features be trusted? One function per question; CHECKS at the foot names them all."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import pandas as pd

AT_ONCE = 2**28  # bytes of features in memory
NO_IMAGES = pd.DataFrame({"image_id": [], "fingerprint": []}, dtype="str")
NO_ROWS = NO_IMAGES.assign(view=0)
NO_ROLES = pd.DataFrame({"image_id": [], "group": [], "fold": [], "role": []}, dtype="str")


@dataclass(frozen=True)
class Evidence:
    """What the checks look at.

    Attributes:
        features: by file name: (N, D) float32.
        rows: image_id, fingerprint, view of each feature row; a view above 0 is augmented.
        pictures: image_id, fingerprint of each picture, in the order in which the pictures lie.
        expected: image_id of every image that was split and not set aside since.
        roles: image_id, group, fold, role.
        made_from: by file name: checksum by input that the features were computed from.
        on_disk: likewise, of what lies on disk now.
        drift: by file name: `rows` that were embedded again, and the `noise`, the greatest distance of one from what it
            was, as a share of the mean distance of rows from their centre.
        imported: whether the features come from elsewhere, without pictures and weights.
        refused: what could not be read, and why; the rest is empty then.
    """

    features: Mapping[str, np.ndarray] = field(default_factory=dict)
    rows: pd.DataFrame = field(default_factory=lambda: NO_ROWS)
    pictures: pd.DataFrame = field(default_factory=lambda: NO_IMAGES)
    expected: frozenset[str] = frozenset()
    roles: pd.DataFrame = field(default_factory=lambda: NO_ROLES)
    made_from: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    on_disk: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    drift: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    imported: bool = False
    refused: Sequence[str] = ()


@dataclass(frozen=True)
class Finding:
    """Answer of one check.

    Attributes:
        value: the figure.
        threshold: above which the verdict is not `ok`.
        verdict: `ok`; `look`, a person should; `invalid`, nothing that was computed from these features holds.
        rows: image_id of the images concerned, sorted.
        finding: one sentence.
    """

    value: float
    threshold: float
    verdict: str
    rows: list[str]
    finding: str


Check = Callable[[Evidence, float], Finding]


def run(evidence: Evidence, thresholds: Mapping[str, float]) -> dict[str, Finding]:
    """Every check by name; where files were refused, only `checksum`, since nothing else can be known.

    Args:
        evidence: what the checks look at.
        thresholds: by name of a check; 0 where there is none.
    """
    names = ["checksum"] if evidence.refused else list(CHECKS)
    return {name: CHECKS[name](evidence, thresholds.get(name, 0)) for name in names}


def checksum(evidence: Evidence, threshold: float) -> Finding:
    """Is every file what its manifest says? Value: artifacts that are not."""
    if evidence.refused:
        sentence = f"{'; '.join(evidence.refused)}. Nothing else was checked."
    else:
        made = "" if evidence.imported else "the pictures, the backbones and "
        sentence = f"Every file of {made}the features is what its manifest says."
    return _strict(len(evidence.refused), threshold, [], sentence)


def row_count(evidence: Evidence, threshold: float) -> Finding:
    """Has each image of the split that was not set aside one row of its own? Value: images with none or too many.

    No view may stand twice either, nor alone.
    """
    rows = evidence.rows
    held = rows.loc[rows["view"] == 0, "image_id"]
    missing = evidence.expected - set(held)
    foreign = set(rows["image_id"]) - evidence.expected
    twice = set(rows.loc[rows.duplicated(["image_id", "view"]), "image_id"])
    wrong = missing | foreign | twice
    augmented = len(rows) - len(held)
    if wrong:
        sentence = (
            f"Images of the split: {len(evidence.expected):,}. Without a feature row: {len(missing):,}; "
            f"with several: {len(twice):,}; feature rows of other images: {len(foreign):,}."
        )
    else:
        sentence = f"All {len(held):,} images of the split have one feature row each"
        sentence += f", and there are {augmented:,} of augmented views." if augmented else "."
    return _strict(len(wrong), threshold, wrong, sentence)


def order(evidence: Evidence, threshold: float) -> Finding:
    """Do features and pictures lie in the same order, with the same fingerprints? Value: rows that differ.

    Rows of augmented views follow all others.
    """
    pictures, keys = evidence.pictures, ["image_id", "fingerprint"]
    views = evidence.rows["view"].to_numpy() > 0
    first = int(np.argmax(views)) if views.any() else len(views)
    held, shared = evidence.rows.iloc[:first], min(first, len(pictures))
    differs = np.ones(max(len(held), len(pictures)), dtype=bool)
    differs[:shared] = (held[keys].to_numpy()[:shared] != pictures[keys].to_numpy()[:shared]).any(axis=1)
    longer = held if len(held) >= len(pictures) else pictures
    rest = evidence.rows.iloc[first:]
    strange = ~pd.MultiIndex.from_frame(rest[keys]).isin(pd.MultiIndex.from_frame(pictures[keys]))
    wrong = [*_ids(longer, differs), *_ids(rest, strange)]
    if evidence.imported:
        sentence = "The features were imported: there are no pictures to compare their order with."
    elif not wrong:
        sentence = "The feature rows lie in the order of the pictures and were computed from the same file contents."
    else:
        sentence = (
            f"Rows where features and pictures are of different images: {len(wrong):,} of {len(differs) + len(rest):,}."
        )
    return _strict(len(wrong), threshold, wrong, sentence)


def finite(evidence: Evidence, threshold: float) -> Finding:
    """Is every feature a number? Value: rows of the worst file that hold NaN or infinity."""
    bad = {
        name: np.concatenate([~np.isfinite(part).all(1) for part in _parts(v)]) for name, v in evidence.features.items()
    }
    name = _worst({name: float(rows.sum()) for name, rows in bad.items()})
    count = int(bad[name].sum())
    sentence = f"Rows of {name}.npy with NaN or infinity: {count:,}." if count else "Every feature is a finite number."
    return _strict(count, threshold, _ids(evidence.rows, bad[name]), sentence)


def dead_dimensions(evidence: Evidence, threshold: float) -> Finding:
    """Do the dimensions vary from image to image? Value: share of constant ones in the worst file."""
    dead = {
        name: np.all([np.all(part == values[:1], axis=0) for part in _parts(values)], axis=0)
        for name, values in evidence.features.items()
    }
    name = _worst({name: float(constant.mean()) for name, constant in dead.items()})
    share = float(dead[name].mean())
    sentence = (
        f"Dimensions of {name}.npy that are the same for every image: {dead[name].sum():,} of {dead[name].size:,}."
    )
    return Finding(share, threshold, "invalid" if share == 1 else _look(share, threshold), [], sentence)


def duplicate_rows(evidence: Evidence, threshold: float) -> Finding:
    """Have different images different features? Value: share of rows of the worst file that are equal to another."""
    twins = {name: _repeated(values, evidence.rows["image_id"]) for name, values in evidence.features.items()}
    name = _worst({name: float(rows.mean()) for name, rows in twins.items()})
    share, ids = float(twins[name].mean()), _ids(evidence.rows, twins[name])
    sentence = f"Rows of {name}.npy that are equal to one of another image: {len(ids):,} of {len(twins[name]):,}."
    return Finding(share, threshold, _look(share, threshold), sorted(ids), sentence)


def patients_across_roles(evidence: Evidence, threshold: float) -> Finding:
    """Is each patient in one role per fold? Value: patients that are in several."""
    seen = evidence.roles.drop_duplicates(["fold", "group", "role"])
    torn = seen.loc[seen.duplicated(["fold", "group"]), ["fold", "group"]].drop_duplicates()
    patients = len(set(torn["group"]))
    if not patients:
        sentence = "No patient is in two roles of a fold."
    else:
        folds = ", ".join(str(fold) for fold in sorted(set(torn["fold"])))
        sentence = f"Patients in more than one of train, val and test: {patients:,} (fold {folds})."
    return _strict(patients, threshold, set(evidence.roles.merge(torn)["image_id"]), sentence)


def provenance(evidence: Evidence, threshold: float) -> Finding:
    """Were the features computed from the weights and pictures that lie on disk? Value: inputs that have changed."""
    names = sorted({*evidence.features, *evidence.on_disk})
    stale = [
        f"{name}: {kind}"
        for name in names
        for kind in evidence.on_disk.get(name, {"backbone": ""})
        if evidence.made_from.get(name, {}).get(kind) != evidence.on_disk.get(name, {}).get(kind, "")
    ]
    if stale:
        sentence = f"The features were not computed from what lies on disk now ({'; '.join(stale)})."
    elif evidence.imported:
        sentence = "The features are those that were imported last; no pictures and weights have come since."
    else:
        sentence = "The features were computed from the weights and the pictures that lie on disk."
    return _strict(len(stale), threshold, [], sentence)


def drift(evidence: Evidence, threshold: float) -> Finding:
    """Is a row the same when it is embedded again? Value: the greatest distance from what it was; see Evidence."""
    noise = {name: found["noise"] for name, found in evidence.drift.items()}
    if not noise:
        why = "the features were imported" if evidence.imported else "embed.check: 0"
        return Finding(0, threshold, "ok", [], f"No row was embedded again to compare ({why}).")
    name = _worst(noise)
    sentence = (
        f"{evidence.drift[name]['rows']:,} rows of {name}.npy were embedded again, alone, in float32; they lie at most "
        f"{noise[name]:.2g} of the usual distance between images from where they were."
    )
    return Finding(noise[name], threshold, _look(noise[name], threshold), [], sentence)


def _strict(value: int, threshold: float, rows: Iterable[str], sentence: str) -> Finding:
    return Finding(value, threshold, "invalid" if value > threshold else "ok", sorted(rows), sentence)


def _look(value: float, threshold: float) -> str:
    return "look" if value > threshold else "ok"


def _ids(table: pd.DataFrame, rows: np.ndarray) -> list[str]:
    return table["image_id"].to_numpy()[rows].tolist()


def _worst(values: Mapping[str, float]) -> str:
    return max(values, key=lambda name: values[name])


def _repeated(values: np.ndarray, images: pd.Series) -> np.ndarray:
    """Rows whose values a row of another image has too, (N,) bool."""
    digests = pd.Series([blake2b(row.tobytes(), digest_size=16).digest() for part in _parts(values) for row in part])
    return (images.reset_index(drop=True).groupby(digests).transform("nunique") > 1).to_numpy()


def _parts(values: np.ndarray) -> Iterator[np.ndarray]:
    """Consecutive rows that fit the memory of a small machine; at least one part."""
    step = max(1, AT_ONCE // max(1, values[:1].nbytes))
    for start in range(0, max(1, len(values)), step):
        yield np.ascontiguousarray(values[start : start + step])


CHECKS: dict[str, Check] = {
    "checksum": checksum,
    "row_count": row_count,
    "order": order,
    "finite": finite,
    "dead_dimensions": dead_dimensions,
    "duplicate_rows": duplicate_rows,
    "patients_across_roles": patients_across_roles,
    "provenance": provenance,
    "drift": drift,
}
