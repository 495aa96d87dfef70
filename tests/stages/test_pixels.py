import dataclasses
import errno
import os
from pathlib import Path

import imports
import numpy as np
import pandas as pd
import pytest
import torch
from dicoms import dataset, encapsulated, to_bytes, write
from imports import ROOT
from PIL import Image
from pydicom.uid import MPEG2MPML

from pipeline import artifacts, engine, params
from pipeline.backbone import inputs
from pipeline.errors import PipelineError
from pipeline.imaging import picture
from pipeline.imaging.plan import FACTS
from pipeline.isolation import Died, Isolated, TimedOut
from pipeline.stages import index, pixels

PARAMS = params.load(ROOT / "params.yaml")
REAL = Path(os.environ.get("SKEWRAY_REAL_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKEWRAY_KEY", "test")


@pytest.fixture(autouse=True)
def decoded(monkeypatch):
    """Names of the files that went to a decoder."""
    names, isolated = [], Isolated.map

    def watched(self, items):
        names.extend(item.path for item in items)
        return isolated(self, items)

    monkeypatch.setattr(Isolated, "map", watched)
    return names


@pytest.fixture
def in_process(monkeypatch):
    """Decoders are called in this process, where they can be replaced; names of the files that they were given."""
    names = []

    def called(self, items):
        for item in items:
            names.append(item.path)
            yield self.function(item)

    monkeypatch.setattr(Isolated, "map", called)
    return names


def given(shard=2, workers=1, timeout=60.0, data=None, **render):
    return dataclasses.replace(
        PARAMS,
        data=dataclasses.replace(
            PARAMS.data,
            **{"images": "images", "labels": "labels.csv", "label": "label", "max_quarantined": 1.0, **(data or {})},
        ),
        render=dataclasses.replace(PARAMS.render, **{"size": 16, **render}),
        pixels=dataclasses.replace(PARAMS.pixels, shard=shard, timeout=timeout),
        engine=dataclasses.replace(PARAMS.engine, workers=workers),
    )


def run(**options):
    index.run(given(**options))
    pixels.run(given(**options))
    return artifacts.load_pixels()


def grey(seed):
    return np.random.default_rng(seed).integers(1, 256, (16, 16), np.uint8)


def put(number, seed=None):
    tags = {"SOPInstanceUID": f"1.2.{number}", "WindowCenter": 128, "WindowWidth": 256}
    write(Path("images") / f"{number}.dcm", grey(number if seed is None else seed), **tags)


def label(numbers):
    Path("labels.csv").write_text("path,label\n" + "".join(f"{n}.dcm,{'xy'[n % 2]}\n" for n in numbers))


def make(count):
    for number in range(count):
        put(number)
    label(range(count))


def quarantine():
    table = artifacts.load_quarantine()
    return dict(zip(table["path"], table["reason"], strict=True))


def check(pictures, seeds):
    """The store holds the picture of each seed, by image."""
    assert pictures.rows["image_id"].tolist() == sorted(f"1.2.{number}" for number in seeds)
    found = pictures.take(np.arange(len(pictures)))
    for shown, image_id in zip(found, pictures.rows["image_id"], strict=True):
        np.testing.assert_array_equal(shown, grey(seeds[int(image_id[4:])]))


def files():
    return {path.name: path.read_bytes() for path in sorted(artifacts.PIXELS.iterdir())}


def test_each_picture_is_in_the_store_as_its_file_shows_it():
    make(5)
    pictures = run()
    check(pictures, {number: number for number in range(5)})
    assert pictures.manifest["shape"] == [5, 16, 16]
    assert pictures.manifest["row_count"] == 5
    assert sorted(files()) == ["00000.npy", "00001.npy", "00002.npy", "manifest.json", "rows.parquet"]
    assert list(pictures.rows) == list(artifacts.PIXEL_ROWS)
    fingerprints = artifacts.load_index().set_index("image_id")["fingerprint"]
    pd.testing.assert_series_equal(pictures.rows.set_index("image_id")["fingerprint"], fingerprints)


def test_a_second_run_decodes_nothing_and_leaves_the_same_bytes(decoded):
    make(5)
    Path("images/4.dcm").write_bytes(to_bytes(dataset(np.full((4, 4), 7, np.uint8))))
    run()
    before, _ = files(), decoded.clear()
    run()
    assert decoded == []
    assert files() == before
    assert quarantine() == {"4.dcm": "blank: every pixel has the value 7"}


def test_only_new_and_replaced_files_are_decoded(decoded):
    make(6)
    run()
    decoded.clear()
    put(1, seed=50)
    Path("images/2.dcm").unlink()
    put(6)
    label(range(7))
    pictures = run()
    assert sorted(decoded) == ["1.dcm", "6.dcm"]
    check(pictures, {0: 0, 1: 50, 3: 3, 4: 4, 5: 5, 6: 6})
    assert sum(map(len, pictures.shards.values())) == 6


def test_a_moved_file_is_not_decoded_again(decoded):
    make(3)
    run()
    decoded.clear()
    Path("images/sub").mkdir()
    for number in range(3):
        os.rename(f"images/{number}.dcm", f"images/sub/{number}.dcm")
    Path("labels.csv").write_text("path,label\nsub/0.dcm,x\nsub/1.dcm,y\nsub/2.dcm,x\n")
    check(run(), {0: 0, 1: 1, 2: 2})
    assert decoded == []


@pytest.mark.parametrize("change", [{"size": 17}, {"fit": "squash"}, {"window": "percentile"}])
def test_another_rendering_makes_all_pictures_new(decoded, change):
    make(3)
    run()
    decoded.clear()
    run(**change)
    assert sorted(decoded) == ["0.dcm", "1.dcm", "2.dcm"]
    assert sorted(name for name in files() if name.endswith(".npy")) == ["00002.npy", "00003.npy"]


def test_other_code_makes_all_pictures_new(decoded, monkeypatch, tmp_path):
    make(3)
    run()
    decoded.clear()
    (tmp_path / "render.py").write_text("new")
    monkeypatch.setattr(pixels, "SOURCES", [tmp_path / "render.py"])
    run()
    assert len(decoded) == 3


def test_one_colour_image_makes_the_store_colour():
    make(3)
    colour = np.random.default_rng(9).integers(0, 256, (16, 16, 3), np.uint8)
    write(Path("images/3.dcm"), colour, SOPInstanceUID="1.2.3")
    label(range(4))
    pictures = run()
    assert (pictures.channels, pictures.manifest["shape"]) == (3, [4, 16, 16, 3])
    found = pictures.take(np.array([0, 3]))
    np.testing.assert_array_equal(found[0], np.repeat(grey(0)[..., None], 3, axis=-1))
    np.testing.assert_array_equal(found[1], colour)


def test_png_and_dicom_stand_side_by_side():
    make(2)
    Image.fromarray(grey(7)).save("images/p.png")
    Path("labels.csv").write_text("path,label\n0.dcm,x\n1.dcm,y\np.png,y\n")
    pictures = run()
    np.testing.assert_array_equal(pictures.take(np.array([2]))[0], grey(7))


def test_what_cannot_be_rendered_is_set_aside_with_a_remedy():
    make(8)
    whole = to_bytes(dataset(grey(1), SOPInstanceUID="1.2.1"))
    Path("images/1.dcm").write_bytes(whole[:-100])
    Path("images/2.dcm").write_bytes(to_bytes(dataset(np.full((4, 4), 512, np.uint16))))
    Path("images/3.dcm").write_bytes(to_bytes(dataset(grey(3), Rows=4)))
    Path("images/4.dcm").write_bytes(to_bytes(dataset(grey(4), Rows=50000, Columns=50000)))
    Path("images/5.dcm").write_bytes(to_bytes(encapsulated(dataset(grey(5)), b"film", MPEG2MPML)))
    assert run().rows["image_id"].tolist() == ["1.2.0", "1.2.6", "1.2.7"]
    assert quarantine() == {
        "1.dcm": "truncated: (7FE0,0010) Pixel Data has 156 bytes, Rows × Columns need 256",
        "2.dcm": "blank: every pixel has the value 512",
        "3.dcm": "pixel data does not fit the header: (7FE0,0010) Pixel Data has 256 bytes, Rows × Columns need 64",
        "4.dcm": "absurd size: 50000 × 50000 pixels",
        "5.dcm": "no decoder: its transfer syntax is MPEG2 Main Profile / Main Level",
    }
    assert (artifacts.load_quarantine()["remedy"] != "").all()


def test_a_file_that_changed_after_the_scan_fails_the_stage_and_the_rest_is_kept(decoded):
    make(4)
    index.run(given())
    put(1, seed=60)
    Path("images/2.dcm").unlink()
    with pytest.raises(
        PipelineError, match=r"^1\.dcm: 2 of 4 images could not be rendered: changed after the scan\n.*dvc repro"
    ):
        pixels.run(given())
    assert quarantine() == {"1.dcm": "changed after the scan", "2.dcm": "cannot be read: No such file or directory"}
    check(artifacts.load_pixels(), {0: 0, 3: 3})
    label([0, 1, 3])
    decoded.clear()
    check(run(), {0: 0, 1: 60, 3: 3})
    assert decoded == ["1.dcm"]
    assert quarantine() == {}


def failing(original, error):
    """The function, which raises for 1.dcm."""

    def fail(*args, **options):
        if "1.dcm" in str(args):
            raise error
        return original(*args, **options)

    return fail


def test_a_file_that_cannot_be_read_now_fails_the_stage_and_is_tried_again(monkeypatch, in_process):
    make(3)
    error, reason = PermissionError(errno.EACCES, "Permission denied"), "cannot be read: Permission denied"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", failing(Path.open, error))
        with pytest.raises(PipelineError, match=rf"^1\.dcm: 1 of 3 images could not be rendered: {reason}\n"):
            run()
    assert quarantine() == {"1.dcm": reason}
    assert len(run()) == 3
    assert in_process == ["0.dcm", "1.dcm", "2.dcm", "1.dcm"]
    assert quarantine() == {}


def test_an_image_too_large_for_the_memory_is_set_aside_and_tried_again_by_the_next_run(monkeypatch, in_process):
    make(3)
    with monkeypatch.context() as patch:
        patch.setattr(picture, "show", failing(picture.show, MemoryError()))
        assert len(run()) == 2
    assert quarantine() == {"1.dcm": "not enough memory"}
    assert len(run()) == 3
    assert in_process == ["0.dcm", "1.dcm", "2.dcm", "1.dcm"]
    assert quarantine() == {}


def test_no_text_of_a_decoder_is_kept(monkeypatch, in_process):
    make(3)
    show = picture.show

    def stumble(content, name, frame, look):
        if name == "1.dcm":
            raise KeyError("Patient^Name")
        return show(content, name, frame, look)

    monkeypatch.setattr(picture, "show", stumble)
    run()
    assert quarantine() == {"1.dcm": "cannot be decoded: damaged or truncated (KeyError)"}
    written = b"".join(path.read_bytes() for path in artifacts.ROOT.rglob("*") if path.is_file())
    assert b"Patient^Name" not in written


@pytest.fixture
def outcome(monkeypatch):
    """Set `outcome[name]` to what its decoder comes to."""
    outcomes, isolated = {}, Isolated.map

    def spoiled(self, items):
        for item, result in zip(items, isolated(self, items), strict=True):
            yield outcomes.get(item.path, result)

    monkeypatch.setattr(Isolated, "map", spoiled)
    return outcomes


def test_a_crash_or_a_hang_costs_one_image_and_is_not_tried_again(outcome, decoded):
    make(5)
    outcome.update({"1.dcm": Died("SIGSEGV"), "3.dcm": TimedOut(60.0)})
    assert len(run()) == 3
    assert quarantine() == {"1.dcm": "its decoder crashed (SIGSEGV)", "3.dcm": "took longer than 60 s"}
    outcome.clear()
    decoded.clear()
    assert len(run()) == 3
    assert decoded == []


def test_another_timeout_gives_slow_images_another_try_and_no_others(outcome, decoded):
    make(5)
    outcome.update({"1.dcm": Died("SIGSEGV"), "3.dcm": TimedOut(60.0)})
    run()
    outcome.clear()
    decoded.clear()
    assert len(run(timeout=90.0)) == 4
    assert decoded == ["3.dcm"]
    assert quarantine() == {"1.dcm": "its decoder crashed (SIGSEGV)"}


def test_a_file_cut_off_while_it_is_decoded_fails_the_stage_and_is_tried_again(outcome):
    make(3)
    outcome["1.dcm"] = Died("SIGBUS")
    with pytest.raises(PipelineError, match=r"1 of 3 images could not be rendered: cannot be read: its end was gone"):
        run()
    outcome.clear()
    assert len(run()) == 3
    assert quarantine() == {}


def test_what_the_system_killed_gets_a_second_try(monkeypatch):
    make(3)
    isolated, killed = Isolated.map, []

    def spoiled(self, items):
        for item, result in zip(items, isolated(self, items), strict=True):
            first = item.path == "1.dcm" and not killed
            killed.extend([item.path] * first)
            yield Died("SIGKILL") if first else result

    monkeypatch.setattr(Isolated, "map", spoiled)
    assert len(run()) == 3
    assert killed == ["1.dcm"]


def test_what_the_system_kills_twice_is_set_aside_for_its_memory(outcome):
    make(3)
    outcome["1.dcm"] = Died("SIGKILL")
    assert len(run()) == 2
    assert quarantine() == {"1.dcm": "not enough memory"}


def test_too_many_images_set_aside_stop_the_run_after_all_is_saved(decoded):
    make(8)
    for number in (1, 2):
        Path(f"images/{number}.dcm").write_bytes(to_bytes(dataset(np.full((4, 4), 7, np.uint8))))
    message = (
        r"^data\.max_quarantined: 2 of 8 files \(25\.0%\) are set aside: 2 blank\n"
        r".*see artifacts/quarantine\.csv and mend the files, or raise data\.max_quarantined \(now 0\.2\)$"
    )
    with pytest.raises(PipelineError, match=message):
        run(data={"max_quarantined": 0.2})
    assert len(artifacts.load_pixels()) == 6
    decoded.clear()
    run(data={"max_quarantined": 0.25})
    assert decoded == []


def test_a_tilde_stands_for_the_home_folder(tmp_path, monkeypatch):
    make(3)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(run(data={"images": "~/images"})) == 3


def test_no_picture_at_all_is_an_error_with_the_counts():
    make(3)
    for number in range(3):
        Path(f"images/{number}.dcm").write_bytes(to_bytes(dataset(np.full((4, 4), number, np.uint8))))
    with pytest.raises(PipelineError, match="no picture could be made: 3 blank"):
        run()
    assert len(quarantine()) == 3


@pytest.fixture
def killed_after(monkeypatch):
    """A run that ends when so many shards are written."""

    def end(count, **options):
        def ended(function, items, processes, label, threads):
            for item in items[:count]:
                yield function(item)
            raise KeyboardInterrupt

        index.run(given(**options))
        with monkeypatch.context() as patch:
            patch.setattr(engine, "map", ended)
            with pytest.raises(KeyboardInterrupt):
                pixels.run(given(**options))

    return end


def test_finished_shards_of_a_killed_run_are_not_decoded_again(decoded, killed_after):
    make(6)
    killed_after(2)
    (artifacts.PIXELS / ".00002.npy.abc").write_bytes(b"half")
    decoded.clear()
    check(run(), {number: number for number in range(6)})
    assert decoded == ["4.dcm", "5.dcm"]
    assert sorted(files()) == ["00000.npy", "00001.npy", "00002.npy", "manifest.json", "rows.parquet"]


def test_a_killed_run_leaves_the_old_store_in_force(killed_after):
    make(4)
    run()
    killed_after(1, size=20)
    check(artifacts.load_pixels(), {number: number for number in range(4)})
    assert run(size=20).manifest["shape"] == [4, 20, 20]


def test_files_that_come_while_a_run_is_dead_change_nothing_but_the_work(decoded, killed_after):
    make(9)
    label(range(2, 9))
    killed_after(2)
    label(range(9))
    decoded.clear()
    killed_after(1)
    assert decoded == ["0.dcm", "1.dcm"]
    check(run(), {number: number for number in range(9)})
    assert decoded == ["0.dcm", "1.dcm", "6.dcm", "7.dcm", "8.dcm"]
    left = files()
    for path in artifacts.PIXELS.iterdir():
        path.unlink()
    run()
    assert files() == left


def test_a_refusal_of_a_killed_run_is_known_to_the_next(outcome, decoded, killed_after):
    make(5)
    outcome.update({"1.dcm": Died("SIGSEGV"), "2.dcm": TimedOut(60.0), "3.dcm": Died("SIGKILL")})
    killed_after(2)
    outcome.clear()
    put(5)
    label(range(6))
    decoded.clear()
    check(run(timeout=90.0), {0: 0, 2: 2, 3: 3, 4: 4, 5: 5})
    assert decoded == ["2.dcm", "3.dcm", "4.dcm", "5.dcm"]
    assert quarantine() == {"1.dcm": "its decoder crashed (SIGSEGV)"}


def test_a_damaged_shard_of_a_killed_run_is_written_again(decoded, killed_after):
    make(6)
    killed_after(2)
    path = artifacts.PIXELS / "00001.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    decoded.clear()
    check(run(), {number: number for number in range(6)})
    assert decoded == ["2.dcm", "3.dcm", "4.dcm", "5.dcm"]


def test_a_run_that_is_killed_between_rows_and_manifest_is_finished_by_the_next(monkeypatch, decoded):
    make(4)
    run()
    put(4)
    label(range(5))
    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "mend_pixels", lambda: None)
        with pytest.raises(PipelineError, match=r"rows\.parquet: its content is not what manifest\.json says"):
            run()
    decoded.clear()
    check(run(), {number: number for number in range(5)})
    assert decoded == []
    assert sorted(files()) == ["00000.npy", "00001.npy", "00002.npy", "manifest.json", "rows.parquet"]


