"""report.html: one file that opens offline and says which arm won, by how much, and whether that is real."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from jinja2 import Template
from markupsafe import Markup

from pipeline.artifacts import Pictures, label_columns
from pipeline.report import decisions, environment, history, plots, samples, tables, words

QUARANTINE_ROWS = 50


@dataclass(frozen=True)
class Results:
    """What the other stages left behind, as their files hold it.

    Attributes:
        index: of the usable images.
        pictures: the store; an empty one where the features were imported.
        flags: what the headers warn of: name, count and words.
        split_summary: splits.json.
        histories: history.csv by backbone; empty tables for those that were not trained.
        fits: fit.json by arm, without decisions.
        metrics: metrics.json.
        arms: evaluation/arms.csv: the arms with their decisions from best to worst on validation.
        decisions: evaluation/decisions.json: what was fitted of each decision.
        rejected: evaluation/reject.csv: what the selected arm gains by answering less.
        notes: evaluation/notes.json: what to know of comparisons, and the arms that failed.
        comparison: comparison.csv.
        per_class: evaluation/per_class.csv.
        tested: evaluation/predictions.csv: image_id and actual class of what the selected arm was tested on.
        confusion: evaluation/confusion.json.
        roc: class, fpr, tpr of the selected arm.
        pr: class, recall, precision of the selected arm.
        collapse: evaluation/collapse.json.
        audit: audit.json.
        quarantine: path, stage, reason, remedy.
        manifests: of the pictures, the backbones and the features.
    """

    index: pd.DataFrame
    pictures: Pictures
    flags: Sequence[Mapping[str, Any]]
    split_summary: Mapping[str, Any]
    histories: Mapping[str, pd.DataFrame]
    fits: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[str, Any]
    arms: pd.DataFrame
    decisions: Mapping[str, Any]
    rejected: pd.DataFrame
    notes: Mapping[str, Any]
    comparison: pd.DataFrame
    per_class: pd.DataFrame
    tested: pd.DataFrame
    confusion: Mapping[str, Any]
    roc: pd.DataFrame
    pr: pd.DataFrame
    collapse: Mapping[str, Sequence[Mapping[str, Any]]]
    audit: Mapping[str, Any]
    quarantine: pd.DataFrame
    manifests: Sequence[Mapping[str, Any]]


def _template() -> Template:
    """The page's, with the words of `report.words` as filters."""
    templates = environment()
    filters = (words.number, words.signed, words.count, words.percent, words.estimate, words.difference)
    templates.filters.update({function.__name__: function for function in filters})
    templates.globals.update(span=words.span, absent=words.absent, tones=words.TONES)
    return templates.get_template("report.html.j2")


def render(results: Results, title: str, images: str, select: Sequence[str], kappa: str, confidence: float) -> str:
    """The page as HTML.

    Args:
        results: what the other stages left behind.
        title: of the page.
        images: the image folder, as given; it is not shown.
        select: the metrics that selected on validation, in their order.
        kappa: weighting of kappa; with `none` the classes have no order, as two classes or labels have none.
        confidence: of the intervals.
    """
    classes, task = results.split_summary["classes"], _task(results)
    ordered = kappa != "none" and task == "multiclass"
    names = words.metric_names(kappa if ordered else "none")
    manifests = [*results.manifests, *results.fits.values()]
    light, dark = plots.palette(len(classes), ordered)
    return _template().render(
        title=title,
        task=task,
        one="label" if task == "multilabel" else "class",
        many="labels" if task == "multilabel" else "classes",
        classes=classes,
        names=names,
        select=select,
        confidence=confidence,
        dashes=[plots.dash(number, ordered) for number in range(len(classes))],
        colours=_variables("class", light) + _variables("series", plots.NOMINAL),
        colours_dark=_variables("class", dark) + _variables("series", plots.NOMINAL_DARK),
        roc=Markup(plots.roc(results.roc, classes, ordered)),
        pr=Markup(plots.precision_recall(results.pr, classes, ordered)),
        packages=tables.package_versions(manifests),
        provenance=tables.provenance(manifests),
        **_head(results, names),
        **_data(results, classes, images),
        **history.training(results.histories, results.split_summary, classes, names, task == "multilabel"),
        **_arms(results),
        **_decisions(results, classes),
    )


