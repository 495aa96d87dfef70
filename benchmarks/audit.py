"""The audit of many features: rows per CPU second, recall of the approximate neighbours, memory.

    python benchmarks/audit.py [--quick] [--json FILE]

100,000 rows of 512 features (--quick: 30,000), as a network with rectifiers makes them of 24 hidden variables, with
eight classes, a tenth of the patients twice, two scanners, and pictures of 32 pixels. Every check runs, with the rows
that SMOTE and Borderline-SMOTE make; all but the map, which looks at a sample of 10,000 rows at most. The recall is
that of other rows than the audit measures it on. Memory is what the process takes beyond what it took before, over the
size of the features.
"""

import dataclasses
import logging
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import claims
import numpy as np
import pandas as pd

from pipeline import params
from pipeline.features import approximate, checks
from pipeline.features.auditing.evidence import NEIGHBOURS, Evidence
from pipeline.features.neighbours import nearest
from pipeline.inspection import invented

ROWS, QUICK, WIDTH, CLASSES = 100_000, 30_000, 512, 8
SECONDS = 60  # that 100,000 rows may take
ASKED = 500  # rows whose true neighbours are searched


def measured(quick: bool) -> dict[str, dict[str, Any]]:
    """Claims by name."""
    values = params.load()
    run(generated(3_000, np.zeros((0, 0))), values, exact=1000)  # what is compiled or imported at the first call
    with tempfile.TemporaryDirectory() as folder:
        count = QUICK if quick else ROWS
        np.save(Path(folder, "features.npy"), features(count))
        evidence = generated(count, np.load(Path(folder, "features.npy"), mmap_mode="r"))
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        seconds, evidence = run(evidence, values)
        total = time.process_time() - start
        taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        recall = true_recall(evidence)
        size = evidence.features["shared"].nbytes
    slowest = sorted(seconds, key=lambda name: -seconds[name])[:4]
    told = ", ".join(f"{name} {seconds[name]:.0f} s" for name in slowest)
    return {
        "audit_rows_per_cpu_s": {
            "value": count / total,
            "unit": f"rows of {WIDTH} features in a second of CPU; {count:,} take {total:.0f} s: {told}",
            "goal": ROWS / SECONDS,
        },
        "neighbour_recall": {
            "value": recall,
            "unit": f"of the {NEIGHBOURS} nearest of {ASKED} rows; the audit says {evidence.recall('shared'):.4f}",
            "goal": 0.99,
        },
        "audit_memory": {
            "value": size / taken,
            "unit": f"features / peak; {taken / size:.1f} times the features",
            "goal": 1 / 3,
        },
    }


def run(evidence: Evidence, values: params.Params, exact: int = approximate.EXACT) -> tuple[dict[str, float], Evidence]:
    """CPU seconds of each check; what several need counts to the first."""
    thresholds, seconds = dataclasses.asdict(values.audit), {}
    start = time.process_time()
    evidence = dataclasses.replace(evidence, synthetic=invented.synthetic(evidence, values))
    seconds["resamplers"] = time.process_time() - start
    for name, check in checks.CHECKS.items():
        start = time.process_time()
        check(evidence, thresholds.get(name, 0))
        seconds[name] = time.process_time() - start
    if exact < approximate.EXACT:
        approximate.search(evidence.space("shared"), NEIGHBOURS, evidence.images, exact)
    return seconds, evidence


def true_recall(evidence: Evidence) -> float:
    """Share of the nearest rows of some rows that the audit's neighbours have."""
    rows = np.random.default_rng(1).permutation(len(evidence.rows))[:ASKED]
    truth = nearest(evidence.space("shared"), NEIGHBOURS, rows, owners=evidence.images)
    return approximate.recall(truth, evidence.neighbours("shared")[0][rows])


def features(count: int) -> np.ndarray:
    """(count, WIDTH) float32: a class moves the hidden variables."""
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((count, 24), np.float32)
    hidden += 1.5 * rng.standard_normal((CLASSES, 24), np.float32)[labels(count)]
    first, second = (rng.standard_normal(shape, np.float32) for shape in ((24, 256), (256, WIDTH)))
    return np.maximum(np.maximum(hidden @ first / 5, 0) @ second / 16, 0)


def labels(count: int) -> np.ndarray:
    shares = np.arange(1, CLASSES + 1) ** 2.0
    return np.random.default_rng(2).choice(CLASSES, count, p=shares / shares.sum())


def generated(count: int, values: np.ndarray) -> Evidence:
    rng = np.random.default_rng(3)
    ids = [f"1.2.{number:06d}" for number in range(count)]
    rows = pd.DataFrame({"image_id": ids, "fingerprint": ids}, dtype="str")
    patient = np.arange(count) * 10 // 11
    role = np.array(["train", "train", "train", "val", "test"])[rng.integers(0, 5, count)[patient]]
    small = rng.integers(0, 256, (count, 16, 16), np.uint8)
    scanner = np.array(["Petrel", "Halcyon"])[rng.integers(0, 2, count)]
    return Evidence(
        features={"shared": values if values.size else features(count)},
        rows=rows.assign(view=0),
        pictures=rows,
        expected=frozenset(ids),
        roles=pd.DataFrame({"image_id": ids, "group": patient.astype("str"), "fold": 0, "role": role}),
        classes=[f"class {number}" for number in range(CLASSES)],
        targets=labels(count),
        nuisances=pd.DataFrame({"image_id": ids, "manufacturer": scanner}),
        take=lambda places: small[places].repeat(2, axis=1).repeat(2, axis=2),
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    options = claims.parser(__doc__.splitlines()[0]).parse_args()
    claims.publish(measured(options.quick), options.json)
