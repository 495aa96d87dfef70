"""What a run can say of itself in sentences, for its model card and for reporting checklists."""

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.report import decisions, origins, sentences, tables, words
from pipeline.report.results import Results


def gather(results: Results) -> dict[str, str]:
    """Sentences by what they are about."""
    arm = decisions.arm_of(results.arms)[results.selected]
    fit = results.fits[arm]
    made = {made.get("stage", ""): made.get("params", {}) for made in origins.made_by(results.manifests)}
    patients = results.index["group"].nunique()
    counted = [
        f"{row['class']} {words.count(row['images'])}" for row in tables.class_counts(results.index, results.classes)
    ]
    return {
        "data": f"{words.count(len(results.index), 'image')} of {words.count(patients, 'patient')}, by "
        f"{results.one}: {', '.join(counted)}.",
        "headers": _headers(results),
        "excluded": _excluded(results),
        "preprocessing": _preprocessing(made.get("pixels", {})),
        "outcome": f"{results.many.capitalize()} as the labels file gives them: {', '.join(results.classes)}.",
        "partitions": _partitions(results),
        "training_set": _training_set(results, fit),
        "test_set": _test_set(results),
        "size": f"All images that were there; no size was planned. {_test_set(results)}",
        "model": f"{_arm(fit)} on features of {_backbone(made)}.{_decided(results)}",
        "initial": _initial(made.get("finetune", {})),
        "training": _training(made.get("finetune", {})),
        "software": f"Skewray with {_packages(results)}; every version stands under Provenance.",
        "selection": f"By {', then '.join(results.names[key] for key in results.settings.select)} on validation, among "
        f"{words.count(len(results.arms), 'arm and decision', 'arms and decisions')}; test figures chose nothing.",
        "ensemble": _ensemble(fit),
        "imbalance": _imbalance(fit),
        "metrics": f"{', '.join(results.names[key] for key in sentences.HEADLINE)}, AUC, average precision, recall, "
        "precision and F1 of each, Brier score, log loss and calibration.",
        "uncertainty": f"{words.percent(results.settings.confidence)} intervals from resampling whole patients, "
        "paired between arms; p values after Holm's correction.",
        "robustness": _robustness(results),
        "performance": _performance(results),
        "output": f"A probability of each {results.one}; the decision is "
        f"{'whether it is above one half' if results.task == 'multilabel' else 'the most probable'} unless the name of "
        "the arm says otherwise behind its +.",
        "fairness": _fairness(results),
        "external": "Not done here: test and training images come from the same source.",
        "internal": "Images of patients who were neither trained nor selected on.",
        "features": f"Features of the whole image, by {_backbone(made)}; no other predictor.",
        "failures": "Confusion of classes, the worst errors and the least certain images stand on this page.",
        "files": "Weights under artifacts/backbone, the fitted head under artifacts/fits, with their checksums.",
        "limits": " ".join(limits(results)),
    }


def limits(results: Results) -> list[str]:
    """What stands against trusting the figures, as far as the run knows."""
    few = sentences.few([row for row in results.counted if row["few"] == "True" and row["n"]])
    doubts = [name for name, check in results.audit["checks"].items() if check["verdict"] != "ok"]
    collapsed = bool(results.collapse.get(results.selected))
    found = [
        few,
        f"The audit of the features has findings: {', '.join(doubts)}." if doubts else "",
        f"{results.selected} shows signs of collapse." if collapsed else "",
        "Nothing is known of images from other places, devices or times than these.",
        "How right the labels are is not known to the run.",
    ]
    return [sentence for sentence in found if sentence]


def _headers(results: Results) -> str:
    facts = {fact["name"]: fact["values"] for fact in tables.facts(results.index)} if len(results.pictures) else {}
    makers = (
        tables.tally(results.index["manufacturer"].astype("str").tolist()) if "manufacturer" in results.index else ""
    )
    kept = {"manufacturer": makers if makers != f"not given ({words.count(len(results.index))})" else ""}
    kept |= {name: facts.get(name, "") for name in ("modality", "rows × columns", "bits stored")}
    told = [f"{name}: {values}" for name, values in kept.items() if values]
    return f"{'; '.join(told)}." if told else ""


def _excluded(results: Results) -> str:
    if not len(results.quarantine):
        return "Nothing was set aside."
    number = words.count(len(results.quarantine), "file or label row", "files or label rows")
    return f"{number} could not be used and stand under Quarantine with the reason."