def _task(results: Results) -> str:
    if label_columns(results.index):
        return "multilabel"
    return "binary" if len(results.split_summary["classes"]) == 2 else "multiclass"


def _variables(kind: str, colours: Sequence[str]) -> str:
    return " ".join(f"--{kind}-{number}: {colour};" for number, colour in enumerate(colours))


def _head(results: Results, names: Mapping[str, str]) -> dict[str, Any]:
    """The first screen: verdict, figures, the rarest class, warnings."""
    selected, arms = results.metrics["selected"], results.metrics["arms"]
    baselines = tables.baselines(results.arms)
    baseline, next_best = baselines[selected], next((arm for arm in baselines if arm != selected), None)
    other = baseline if baseline not in (None, selected) else next_best
    moved = decisions.moved_baseline(results.arms, selected)
    against_moved = tables.gains(results.comparison, selected, moved) if moved else {}
    article = "the baseline" if other == baseline else "the next on validation,"
    gains = tables.gains(results.comparison, selected, other) if other else {}
    rare = tables.rarest(results.per_class)
    mine = rare[selected]
    figures = [
        (key, names[key], arms[selected]["test"], arms[other]["test"] if other else None) for key in words.HEADLINE
    ]
    figures.append(("recall", f"recall of {mine['class']} (rarest)", mine, rare.get(other or "")))
    return {
        "selected": selected,
        "baseline": baseline,
        "other": other,
        "rarest": mine["class"],
        "verdict": words.verdict(selected, baseline, len(results.fits) if len(arms) > 1 else 1, gains.get("macro_f1")),
        "sentences": [
            _measured(results, names),
            *([words.against(f"{article} {other}", gains, names)] if gains else []),
            *([words.against(f"that at its best decision, {moved}", against_moved, names)] if against_moved else []),
            *_positive(results),
            words.rarest(
                "label" if _task(results) == "multilabel" else "class",
                selected,
                mine,
                f"{article} {other}",
                rare.get(other or ""),
                _images(results, mine["class"]),
            ),
        ],
        "headline": [
            {"key": key, "name": name, "selected": own, "baseline": before, "gain": gains.get(key)}
            for key, name, own, before in figures
        ],
        **_warnings(results, names),
    }


def _positive(results: Results) -> list[str]:
    if _task(results) != "binary":
        return []
    selected = results.metrics["selected"]
    other, own = tables.records(results.per_class, arm=selected)
    return [words.positive(selected, own, other, results.metrics["arms"][selected]["test"])]


def _images(results: Results, name: str) -> int:
    """Distinct test images of a class: with repeated splits, per_class.csv counts an image several times."""
    rows = tables.by_class(results.index, results.split_summary["classes"])
    return rows.loc[rows["label"] == name, "image_id"].isin(results.tested["image_id"]).sum()


def _measured(results: Results, names: Mapping[str, str]) -> str:
    images = set(results.tested["image_id"])
    patients = {row["group"] for row in tables.records(results.index) if row["image_id"] in images}
    judged = results.metrics["arms"][results.metrics["selected"]]
    return words.measured(judged["test"], names, len(images), len(patients), len(judged["folds"]))


