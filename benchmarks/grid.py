"""The default grid of resamplers and heads on real images: what each arm is worth and costs, and what remains of it.

    python benchmarks/grid.py --data DIR [--only rbc12] [--seed 0] [--quick] [--json FILE]

DIR as for benchmarks/real.py. Features are made once for each set by all stages with the params in benchmarks/params;
on them, the grid of params.yaml is fitted, with the values that the set has for a head or else those of params.yaml.
Each arm is shown at the most probable class, and where a decision rule does better on validation, with it; with 95 %
intervals over patients, and the seconds of its fits in a fold. A difference to the arm without resampling remains where
the paired interval of `comparison.csv` lacks 0; and it remains among all of them where an interval as wide as their
number asks for (Bonferroni, of a normal distribution with the spread of that interval) lacks it still. `--quick` trains
one epoch: a trial of the script, and no result.
"""

import json
import tempfile
from pathlib import Path
from statistics import NormalDist
from typing import Any

import claims
import pandas as pd
import real
from rich.console import Console
from rich.table import Table

from pipeline import params
from pipeline.experiments import graph, presets

SHOWN = ("macro_f1", "kappa")
SHORT = {"epochs": 1}


def main() -> None:
    options = claims.parser(__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True, help="folder with a folder for each set")
    options.add_argument("--only", choices=real.SETS, help="one set")
    options.add_argument("--seed", type=int, default=0, help="of the split and of training")
    chosen = options.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in [chosen.only] if chosen.only else real.SETS:
            place = Path(folder) / name
            real.run(place, chosen.data, name, chosen.seed, changes(chosen.quick))
            arms = pd.read_csv(place / "artifacts" / "evaluation" / "arms.csv", keep_default_na=False)
            remaining = left(pd.read_csv(place / "artifacts" / "comparison.csv"), arms)
            show(name, arms, remaining)
            found[name] = {"arms": arms.to_dict("records"), "comparisons": remaining.to_dict("records")}
    if chosen.json:
        chosen.json.write_text(json.dumps({"machine": claims.machine(), "sets": found}, indent=1) + "\n")


def changes(quick: bool) -> dict[str, dict[str, Any]]:
    """What differs from the params of the set: the grid."""
    grid = presets.load(graph.ROOT / params.FILE)["grid"]
    return {"grid": grid, "finetune": SHORT if quick else {}}


def left(comparisons: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """Comparisons of arms at the most probable class with their baseline; `sure` alone, and `sure_of_all` at once."""
    plain = arms[arms["arm"] == arms["of"]].set_index("arm")["baseline"]
    pairs = comparisons[comparisons["metric"].isin(SHOWN)]
    pairs = pairs[pairs["reference"] == pairs["arm"].map(plain)].copy()
    pairs["sure"] = (pairs["low"] > 0) | (pairs["high"] < 0)
    half = NormalDist().inv_cdf(0.975)
    spread = (pairs["high"] - pairs["low"]) / (2 * half)
    bound = NormalDist().inv_cdf(1 - 0.025 / max(1, len(pairs)))
    middle = (pairs["high"] + pairs["low"]) / 2
    pairs["sure_of_all"] = middle.abs() > bound * spread
    return pairs


def show(name: str, arms: pd.DataFrame, remaining: pd.DataFrame) -> None:
    """Print a row for each arm, best on validation first, and of its differences to the baseline those that remain."""
    table = Table("arm", "macro-F1", "kappa", "seconds", "to no resampling (** of all comparisons)", title=name)
    for row in arms[arms["leading"].astype(str) == "True"].to_dict("records"):
        figures = [f"{row[key]:.3f} ({row[f'{key}_low']:.2f}–{row[f'{key}_high']:.2f})" for key in SHOWN]
        of_arm = remaining[(remaining["arm"] == row["arm"]) & remaining["sure"]]
        said = [
            f"{pair['metric']} {pair['difference']:+.3f}{'**' if pair['sure_of_all'] else ''}"
            for pair in of_arm.to_dict("records")
        ]
        table.add_row(row["arm"], *figures, f"{row['seconds']:.1f}", ", ".join(said))
    console = Console(width=120)
    console.print(table)
    sure, corrected = int(remaining["sure"].sum()), int(remaining["sure_of_all"].sum())
    console.print(f"{name}: of {len(remaining)} differences {sure} lack 0 each on its own, {corrected} all at once")


if __name__ == "__main__":
    main()
