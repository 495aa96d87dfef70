"""The whole pipeline through DVC, on a small demo data set, as a user runs it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from imports import ROOT
from ruamel.yaml import YAML

SMALL = {
    "demo": {"images": 120, "patients": 60, "rows": 96, "columns": 80, "classes": {"A": 1, "B": 2, "C": 4, "D": 2}},
    "split": {"folds": 2},
    "render": {"size": 32},
    "finetune": {"epochs": 2},
    "evaluate": {"draws": 100},
    "heads": {"lightgbm": {"n_estimators": 10}, "mlp": {"epochs": 10, "patience": 3}},
    "arms": {"both": {"vote": ["none-logistic", "smote-logistic"]}},
    "grid": {"arms": ["both"]},
}
PAIRS = [
    f"{resampler}-{head}"
    for resampler in ("none", "smote", "borderline_smote")
    for head in ("logistic", "lightgbm", "mlp")
]
ARMS = [*PAIRS, "both"]
ARTIFACTS = (
    *("index.parquet", "quarantine.csv", "splits.parquet", "splits.json"),
    *("pixels/00000.npy", "pixels/rows.parquet", "pixels/manifest.json"),
    *("backbone/fold-1/weights.safetensors", "backbone/fold-1/manifest.json", "backbone/fold-1/history.csv"),
    *("features/fold-1.npy", "features/rows.parquet", "features/manifest.json"),
    *("fits/smote-mlp/predictions.parquet", "fits/smote-mlp/head.joblib", "fits/smote-mlp/fit.json"),
    *("metrics.json", "comparison.csv", "audit.json", "audit.html", "report.html"),
)


class Repository:
    """A clone with small params, and what its commands printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "XDG_CONFIG_HOME": str(folder / ".config"),
            "DVC_NO_ANALYTICS": "1",
            **{f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }

    def __call__(self, *command: str, code: int = 0) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        printed = done.stdout + done.stderr
        assert done.returncode == code, printed
        return printed

    def change(self, **sections) -> None:
        file = YAML(typ="rt")
        values = file.load(self.folder / "params.yaml")
        for section, changed in sections.items():
            _update(values[section], changed)
        file.dump(values, self.folder / "params.yaml")

    def repro(self, *targets: str) -> set[str]:
        """Run `dvc repro`; the stages that ran."""
        printed = self("dvc", "repro", *targets)
        return {line.split("'")[1] for line in printed.splitlines() if line.startswith("Running stage '")}

    def json(self, name: str) -> dict:
        return json.loads((self.folder / "artifacts" / name).read_text())


def _update(values, changed):
    for key, value in changed.items():
        if isinstance(value, dict) and key not in ("classes", "both"):
            _update(values[key], value)
        else:
            values[key] = value


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, files.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "dvc.lock").unlink(missing_ok=True)
    clone = Repository(folder)
    clone.change(**SMALL)
    clone("git", "init", "--quiet")
    clone("git", "add", "--all")
    clone("git", "commit", "--quiet", "--message", "start")
    clone("python", "-m", "pipeline", "demo")
    clone.first = clone.repro()
    return clone


def test_every_stage_runs_and_every_artifact_is_there(repository):
    fits = {*(f"fit@{arm}" for arm in PAIRS), "arm@both"}
    stages = {"index", "split", "pixels", "finetune", "embed", "evaluate", "audit", "audit_page", "report"}
    assert repository.first == stages | fits
    for name in ARTIFACTS:
        assert (repository.folder / "artifacts" / name).stat().st_size > 0, name


def test_every_arm_is_judged_with_intervals_and_one_is_selected(repository):
    metrics = repository.json("metrics.json")
    assert sorted(name for name in metrics["arms"] if "+" not in name) == sorted(ARMS)
    assert {"none-logistic+thresholds", "none-logistic+tilt", "smote-mlp+prior"} <= set(metrics["arms"])
    assert metrics["selected"] in metrics["arms"]
    for arm in metrics["arms"].values():
        for key in ("macro_f1", "kappa", "balanced_accuracy_adjusted", "auc"):
            assert arm["test"][f"{key}_low"] <= arm["test"][key] <= arm["test"][f"{key}_high"]


def test_a_clean_run_passes_the_audit(repository):
    verdicts = {name: check["verdict"] for name, check in repository.json("audit.json")["checks"].items()}
    assert "invalid" not in verdicts.values(), verdicts