def _warnings(results: Results, names: Mapping[str, str]) -> dict[str, Any]:
    """What undermines the verdict (tone `bad`), what deserves a look, and the signs of collapse by arm."""
    selected = results.metrics["selected"]
    signs = {arm: [words.collapse(clause, names) for clause in clauses] for arm, clauses in results.collapse.items()}
    collapsed = [
        {"tone": "bad", "text": f"{selected} shows a sign of collapse: {sign}"} for sign in signs.get(selected, [])
    ]
    audit = [
        {"tone": words.TONES[check["verdict"]], "text": f"audit, {name} ({check['verdict']}): {check['finding']}"}
        for name, check in results.audit["checks"].items()
        if check["verdict"] != "ok"
    ]
    untested = list(dict.fromkeys(row["class"] for row in tables.records(results.per_class) if not row["n"]))
    kind = "with label" if _task(results) == "multilabel" else "of class"
    noted = [f"no test image {kind} {', '.join(untested)}: nothing is known of it"] if untested else []
    if poor := history.collapsed(results.histories):
        noted.append(f"training: the epoch that was kept of {', '.join(poor)} has signs of collapse; see Training")
    noted += [f"split: {warning}" for warning in results.split_summary["warnings"]]
    fit = results.fits[decisions.arm_of(results.arms)[selected]]
    noted += [f"{selected}, {warning}" for warning in tables.fit_warnings(fit)]
    if len(results.quarantine):
        left_out = words.count(len(results.quarantine), "file or label row", "files or label rows")
        noted.append(f"{left_out} in quarantine, left out")
    flags = [f"{flag['name']} ({words.count(flag['count'], 'image')})" for flag in results.flags if flag["count"]]
    if flags:
        noted.append(f"headers: {', '.join(flags)}; what that means stands under Data")
    looks = [{"tone": "look", "text": text} for text in noted]
    shown = [
        {"arm": arm, "lines": signs[arm], "selected": arm == selected}
        for arm in decisions.leading(results.arms)
        if signs.get(arm)
    ]
    failed = [
        {"tone": "bad", "text": f"{arm} could not be fitted and is left out: {why['what'].splitlines()[0]}"}
        for arm, why in results.notes["failed"].items()
    ]
    return {"warnings": collapsed + audit + failed + looks, "collapsed": shown}


def _data(results: Results, classes: Sequence[str], images: str) -> dict[str, Any]:
    quarantine = tables.without_root(results.quarantine, images)
    return {
        "images": len(results.index),
        "no_picture": len(tables.records(results.quarantine, stage="pixels")),
        "patients": results.index["group"].nunique(),
        "without_label": tables.without_label(results.index),
        "class_counts": tables.class_counts(results.index, classes),
        "facts": tables.facts(results.index) if len(results.pictures) else [],
        "flags": [flag["words"] for flag in results.flags if flag["count"]],
        "samples": samples.of(results.index, results.pictures, classes) if len(results.pictures) else None,
        "size": results.pictures.size if len(results.pictures) else 0,
        "split_rows": tables.split_rows(results.split_summary),
        "seed": results.split_summary["seed"],
        "quarantined": len(quarantine),
        "quarantine_counts": tables.quarantine_counts(quarantine),
        "quarantine_rows": quarantine[:QUARANTINE_ROWS],
        "checks": results.audit["checks"],
    }


def _arms(results: Results) -> dict[str, Any]:
    selected, leading = results.metrics["selected"], decisions.leading(results.arms)
    baselines, of = tables.baselines(results.arms), decisions.arm_of(results.arms)
    confusion = tables.label_confusion if _task(results) == "multilabel" else tables.confusion_rows
    pairs = [(row["arm"], row["reference"]) for row in tables.records(results.comparison)]
    known = {*baselines.values(), selected}
    sections = {
        "Against the same head without resampling": [(arm, baselines[arm]) for arm in leading],
        "Against that at its best decision": [
            (arm, other) for arm, other in dict.fromkeys(pairs) if other not in known and of[arm] != of[other]
        ],
        f"Against {selected}, the selected arm": [(arm, selected) for arm in leading],
    }
    rows = tables.arm_rows(results.arms, results.metrics, results.collapse, tables.rarest(results.per_class))
    return {
        "arms": [row for row in rows if row["arm"] in leading],
        "every_arm": rows if len(rows) > len(leading) else [],
        "comparison_note": results.notes["comparison"],
        "compared": list(dict.fromkeys(results.comparison["metric"])),
        "comparisons": {title: tables.differences(results.comparison, pairs) for title, pairs in sections.items()},
        "confusion": confusion(results.confusion[selected], results.confusion["classes"]),
        "per_class": tables.records(results.per_class, arm=selected),
        "folds": results.metrics["arms"][selected]["folds"],
        "resampled": tables.resampled(results.fits[of[selected]], results.split_summary["classes"]),
    }


def _decisions(results: Results, classes: Sequence[str]) -> dict[str, Any]:
    return {
        "failed": results.notes["failed"],
        "unproven": results.notes["unproven"],
        "points": decisions.operating_points(results.arms, results.metrics, tables.rarest(results.per_class)),
        "fitted": decisions.fitted(results.decisions, results.metrics["selected"]),
        "rejection": decisions.rejection(results.rejected, classes),
        "searches": decisions.searches(results.fits),
    }
