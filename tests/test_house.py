"""The layers: imports go downward only, and rooms do not know each other."""

import subprocess
import sys
from pathlib import Path

import imports
import pytest

FOUNDATION = {
    "errors": set(),
    "choices": set(),
    "params": {"choices", "errors"},
    "provenance": {"errors"},
    "storage": {"errors", "provenance"},
    "engine": set(),
    "isolation": set(),
    "artifacts": {"errors", "params", "provenance", "storage"},
    "terminal": set(),
}
ROOMS = {"imaging", "backbone", "features", "heads", "judge", "report", "splitting", "phantom", "experiments"}
LENT = {("heads", "features.neighbours"), ("judge", "features.neighbours")}


def place(path: Path) -> str:
    """`pipeline/heads/arms.py` → `heads`, `pipeline/errors.py` → `errors`."""
    return path.parts[1].removesuffix(".py")


def allowed(importer: str, imported: Path) -> bool:
    target = place(imported)
    if target in (importer, "__init__"):
        return importer != "stages" or imported.name == "__init__.py"
    if importer in FOUNDATION:
        return target in FOUNDATION[importer]
    if importer in ROOMS:
        return target in FOUNDATION or (importer, ".".join(imported.with_suffix("").parts[1:])) in LENT
    if importer == "demo":
        return target in {*FOUNDATION, "phantom"}
    if importer == "contest":  # heads decide, judge judges
        return target in {*FOUNDATION, "heads", "judge"}
    if importer == "inspection":  # features are audited with what heads make of them
        return target in {*FOUNDATION, "features", "heads"}
    if importer == "stages":
        return target in {*FOUNDATION, *ROOMS, "contest", "inspection"}
    return importer == "__main__" and target in {"params", "errors", "heads", "artifacts"}


@pytest.mark.parametrize("path", imports.modules(), ids=str)
def test_a_module_imports_only_what_lies_below_it(path):
    wrong = [str(target) for target in imports.imported_files(path) if not allowed(place(path), target)]
    assert not wrong, f"{path} must not import {', '.join(wrong)}"


@pytest.mark.parametrize("path", imports.modules(), ids=str)
def test_torch_and_timm_stay_in_the_backbone(path):
    heavy = {name.split(".")[0] for name in imports.imported_names(path)} & {"torch", "torchvision", "timm"}
    assert not heavy or place(path) == "backbone"


@pytest.mark.parametrize(
    "stage", ["index", "split", "pixels", "fit", "evaluate", "audit", "audit_page", "report", "results"]
)
def test_importing_a_cpu_stage_loads_no_torch(stage):
    code = f"import sys, pipeline.stages.{stage}; sys.exit(bool({{'torch', 'timm'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=imports.ROOT, check=False).returncode == 0


def test_the_layer_rule_sees_a_forbidden_import():
    assert not allowed("judge", Path("pipeline/heads/arms.py"))
    assert not allowed("stages", Path("pipeline/stages/fit.py"))
    assert not allowed("errors", Path("pipeline/params.py"))
    assert not allowed("judge", Path("pipeline/contest/entries.py"))
    assert allowed("heads", Path("pipeline/features/neighbours.py"))