def test_the_broken_files_are_in_the_quarantine_with_reason_and_remedy(repository):
    table = pd.read_csv(repository.folder / "artifacts" / "quarantine.csv")
    assert len(table) >= 6
    assert not table.isna().any().any()
    assert set(table["stage"]) == {"index", "pixels"}


def test_no_patient_id_is_in_any_artifact(repository):
    """But in paths: the demo's folders carry the patient's id, and a path is needed to find a file again."""
    patients = set(pd.read_csv(repository.folder / "data" / "demo" / "labels.csv", dtype=str)["patient_id"])
    artifacts = repository.folder / "artifacts"
    for path in artifacts.rglob("*.parquet"):
        table = pd.read_parquet(path).select_dtypes("str").drop(columns="path", errors="ignore")
        assert not any(table[column].str.contains("DEMO-").any() for column in table), path
    for name in ("metrics.json", "audit.json", "splits.json", "features/manifest.json", "evaluation/predictions.csv"):
        assert not any(patient in (artifacts / name).read_text() for patient in patients), name


def test_with_nothing_to_do_only_the_index_scan_runs(repository):
    assert repository.repro() == {"index"}


def test_a_changed_head_reruns_its_arms_and_what_judges_them(repository):
    repository.change(heads={"logistic": {"C": 0.5}})
    ran = repository.repro()
    assert {"fit@none-logistic", "fit@smote-logistic", "fit@borderline_smote-logistic", "arm@both"} <= ran
    assert {"evaluate", "report"} <= ran
    assert not ran & {"split", "pixels", "finetune", "embed", "fit@none-mlp", "fit@smote-lightgbm"}


def test_an_experiment_with_fewer_heads_runs_from_the_command_line(repository):
    printed = repository("dvc", "exp", "run", "-S", "grid.heads=[logistic]", "-S", "grid.arms=[]")
    assert "Running stage 'evaluate'" in printed
    assert "Running stage 'embed'" not in printed
    arms = {name.partition("+")[0] for name in repository.json("metrics.json")["arms"]}
    assert arms == {arm for arm in ARMS if arm.endswith("-logistic")}
    assert "macro_f1" in repository("dvc", "metrics", "show")
    assert "macro_f1" in repository("dvc", "exp", "show", "--csv")


def test_the_plots_of_dvc_render(repository):
    repository("dvc", "plots", "show", "--out", "plots")
    assert "actual" in (repository.folder / "plots" / "index.html").read_text()


def test_results_print_the_arms_and_where_the_report_lies(repository):
    printed = repository("python", "-m", "pipeline", "results")
    assert "smote-logistic" in printed
    assert printed.strip().endswith("artifacts/report.html")


def test_help_lists_the_stages(repository):
    printed = repository("python", "-m", "pipeline", "--help")
    assert all(stage in printed for stage in ("demo", "index", "finetune", "audit", "results"))
    assert "RESAMPLER-HEAD" in repository("python", "-m", "pipeline", "fit", "--help")


def test_a_fault_in_the_params_is_one_readable_message(repository):
    repository.change(split={"folds": 0})
    try:
        printed = repository("python", "-m", "pipeline", "split", code=1)
    finally:
        repository.change(split={"folds": 2})
    assert printed.startswith("error: params.yaml: 1 fault:\n  - split.folds: ")
    assert "Traceback" not in printed


def test_an_upgrade_of_a_package_reruns_what_depends_on_it(repository):
    with (repository.folder / "constraints.txt").open("a") as file:
        file.write("# changed\n")
    assert {"pixels", "finetune", "embed", "fit@none-logistic"} <= repository.repro()


def test_a_leak_stops_the_run(repository):
    splits = pd.read_parquet(repository.folder / "artifacts" / "splits.parquet")
    index = pd.read_parquet(repository.folder / "artifacts" / "index.parquet")
    many = index.groupby("group")["image_id"].transform("size") > 1
    leaked = index.loc[many, "image_id"].iloc[0]
    row = (splits["image_id"] == leaked) & (splits["fold"] == 0)
    splits.loc[row, "role"] = "test" if splits.loc[row, "role"].item() == "train" else "train"
    splits.to_parquet(repository.folder / "artifacts" / "splits.parquet", index=False)
    printed = repository("python", "-m", "pipeline", "audit", code=1)
    assert "patients_across_roles" in printed
    assert repository.json("audit.json")["checks"]["patients_across_roles"]["verdict"] == "invalid"
