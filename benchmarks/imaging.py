"""From DICOM files to pictures: decoding against the naive way, workers, the picture store, headers, memory.

    python benchmarks/imaging.py [--quick] [--json FILE] [--only PART…]

Naive is what one would write with pydicom and Pillow: dcmread, pixel_array, apply_modality_lut, apply_voi_lut, 0…1 in
float32, Pillow's BOX filter (its fastest that averages), uint8. Ours is all that the pixels stage does for a
file: read it, check its fingerprint, show it. Both take turns, in CPU time of one process. No other work should run.
"""

import copy
import dataclasses
import io
import itertools
import multiprocessing
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir
from functools import partial
from pathlib import Path
from typing import Any

import claims
import imagecodecs
import numpy as np
import pandas as pd
import pydicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from ruamel.yaml import YAML

from pipeline import artifacts, isolation
from pipeline.imaging import fingerprint, headers, shards
from pipeline.imaging.picture import Look
from pipeline.phantom import dicom, tissue

ROOT = Path(__file__).parents[1]
SHAPE, SIZE = (2560, 2048), 512
LOOK = Look(size=SIZE, fit="pad", window="file", voi=1, crop="none", face="as_is", bits=8, channels=1)
GOALS = {"raw": 10, "rle": 7, "jpeg_lossless": 5, "jpeg_ls": 3.5, "jpeg2000": 1.5}
UID = "2.25.100000000"  # as SOP Instance UID; its last digits are changed to make other files


def main() -> None:
    options = claims.parser(__doc__.splitlines()[0])
    options.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    chosen = options.parse_args()
    found: dict[str, dict[str, Any]] = {}
    for part in chosen.only:
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            found |= PARTS[part](Path(folder), chosen.quick)
    claims.publish(found, chosen.json)


def claim(value: float, unit: str, goal: float) -> dict[str, Any]:
    return {"value": value, "unit": unit, "goal": goal}


# Files


def mammogram(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """For presentation, of 12 bits, (rows, columns) uint16: noise as of counts, and air masked to 0 as units do.

    JPEG-LS makes about 3 bits of a pixel of it, as of real ones (the unit of its claim says so exactly).
    """
    rng = np.random.default_rng(0)
    breast = tissue.mammogram(0.4, 1.0, "MLO", "L", shape, rng)
    return np.where(breast > 0.01, tissue.exposed(breast, 1.0, 1.2, 0.25, rng), 0)


def native(values: np.ndarray, **tags: object) -> Dataset:
    """With the header of a mammography unit, about 60 elements; grey or RGB."""
    grey = values if values.ndim == 2 else values[..., 0]
    made = dicom.dataset(grey, (100, 3500), dicom.MACHINES[0], "P-1", ("L", "MLO"), 1, 0)
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = UID
    made.SamplesPerPixel, made.PhotometricInterpretation = (1, "MONOCHROME2") if values.ndim == 2 else (3, "RGB")
    if values.ndim == 3:
        made.PlanarConfiguration = 0
    made.PixelData, made.BitsAllocated = values.tobytes(), 8 * values.itemsize
    made.BitsStored = 12 if values.dtype == np.uint16 else 8
    made.HighBit = made.BitsStored - 1
    made["PixelData"].VR = "OW" if values.dtype == np.uint16 else "OB"
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    return made


def to_bytes(made: Dataset, syntax: str = "", code: bytes = b"") -> bytes:
    """The file, in another native syntax or with a codestream as its frame."""
    made = copy.deepcopy(made)
    if code:
        made.PixelData = encapsulate([code])
        made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    elif syntax == ExplicitVRBigEndian:
        made.PixelData = np.frombuffer(made.PixelData, "<u2").byteswap().tobytes()
    if syntax:
        made.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def compressed(made: Dataset, syntax: str) -> bytes:
    made = copy.deepcopy(made)
    made.compress(syntax, generate_instance_uid=False, **dicom_encoder(syntax))
    return to_bytes(made)


def dicom_encoder(syntax: str) -> dict[str, str]:
    return {"encoding_plugin": dicom.ENCODERS[syntax]}


def jpeg(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def jpeg_lossless(values: np.ndarray) -> bytes:
    return imagecodecs.jpeg8_encode(values, lossless=True, predictor=1, bitspersample=12)


def palette(values: np.ndarray) -> Dataset:
    made = native(values, PhotometricInterpretation="PALETTE COLOR")
    for number, name in enumerate(("Red", "Green", "Blue")):
        table = np.roll(np.arange(256, dtype=np.uint16) * 257, 40 * number)
        made.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, 16])
        made.add_new(f"{name}PaletteColorLookupTableData", "OW", table.tobytes())
    return made


