"""Integrity: are the files what they say, and do the features vary as features do?"""

from hashlib import blake2b

import numpy as np
import pandas as pd

from pipeline.features.auditing.evidence import Evidence, Finding, image_ids, look, parts, strict, worst


def checksum(evidence: Evidence, threshold: float) -> Finding:
    """Is every file what its manifest says? Value: artifacts that are not."""
    if evidence.refused:
        sentence = f"{'; '.join(evidence.refused)}. Nothing else was checked."
    else:
        made = "" if evidence.imported else "the pictures, the backbones and "
        sentence = f"Every file of {made}the features is what its manifest says."
    return strict(len(evidence.refused), threshold, [], sentence)


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
    return strict(len(wrong), threshold, wrong, sentence)


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
    wrong = [*image_ids(longer, differs), *image_ids(rest, strange)]
    if evidence.imported:
        sentence = "The features were imported: there are no pictures to compare their order with."
    elif not wrong:
        sentence = "The feature rows lie in the order of the pictures and were computed from the same file contents."
    else:
        sentence = (
            f"Rows where features and pictures are of different images: {len(wrong):,} of {len(differs) + len(rest):,}."
        )
    return strict(len(wrong), threshold, wrong, sentence)


def finite(evidence: Evidence, threshold: float) -> Finding:
    """Is every feature a number? Value: rows of the worst file that hold NaN or infinity."""
    bad = {
        name: np.concatenate([~np.isfinite(part).all(1) for part in parts(v)]) for name, v in evidence.features.items()
    }
    name = worst({name: float(rows.sum()) for name, rows in bad.items()})
    count = int(bad[name].sum())
    sentence = f"Rows of {name}.npy with NaN or infinity: {count:,}." if count else "Every feature is a finite number."
    return strict(count, threshold, image_ids(evidence.rows, bad[name]), sentence)


def dead_dimensions(evidence: Evidence, threshold: float) -> Finding:
    """Do the dimensions vary from image to image? Value: share of constant ones in the worst file."""
    dead = {
        name: np.all([np.all(part == values[:1], axis=0) for part in parts(values)], axis=0)
        for name, values in evidence.features.items()
    }
    name = worst({name: float(constant.mean()) for name, constant in dead.items()})
    share = float(dead[name].mean())
    sentence = (
        f"Dimensions of {name}.npy that are the same for every image: {dead[name].sum():,} of {dead[name].size:,}."
    )
    return Finding(share, threshold, "invalid" if share == 1 else look(share, threshold), [], sentence)


def duplicate_rows(evidence: Evidence, threshold: float) -> Finding:
    """Have different images different features? Value: share of rows of the worst file that are equal to another."""
    twins = {name: _repeated(values, evidence.rows["image_id"]) for name, values in evidence.features.items()}
    name = worst({name: float(rows.mean()) for name, rows in twins.items()})
    share, ids = float(twins[name].mean()), image_ids(evidence.rows, twins[name])
    sentence = f"Rows of {name}.npy that are equal to one of another image: {len(ids):,} of {len(twins[name]):,}."
    return Finding(share, threshold, look(share, threshold), sorted(ids), sentence)


def _repeated(values: np.ndarray, images: pd.Series) -> np.ndarray:
    """Rows whose values a row of another image has too, (N,) bool."""
    digests = pd.Series([blake2b(row.tobytes(), digest_size=16).digest() for part in parts(values) for row in part])
    return (images.reset_index(drop=True).groupby(digests).transform("nunique") > 1).to_numpy()
