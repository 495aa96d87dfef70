import subprocess
import sys

from imports import ROOT

# What pipeline needs elsewhere, and a machine that only has a GPU and torch does not have.
CODE = """
import importlib, pathlib, sys
for name in ("pydantic", "pydantic_core", "ruamel", "ruamel.yaml", "pyarrow", "rich", "joblib", "sklearn", "pydicom"):
    sys.modules[name] = None
for path in sorted(pathlib.Path("pipeline/backbone").glob("*.py")):
    importlib.import_module(f"pipeline.backbone.{path.stem}" if path.stem != "__init__" else "pipeline.backbone")
print(*sorted(name for name in sys.modules if name.startswith("pipeline") and "backbone" not in name))
"""


def test_the_room_needs_nothing_but_torch_timm_numpy_and_pandas():
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["pipeline", "pipeline.errors"]
