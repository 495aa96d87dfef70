"""The whole pipeline on real images: how good the arm is that validation selects, and what samplers and losses change.

    python benchmarks/real.py --data DIR [--only rbc12] [--seeds 5] [--table]

DIR holds a folder for each set, with its DICOM files and labels.csv. What differs from params.yaml stands in
benchmarks/params; here only the folder and the seeds, of the split and of training, are put in. Each seed is another
assignment of patients to roles, so the spread over seeds is that of the method on other patients. A validation set of
a few smears selects by chance, so the arm of the claims is the one whose first figure of `evaluate.select` is highest
on validation, on average over the seeds; each line also names the arm that its own seed selected. `--table` trains a
smaller network once with each sampler (cross-entropy) and once with each loss (no sampler), all with the same budget
and the same head.
"""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import claims
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from pipeline import params
from pipeline.experiments import graph, presets, running
from pipeline.experiments.places import Place
from pipeline.experiments.presets import Values

PARAMS = Path(__file__).parent / "params"
SETS = ("rbc12", "pneumoniamnist")
GOALS = {"rbc12_macro_f1": 0.65, "rbc12_kappa": 0.66, "pneumoniamnist_auc": 0.95}
FIRST = {"rbc12": "macro_f1", "pneumoniamnist": "auc"}  # of evaluate.select in the params of each set
SECONDS = 600  # of training that rbc12 may take on two cores
BUDGET = {
    "backbone": {"model": "regnetx_002"},
    "finetune": {"epochs": 8, "batch_size": 64, "average": 0.99},
    "grid": {"resamplers": ["none"], "heads": ["logistic"]},
}
SAMPLERS: list[str | dict[str, Any]] = [
    "none",
    "weighted",
    {"name": "tempered", "power": 0.5},
    {"name": "effective", "beta": 0.999},
    {"name": "dynamic", "floor": 0.1},
    {"name": "two_phase", "last": 2},
    "patient",
]
LOSSES: list[str | dict[str, Any]] = [
    "weighted",
    {"name": "focal", "alpha": 0, "gamma": 2},
    {"name": "class_balanced", "beta": 0.999},
    {"name": "ldam", "margin": 0.5, "scale": 30, "beta": 0.9999, "deferred": 0.8},
    "balanced_softmax",
    {"name": "logit_adjusted", "tau": 1},
    {"name": "label_smoothing", "smoothing": 0.1},
    {"name": "ordinal", "sharpness": 2},
]


def main() -> None:
    options = claims.parser(__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True, help="folder with a folder for each set")
    options.add_argument("--only", choices=SETS, help="one set")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--table", action="store_true", help="each sampler and loss once, on rbc12, no claims")
    chosen = options.parse_args()
    seeds = range(1 if chosen.quick else chosen.seeds)
    with tempfile.TemporaryDirectory() as folder:
        if chosen.table:
            compare(Path(folder), chosen.data, chosen.json)
            return
        sets = [chosen.only] if chosen.only else SETS
        runs = {name: [run(Path(folder) / name, chosen.data, name, seed, {}) for seed in seeds] for name in sets}
    claims.publish(claims_of(runs), chosen.json)