def floating(values: np.ndarray) -> Dataset:
    made = native(values)
    for word in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(made, word)
    made.BitsAllocated, made.FloatPixelData = 32, values.astype("<f4").tobytes()
    return made


def every_syntax(values: np.ndarray) -> dict[str, Callable[[], bytes]]:
    """How to make a file of each kind from a grey picture of 12 bits; the first five have a goal of their own."""
    grey, made = (values >> 4).astype(np.uint8), native(values)
    rgb = np.stack([grey, grey[::-1], grey[:, ::-1]], axis=-1)
    return {
        "raw": partial(to_bytes, made),
        "rle": partial(compressed, made, RLELossless),
        "jpeg_lossless": lambda: to_bytes(made, JPEGLosslessSV1, jpeg_lossless(values)),
        "jpeg_ls": partial(compressed, made, JPEGLSLossless),
        "jpeg2000": partial(compressed, made, JPEG2000Lossless),
        "implicit": partial(to_bytes, made, ImplicitVRLittleEndian),
        "big_endian": partial(to_bytes, made, ExplicitVRBigEndian),
        "deflated": partial(to_bytes, made, DeflatedExplicitVRLittleEndian),
        "htj2k": lambda: to_bytes(made, HTJ2KLossless, imagecodecs.htj2k_encode(values)),
        "jpeg_baseline": lambda: to_bytes(native(grey), JPEGBaseline8Bit, jpeg(grey)),
        "jpeg_colour": lambda: to_bytes(
            native(rgb, PhotometricInterpretation="YBR_FULL_422"), JPEGBaseline8Bit, jpeg(rgb)
        ),
        "grey_8_bit": partial(to_bytes, native(grey)),
        "rgb": partial(to_bytes, native(rgb)),
        "palette": lambda: to_bytes(palette(grey)),
        "float": lambda: to_bytes(floating(values)),
    }


def copies(content: bytes, count: int, folder: Path) -> list[Path]:
    """Files that differ in their SOP Instance UID alone."""
    found = []
    for number in range(count):
        path = folder / f"{number:06d}.dcm"
        path.write_bytes(content.replace(UID.encode(), f"{UID[:-6]}{number:06d}".encode()))
        found.append(path)
    return found


# Decoding


def naive(path: Path) -> np.ndarray:
    """(512, W) or (512, W, 3) uint8."""
    dataset = pydicom.dcmread(path)
    values = dataset.pixel_array
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        values = apply_color_lut(values, dataset) / np.float32(65535)
    elif values.ndim == 3:
        values = values / np.float32(255)
    else:
        values = apply_voi_lut(apply_modality_lut(values, dataset), _with_bits(dataset))
        values = values / np.float32(2**dataset.BitsStored - 1)  # the range that pydicom gives a window
    height, width = values.shape[:2]
    shape = round(width * SIZE / height), SIZE
    channels = np.moveaxis(np.atleast_3d(values.astype(np.float32)), -1, 0)
    small = [np.asarray(Image.fromarray(channel).resize(shape, Image.Resampling.BOX)) for channel in channels]
    return np.rint(np.stack(small, axis=-1) * 255).astype(np.uint8).squeeze()


def _with_bits(dataset: Dataset) -> Dataset:
    """pydicom 3.0 asks a file in floating point for Bits Stored."""
    if "BitsStored" not in dataset:
        dataset.BitsStored, dataset.PixelRepresentation = 12, 0
    return dataset


def job(path: Path, look: Look = LOOK) -> shards.Job:
    with path.open("rb") as file:
        return shards.Job(path.stem, fingerprint.of(file), path.name, 1, path.parent, look)


def decoding(folder: Path, quick: bool) -> dict[str, dict[str, Any]]:
    """CPU time per image, ratios of medians."""
    ratios, seconds, depths = {}, {}, {}
    for name, make in every_syntax(mammogram()).items():
        content = make()
        depths[name] = len(content) * 8 / np.prod(SHAPE)
        paths = copies(content, 3, folder)
        look = dataclasses.replace(LOOK, channels=3 if name in ("rgb", "palette", "jpeg_colour") else 1)
        check(naive(paths[0]), shards.render(job(paths[0], look)), name)
        times = in_turns(naive, shards.render, paths, [job(path, look) for path in paths], 3 if quick else 11)
        seconds[name] = [statistics.median(one) for one in times]
        ratios[name] = seconds[name][0] / seconds[name][1]
    found = {
        f"{name}_vs_naive": claim(ratios[name], f"{_ms(*seconds[name])} CPU, {depths[name]:.2g} bits/pixel", goal)
        for name, goal in GOALS.items()
    }
    rest = {name: ratio for name, ratio in ratios.items() if name not in GOALS}
    listed = ", ".join(f"{name} {ratio:.2g} ({_ms(*seconds[name])})" for name, ratio in rest.items())
    return found | {"no_syntax_slower": claim(min(rest.values()), f"least of {listed}", 1)}


