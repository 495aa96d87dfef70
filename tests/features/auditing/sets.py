"""Small data sets for the audit: clean ones, and what faults are planted in them."""

import dataclasses

import numpy as np
import pandas as pd

from pipeline.features.auditing.evidence import Evidence, Synthetic

CLASSES = ("common", "middle", "rare")
PATIENTS, IMAGES, WIDTH = 200, 3, 24
APART = 4.0  # of the centres of two classes, in standard deviations of a row


def clean(seed=0, apart=APART, patients=PATIENTS, shares=(0.55, 0.3, 0.15), trained=False, synthetic=()):
    """Classes around centres; patients that differ a little; scanner and side that go along with nothing."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), IMAGES)
    y = rng.choice(len(shares), patients, p=shares)[patient]
    centres = apart / np.sqrt(2) * np.eye(len(shares), WIDTH)
    X = centres[y] + 0.4 * rng.normal(size=(patients, WIDTH))[patient] + rng.normal(size=(len(y), WIDTH))
    ids = [f"1.2.{number:04d}" for number in range(len(y))]
    rows = pd.DataFrame({"image_id": ids, "fingerprint": ids}, dtype="str")
    role = np.array(["train", "val", "test"])[rng.permutation(np.arange(patients) % 5 // 2)[patient]]
    roles = pd.DataFrame({"image_id": ids, "group": [f"g{one}" for one in patient], "fold": 0, "role": role})
    scanner = np.array(["Petrel", "Halcyon", "Umbra"])[rng.choice(3, patients)[patient]]
    side = np.array(["L", "R"])[rng.choice(2, len(y))]
    nuisances = pd.DataFrame({"image_id": ids, "manufacturer": scanner, "laterality": side, "bits_stored": "12"})
    evidence = Evidence(
        features={"fold-0": X.astype(np.float32)},
        rows=rows.assign(view=0),
        pictures=rows,
        roles=roles,
        classes=CLASSES[: len(shares)],
        targets=y,
        nuisances=nuisances.astype("str"),
        made_from={"fold-0": {"split": "s"} if trained else {}},
    )
    made = {name: [how(evidence, rng)] for name, how in synthetic}
    return dataclasses.replace(evidence, synthetic=made)


def with_features(evidence, X):
    """The same with other features."""
    return dataclasses.replace(evidence, features={"fold-0": X.astype(np.float32)})


def ids(evidence, rows):
    """image_id of some rows, as a set."""
    return set(evidence.rows["image_id"].to_numpy()[rows])


def mixtures(evidence, rng, of="rare", others=None, count=80):
    """Rows between neighbours of a class, as SMOTE draws them; or between it and another class."""
    role, space = evidence.role(), evidence.space(evidence.file)
    label = CLASSES.index(of)
    own = np.flatnonzero((evidence.targets == label) & (role == "train"))
    far = own if others is None else np.flatnonzero((evidence.targets == CLASSES.index(others)) & (role == "train"))
    first = rng.choice(own, count)
    if others is None:
        between = np.square(space[first][:, None] - space[own][None]).sum(axis=2)
        second = own[np.argsort(between, axis=1)[np.arange(count), rng.integers(1, min(6, len(own)), count)]]
        share = rng.random(count)
    else:
        second, share = rng.choice(far, count), 0.8 + 0.1 * rng.random(count)
    parents = np.stack([first, second], axis=1)
    return Synthetic(np.full(count, label), parents, share.astype(np.float32), 0, space)