def test_the_rows_tell_what_decided_the_look_and_copies_keep_it(decoded):
    make(3)
    scene = np.zeros((40, 30), np.uint16)
    scene[10:30, 20:] = np.arange(600, 800, dtype=np.uint16).reshape(20, 10)
    write(Path("images/0.dcm"), scene, SOPInstanceUID="1.2.0", WindowCenter=600, WindowWidth=400)
    looks = {"crop": "foreground", "face": "right"}
    first = run(**looks).rows.set_index("image_id")
    assert first.loc["1.2.0", "window"] == "600 / 400 LINEAR"
    assert bool(first.loc["1.2.0", "mirrored"])
    assert first.loc["1.2.0", "crop"] == "10,20,20,10"
    put(1, seed=50)
    decoded.clear()
    second = run(**looks).rows.set_index("image_id")
    assert decoded == ["1.dcm"]
    assert second.loc["1.2.0", "shard"] != first.loc["1.2.0", "shard"]
    pd.testing.assert_frame_equal(second.loc[["1.2.0"], FACTS], first.loc[["1.2.0"], FACTS])


def test_sixteen_bits_are_kept_to_the_model():
    make(3)
    pictures = run(bits=16)
    assert pictures.manifest["dtype"] == "uint16"
    found = pictures.take(np.arange(3))
    assert found.dtype == np.uint16
    np.testing.assert_allclose(found[1] / 65535, grey(1) / 255, atol=1e-4)
    tensor = inputs.to_tensor(found, torch.device("cpu"))
    assert tensor.shape == (3, 1, 16, 16)
    np.testing.assert_allclose(tensor[1, 0].numpy(), grey(1) / 255, atol=1e-4)
    np.testing.assert_allclose(inputs.to_tensor(run().take(np.arange(3)), torch.device("cpu")), tensor, atol=1e-4)


