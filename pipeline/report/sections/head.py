"""The first screen: which arm, how good, is it really better, what of the rare class, is anything wrong."""

from collections.abc import Mapping
from typing import Any

from pipeline.artifacts import JOINT
from pipeline.report import decisions, sentences, tables, words
from pipeline.report.results import Results
from pipeline.report.sections import training


def of(results: Results) -> dict[str, Any]:
    """Verdict, answers, figures and warnings."""
    selected, arms = results.selected, results.metrics["arms"]
    baseline = results.baselines[selected]
    other, called = _other(results)
    gains = tables.gains(results.comparison, selected, other) if other else {}
    mine, before = results.rarest[selected], results.rarest.get(other or "")
    figures = [
        (key, results.names[key], arms[selected]["test"], arms[other]["test"] if other else None)
        for key in sentences.HEADLINE
    ]
    figures.append(("recall", f"recall of {mine['class']} (rarest)", mine, before))
    competing = len(results.fits) if len(arms) > 1 else 1
    return {
        "baseline": baseline,
        "other": other,
        "rarest": mine["class"],
        "verdict": sentences.verdict(selected, baseline, competing, gains, results.names),
        "answers": {
            "How good is it?": [
                _measured(results),
                *_positive(results),
                sentences.stands_behind(results.many, results.counted, results.counted_as),
            ],
            "Is it really better?": _better(results, called, gains),
            f"The rarest {results.one}?": _rare(results, called, before),
        },
        "headline": [
            {"key": key, "name": name, "selected": own, "baseline": compared, "gain": gains.get(key)}
            for key, name, own, compared in figures
        ],
        "warnings": _warnings(results),
    }


def _other(results: Results) -> tuple[str | None, str]:
    """What the selected arm is compared with, its baseline or else the next arm on validation, and how it is called."""
    baseline = results.baselines[results.selected]
    if baseline not in (None, results.selected):
        return baseline, f"the baseline {baseline}"
    of_arm = decisions.arm_of(results.arms)
    following = next((arm for arm in results.leading if of_arm[arm] != of_arm[results.selected]), None)
    return following, f"the next on validation, {following}"


def _measured(results: Results) -> str:
    tested = results.tested.drop_duplicates("image_id")  # with repeated splits, an image is tested several times
    groups = results.index.set_index("image_id")["group"]
    judged = results.metrics["arms"][results.selected]
    return sentences.measured(
        judged["test"],
        results.names,
        sentences.Tested(
            results.unit, len(tested), int(tested["images"].sum()), groups.reindex(tested["image_id"]).nunique()
        ),
        len(judged["folds"]),
    )


def _better(results: Results, called: str, gains: Mapping[str, Any]) -> list[str]:
    selected = results.selected
    if not gains:
        return ["There is no other arm to compare with."]
    folds = len(results.metrics["arms"][selected]["folds"])
    told = [
        sentences.against(called, gains, results.names),
        sentences.over_folds(gains["macro_f1"], folds, results.settings.rope),
    ]
    if moved := decisions.moved_baseline(results.arms, selected):
        against = tables.gains(results.comparison, selected, moved)
        told.append(sentences.against(f"that at its best decision, {moved}", against, results.names))
    return [sentence for sentence in told if sentence]


def _positive(results: Results) -> list[str]:
    if results.task != "binary":
        return []
    other, own = results.counted
    return [sentences.positive(results.selected, own, other, results.metrics["arms"][results.selected]["test"])]


def _rare(results: Results, called: str, before: Mapping[str, Any] | None) -> list[str]:
    mine = results.rarest[results.selected]
    actual = results.tested.drop_duplicates("image_id")["actual"]
    several = results.task == "multilabel"
    distinct = sum(mine["class"] in (names.split(JOINT) if several else [names]) for names in actual)
    size = sentences.size(mine, results.unit, distinct)
    told = [sentences.rarest(f"{results.one} {mine['class']}", results.selected, mine, called, before, size)]
    return [*told, *([sentences.few([mine])] if mine["few"] == "True" else [])]


def _warnings(results: Results) -> list[dict[str, str]]:
    """What undermines the verdict (tone `bad`), then what deserves a look."""
    selected = results.selected
    bad = [
        f"{selected} shows a sign of collapse: {sentences.collapse(clause, results.names)}"
        for clause in results.collapse.get(selected, [])
    ]
    audit = [
        {"tone": words.TONES[check["verdict"]], "text": f"audit, {name} ({check['verdict']}): {check['finding']}"}
        for name, check in results.audit["checks"].items()
        if check["verdict"] != "ok"
    ]
    bad_fits = [
        f"{arm} could not be fitted and is left out: {why['what'].splitlines()[0]}"
        for arm, why in results.notes["failed"].items()
    ]
    found = [*_toned("bad", bad), *audit, *_toned("bad", bad_fits), *_toned("look", _looks(results))]
    return sorted(found, key=lambda warning: warning["tone"] != "bad")


def _toned(tone: str, texts: list[str]) -> list[dict[str, str]]:
    return [{"tone": tone, "text": text} for text in texts]


def _looks(results: Results) -> list[str]:
    untested = [row["class"] for row in results.counted if not row["n"]]
    kind = "with label" if results.task == "multilabel" else "of class"
    noted = [f"no test {results.unit} {kind} {', '.join(untested)}: nothing is known of it"] if untested else []
    if poor := training.collapsed(results.histories):
        noted.append(f"training: the epoch that was kept of {', '.join(poor)} has signs of collapse; see Training")
    if results.index["group"].is_unique:
        noted.append(
            "every image is taken for a patient of its own: if patients have several, one may be in training and in "
            "test, and intervals are too narrow"
        )
    noted += [f"split: {warning}" for warning in results.split_summary["warnings"]]
    fit = results.fits[decisions.arm_of(results.arms)[results.selected]]
    noted += [f"{results.selected}, {warning}" for warning in tables.fit_warnings(fit)]
    if len(results.quarantine):
        left_out = words.count(len(results.quarantine), "file or label row", "files or label rows")
        noted.append(f"{left_out} in quarantine, left out")
    flags = [f"{flag['name']} ({words.count(flag['count'], 'image')})" for flag in results.flags if flag["count"]]
    if flags:
        noted.append(f"headers: {', '.join(flags)}; what that means stands under Data")
    return noted
