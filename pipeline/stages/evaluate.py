"""fits, index → metrics.json, comparison.csv, evaluation/."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import artifacts, choices, engine, storage
from pipeline.errors import PipelineError
from pipeline.heads.deciding import shares, variants
from pipeline.heads.deciding.calibration import Shares
from pipeline.judge import collapse, comparison, curves, intake, reject, tally
from pipeline.judge.arms import Judged, Rows, is_better, judge
from pipeline.judge.tally import Multilabel, Predictions
from pipeline.params import Evaluate, Grid, Params

log = logging.getLogger(__name__)
MARK = "+"  # between the name of an arm and that of its decision
ARGMAX = choices.Decision("argmax")


@dataclass(frozen=True)
class Contestant:
    """An arm, or an arm with another decision than the most probable class.

    Attributes:
        arm: its name without the decision.
        decision: "" for the arm itself.
        val: its validation rows.
        test: its test rows.
        certainty: of its decisions on validation and on test.
        tuned: whether the decision was fitted on validation.
        fitted: parameters of the decision by fold.
    """

    arm: str
    decision: str
    val: Rows
    test: Rows
    certainty: tuple[np.ndarray, np.ndarray]
    tuned: bool
    fitted: Mapping[int, Mapping[str, Any]]


def run(params: Params) -> None:
    """Judge every arm of the grid and its variants on the same rows and draws; select one on validation."""
    how = params.evaluate
    tables, reports, failed = load(params.grid.names)
    intake.check_same_rows(tables)
    shared, index = next(iter(tables.values())), artifacts.load_index()
    classes = intake.class_names(shared)
    val, test = ({arm: intake.rows_of(of, role, index) for arm, of in tables.items()} for role in ("val", "test"))
    for role, rows in (("val", val), ("test", test)):
        intake.check_classes(next(iter(rows.values())).predictions, role, classes)
    entered = {arm: (val[arm], test[arm], shares.of_fit(report, classes)) for arm, report in reports.items()}
    of = contestants(entered, how, classes)
    judged = judge_all(of, how)
    constant = {name for name, one in of.items() if collapse.is_constant(one.val.predictions)}
    ranked = comparison.rank({name: one.figures["val"] for name, one in judged.items()}, how.select, constant)
    by_chance = unproven(of, how)
    selected = next(name for name in ranked if name not in by_chance)
    ranked = [selected, *(name for name in ranked if name != selected)]
    baselines = {name: baseline(one.arm, params.grid, reports) for name, one in of.items()}
    seconds = {arm: fit_seconds(report) for arm, report in reports.items()}
    notes = {"comparison": comparison.note(how.confidence), "failed": failed, "unproven": sorted(by_chance)}
    save_verdict(judged, ranked, of, baselines, how.confidence, notes)
    save_arms(judged, ranked, of, baselines, how.select, seconds)
    save_classes(judged, {name: one.test.predictions for name, one in of.items()}, classes)
    save_decisions(of, classes, how)
    save_selected(of[ranked[0]], shared.loc[shared["role"] == "test", "image_id"], classes, how)
    log.info("evaluate: %d arms; selected on validation: %s", len(tables), ranked[0])


def load(names: Sequence[str]) -> tuple[dict[str, pd.DataFrame], dict[str, Any], dict[str, dict[str, str]]]:
    """Predictions in order and fit.json of the arms that could be fitted, and where, what and remedy of the others.

    Raises:
        PipelineError: no arm could be fitted, or the predictions of one can't be judged.
    """
    fits = {arm: artifacts.load_fit(arm) for arm in names}
    failed = {arm: report["failure"] for arm, (_, report) in fits.items() if "failure" in report}
    for arm, failure in failed.items():
        log.warning("evaluate: %s could not be fitted and is left out: %s", arm, failure["what"])
    if len(failed) == len(fits):
        first, why = next(iter(failed.items()))
        what = f"none of {len(fits)} arms could be fitted; {first}: {why['what']}"
        raise PipelineError(artifacts.FITS, what, why["remedy"])
    tables = {arm: intake.in_order(arm, table) for arm, (table, _) in fits.items() if table is not None}
    return tables, {arm: fits[arm][1] for arm in tables}, failed


def contestants(
    entered: Mapping[str, tuple[Rows, Rows, dict[int, Shares]]], how: Evaluate, classes: Sequence[str]
) -> dict[str, Contestant]:
    """Every arm with its variants, by name."""
    wanted = {
        arm: variants.of_arm(how.decisions, how.select, known, plain=arm.startswith("none-"))
        for arm, (_, _, known) in entered.items()
    }
    named = {"": ARGMAX, **choices.named([one for of in wanted.values() for one in of])}
    found = {}
    for arm, (val, test, known) in entered.items():
        for name, decision in named.items():
            if name and decision not in wanted[arm]:
                continue
            made = variants.make(decision, _role(val), _role(test), known, how.kappa, classes)
            found[MARK.join(filter(None, [arm, name]))] = Contestant(
                arm,
                name,
                _decided(val, made.val),
                _decided(test, made.test),
                (made.val.certainty, made.test.certainty),
                variants.is_fitted(decision),
                made.fitted,
            )
    return found


def _role(rows: Rows) -> variants.Role:
    return variants.Role(rows.predictions.labels, rows.predictions.probabilities, rows.folds, rows.patients)


def _decided(rows: Rows, by: variants.Decided) -> Rows:
    return Rows(tally.predictions(rows.predictions.labels, by.probabilities, by.decided), rows.folds, rows.patients)


def judge_all(of: Mapping[str, Contestant], how: Evaluate) -> dict[str, Judged]:
    """Judgement by name; variants of the same probabilities share what does not depend on decisions."""
    judged: dict[str, Judged] = {}
    for name in engine.track(iter(of), len(of), "evaluate"):
        one, arm = of[name], of[of[name].arm]
        same = np.array_equal(one.test.predictions.probabilities, arm.test.predictions.probabilities)
        like = judged[one.arm] if one.decision and same else None
        judged[name] = judge(one.val, one.test, how.kappa, how.draws, how.confidence, how.seed, like)
    return judged


def unproven(of: Mapping[str, Contestant], how: Evaluate) -> set[str]:
    """Variants fitted on validation that are not better there than their arm by more than chance.

    None of them is selected: of many figures of few rare images, the luckiest is the highest, and the simpler rule is
    kept until another is surely better (as by the one-standard-error rule of Breiman et al. 1984).
    """
    pairs = {name: (one, of[one.arm]) for name, one in of.items() if one.tuned}
    what = how.select[0], how.kappa, how.draws, how.confidence, how.seed
    return {name for name, (one, arm) in pairs.items() if not is_better(one.val, arm.val, *what)}


def baseline(arm: str, grid: Grid, reports: Mapping[str, Mapping[str, Any]]) -> str:
    """The arm with the same head without resampling; "" where there is none, as for a vote or a stack."""
    pairs = {f"{resampler}-{head}": head for resampler in grid.resamplers for head in grid.heads}
    if arm in pairs:
        return f"none-{pairs[arm]}"
    head = reports[arm].get("head")
    alike = (one for one in reports if one in pairs and head and reports[one].get("head") == head)
    return next((one for one in alike if one.startswith("none-")), "")


def fit_seconds(report: Mapping[str, Any]) -> float:
    """Seconds of resampling and fitting over the folds, from fit.json."""
    return sum(fold["seconds_resample"] + fold["seconds_fit"] for fold in report["folds"])


def save_verdict(
    judged: Mapping[str, Judged],
    ranked: Sequence[str],
    of: Mapping[str, Contestant],
    baselines: Mapping[str, str],
    confidence: float,
    notes: Mapping[str, Any],
) -> None:
    """Write metrics.json, comparison.csv and notes.json.

    All are compared with the selected one and with their baseline; arms, and the selected one, also with the decision
    of their baseline that is best on validation, since resampling moves the operating point more than anything else.
    """
    selected, best = ranked[0], leaders(ranked, of)
    content = {"selected": selected, "arms": {name: one.figures for name, one in judged.items()}}
    storage.save_json(artifacts.METRICS, content)
    pairs = [(name, selected) for name in ranked] + [(name, baselines[name]) for name in ranked]
    pairs += [(name, best.get(baselines[name], "")) for name in ranked if name in (of[name].arm, selected)]
    table = comparison.compare(
        {name: one.figures["test"] for name, one in judged.items()},
        {name: one.draws for name, one in judged.items()},
        dict.fromkeys((name, other) for name, other in pairs if other in judged and name != other),
        confidence,
    )
    _save_table(artifacts.COMPARISON, table)
    storage.save_json(artifacts.EVALUATION / "notes.json", notes)


def save_arms(
    judged: Mapping[str, Judged],
    ranked: Sequence[str],
    of: Mapping[str, Contestant],
    baselines: Mapping[str, str],
    keys: Sequence[str],
    seconds: Mapping[str, float],
) -> None:
    """Write arms.csv: one row per arm and variant, from best to worst on validation; no baseline where there is none.

    `leading` are the arms and, of the variants that stand above their arm, the best.
    """
    shown = [f"{name}{end}" for name in comparison.COMPARED for end in ("", "_low", "_high")]
    best = leaders(ranked, of)
    rows = [
        {
            "arm": name,
            "selected": name == ranked[0],
            "baseline": baselines[name] if baselines[name] in judged else "",
            "of": of[name].arm,
            "decision": of[name].decision,
            "leading": name in (of[name].arm, best[of[name].arm]),
            **{key: judged[name].figures["test"][key] for key in shown},
            **{f"val_{key}": judged[name].figures["val"][key] for key in keys},
            "seconds": seconds[of[name].arm],
        }
        for name in ranked
    ]
    _save_table(artifacts.EVALUATION / "arms.csv", pd.DataFrame(rows))


def leaders(ranked: Sequence[str], of: Mapping[str, Contestant]) -> dict[str, str]:
    """By arm, itself or its variant that is best on validation."""
    return {of[name].arm: name for name in reversed(ranked)}


def save_classes(
    judged: Mapping[str, Judged], tested: Mapping[str, Predictions | Multilabel], classes: Sequence[str]
) -> None:
    """Write per_class.csv and confusion.json (label by prediction; a 2 by 2 table per label) of every arm, on test."""
    tables = [pd.DataFrame({"arm": name, "class": classes, **one.classwise}) for name, one in judged.items()]
    _save_table(artifacts.EVALUATION / "per_class.csv", pd.concat(tables))
    counts = {name: given.confusion.tolist() for name, given in tested.items()}
    storage.save_json(artifacts.EVALUATION / "confusion.json", {**counts, "classes": list(classes)})


def save_decisions(of: Mapping[str, Contestant], classes: Sequence[str], how: Evaluate) -> None:
    """Write decisions.json, what was fitted of each variant by fold, and collapse.json."""
    fitted = {name: one.fitted for name, one in of.items() if one.decision}
    storage.save_json(artifacts.EVALUATION / "decisions.json", {"classes": classes, "variants": fitted})
    plain = {name: "argmax" if isinstance(one.test.predictions, Predictions) else "0.5" for name, one in of.items()}
    flags = {
        name: collapse.fired(one.test.predictions, classes, how.kappa, one.decision or plain[name])
        for name, one in of.items()
    }
    storage.save_json(artifacts.EVALUATION / "collapse.json", flags)


def save_selected(one: Contestant, images: pd.Series, classes: Sequence[str], how: Evaluate) -> None:
    """Write predictions.csv, roc.csv, pr.csv and reject.csv of the selected arm, on test."""
    test = one.test.predictions
    table = {"image_id": images, "actual": _names(test.present, classes), "predicted": _names(test.chosen, classes)}
    _save_table(artifacts.EVALUATION / "predictions.csv", pd.DataFrame(table))
    drawn = {classes[number]: both for number, both in curves.each(test).items()}
    roc, pr = zip(*drawn.values(), strict=True)
    _save_table(artifacts.EVALUATION / "roc.csv", _curves(roc, list(drawn), ["fpr", "tpr"]))
    _save_table(artifacts.EVALUATION / "pr.csv", _curves(pr, list(drawn), ["recall", "precision"]))
    asked = {*reject.COVERAGES, *(rule.values["coverage"] for rule in how.decisions if rule.name == "reject")}
    roles = zip((one.val, one.test), one.certainty, strict=True)
    val, answered = (reject.Certain(rows.predictions, certainty, rows.folds) for rows, certainty in roles)
    rejected = reject.table(val, answered, classes, how.kappa, sorted(asked, reverse=True))
    _save_table(artifacts.EVALUATION / "reject.csv", rejected)


def _names(of: np.ndarray, classes: Sequence[str]) -> list[str]:
    """The classes of each row, (n, K) bool, as the index writes them: joined, or `No Finding`."""
    return [artifacts.JOINT.join(compress(classes, row)) or artifacts.NO_FINDING for row in of.tolist()]


def _curves(points: Sequence[np.ndarray], classes: Sequence[str], columns: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(np.concatenate(points), columns=pd.Index(columns))
    table.insert(0, "class", np.repeat(np.array(classes, dtype=object), [len(curve) for curve in points]))
    return table


def _save_table(path: Path, table: pd.DataFrame) -> None:
    storage.write_atomic(path, table.to_csv(index=False, lineterminator="\n", float_format="%.6g").encode())
