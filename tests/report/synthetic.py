"""An artifacts folder as the stages before `report` leave it, with figures that are made up but hang together."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import artifacts, provenance, storage

FOUR = ("A", "B", "C", "D")
NINE = tuple(f"{r}-{h}" for r in ("none", "smote", "borderline_smote") for h in ("logistic", "lightgbm", "mlp"))
BLOOD = (
    "normal cell", "macrocyte", "microcyte", "spherocyte", "target cell", "stomatocyte", "ovalocyte",
    "teardrop with a long tail", "burr cell", "schistocyte", "uncategorised", "hypochromia", "elliptocyte",
)  # fmt: skip
METRICS = (
    "macro_f1", "kappa", "balanced_accuracy", "balanced_accuracy_adjusted", "auc",
    "average_precision", "accuracy", "brier", "log_loss", "ece",
)  # fmt: skip


def write(
    classes: Sequence[str] = FOUR,
    folds: int = 3,
    arms: Sequence[str] = NINE,
    selected: str = "smote-logistic",
    frozen: bool = False,
    collapse: dict[str, list[dict[str, object]]] | None = None,
    verdicts: dict[str, str] | None = None,
    decisions: Sequence[str] = (),
    failed: dict[str, dict[str, str]] | None = None,
    several: bool = False,
) -> None:
    """Write all that the report reads under artifacts/ of the current folder.

    `decisions` are names of variants, such as `none-logistic+tilt`, which come between the arms by their figures;
    with `several`, an image may have several of the classes.
    """
    rng = np.random.default_rng(0)
    index = _index(classes, rng)
    if several:
        index = _with_marks(index, classes, rng)
    artifacts.save_index(index)
    _save_splits(index, classes, folds, rng)
    for name in ["shared"] if frozen else [f"fold-{fold}" for fold in range(folds)]:
        artifacts.save_backbone(
            name,
            b"",
            _history(classes, 0 if frozen else 8, rng),
            {"stage": "finetune", "params": {"lr": 0.003}, "packages": {"torch": "2.6.0"}},
        )
    save_pixels(index)
    storage.save_json(artifacts.FEATURES / "manifest.json", {"made_by": {"x": {"packages": {"numpy": "2.4.0"}}}})
    for arm in arms:
        storage.save_json(artifacts.FITS / arm / "fit.json", _fit(arm, classes, folds))
    _save_evaluation(index, classes, folds, [*arms, *decisions], selected, collapse or {}, failed or {}, rng)
    storage.save_json(artifacts.AUDIT, {"checks": _checks(verdicts or {})})
    rows = [
        {"path": f"p/{number}.dcm", "reason": f"truncated: {number} bytes", "remedy": "export it again"}
        for number in range(5)
    ] + [{"path": "/hospital/Doe^Jane/images/x.dcm", "reason": "has no pixels", "remedy": "drop its row"}]
    artifacts.save_quarantine("index", rows)


def save_pixels(index: pd.DataFrame, shape: tuple[int, ...] = (32, 32), kind: str = "uint8") -> None:
    """A picture store: waves, as dark as the class is early."""
    ids = index["image_id"].sort_values().tolist()
    labels = index.set_index("image_id")["label"]
    place = {name: number for number, name in enumerate(dict.fromkeys(index["label"]))}
    x = np.linspace(0, 1, shape[0])
    pictures = np.empty((len(ids), *shape), kind)
    for number, name in enumerate(ids):
        wave = np.outer(np.sin(3 + number % 20 * x) ** 2, np.cos(number % 7 * x) ** 2)
        wave = (0.3 + 0.7 * place[labels[name]] / len(place)) * wave * np.iinfo(kind).max
        pictures[number] = wave if len(shape) == 2 else wave[..., None] * [1, 0.5, 0.2]
    artifacts.PIXELS.mkdir(parents=True, exist_ok=True)
    np.save(artifacts.PIXELS / "00000.npy", pictures)
    rows = pd.DataFrame({"image_id": ids, "shard": 0, "row": range(len(ids)), "fingerprint": ""})
    rows["window"] = [f"{400 + number % 3} / 800 LINEAR" for number in range(len(ids))]
    rows["crop"], rows["mirrored"] = "0,0,640,512", False
    storage.save_parquet(artifacts.PIXELS / "rows.parquet", rows, artifacts.PIXEL_ROWS)
    files = {name: provenance.checksum(artifacts.PIXELS / name) for name in ("00000.npy", "rows.parquet")}
    manifest = {"shape": list(pictures.shape), "dtype": kind, "files": files}
    made = {"made_by": {"x": {"packages": {"numpy": "2.4.0"}}}}
    storage.save_json(artifacts.PIXELS / "manifest.json", {**made, **manifest})


def _index(classes: Sequence[str], rng: np.random.Generator) -> pd.DataFrame:
    counts = [25, *(60 * (number + 1) for number in range(len(classes) - 1))]
    labels = np.repeat(np.array(classes, dtype=object), counts)
    total = len(labels)
    columns = {name: np.array([""] * total, dtype=object) for name in artifacts.INDEX_COLUMNS}
    syntaxes = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"]
    columns |= {
        "image_id": np.array([f"1.2.{number:05}" for number in range(total)], dtype=object),
        "group": np.array([f"g{number // 2}" for number in range(total)], dtype=object),
        "label": labels,
        "modality": np.array(["MG"] * total, dtype=object),
        "photometric": rng.choice(["MONOCHROME1", "MONOCHROME2"], total).astype(object),
        "transfer_syntax": rng.choice(syntaxes, total).astype(object),
    }
    numbers = {"rows": 640, "columns": 512, "frame": 1, "frames": 1, "bits_stored": 12, "size": 1}
    return pd.DataFrame(columns).assign(**numbers, signed=False, derived=False, secondary=False)


def _with_marks(index: pd.DataFrame, classes: Sequence[str], rng: np.random.Generator) -> pd.DataFrame:
    """A column per label: that which the image has, a tenth of the others, and some that are not known."""
    marks = index["label"].to_numpy()[:, None] == np.array(classes, dtype=object)
    marks = np.where(rng.random(marks.shape) < 0.1, 1, marks.astype(int))
    marks = np.where(~marks.astype(bool) & (rng.random(marks.shape) < 0.05), artifacts.MISSING, marks)
    labels = artifacts.joint_labels(marks, classes)
    return index.assign(label=labels, **{artifacts.LABEL + name: marks[:, n] for n, name in enumerate(classes)})


def _save_splits(index: pd.DataFrame, classes: Sequence[str], folds: int, rng: np.random.Generator) -> None:
    rows, described = [], []
    for fold in range(folds):
        share = pd.Series(rng.random(index["group"].nunique()), index=index["group"].unique())
        role = np.select([index["group"].map(share) < 0.2, index["group"].map(share) < 0.4], ["test", "val"], "train")
        rows.append(pd.DataFrame({"image_id": index["image_id"], "fold": fold, "role": role}))
        roles = {}
        for name in artifacts.ROLES:
            here = index[role == name]
            roles[name] = {
                "images": len(here),
                "patients": here["group"].nunique(),
                "classes": {name: int(_has(here, name).sum()) for name in classes},
            }
        described.append({"fold": fold, "roles": roles, "worst_drift": 0.034, "worst_class": classes[0]})
    summary = {"seed": 0, "classes": list(classes), "folds": described, "warnings": []}
    artifacts.save_splits(pd.concat(rows), summary)


def _history(classes: Sequence[str], epochs: int, rng: np.random.Generator) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    rise = 1 - np.exp(-epoch / 4)
    history = pd.DataFrame({"epoch": epoch, "train_loss": 1.6 - rise, "val_loss": 1.6 - 0.8 * rise, "lr": 0.003})
    for number, key in enumerate(("macro_f1", "kappa", "balanced_accuracy_adjusted", "auc")):
        history[f"val_{key}"] = (0.3 + 0.15 * number) * rise + rng.normal(0, 0.02, epochs)
    for name in classes:
        history[f"predicted_{name}"] = rng.integers(5, 60, epochs)
    for name in classes:
        history[f"recall_{name}"] = rng.random(epochs)
    history["trainable"], history["grad_norm"] = 4_900_000, 1.5
    history["seconds"], history["chosen"] = 4.0, epoch == epochs - 1
    history["collapse"] = np.where(epoch == 1, f"never_predicted {classes[0]}; kappa", "")
    return history


def _fit(arm: str, classes: Sequence[str], folds: int) -> dict[str, object]:
    warnings = [f"smote: class {classes[0]} has 4 rows, k_neighbors 5 → 3"] if arm.startswith("smote") else []
    return {
        "arm": arm,
        "resampler": {"name": arm.split("-")[0]},
        "head": {"name": arm.split("-")[1]},
        "classes": list(classes),
        "folds": [
            {
                "fold": fold,
                "counts_before": {name: 12 * (number + 1) for number, name in enumerate(classes)},
                "counts_after": dict.fromkeys(classes, 12 * len(classes)),
                "seconds_resample": 0.02,
                "seconds_fit": 0.31,
                "warnings": warnings,
            }
            for fold in range(folds)
        ],
        "made_by": {"packages": {"scikit-learn": "1.9.0"}},
    }


def _figures(value: float, interval: bool) -> dict[str, float]:
    figures = {key: round(value + 0.02 * number, 4) for number, key in enumerate(METRICS)}
    if interval:
        figures |= {f"{key}_low": figures[key] - 0.06 for key in METRICS}
        figures |= {f"{key}_high": figures[key] + 0.06 for key in METRICS}
    return figures


def _save_evaluation(
    index: pd.DataFrame,
    classes: Sequence[str],
    folds: int,
    arms: Sequence[str],
    selected: str,
    collapse: dict[str, list[dict[str, object]]],
    failed: dict[str, dict[str, str]],
    rng: np.random.Generator,
) -> None:
    of = {arm: arm.partition("+")[0] for arm in arms}
    values = {arm: 0.61 if arm == selected else 0.49 - 0.012 * number for number, arm in enumerate(arms)}
    described = {
        arm: {
            "val": _figures(value + 0.02, False),
            "test": _figures(value, True),
            "folds": {
                str(fold): {"val": _figures(value, False), "test": _figures(value, False)} for fold in range(folds)
            },
        }
        for arm, value in values.items()
    }
    storage.save_json(artifacts.METRICS, {"selected": selected, "arms": described})
    compared = [
        {
            "arm": arm,
            "reference": reference,
            "metric": metric,
            "difference": (gain := values[arm] - values[reference]),
            "low": gain - 0.07,
            "high": gain + 0.07,
            "p": 0.004,
            "p_holm": 0.012,
            **dict.fromkeys(("p_folds", "better", "same", "worse"), np.nan),
            **({"p_folds": 0.2, "better": 0.8, "same": 0.15, "worse": 0.05} if folds > 1 else {}),
            "verdict": "better" if gain > 0.07 else "worse" if gain < -0.07 else "can't tell",
        }
        for arm in arms
        for reference in dict.fromkeys(
            (selected, f"none-{of[arm].split('-')[1]}", f"none-{of[arm].split('-')[1]}+tilt")
        )
        if arm != reference and reference in arms
        for metric in ("macro_f1", "kappa", "balanced_accuracy_adjusted")
    ]
    columns = ["arm", "reference", "metric", "difference", "low", "high", "p", "p_holm", "p_folds"]
    columns += ["better", "same", "worse", "verdict"]
    pd.DataFrame(compared, columns=columns).to_csv(artifacts.COMPARISON, index=False)
    folder: Path = artifacts.EVALUATION
    folder.mkdir()
    pd.DataFrame([_class_row(index, arm, name, arm == selected) for arm in arms for name in classes]).to_csv(
        folder / "per_class.csv", index=False
    )
    # 5 images have no features, so that fewer are tested than the splits hold.
    tested = index.iloc[5:].rename(columns={"label": "actual"})
    tested.assign(predicted=tested["actual"], images=1)[["image_id", "images", "actual", "predicted"]].to_csv(
        folder / "predictions.csv", index=False
    )
    matrix = rng.integers(0, 12, (len(classes), len(classes))) + np.diag(40 * np.arange(1, len(classes) + 1))
    if artifacts.label_columns(index):
        matrix = np.tile([[300, 12], [5, 20]], (len(classes), 1, 1))
    storage.save_json(folder / "confusion.json", {**{arm: matrix.tolist() for arm in arms}, "classes": list(classes)})
    both = len(classes) > 2 or bool(artifacts.label_columns(index))
    told = [name for number, name in enumerate(classes) if both or number]
    _save_curves(folder, index, told, arms, selected)
    _save_parts(folder, tested, [arm for arm in arms if arm == of[arm]])
    ranks = {arm: 1 + 0.9 * number for number, arm in enumerate(arms)}
    ranking = {"folds": folds, "ranks": ranks, "critical_difference": 5.2, "p": 0.03, "cliques": [arms[:2]]}
    storage.save_json(folder / "ranks.json", {"macro_f1": ranking} if folds > 2 and len(arms) > 1 else {})
    storage.save_json(folder / "collapse.json", collapse)
    ranked = sorted(arms, key=lambda arm: -described[arm]["val"]["macro_f1"])
    bases = [f"none-{of[arm].split('-')[1]}" for arm in ranked]
    best = {of[arm]: arm for arm in reversed(ranked)}
    pd.DataFrame(
        {
            "arm": ranked,
            "selected": [arm == selected for arm in ranked],
            "baseline": [base if base in arms else "" for base in bases],
            "of": [of[arm] for arm in ranked],
            "decision": [arm.partition("+")[2] for arm in ranked],
            "leading": [arm in (of[arm], best[of[arm]]) for arm in ranked],
            "seconds": 1.0,
        }
    ).to_csv(folder / "arms.csv", index=False)
    storage.save_json(
        folder / "notes.json", {"comparison": "Each interval stands alone.", "failed": failed, "unproven": []}
    )
    weights = {
        "calibrator": {"kind": "Unchanged"},
        "rule": {"kind": "Weights", "weights": [1.5, *[1.0] * 20][: len(classes)]},
    }
    fitted = {arm: {str(fold): weights for fold in range(folds)} for arm in arms if arm != of[arm]}
    storage.save_json(folder / "decisions.json", {"classes": list(classes), "variants": fitted})
    rejected = {f"rejected_{name}": [0.0, 0.25] for name in classes}
    shown = {"coverage": [1, 0.9], "answered": [1, 0.88], "risk": [0.3, 0.24], "macro_f1": 0.6}
    pd.DataFrame({**shown, "balanced_accuracy_adjusted": 0.5, **rejected}).to_csv(folder / "reject.csv", index=False)


def _save_curves(folder: Path, index: pd.DataFrame, told: Sequence[str], arms: Sequence[str], selected: str) -> None:
    """roc, pr, reliability, net_benefit and calibration.csv, of the classes that are told from the rest."""
    grid, points, thresholds = np.linspace(0, 1, 400), np.linspace(0.05, 0.95, 8), np.linspace(0.01, 0.99, 30)
    parts: dict[str, list[pd.DataFrame]] = {"roc": [], "pr": [], "reliability": [], "net_benefit": []}
    for name, power in zip(told, np.linspace(0.1, 0.6, len(told)), strict=True):
        share, rise = _has(index, name).mean(), grid**power
        falls, treated = 1 - 0.7 * grid * rise, share - (1 - share) * thresholds / (1 - thresholds)
        drawn = {
            "roc": {"fpr": grid, "tpr": rise, "low": rise - 0.05, "high": np.minimum(rise + 0.05, 1)},
            "pr": {"recall": grid, "precision": falls, "low": falls - 0.1, "high": np.minimum(falls + 0.1, 1)},
            "reliability": {"probability": points, "frequency": points**1.2, "low": points**2, "high": points**0.8},
            "net_benefit": {"threshold": thresholds, "model": share * (1 - thresholds), "all": treated},
        }
        drawn["net_benefit"] |= {"low": drawn["net_benefit"]["model"] - 0.02, "high": share}
        for kind, columns in drawn.items():
            parts[kind].append(pd.DataFrame({"class": name, **columns}))
    for kind, tables in parts.items():
        table = pd.concat(tables)
        if kind == "reliability":
            table.insert(0, "arm", selected)
            table["n"] = 40
        table.to_csv(folder / f"{kind}.csv", index=False)
    figures = {"ece": 0.03, "brier": 0.12, "reliability": 0.01, "resolution": 0.07, "uncertainty": 0.18}
    figures |= {"slope": 0.8, "intercept": -0.1, "prevalence": 0.2, "predicted": 0.25}
    rows = [{"arm": arm, "class": name, **figures} for arm in arms for name in told]
    pd.DataFrame(rows).to_csv(folder / "calibration.csv", index=False)


def _save_parts(folder: Path, tested: pd.DataFrame, arms: Sequence[str]) -> None:
    """groups, subgroups and cases.csv."""
    metrics = ("macro_f1", "kappa", "auc")
    views = [{"view": "rare or not", "arm": arm, "metric": key} for arm in arms for key in metrics]
    pd.DataFrame(views).assign(value=0.8, low=0.75, high=0.85).to_csv(folder / "groups.csv", index=False)
    counts = {"manufacturer": {"Petrel": (200, 90, 12), "Umbra": (4, 2, 0)}}
    parts = [
        {"column": column, "value": value, "n": n, "patients": patients, "events": events, "metric": key}
        | ({"figure": 0.6, "low": 0.5, "high": 0.7} if patients > 20 else {})
        for column, values in counts.items()
        for value, (n, patients, events) in values.items()
        for key in (metrics if patients > 20 else [""])
    ]
    pd.DataFrame(parts).to_csv(folder / "subgroups.csv", index=False)
    shown = tested[["image_id", "actual"]].head(5).assign(fold=0, predicted=tested["actual"].iloc[-1])
    errors = shown.assign(probability=0.9, of_actual=0.03, kind="error")
    doubts = shown.assign(predicted=shown["actual"], probability=0.41, of_actual=0.41, kind="doubt")
    order = ["image_id", "fold", "actual", "predicted", "probability", "of_actual", "kind"]
    pd.concat([errors, doubts])[order].to_csv(folder / "cases.csv", index=False)


def _has(index: pd.DataFrame, name: str) -> pd.Series:
    column = artifacts.LABEL + name
    return index[column] == artifacts.PRESENT if column in index else index["label"] == name


def _class_row(index: pd.DataFrame, arm: str, name: str, selected: bool) -> dict[str, object]:
    mine = index[_has(index, name)]
    recall = 0.56 if selected else 0.12
    return {
        "arm": arm, "class": name, "n": len(mine), "rows": len(index),
        "patients": mine["group"].nunique(), "predicted": len(mine) + 7,
        "recall": recall, "recall_low": recall - 0.1, "recall_high": recall + 0.2, "specificity": 0.9,
        "precision": 0.4, "f1": 0.45, "f1_low": 0.3, "f1_high": 0.6, "prevalence_ratio": 1.3,
        "auc": 0.9, "auc_low": 0.85, "auc_high": 0.95, "average_precision": 0.5,
        "few": mine["group"].nunique() < 20,
    }  # fmt: skip


def _checks(verdicts: dict[str, str]) -> dict[str, object]:
    findings = {
        "row_counts": (1000, 1000, "features, index and splits have the same 1,000 images"),
        "dead_dimensions": (10 / 512, 0.5, "10 of 512 dimensions are constant"),
        "shared_patients": (0, None, "no patient is in two roles of a fold"),
    }
    return {
        name: {"value": value, "threshold": limit, "verdict": verdicts.get(name, "ok"), "rows": [], "finding": finding}
        for name, (value, limit, finding) in findings.items()
    }