def run(folder: Path, data: Path, name: str, seed: int, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Every stage in `folder`; returns what `verdict` says of it, and the seconds that training took."""
    values = params_of(data, name, seed, changes)
    place, seconds = Place(folder), {}
    place.write_params(values)
    for stage in [*(job.name for job in graph.jobs(params.check(values).grid.names)), "evaluate"]:
        begin = time.perf_counter()
        running.start(folder, stage.split())
        seconds[stage] = time.perf_counter() - begin
    found = {"seed": seed, "seconds": seconds["finetune"], **verdict(folder / "artifacts")}
    line = ", ".join(f"{key} {found['test'][key]:.3f}" for key in ("macro_f1", "kappa", "auc"))
    print(f"{name}, seed {seed}: {found['arm']}, test {line}, trained in {found['seconds']:.0f} s", flush=True)
    return found


def params_of(data: Path, name: str, seed: int, changes: Mapping[str, Any]) -> Values:
    """The params of the set, with absolute paths, this seed, and the changes by section."""
    values = presets.merged(presets.load(graph.ROOT / params.FILE), presets.load(PARAMS / f"{name}.yaml"))
    paths = {key: str((data / values["data"][key]).resolve()) for key in ("images", "labels")}
    own = {"data": paths, "split": {"seed": seed}, "finetune": {"seed": seed}}
    return presets.merged(presets.merged(values, own), changes)


def verdict(artifacts: Path) -> dict[str, Any]:
    """The arm that validation selected with its figures, and of all that it could select, figures and least F1."""
    metrics = json.loads((artifacts / "metrics.json").read_text())
    classes = pd.read_csv(artifacts / "evaluation" / "per_class.csv")
    barred = json.loads((artifacts / "evaluation" / "notes.json").read_text())["unproven"]
    each = {}
    for arm in metrics["arms"].keys() - barred:
        own = classes[classes["arm"] == arm]
        least, name = min(zip(own["f1"], own["class"], strict=True))
        each[arm] = {key: metrics["arms"][arm][key] for key in ("val", "test")} | {"least": (float(least), name)}
    return {"arm": metrics["selected"], **each[metrics["selected"]], "arms": each}


def over_seeds(runs: Sequence[Mapping[str, Any]], key: str) -> str:
    """Of the arms that every seed could select, the one with the highest mean of a figure on validation."""
    names = set.intersection(*(set(found["arms"]) for found in runs))
    return max(sorted(names), key=lambda arm: np.mean([found["arms"][arm]["val"][key] for found in runs]))


def claims_of(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Means over the seeds of the arm that validation selects over all of them; the spread stands in the unit."""
    made, arm = {}, {name: over_seeds(found, FIRST[name]) for name, found in runs.items()}
    for claim, goal in GOALS.items():
        name, _, key = claim.partition("_")
        if name in runs:
            values = [found["arms"][arm[name]]["test"][key] for found in runs[name]]
            made[claim] = {"value": float(np.mean(values)), "unit": f"{arm[name]}, {spread(values)}", "goal": goal}
    if "rbc12" in runs:
        least, kind = min(found["arms"][arm["rbc12"]]["least"] for found in runs["rbc12"])
        made["rbc12_macro_f1"]["unit"] += f"; least F1 of a class {least:.2f} ({kind})"
        slowest = max(found["seconds"] for found in runs["rbc12"])
        unit = f"{SECONDS} s / {slowest:.0f} s of training, the slowest seed"
        made["rbc12_train_seconds"] = {"value": SECONDS / slowest, "unit": unit, "goal": 1.0}
    return made


def spread(values: Sequence[float]) -> str:
    """`test, mean of 5 seeds: .61 .63 …, standard deviation .01`."""
    each = " ".join(f"{value:.3f}" for value in values)
    return f"test, mean of {len(values)} seeds: {each}; standard deviation {np.std(values, ddof=len(values) > 1):.3f}"


def compare(folder: Path, data: Path, file: Path | None) -> None:
    """Train with each sampler and each loss on the same split, and print a row for each."""
    recipes: list[tuple[Any, Any]] = [(sampler, "cross_entropy") for sampler in SAMPLERS]
    recipes += [("none", loss) for loss in LOSSES]
    made = Table("sampler", "loss", "val macro-F1", "test macro-F1", "test kappa", "seconds")
    rows = []
    for sampler, loss in recipes:
        recipe = BUDGET["finetune"] | {"sampler": sampler, "loss": loss}
        names = [of if isinstance(of, str) else of["name"] for of in (sampler, loss)]
        print(f"sampler {names[0]}, loss {names[1]}", flush=True)
        found = run(folder / "rbc12", data, "rbc12", 0, BUDGET | {"finetune": recipe})
        test = found["test"]
        figures = [
            f"{test[key]:.3f} ({test[f'{key}_low']:.2f}–{test[f'{key}_high']:.2f})" for key in ("macro_f1", "kappa")
        ]
        made.add_row(*names, f"{found['val']['macro_f1']:.3f}", *figures, f"{found['seconds']:.0f}")
        rows.append({"sampler": sampler, "loss": loss, **found})
    Console(width=120).print(made)
    if file:
        file.write_text(json.dumps({"machine": claims.machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
