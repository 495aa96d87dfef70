"""Tables of everyone who was judged."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pipeline.contest.entries import Entry
from pipeline.contest.standing import Standing
from pipeline.judge import collapse, comparison
from pipeline.judge.metrics import Kappa
from pipeline.judge.tally import Predictions


def arms(standing: Standing, entries: Mapping[str, Entry], keys: Sequence[str]) -> pd.DataFrame:
    """One row per arm and variant, from best to worst on validation; no baseline where there is none.

    `leading` are the arms and, of the variants that stand above their arm, the best.
    """
    shown = [f"{name}{end}" for name in comparison.COMPARED for end in ("", "_low", "_high")]
    of, judged, leading = standing.of, standing.judged, set(standing.leading)
    rows = [
        {
            "arm": name,
            "selected": name == standing.selected,
            "baseline": standing.baselines[name] if standing.baselines[name] in judged else "",
            "of": of[name].arm,
            "decision": of[name].decision,
            "leading": name in leading,
            **{key: judged[name].figures["test"][key] for key in shown},
            **{f"val_{key}": judged[name].figures["val"][key] for key in keys},
            "seconds": entries[of[name].arm].seconds,
        }
        for name in standing.ranked
    ]
    return pd.DataFrame(rows)


def per_class(standing: Standing, classes: Sequence[str]) -> pd.DataFrame:
    """Figures of each class on test, for everyone."""
    return pd.concat(
        [pd.DataFrame({"arm": name, "class": classes, **one.classwise}) for name, one in standing.judged.items()]
    )


def confusion(standing: Standing, classes: Sequence[str]) -> dict[str, Any]:
    """Test rows by label and prediction, for everyone; a 2 by 2 table per label."""
    counts = {name: one.test.predictions.confusion.tolist() for name, one in standing.of.items()}
    return {**counts, "classes": list(classes)}


def decisions(standing: Standing, classes: Sequence[str]) -> dict[str, Any]:
    """What was fitted of each variant, by fold."""
    fitted = {name: one.fitted for name, one in standing.of.items() if one.decision}
    return {"classes": classes, "variants": fitted}


def collapsed(standing: Standing, classes: Sequence[str], kappa: Kappa) -> dict[str, Any]:
    """The clauses that fire on test, for everyone."""
    plain = {
        name: "argmax" if isinstance(one.test.predictions, Predictions) else "0.5" for name, one in standing.of.items()
    }
    return {
        name: collapse.fired(one.test.predictions, classes, kappa, one.decision or plain[name])
        for name, one in standing.of.items()
    }
