"""The arms with their intervals, printed."""

import io

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from pipeline import artifacts, storage
from pipeline.errors import PipelineError
from pipeline.params import Params

PIPED_WIDTH = 1000  # of a line that goes to a file or another program: nothing is cut or wrapped


def run(params: Params) -> None:
    """Print the arms and the best decision of each, from best to worst on validation, and where the report is."""
    path = artifacts.EVALUATION / "arms.csv"
    if not path.exists():
        raise PipelineError(path, "is missing", "run `dvc repro evaluate`")
    every = pd.read_csv(path)
    arms, others = every[every["leading"]], (~every["leading"]).sum()
    flags = storage.load_json(artifacts.EVALUATION / "collapse.json", "evaluate")
    weighted = params.data.task == "multiclass" and params.evaluate.kappa != "none"
    kappa = f"{params.evaluate.kappa} kappa" if weighted else "kappa"  # two classes have no grades
    show(table(arms, flags, kappa))
    print(
        f"Test figures ({params.evaluate.confidence:.0%} intervals over patients). "
        f"* selected on validation by {', '.join(params.evaluate.select)}."
    )
    if others:
        print(f"{others} more decisions, none above its arm or the best of it, stand in {path}.")
    for arm, failure in storage.load_json(artifacts.EVALUATION / "notes.json", "evaluate")["failed"].items():
        print(f"{arm} could not be fitted: {failure['what'].splitlines()[0]}")
    for arm in arms["arm"][arms["arm"].map(flags.get).astype(bool)]:
        print(f"{arm}: {marker(flags[arm])}")
    if artifacts.REPORT.exists():
        print(artifacts.REPORT)


def show(made: Table) -> None:
    """Print in colour on a terminal, elsewhere as lines without trailing blanks."""
    console = Console()
    if console.is_terminal:
        console.print(made)
        return
    piped = Console(width=PIPED_WIDTH, file=io.StringIO())
    with piped.capture() as capture:
        piped.print(made)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def table(arms: pd.DataFrame, flags: dict[str, list[dict[str, object]]], kappa: str) -> Table:
    """The rows of arms.csv, with how many clauses of collapse.json fired."""
    shown = {"macro_f1": "macro-F1", "kappa": kappa, "balanced_accuracy_adjusted": "adj. bal. accuracy"}
    made = Table("arm", *shown.values(), "collapse", box=box.SIMPLE)
    for row in arms.to_dict("records"):
        name = f"{row['arm']} *" if row["selected"] else row["arm"]
        figures = [figure(row[key], row[f"{key}_low"], row[f"{key}_high"]) for key in shown]
        made.add_row(name, *figures, signs(len(flags[row["arm"]])), style="bold" if row["selected"] else "")
    return made


def figure(value: float, low: float, high: float) -> str:
    """0.612 (0.55–0.67); a dash where there is none."""
    return "–" if pd.isna(value) else f"{value:.3f} ({low:.2f}–{high:.2f})"


def signs(count: int) -> str:
    """1 sign, 2 signs; nothing for none."""
    return f"{count} sign{'s' if count > 1 else ''}" if count else ""


def marker(flags: list[dict[str, object]]) -> str:
    """The clauses, with the classes that they name: `one_class C, class_f1 A`."""
    return ", ".join(f"{flag['clause']} {flag.get('class', '')}".strip() for flag in flags)