def _ms(theirs: float, ours: float) -> str:
    return f"{1000 * theirs:.1f} / {1000 * ours:.1f} ms"


def check(theirs: np.ndarray, ours: object, name: str) -> None:
    """Both ways must show the same, or the comparison means nothing; Pillow's filter knows no fractional edges."""
    if not isinstance(ours, shards.Picture):
        sys.exit(f"{name}: {ours}")
    left = (SIZE - theirs.shape[1]) // 2
    difference = np.abs(ours.pixels[:, left : left + theirs.shape[1]].astype(int) - theirs).mean()
    if difference > 0.5:
        sys.exit(f"{name}: ours and the naive picture differ by {difference:.2f} of 255 on average")


def in_turns(one, other, for_one, for_other, repeats: int) -> tuple[list[float], list[float]]:
    """CPU seconds of each call; both have been called before."""
    times: tuple[list[float], list[float]] = ([], [])
    items = itertools.cycle(zip(for_one, for_other, strict=True))
    for number, pair in zip(range(repeats), items, strict=False):
        turn = [(one, pair[0], times[0]), (other, pair[1], times[1])]
        for function, item, record in turn if number % 2 else turn[::-1]:
            start = time.process_time()
            function(item)
            record.append(time.process_time() - start)
    return times


# Stages


def set_up(images: Path, content: bytes, count: int) -> None:
    """Images, labels and params.yaml."""
    images.mkdir()
    rows = [(path.name, "AB"[number % 2]) for number, path in enumerate(copies(content, count, images))]
    pd.DataFrame(rows, columns=["path", "label"]).to_csv(images / "labels.csv", index=False)
    change("data", images=str(images), labels=str(images / "labels.csv"), label="label")


def change(section: str, **values: object) -> None:
    yaml = YAML()
    file = Path("params.yaml")
    content = yaml.load(file if file.exists() else ROOT / file)
    content[section] |= values
    yaml.dump(content, file)