def test_every_module_that_shapes_a_picture_makes_the_store_new():
    shaping = {path for path in imports.closure(Path("pipeline/imaging/shards.py")) if path.parts[1] == "imaging"}
    without = {Path("pipeline/imaging/__init__.py"), Path("pipeline/imaging/plan.py")}
    assert {path.relative_to(ROOT) for path in pixels.SOURCES} == shaping - without


def test_packages_that_decode_make_the_store_new():
    assert {"imagecodecs", "numba", "numpy", "pillow", "pydicom"} <= set(pixels.PACKAGES)


def test_a_damaged_store_is_made_anew(decoded):
    make(4)
    run()
    decoded.clear()
    (artifacts.PIXELS / "00001.npy").write_bytes(b"nothing")
    check(run(), {number: number for number in range(4)})
    assert len(decoded) == 4


def test_several_workers_make_the_same_store():
    make(7)
    run()
    alone = files()
    for path in artifacts.PIXELS.iterdir():
        path.unlink()
    run(workers=2)
    assert files() == alone


@pytest.mark.parametrize(
    ("number", "message"), [(errno.ENOSPC, "no space left on the disk"), (errno.EACCES, "cannot be written")]
)
def test_a_disk_that_refuses_is_an_error_and_leaves_no_store(monkeypatch, number, message):
    make(3)
    index.run(given())

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PipelineError, match=message):
        pixels.run(given())
    assert files() == {}


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="the real images are not here")
@pytest.mark.parametrize(("name", "images", "channels"), [("rbc12", 6571, 3), ("pneumoniamnist", 5856, 1)])
def test_real_images_all_become_pictures(name, images, channels):
    Path("images").symlink_to(REAL / name)
    Path("labels.csv").symlink_to(REAL / name / "labels.csv")
    pictures = run(shard=256, workers=0, size=32)
    assert (len(pictures), pictures.channels, quarantine()) == (images, channels, {})
    sample = pictures.take(np.arange(0, images, 50))
    assert sample.std(axis=(1, 2)).min() > 0


@pytest.mark.parametrize("content", ["{", "[]", '{"made_by": 1}'])
def test_a_damaged_companion_of_a_killed_run_is_no_companion(decoded, killed_after, content):
    make(6)
    killed_after(2)
    (artifacts.PIXELS / "00001.json").write_text(content)
    decoded.clear()
    check(run(), {number: number for number in range(6)})
    assert decoded == ["2.dcm", "3.dcm", "4.dcm", "5.dcm"]


def test_a_missing_image_folder_is_one_error_and_not_one_row_for_each_image():
    make(3)
    index.run(given())
    Path("images").rename("elsewhere")
    with pytest.raises(PipelineError, match=r"images: is no folder\n.*mend data\.images"):
        pixels.run(given())


def test_one_unknown_photometric_interpretation_does_not_make_the_store_colour():
    make(8)
    Path("images/7.dcm").write_bytes(
        to_bytes(dataset(grey(7), SOPInstanceUID="1.2.7", PhotometricInterpretation="FOO"))
    )
    assert run().channels == 1
    assert quarantine() == {"7.dcm": "unknown photometric interpretation: FOO"}
