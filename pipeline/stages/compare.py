"""Two arms against each other, in words and numbers."""

import difflib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from pipeline import artifacts, terminal
from pipeline.contest import contestants, entries
from pipeline.contest.entries import Entries
from pipeline.errors import PipelineError
from pipeline.judge import comparison
from pipeline.judge.arms import Judged, Rows
from pipeline.judge.comparison import BETTER, COMPARED, SAME, UNKNOWN, WORSE, Terms
from pipeline.judge.intervals import FEW
from pipeline.params import Params

RAREST = 3  # classes whose recall is shown
KEYS = ("arm", "reference", "metric")
NAMES = dict(zip(COMPARED, ("macro-F1", "kappa", "adj. bal. accuracy"), strict=True))


def run(params: Params, arm: str, reference: str) -> None:
    """Print figures of both on the same test rows, their differences, and a verdict on each.

    Arms and decisions are named as in the table of `results`. All is computed anew from the fits, as `evaluate` does.

    Raises:
        PipelineError: no such arm or decision, or twice the same.
    """
    how = params.evaluate
    fitted = [name for name in params.grid.names if (artifacts.FITS / name).exists()]
    entered = entries.load(fitted or params.grid.names, how, params.fit.unit)
    check(arm, reference, contestants.names(entered, how))
    of = contestants.enter(entered, how, only=[arm, reference])
    found = contestants.judge_all(of, how)
    judged = {name: found[name] for name in (arm, reference)}
    terms = Terms(how.confidence, how.rope, entered.ratio)
    table = comparison.compare(judged, {"alone": [(arm, reference)]}, terms)
    print(f"{arm} against {reference}, {on(entered, of[arm].test)}")
    terminal.show(figures(judged, table, intervals) for intervals in (True, False))
    for line in words(table, corrected(table), terms):
        print(line)
    terminal.show(recalls(judged, entered.classes, intervals) for intervals in (True, False))
    print(
        f"{how.confidence:.0%} intervals over patients, of differences paired. Each p above is of this comparison "
        "alone: of many that are asked for, some come out small by chance."
    )


def check(arm: str, reference: str, known: Collection[str]) -> None:
    """Raise a PipelineError unless both are known, and two."""
    for name in (arm, reference):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            remedy = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
            raise PipelineError("compare", f"there is no {name} among the fits", remedy)
    if arm == reference:
        raise PipelineError("compare", f"{arm} is asked for twice", "name two arms or decisions")


def on(entered: Entries, test: Rows) -> str:
    """On 1,000 test images of 400 patients (3 folds, pooled); an image of several folds counts once."""
    folds, patients = len(np.unique(test.folds)), len(np.unique(test.patients))
    of = "" if entered.unit == "patient" else f" of {patients:,} patients"
    return f"on {entered.tested['image_id'].nunique():,} test {entered.unit}s{of}" + (
        f" ({folds} folds, pooled)" if folds > 1 else ""
    )


def figures(judged: Mapping[str, Judged], table: pd.DataFrame, intervals: bool) -> Table:
    """Figures of both and their differences, a metric per row."""
    made = terminal.grid("", *judged, "difference", "p")
    for row in table.to_dict("records"):
        metric, ends = str(row["metric"]), ("_low", "_high") if intervals else ()
        of = [one.figures["test"] for one in judged.values()]
        each = [terminal.figure(one[metric], *(one[f"{metric}{end}"] for end in ends)) for one in of]
        spread = f" ({row['low']:+.3f} to {row['high']:+.3f})" if intervals else ""
        difference = "–" if math.isnan(row["difference"]) else f"{row['difference']:+.3f}{spread}"
        made.add_row(NAMES[metric], *each, difference, chance(row["p"]))
    return made


def words(table: pd.DataFrame, among: Mapping[str, str], terms: Terms) -> Iterator[str]:
    """The verdict by each metric in a sentence, and what the folds say of it in another."""
    for row in table.to_dict("records"):
        yield f"{NAMES[row['metric']]}: {sentence(row, terms)}{among.get(row['metric'], '')}"
        if not math.isnan(row["better"]):
            yield (
                f"  Folds: better with probability {row['better']:.2f}, {SAME} {row['same']:.2f}, "
                f"worse {row['worse']:.2f}; p {chance(row['p_folds'])}."
            )


def sentence(row: Mapping[Any, Any], terms: Terms) -> str:
    """What a row of `comparison.compare` means."""
    if math.isnan(row["low"]):
        return "not defined on these predictions."
    span = f"from {row['low']:+.3f} to {row['high']:+.3f}"
    if row["verdict"] == SAME:
        return f"{SAME}: the difference lies {span}, within ±{terms.rope:g}."
    if row["verdict"] in (BETTER, WORSE):
        return f"{row['arm']} is {row['verdict']} than {row['reference']}: the difference lies {span}."
    return f"{UNKNOWN}: any difference {span} agrees with these predictions."


def corrected(table: pd.DataFrame) -> dict[str, str]:
    """By metric, what `evaluate` says of the same pair where, corrected for all its arms, it says something else."""
    if not artifacts.COMPARISON.exists():
        return {}
    every = pd.read_csv(artifacts.COMPARISON)
    known = pd.concat([every, comparison.turned(every)]).drop_duplicates(list(KEYS))
    both = table.merge(known, on=list(KEYS), suffixes=("", "_among"))
    return {
        row["metric"]: f" Corrected for the number of arms: {row['verdict_among']} (p {chance(row['p_holm_among'])})."
        for row in both[both["verdict"] != both["verdict_among"]].to_dict("records")
    }


def recalls(judged: Mapping[str, Judged], classes: Sequence[str], intervals: bool) -> Table:
    """Recall of both for the RAREST classes with test rows, and how many rows and patients stand behind it."""
    made = terminal.grid("recall of the rarest", "rows", "patients", *judged)
    each = [one.classwise for one in judged.values()]
    rows, patients = each[0]["n"], each[0]["patients"]
    shown = ("", "_low", "_high") if intervals else ("",)
    rarest: list[int] = [at for at in np.argsort(rows, kind="stable").tolist() if rows[at]][:RAREST]
    for number in rarest:
        found = [terminal.figure(*(float(of[f"recall{end}"][number]) for end in shown)) for of in each]
        few = " (few)" if patients[number] < FEW else ""
        made.add_row(classes[number], f"{rows[number]:,}", f"{patients[number]:,}{few}", *found)
    return made


def chance(p: float) -> str:
    """0.034, or < 0.001; a dash for none."""
    return "–" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"
