"""Is the difference real: intervals of the arms and of their differences, p values, and ranks over folds."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report import decisions, tables, words
from pipeline.report.forest import Scale
from pipeline.report.results import Results
from pipeline.report.sentences import HEADLINE


def of(results: Results) -> dict[str, Any]:
    """A forest plot per headline metric, the tables of differences, and the ranks."""
    pairs = [(row["arm"], row["reference"]) for row in tables.records(results.comparison)]
    known, of_arm = {*results.baselines.values(), results.selected}, decisions.arm_of(results.arms)
    sections = {
        "Against the same head without resampling": [(arm, results.baselines[arm]) for arm in results.leading],
        "Against that at its best decision": [
            (arm, other) for arm, other in dict.fromkeys(pairs) if other not in known and of_arm[arm] != of_arm[other]
        ],
        f"Against {results.selected}, the selected arm": [(arm, results.selected) for arm in results.leading],
    }
    return {
        "comparison_note": results.notes["comparison"],
        "rope": results.settings.rope,
        "compared": list(dict.fromkeys(results.comparison["metric"])),
        "comparisons": {title: tables.differences(results.comparison, pairs) for title, pairs in sections.items()},
        "forests": [forest(results, key) for key in HEADLINE],
        "ranks": [ranking(results.names[key], rank) for key, rank in results.ranks.items()],
    }


def forest(results: Results, key: str) -> dict[str, Any]:
    """Per leading arm its interval and that of its difference to the baseline, each on a scale of their own."""
    figures = {arm: results.metrics["arms"][arm]["test"] for arm in results.leading}
    gains = {arm: _gain(results, arm, key) for arm in results.leading}
    rope, drawn = results.settings.rope, {arm: _ends(gain) for arm, gain in gains.items()}
    values = Scale.over(figures.values(), key)
    differences = Scale.over(drawn.values(), "difference", -rope, rope)
    return {
        "name": results.names[key],
        "key": key,
        "axes": (values.axis(), differences.axis()),
        "rows": [
            {
                "arm": arm,
                "figures": figures[arm],
                "drawn": values.interval(figures[arm], key),
                "gain": gain,
                "reference": results.baselines[arm],
                "against": differences.interval(
                    drawn[arm], "difference", words.TONES[gain["verdict"]] if gain else "", 0, rope
                ),
            }
            for arm, gain in gains.items()
        ],
    }


def _gain(results: Results, arm: str, key: str) -> Mapping[str, Any] | None:
    reference = results.baselines[arm]
    return tables.gains(results.comparison, arm, reference).get(key) if reference else None


def _ends(gain: Mapping[str, Any] | None) -> dict[str, float]:
    if gain is None:
        return {}
    return {"difference": gain["difference"], "difference_low": gain["low"], "difference_high": gain["high"]}


def ranking(name: str, rank: Mapping[str, Any]) -> dict[str, Any]:
    """Arms by their mean rank over folds, on a scale from 1 on, with the groups that are not told apart."""
    ranks: Mapping[str, float] = rank["ranks"]
    scale = Scale.over([], "rank", 1.0, float(len(ranks)))
    cliques: Sequence[Sequence[str]] = rank["cliques"]
    return {
        "name": name,
        "folds": rank["folds"],
        "p": rank["p"],
        "critical": rank["critical_difference"],
        "axis": scale.axis(),
        "cliques": len(cliques),
        "rows": [
            {
                "arm": arm,
                "rank": ranks[arm],
                "drawn": scale.interval(ranks, arm),
                "within": [arm in clique for clique in cliques],
            }
            for arm in sorted(ranks, key=ranks.__getitem__)
        ],
    }
