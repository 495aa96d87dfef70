"""The stage that draws the audit's page, on files as the audit leaves them."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import artifacts, params, provenance, storage
from pipeline.errors import PipelineError
from pipeline.stages import audit_page
from tests.report import audits

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """What an audit and an evaluation leave, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / params.FILE, tmp_path)
    made = audits.audited()
    assert made.tested is not None
    text = {name: [""] * audits.COUNT for name, kind in artifacts.INDEX_COLUMNS.items() if kind == "str"}
    whole = {name: [0] * audits.COUNT for name, kind in artifacts.INDEX_COLUMNS.items() if kind != "str"}
    artifacts.save_index(
        pd.DataFrame({**text, **whole, "image_id": audits.IDS, "manufacturer": made.index["manufacturer"]})
    )
    save_pictures(made.pictures)
    artifacts.save_audit(made.checks, made.tables, made.arrays)
    storage.save_csv(artifacts.EVALUATION / "predictions.csv", made.tested)
    return params.load()


def save_pictures(pictures):
    with storage.file_atomic(artifacts.PIXELS / "00000.npy") as file:
        np.save(file, pictures.shards[0])
    rows = pictures.rows.assign(fingerprint="", window="", crop="", mirrored=False)
    files = {"00000.npy": provenance.checksum(artifacts.PIXELS / "00000.npy")}
    artifacts.save_pixels(rows, (audits.SIDE, audits.SIDE), np.dtype(np.uint8), files, {}, [])


def page():
    return artifacts.AUDIT_PAGE.read_text(encoding="utf-8")


def test_the_page_has_all_that_was_found_and_where_the_arm_errs(settings):
    audit_page.run(settings)
    assert "Results from these features are invalid." in page()
    assert '"name":"selected arm"' in page()
    assert '"sheets":["data:image/webp' in page()
    assert 'id="look-twins_across_roles"' in page()


def test_the_page_needs_neither_an_arm_nor_pictures(settings):
    (artifacts.EVALUATION / "predictions.csv").unlink()
    none = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in artifacts.PIXEL_ROWS.items()})
    artifacts.save_pixels(none, (0, 0), np.dtype(np.uint8), {}, {}, [])
    audit_page.run(settings)
    assert '"name":"selected arm"' not in page()
    assert '"sprites":null' in page()


def test_the_gallery_is_switched_off_by_its_param(settings):
    audit_page.run(dataclasses.replace(settings, report=dataclasses.replace(settings.report, gallery=False)))
    assert "1.2.0" not in page()
    assert "data:image" not in page()


def test_the_same_audit_gives_the_same_page(settings):
    audit_page.run(settings)
    first = page()
    audit_page.run(settings)
    assert page() == first


def test_without_an_audit_the_error_names_the_stage(settings):
    artifacts.AUDIT.unlink()
    with pytest.raises(PipelineError, match=r"audit\.json: is missing\n.*dvc repro audit"):
        audit_page.run(settings)


def test_the_page_is_drawn_without_the_heavy_libraries():
    heavy = "{'torch', 'sklearn', 'matplotlib', 'scipy', 'pydicom', 'numba', 'imblearn'}"
    code = f"import sys, pipeline.stages.audit_page; sys.exit(' '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
