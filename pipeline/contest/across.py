"""Arms of several working folders against each other, as `evaluate` judges those of one."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.contest import contestants, entries, standing
from pipeline.contest.contestants import Contestant
from pipeline.contest.entries import Entries
from pipeline.errors import PipelineError
from pipeline.judge import classwise, collapse, comparison
from pipeline.judge.arms import Judged
from pipeline.judge.comparison import Terms
from pipeline.params import Evaluate, Params

SHOWN = ("macro_f1", "kappa", "balanced_accuracy_adjusted", "auc")
ENDS = ("", "_low", "_high")


@dataclass(frozen=True)
class Picked:
    """The arm of one folder that stands for it.

    Attributes:
        arm: its name there, with its decision.
        of: it.
        entered: all arms that were loaded.
    """

    arm: str
    of: Contestant
    entered: Entries


def pick(params: Params, arm: str) -> Picked:
    """The arm of this name, or the one that validation selects if there is none, from the fits of the current folder.

    Raises:
        PipelineError: it could not be fitted, or there is no such decision.
    """
    how = params.evaluate
    names = [arm.partition(contestants.MARK)[0]] if arm else params.grid.names
    entered = entries.load(names, how, params.fit.unit)
    known = contestants.names(entered, how)
    if arm and arm not in known:
        raise PipelineError("arm", f"there is no {arm}; there are {', '.join(known)}", "mend the name in the plan")
    of = contestants.enter(entered, how, only=[arm] if arm else None)
    chosen = arm or standing.stand(of, contestants.judge_all(of, how), entered.arms, how, params.grid).selected
    return Picked(chosen, of[chosen], entered)


def same_rows(one: Picked, other: Picked) -> bool:
    """Whether both are judged on the same test rows, so that their difference is paired."""
    rows, others = (picked.entered.tested[["image_id", "fold"]] for picked in (one, other))
    return rows.equals(others) and np.array_equal(one.of.test.predictions.labels, other.of.test.predictions.labels)


def table(picked: Mapping[str, Picked], how: Evaluate) -> pd.DataFrame:
    """Figures of each on test, and its difference to the first; only those on the rows of the first.

    Returns:
        One row each: step, arm, SHOWN with `_low` and `_high`, rarest (class), rarest_patients, rarest_recall with
        `_low` and `_high`, <metric>_difference with `_low`, `_high`, `_p` (Holm over the rows) and `_verdict`, and
        collapse (the clauses that fire).
    """
    first, *others = picked
    of = {step: replace(one.of, arm=step, decision="") for step, one in picked.items()}
    judged = contestants.judge_all(of, how)
    terms = Terms(how.confidence, how.rope, picked[first].entered.ratio)
    pairs = comparison.compare(judged, {"baseline": [(step, first) for step in others]}, terms)
    classes = picked[first].entered.classes
    rows = [
        {
            "step": step,
            "arm": one.arm,
            **{f"{name}{end}": judged[step].figures["test"][f"{name}{end}"] for name in SHOWN for end in ENDS},
            **_rarest(judged[step], classes),
            **_differences(pairs[pairs["arm"] == step]),
            "collapse": _collapse(of[step], classes, how),
        }
        for step, one in picked.items()
    ]
    return pd.DataFrame(rows)


def _rarest(judged: Judged, classes: list[str]) -> dict[str, Any]:
    """The class with the fewest test rows, but for those that have none."""
    number = classwise.rarest(judged.classwise["n"])
    figures = {f"rarest_recall{end}": float(judged.classwise[f"recall{end}"][number]) for end in ENDS}
    return {"rarest": classes[number], "rarest_patients": int(judged.classwise["patients"][number]), **figures}


def _differences(pairs: pd.DataFrame) -> dict[str, Any]:
    names = {"difference": "", "low": "_low", "high": "_high", "p_holm": "_p", "verdict": "_verdict"}
    return {
        f"{row['metric']}_difference{end}": row[name] for row in pairs.to_dict("records") for name, end in names.items()
    }


def _collapse(one: Contestant, classes: list[str], how: Evaluate) -> str:
    fired = collapse.fired(one.test.predictions, classes, how.kappa, one.decision or "argmax")
    return ", ".join(f"{flag['clause']} {flag.get('class', '')}".strip() for flag in fired)