def _preprocessing(render: Mapping[str, Any]) -> str:
    return f"Stored values to display values as the header says, then {_values(render)}." if render else ""


def _partitions(results: Results) -> str:
    folds = len(results.split_summary["folds"])
    how = f"{folds} folds" if folds > 1 else "one hold-out"
    return f"Whole patients to training, validation or test, {how}, stratified by {results.one}, seed {_seed(results)}."


def _seed(results: Results) -> int:
    return results.split_summary["seed"]


def _training_set(results: Results, fit: Mapping[str, Any]) -> str:
    rows = tables.resampled(fit, results.classes)
    folds = len(fit["folds"])
    each = ", ".join(f"{row['class']} {words.count(row['before'])}" for row in rows)
    return f"Training rows{f' of {folds} folds together' if folds > 1 else ''}: {each}."


def _test_set(results: Results) -> str:
    each = [
        f"{row['class']} {words.count(int(row['n']))} of {words.count(int(row['patients']), 'patient')}"
        for row in results.counted
    ]
    return f"Test {results.counted_as}s: {', '.join(each)}."


def _arm(fit: Mapping[str, Any]) -> str:
    if "resampler" not in fit:
        return f"{fit['arm']}, made of other arms,"
    return f"Resampler {_named(fit['resampler'])}, head {_named(fit['head'])},"


def _named(entry: Any) -> str:
    """An entry of a registry with its values, `smote (k_neighbors 5)`; other values as they are."""
    if not isinstance(entry, Mapping):
        return str(entry)
    values = {key: value for key, value in entry.items() if key not in ("name", "values")} | entry.get("values", {})
    return " ".join(filter(None, [entry.get("name", ""), f"({_values(values)})" if values else ""]))


def _values(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_named(value)}" for key, value in values.items())


def _backbone(made: Mapping[str, Any]) -> str:
    model = made.get("finetune", {}).get("model")
    return str(model) if model else "a backbone that was not trained here"


def _decided(results: Results) -> str:
    told = [row["words"] for row in decisions.fitted(results.decisions, results.selected) if row["words"]]
    if not told:
        return ""
    return f" Decision, fitted on validation: {told[0]}{', and so on by fold' if len(told) > 1 else ''}."


def _initial(finetune: Mapping[str, Any]) -> str:
    weights = finetune.get("weights")
    told = {None: "", "none": "Started from random weights.", "imagenet": "Started from weights learned from ImageNet."}
    return told.get(weights, "Started from the weights of a checkpoint that params.yaml names.")


def _training(finetune: Mapping[str, Any]) -> str:
    kept = ("policy", "epochs", "batch_size", "lr", "weight_decay", "sampler", "loss", "augment", "seed")
    return f"{_values({key: finetune[key] for key in kept if key in finetune})}." if "epochs" in finetune else ""


def _packages(results: Results) -> str:
    versions = origins.package_versions(results.manifests)
    return ", ".join(f"{name} {versions[name]}" for name in ("torch", "timm", "numpy") if name in versions) or "numpy"


def _ensemble(fit: Mapping[str, Any]) -> str:
    kind = next((kind for kind in ("vote", "stack") if kind in fit), None)
    return f"A {kind} of other arms." if kind else "None: one classifier per fold."


def _imbalance(fit: Mapping[str, Any]) -> str:
    if "resampler" not in fit:
        return "As in the arms that it is made of."
    name = fit["resampler"]["name"] if isinstance(fit["resampler"], Mapping) else fit["resampler"]
    what = "Training rows were not resampled" if name == "none" else f"Training rows, and only these, by {name}"
    return f"{what}; validation and test keep their shares. Decisions moved on validation and calibrators compete."


def _robustness(results: Results) -> str:
    folds, arms = len(results.split_summary["folds"]), len(results.arms)
    spread = f"{folds} folds, one by one, and " if folds > 1 else ""
    return f"{spread}{words.count(arms, 'arm and decision', 'arms and decisions')} on the same test images."


def _performance(results: Results) -> str:
    figures = results.metrics["arms"][results.selected]["test"]
    return f"{'; '.join(f'{results.names[key]} {words.estimate(figures, key)}' for key in sentences.HEADLINE)}."


def _fairness(results: Results) -> str:
    columns = list(dict.fromkeys(results.subgroups["column"])) if len(results.subgroups) else []
    if columns:
        return f"Judged apart by {_listed(columns)}; see Parts of the test images."
    return "Not looked at: evaluate.subgroups names no column, such as sex, age group or scanner."


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
