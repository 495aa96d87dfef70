"""Integrity: are the files what they say, and do the features vary as features do?"""

from hashlib import blake2b

import numpy as np
import pandas as pd

from pipeline.features.auditing.evidence import Evidence, Finding, image_ids, look, parts, strict, worst

MOST_NAMED = 5  # dimensions in a sentence
BLOCK = 4096  # rows in float64


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


def duplicated_dimensions(evidence: Evidence, threshold: float) -> Finding:
    """Does each dimension say something of its own? Value: share that are equal to another one, in the worst file."""
    twins = {name: _copies(values) for name, values in evidence.features.items()}
    name = worst({name: float(copies.mean()) for name, copies in twins.items()})
    share, count = float(twins[name].mean()), int(twins[name].sum())
    numbers = np.flatnonzero(twins[name])
    which = (
        f": {', '.join(map(str, numbers[:MOST_NAMED].tolist()))}{' …' if count > MOST_NAMED else ''}" if count else ""
    )
    sentence = f"Dimensions of {name}.npy that repeat an earlier one: {count:,} of {len(twins[name]):,}{which}."
    return Finding(share, threshold, look(share, threshold), [], sentence, figures={"dimensions": numbers.tolist()})


def norms(evidence: Evidence, threshold: float) -> Finding:
    """Are the rows of one size? Value: the greatest distance of a row's length from the median, in robust deviations.

    On the logarithm, as lengths are skewed; a deviation is that of the half that lies nearest to the median, 1.4826
    times the median of the distances (Iglewicz and Hoaglin 1993), and at least a hundredth: rows that were normalised
    have none.
    """
    lengths = {name: _lengths(values) for name, values in evidence.features.items()}
    scores = {name: _robust(np.log(np.maximum(of, np.finfo(np.float32).tiny))) for name, of in lengths.items()}
    name = worst({name: float(np.abs(score).max(initial=0)) for name, score in scores.items()})
    score, length = scores[name], lengths[name]
    far = np.flatnonzero(np.abs(score) > threshold)
    far = far[np.argsort(-np.abs(score[far]), kind="stable")]
    value, usual = float(np.abs(score).max(initial=0)), float(np.median(length)) if len(length) else 0.0
    if len(far):
        sentence = f"Rows of {name}.npy whose length is far from the usual {usual:.3g}: {len(far):,}, "
        sentence += f"the farthest of {length[far[0]]:.3g}."
    else:
        sentence = f"The rows of each file have about one length; in {name}.npy it is {usual:.3g}."
    table = pd.DataFrame(
        {
            "image_id": evidence.rows["image_id"].to_numpy()[far],
            "length": length[far],
            "usual": usual,
            "deviations": score[far].round(2),
        }
    )
    images = list(dict.fromkeys(table["image_id"].tolist()))
    return Finding(value, threshold, look(value, threshold), images, sentence, table, {"usual": usual})


def unused_dimensions(evidence: Evidence, threshold: float) -> Finding:
    """Do the features fill their dimensions? Value: 1 minus effective rank over dimensions, of the worst file.

    The effective rank is the exponential of the entropy of the singular values of the centred rows, each over their
    sum (Roy and Vetterli 2007, The effective rank, EUSIPCO).
    """
    ranks = {name: _effective_rank(values) for name, values in evidence.features.items()}
    unused = {name: 1 - rank / evidence.features[name].shape[1] for name, rank in ranks.items()}
    name = worst(unused)
    sentence = f"{name}.npy varies in effect in {ranks[name]:.3g} of {evidence.features[name].shape[1]:,} dimensions."
    figures = {"effective_rank": ranks}
    return Finding(unused[name], threshold, look(unused[name], threshold), [], sentence, figures=figures)


def saturated(evidence: Evidence, threshold: float) -> Finding:
    """Do values pile up at an end? Value: share of the values that are the greatest or least of their dimension again.

    The 0 of a rectifier is no such end; dimensions of whole numbers, which are counts or grades, are left out.
    """
    found = {name: _saturated(values) for name, values in evidence.features.items()}
    name = worst({name: float(of.mean()) if of.size else 0.0 for name, of in found.items()})
    each = found[name]
    share = float(each.mean()) if each.size else 0.0
    sentence = f"Values of {name}.npy that repeat the greatest or least of their dimension: {100 * share:.2g} %"
    sentence += f", most in dimension {int(each.argmax())} ({100 * each.max():.2g} %)." if share else "."
    return Finding(share, threshold, look(share, threshold), [], sentence)


def _copies(values: np.ndarray) -> np.ndarray:
    """Dimensions that are equal to an earlier one and not constant, (D,) bool."""
    digests = [blake2b(digest_size=16) for _ in range(values.shape[1])]
    for part in parts(values):
        for digest, column in zip(digests, np.ascontiguousarray(part.T), strict=True):
            digest.update(column)
    constant = np.all([np.all(part == values[:1], axis=0) for part in parts(values)], axis=0)
    return pd.Series([digest.digest() for digest in digests]).duplicated().to_numpy() & ~constant


def _lengths(values: np.ndarray) -> np.ndarray:
    """Euclidean length of each row, (N,) float64; 0 of one that is not finite."""
    length = np.concatenate([np.sqrt(np.einsum("ij,ij->i", part, part, dtype=np.float64)) for part in parts(values)])
    return np.where(np.isfinite(length), length, 0)


def _robust(values: np.ndarray) -> np.ndarray:
    """Distance of each from the median, in robust deviations, (N,) float64."""
    if not len(values):
        return values
    apart = values - np.median(values)
    return apart / max(1.4826 * float(np.median(np.abs(apart))), 0.01)


def _effective_rank(values: np.ndarray) -> float:
    if not len(values):
        return 0.0
    blocks = [slice(start, start + BLOCK) for start in range(0, len(values), BLOCK)]
    total = sum(np.nan_to_num(values[block], posinf=0, neginf=0).sum(axis=0, dtype=np.float64) for block in blocks)
    products = np.zeros((values.shape[1],) * 2)
    for block in blocks:
        centred = np.nan_to_num(values[block], posinf=0, neginf=0) - total / len(values)  # float64
        products += centred.T @ centred
    singular = np.sqrt(np.maximum(np.linalg.eigvalsh(products), 0))
    singular[singular <= 1e-6 * singular.max()] = 0  # rounding
    shares = singular[singular > 0] / singular.sum() if singular.any() else np.zeros(0)
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0


def _saturated(values: np.ndarray) -> np.ndarray:
    """Share of the values of each dimension that repeat its greatest or least, (D,) float64."""
    greatest = np.max([part.max(axis=0) for part in parts(values)], axis=0)
    least = np.min([part.min(axis=0) for part in parts(values)], axis=0)
    whole = np.all([(part == np.rint(part)).all(axis=0) for part in parts(values)], axis=0)
    out = np.zeros(values.shape[1])
    for end in (greatest, least):
        count = np.sum([(part == end).sum(axis=0) for part in parts(values)], axis=0)
        out += np.where((end == 0) | whole, 0, np.maximum(count - 1, 0))
    return out / max(1, len(values))


def _repeated(values: np.ndarray, images: pd.Series) -> np.ndarray:
    """Rows whose values a row of another image has too, (N,) bool."""
    digests = pd.Series([blake2b(row.tobytes(), digest_size=16).digest() for part in parts(values) for row in part])
    return (images.reset_index(drop=True).groupby(digests).transform("nunique") > 1).to_numpy()
