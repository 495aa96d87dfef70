"""The arms with their intervals, printed."""

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from pipeline import artifacts, storage
from pipeline.errors import PipelineError
from pipeline.params import Params

PIPED_WIDTH = 1000  # of a line that goes to a file or another program: nothing is cut or wrapped


def run(params: Params) -> None:
    """Print one row per arm, from best to worst on validation, and where the report is."""
    path = artifacts.EVALUATION / "arms.csv"
    if not path.exists():
        raise PipelineError(path, "is missing", "run `dvc repro evaluate`")
    arms = pd.read_csv(path)
    flags = storage.load_json(artifacts.EVALUATION / "collapse.json", "evaluate")
    kappa = "kappa" if params.evaluate.kappa == "none" else f"{params.evaluate.kappa} kappa"
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    console.print(table(arms, flags, kappa))
    console.print(
        f"Test figures ({params.evaluate.confidence:.0%} intervals over patients). "
        f"* selected on validation by {', '.join(params.evaluate.select)}.",
        highlight=False,
    )
    if artifacts.REPORT.exists():
        print(artifacts.REPORT)


def table(arms: pd.DataFrame, flags: dict[str, list[dict[str, object]]], kappa: str) -> Table:
    """The rows of arms.csv, with the clauses of collapse.json that fired."""
    shown = {"macro_f1": "macro-F1", "kappa": kappa, "balanced_accuracy_adjusted": "adjusted balanced accuracy"}
    made = Table("arm", *shown.values(), "collapse", box=box.SIMPLE)
    for row in arms.to_dict("records"):
        name = f"{row['arm']} *" if row["selected"] else row["arm"]
        figures = [figure(row[key], row[f"{key}_low"], row[f"{key}_high"]) for key in shown]
        made.add_row(name, *figures, marker(flags[row["arm"]]), style="bold" if row["selected"] else "")
    return made


def figure(value: float, low: float, high: float) -> str:
    """0.612 (0.55–0.67); a dash where there is none."""
    return "–" if pd.isna(value) else f"{value:.3f} ({low:.2f}–{high:.2f})"


def marker(flags: list[dict[str, object]]) -> str:
    """The clauses, with the classes that they name: `one_class C, class_f1 A`."""
    return ", ".join(f"{flag['clause']} {flag.get('class', '')}".strip() for flag in flags)