def stage(name: str) -> float:
    """Wall seconds of `python -m pipeline NAME`."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", name],
        env={**os.environ, "SKEWRAY_KEY": "benchmark"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return time.perf_counter() - start


def two_workers(folder: Path, quick: bool) -> dict[str, dict[str, Any]]:
    """Wall time of `python -m pipeline pixels` over JPEG 2000 files."""
    count = 16 if quick else 96
    set_up(folder / "images", compressed(native(mammogram()), JPEG2000Lossless), count)
    change("render", size=SIZE)
    change("pixels", shard=4)
    stage("index")
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for workers in [1, 2] if quick else [1, 2, 2, 1, 1, 2]:
        change("engine", workers=workers)
        seconds[workers].append(stage("pixels"))
        if len(artifacts.load_pixels()) != count:
            sys.exit("two_workers: pictures are missing")
        shutil.rmtree(artifacts.PIXELS)
    one, two = (statistics.median(seconds[workers]) for workers in (1, 2))
    unit = f"{one:.1f} / {two:.1f} s for {count} JPEG 2000 files, wall time, the start of Python included"
    return {"two_workers": claim(one / two, unit, 1.7)}


def rescan(folder: Path, quick: bool) -> dict[str, dict[str, Any]]:
    """`python -m pipeline index` where nothing changed."""
    count = 10_000 if quick else 100_000
    set_up(folder / "images", to_bytes(native(mammogram((16, 16)))), count)
    stage("index")
    wall = statistics.median(stage("index") for _ in range(1 if quick else 5))
    unit = f"files/s, {count} unchanged in {wall:.2f} s, the start of Python included"
    return {"rescan_files_per_s": claim(count / wall, unit, 33_333)}


# Store


def store(folder: Path, quick: bool) -> dict[str, dict[str, Any]]:
    """Random batches of 32 from memory-mapped shards in the page cache."""
    found = {}
    for size, goal in ((224, 50_000), (512, 20_000)):
        pictures = write_store(folder, size, 8 if quick else 16)
        rng = np.random.default_rng(0)
        batches = [rng.integers(len(pictures), size=32) for _ in range(200 if quick else 2000)]
        pictures.take(np.arange(len(pictures)))
        seconds = [_seconds(pictures.take, batch) for batch in batches]
        unit = f"images/s at {size}², random batches of 32 of {len(pictures)}"
        found[f"store_{size}_images_per_s"] = claim(32 / statistics.median(seconds), unit, goal)
    return found


def write_store(folder: Path, size: int, count: int) -> artifacts.Pictures:
    shape, rng = (256, size, size), np.random.default_rng(0)
    mapped = {}
    for number in range(count):
        np.save(folder / f"{size}-{number}.npy", rng.integers(256, size=shape, dtype=np.uint8))
        mapped[number] = np.load(folder / f"{size}-{number}.npy", mmap_mode="r")
    rows = pd.DataFrame({"shard": np.repeat(np.arange(count), 256), "row": np.tile(np.arange(256), count)})
    return artifacts.Pictures(rows, {"shape": [len(rows), size, size], "dtype": "uint8"}, mapped)


def _seconds(function: Callable[[Any], object], item: object) -> float:
    start = time.perf_counter()
    function(item)
    return time.perf_counter() - start


# Headers


def header_scan(folder: Path, quick: bool) -> dict[str, dict[str, Any]]:
    """First scan, one process, page cache warm."""
    rates = {}
    for name, shape, count in (("small", (64, 64), 500 if quick else 4000), ("large", SHAPE, 20 if quick else 60)):
        (folder / name).mkdir()
        made = with_more_elements(native(mammogram(shape)))
        paths = [path.name for path in copies(to_bytes(made), count, folder / name)]
        read = partial(headers.read_chunk, root=folder / name, key=b"benchmark")
        if any(row["reason"] for row in read(paths)):
            sys.exit("headers_per_s: a header could not be read")
        rates[name] = count / statistics.median(_seconds(read, paths) for _ in range(3 if quick else 9))
    elements = sum(1 for _ in made.iterall())
    unit = f"files/s of {elements} elements; {rates['large']:.0f} of 10 MB each, the fingerprint included"
    return {"headers_per_s": claim(rates["small"], unit, 4000)}


def with_more_elements(made: Dataset) -> Dataset:
    """What units add of their own: private groups, and sequences in sequences."""
    block = made.private_block(0x0019, "HALCYON MG HEADER", create=True)
    for number in range(20):
        block.add_new(number, "LO", f"calibration {number}")
    for word in ("RequestAttributesSequence", "ReferencedImageSequence", "SourceImageSequence"):
        inner = Dataset()
        inner.ReferencedSOPClassUID, inner.ReferencedSOPInstanceUID = made.SOPClassUID, "2.25.7"
        outer = copy.deepcopy(inner)
        outer.PurposeOfReferenceCodeSequence = [inner]
        setattr(made, word, [outer, copy.deepcopy(outer)])
    return made


# Memory


def memory(folder: Path, quick: bool) -> dict[str, dict[str, Any]]:
    """Peak of the process that renders files of every kind, after the first and after the last."""
    for name, make in every_syntax(mammogram((640, 512))).items():
        (folder / f"{name}.dcm").write_bytes(make())
    look = dataclasses.replace(LOOK, size=224, channels=3)
    jobs = [job(path, look) for path in sorted(folder.glob("*.dcm"))]
    first, last = 500, 2000 if quick else 10_000
    peaks = {}
    with isolation.Isolated(shards.render, timeout=60, memory=isolation.share_of_memory(1)) as decoder:
        many = itertools.islice(itertools.cycle(jobs), last)
        for number, found in enumerate(decoder.map([*many]), 1):
            if not isinstance(found, shards.Picture):
                sys.exit(f"memory_flat: {found}")
            if number in (first, last):
                peaks[number] = peak()
    early, late = peaks[first] / 1024, peaks[last] / 1024
    unit = f"peak memory after {first} / after {last} files, {early:.0f} / {late:.0f} MB"
    return {"memory_flat": claim(early / late, unit, 0.95)}


def peak() -> int:
    """The most memory that the one child of this process ever had, kB."""
    (child,) = multiprocessing.active_children()
    status = Path(f"/proc/{child.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def rows(folder: Path, quick: bool) -> dict[str, dict[str, Any]]:
    """Peak memory of the stages index and pixels, for ten times the files."""
    counts, peaks = (2_000, 20_000) if quick else (20_000, 200_000), []
    for count in counts:
        set_up(folder / str(count), to_bytes(native(mammogram((16, 16)))), count)
        change("render", size=16)
        stage("index")
        stage("pixels")
        peaks.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
        if len(artifacts.load_pixels()) != count:
            sys.exit("memory_per_row: pictures are missing")
    unit = f"peak memory for {counts[0]} / {counts[1]} files, {peaks[0]:.0f} / {peaks[1]:.0f} MB"
    return {"memory_per_row": claim(peaks[0] / peaks[1], unit, 0.5)}


PARTS = {
    "decoding": decoding,
    "two_workers": two_workers,
    "store": store,
    "headers": header_scan,
    "rescan": rescan,
    "memory": memory,
    "rows": rows,
}

if __name__ == "__main__":
    main()
