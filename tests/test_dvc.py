"""dvc.yaml against the code: a stage that does not depend on all of its code can be silently stale."""

import re
from pathlib import Path

import imports
import pytest
from ruamel.yaml import YAML

from pipeline import params
from pipeline.__main__ import COMMANDS

STAGES = {name: of.get("do", of) for name, of in YAML(typ="safe").load(imports.ROOT / "dvc.yaml")["stages"].items()}
SOURCES = {name: Path(f"pipeline/stages/{'fit' if name == 'arm' else name}.py") for name in STAGES}


@pytest.mark.parametrize("stage", STAGES)
def test_code_deps_are_the_import_closure_of_the_stage(stage):
    expected = {path.as_posix() for path in imports.closure(SOURCES[stage])}
    listed = {dep for dep in STAGES[stage]["deps"] if dep.endswith(".py")}
    assert listed == expected, f"dvc.yaml: {stage} lacks {expected - listed}, has {listed - expected} in excess"


@pytest.mark.parametrize(("stage", "page"), [("audit_page", "audit"), ("report", "report")])
def test_a_page_depends_on_its_templates(stage, page):
    listed = {dep for dep in STAGES[stage]["deps"] if dep.endswith(".j2")}
    assert any(Path(dep).name == f"{page}.html.j2" for dep in listed)
    assert all((imports.ROOT / dep).exists() for dep in listed)


@pytest.mark.parametrize("stage", STAGES)
def test_every_artifact_that_a_stage_reads_is_written_by_another(stage):
    written = {
        path for of in STAGES.values() for out in [*of.get("outs", []), *of.get("metrics", [])] for path in _path(out)
    }
    for dep in STAGES[stage]["deps"]:
        if dep.startswith("artifacts/"):
            assert any(f"{path}/".startswith(f"{dep}/") or dep.startswith(f"{path}/") for path in written), dep


READERS = {
    "load_index": "index.parquet",
    "load_splits": "splits.parquet",
    "load_pixels": "pixels",
    "backbone_names": "backbone",
    "load_features": "features",
    "load_fit": "fits",
    "load_quarantine": "quarantine",
    "SPLITS_SUMMARY": "splits.json",
    "METRICS": "metrics.json",
    "COMPARISON": "comparison.csv",
    "EVALUATION": "evaluation",
    "AUDIT": "audit.json",
    "load_audit": "audit",
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_every_artifact_that_it_reads(stage):
    reading = {SOURCES[stage], *(path for path in imports.closure(SOURCES[stage]) if "contest" in path.parts)}
    source = "".join((imports.ROOT / path).read_text() for path in reading)
    own = [path for out in [*STAGES[stage].get("outs", []), *STAGES[stage].get("metrics", [])] for path in _path(out)]
    for reader, name in READERS.items():
        path = f"artifacts/{name}"
        if re.search(rf"artifacts\.{reader}\b", source) and path not in own:
            assert any(dep.startswith(path) for dep in STAGES[stage]["deps"]), f"{stage} reads {path}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_every_param_that_it_reads(stage):
    source = (imports.ROOT / SOURCES[stage]).read_text()
    listed = [key.split(".$")[0] for key in STAGES[stage]["params"]]
    for used in set(re.findall(r"params\.((?!engine)[a-z_]+(?:\.[a-z_]+)?)", source)):
        assert any(f"{used}.".startswith(f"{key}.") for key in listed), f"{stage} reads {used}"


@pytest.mark.parametrize("stage", STAGES)
def test_params_of_a_stage_exist(stage):
    values = YAML(typ="safe").load(imports.ROOT / params.FILE)
    for key in STAGES[stage]["params"]:
        found = values
        for part in key.replace("${item.resampler}", "smote").replace("${item.head}", "mlp").split("."):
            found = found[part]


def test_every_stage_is_a_command():
    assert set(STAGES) - {"arm"} <= set(COMMANDS)


def _path(out):
    return [out] if isinstance(out, str) else list(out)
