"""Embedding and training of backbones against the plain way, and against what the device can do.

    python benchmarks/backbone.py [--quick] [--json FILE]

Needs torch, timm, torchvision, numpy and pandas; the claim of added rows is made where the whole pipeline is installed.
Models have random weights, and the BatchNorm statistics of the pictures: with those of a fresh model all features are
nearly the same. The plain way is `model(x)` in float32 under inference_mode on tensors that are ready; ours begins at
stored uint8 pictures. Both take turns, in batches of the same size; times are medians.
"""

import dataclasses
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import claims
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.backbone import encode, inputs, models, train

SIDE, SEED = 224, 0
CPU_GOALS = {"resnet18": 3.0, "resnet50": 2.5, "efficientnet_b0": 2.0}
GPU_MODELS = ("resnet50", "efficientnet_b0")
CPU_BATCH, GPU_BATCH = 32, 256
LEAST_SHARE = 0.95  # of the forward pass, the rest being the loader's


def main() -> None:
    options = claims.parser(__doc__.splitlines()[0])
    options.add_argument("--only", help="claims whose name holds this")
    chosen = options.parse_args()
    made: dict[str, dict[str, Any]] = {}
    rounds = 3 if chosen.quick else 9
    wanted = (lambda name: chosen.only in name) if chosen.only else (lambda name: True)
    with tempfile.TemporaryDirectory() as folder:
        if torch.cuda.is_available():
            for name in filter(lambda name: wanted(f"gpu_embed_{name}_vs_forward"), GPU_MODELS):
                made |= embed_on_gpu(name, Path(folder), rounds)
            if wanted("gpu_train_resnet50_vs_step"):
                made |= train_on_gpu("resnet50", Path(folder), rounds)
        else:
            for name in filter(lambda name: wanted(f"embed_{name}_vs_plain"), CPU_GOALS):
                for claim, value in embed_on_cpu(name, Path(folder), rounds).items():
                    if claim not in made or value["value"] < made[claim]["value"]:  # of all models the worst
                        made[claim] = value
        if wanted("incremental_1_percent"):
            made |= add_rows(Path(folder), 1000 if chosen.quick else 4000)
    claims.publish(made, chosen.json)


def stored(folder: Path, count: int, side: int = SIDE) -> np.ndarray:
    """Coarse patches, (count, side, side, 3) uint8, on disk as the picture store has them."""
    path = folder / f"{count}-{side}.npy"
    if not path.exists():
        rng = np.random.default_rng(SEED)
        pictures = np.lib.format.open_memmap(path, "w+", np.uint8, (count, side, side, 3))
        for place in range(count):
            pictures[place] = rng.integers(0, 256, (7, 7, 3), np.uint8).repeat(side // 7, 0).repeat(side // 7, 1)
        pictures.flush()
    return np.asarray(np.load(path, mmap_mode="c"))  # torch wants arrays that it might write to


def taker(pictures: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """As `artifacts.Pictures.take`: one copy per picture."""

    def take(positions: np.ndarray) -> np.ndarray:
        out = np.empty((len(positions), *pictures.shape[1:]), pictures.dtype)
        for place, position in enumerate(positions.tolist()):
            out[place] = pictures[position]
        return out

    return take


def model_of(name: str, pictures: np.ndarray) -> models.TimmModel:
    """Random weights, and BatchNorm statistics of the first pictures."""
    model = models.create(name, "none", 3, pictures.shape[1], 10, SEED)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean of all batches
    with torch.no_grad():
        model.train()(ready(model, pictures[:CPU_BATCH]))
    return model.eval()


def ready(model: models.TimmModel, pictures: np.ndarray) -> torch.Tensor:
    """(B, 3, H, W) float32 in the usual layout of memory."""
    return inputs.normalise(inputs.to_tensor(pictures, torch.device("cpu")), model).contiguous()


def in_turns(rounds: int, *ways: Callable[[], object]) -> list[float]:
    """Median seconds of each way; all are run once before."""
    for way in ways:
        way()
    seconds = [[] for _ in ways]
    for _ in range(rounds):
        for way, times in zip(ways, seconds, strict=True):
            start = time.perf_counter()
            way()
            times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in seconds]


def embed_on_cpu(name: str, folder: Path, rounds: int) -> dict[str, dict[str, Any]]:
    pictures = stored(folder, 4 * CPU_BATCH)
    model = model_of(name, pictures)
    batch = ready(model, pictures[:CPU_BATCH])
    encoder, why = encode.choose(model, pictures[:CPU_BATCH], compile=False)
    print(f"{name}: {why}", flush=True)
    model = model.to(memory_format=torch.contiguous_format)
    prepared = encoder.prepare(torch.from_numpy(pictures[:CPU_BATCH]))

    @torch.inference_mode()
    def plain():
        return models.pooled_features(model, batch)

    @torch.inference_mode()
    def forward():
        for _ in range(2):
            encoder.network(prepared)

    def ours():
        return list(encode.encode(encoder, taker(pictures), np.arange(2 * CPU_BATCH), CPU_BATCH))

    one, bare, two = in_turns(rounds, plain, forward, ours)
    each = [1e3 * seconds / CPU_BATCH for seconds in (one, two / 2, bare / 2)]
    found = encode.agreement(np.concatenate([values for _, values in ours()])[:CPU_BATCH], plain().numpy())
    unit = f"plain {each[0]:.1f} / ours {each[1]:.1f} ms a picture, {encoder.precision}"
    return {
        f"embed_{name}_vs_plain": {"value": 2 * one / two, "unit": unit, "goal": CPU_GOALS[name]},
        "loader_share_of_forward": {
            "value": 1 - max(0.0, two - bare) / bare,
            "unit": f"1 - share; {name}: {each[1]:.2f} ms a picture, its forward pass {each[2]:.2f}",
            "goal": LEAST_SHARE,
        },
        "embed_cosine": {"value": found.cosine, "unit": f"{name}, {encoder.precision}; {found}", "goal": 0.999},
    }


def embed_on_gpu(name: str, folder: Path, rounds: int) -> dict[str, dict[str, Any]]:
    pictures = stored(folder, 16 * GPU_BATCH)
    model = model_of(name, pictures)
    encoder, why = encode.choose(model, pictures[:CPU_BATCH], compile=True)
    print(f"{name}: {why}", flush=True)
    prepared = encoder.prepare(inputs.send(pictures[:GPU_BATCH], encoder.where))
    rows = np.tile(np.arange(len(pictures)), 4)

    @torch.inference_mode()
    def forward():
        for _ in range(len(rows) // GPU_BATCH):
            encoder.network(prepared)
        torch.cuda.synchronize()

    def ours():
        for _ in encode.encode(encoder, taker(pictures), rows, GPU_BATCH):
            pass

    bare, all_of_it = in_turns(rounds, forward, ours)
    unit = f"{len(rows) / all_of_it:.0f} of {len(rows) / bare:.0f} pictures a second, {encoder.precision}"
    return {f"gpu_embed_{name}_vs_forward": {"value": bare / all_of_it, "unit": unit, "goal": 0.9}}


def train_on_gpu(name: str, folder: Path, rounds: int) -> dict[str, dict[str, Any]]:
    """Epochs of `train.train` against as many bare steps on one resident batch; validation rows are few."""
    pictures, steps = stored(folder, 16 * GPU_BATCH), 16
    labels = np.arange(len(pictures)) % 10
    rows = np.arange(len(pictures))
    step, seconds, bare = Step(name, pictures, labels), [], []

    def epochs(numbers: range):
        for number in numbers:
            bare.append(in_turns(1, lambda: step(steps))[0])
            start = time.perf_counter()
            yield number
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)

    model = models.create(name, "none", 3, SIDE, 10, SEED)
    data = train.Data(taker(pictures), labels, rows, rows.astype(str).tolist(), 10, rows, rows[:GPU_BATCH])

    def rate(*_):
        return train.Rating((0.0,), {}, np.full(10, np.nan), [])

    train.train(model, data, recipe(rounds + 2), rate, None, epochs)
    one, other = statistics.median(bare[2:]), statistics.median(seconds[2:])  # the first two are compiled in
    unit = f"{len(rows) / other:.0f} of {len(rows) / one:.0f} pictures a second, with a validation of {GPU_BATCH}"
    return {f"gpu_train_{name}_vs_step": {"value": one / other, "unit": unit, "goal": 0.85}}


class Step:
    """Forward, backward and step of the same compiled model, and nothing else."""

    def __init__(self, name: str, pictures: np.ndarray, labels: np.ndarray) -> None:
        where = inputs.device()
        model = models.create(name, "none", 3, SIDE, 10, SEED).to(where, memory_format=torch.channels_last)
        self.model = torch.compile(model.train())
        self.adam = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
        self.batch = inputs.normalise(inputs.to_tensor(pictures[:GPU_BATCH], where), model)
        self.target = torch.from_numpy(labels[:GPU_BATCH]).to(where)

    def __call__(self, times: int) -> None:
        for _ in range(times):
            with torch.autocast("cuda", torch.bfloat16):
                logits = self.model(self.batch)
            torch.nn.functional.cross_entropy(logits.float(), self.target).backward()
            self.adam.step()
            self.adam.zero_grad()
        torch.cuda.synchronize()


def recipe(epochs: int) -> Any:
    """The finetune section of the params; pydantic, which checks them, may be absent here."""
    amplitudes = {"degrees": 8.0, "shift": 0.05, "scale": 0.1, "contrast": 0.15}
    amplitudes |= dict.fromkeys(("colour", "gamma", "noise"), 0.0)
    augment = SimpleNamespace(flip=True, turns=False, minority=1.0, mixup=0.0, **amplitudes)
    named = {
        key: SimpleNamespace(name=name, values={})
        for key, name in (("policy", "full"), ("sampler", "weighted"), ("loss", "cross_entropy"))
    }
    numbers = {"lr": 1e-3, "weight_decay": 0.05, "clip": None, "average": 0.0, "seed": SEED, "compile": True}
    sizes = {"epochs": epochs, "patience": None, "batch_size": GPU_BATCH, "accumulate": 1, "on_collapse": "warn"}
    return SimpleNamespace(augment=augment, **named, **numbers, **sizes)


def add_rows(folder: Path, count: int) -> dict[str, dict[str, Any]]:
    """The embed stage on `count` pictures, and on one and 1 % of them more."""
    try:
        import pandas as pd

        from pipeline import artifacts, params, provenance
        from pipeline.stages import embed
    except ModuleNotFoundError:
        return {}
    import os

    settings = params.load(Path(__file__).parents[1] / params.FILE)
    settings = dataclasses.replace(settings, embed=dataclasses.replace(settings.embed, views=1))
    many, side = count + 1 + count // 100, 112
    pictures = stored(folder, many, side)
    model = model_of("resnet18", pictures)
    home = Path.cwd()
    os.chdir(folder)
    try:
        shutil.rmtree("artifacts", ignore_errors=True)
        made = {"model": "resnet18", "channels": 3, "size": side, "classes": list(range(10))}
        weights = models.to_bytes(model)
        artifacts.save_backbone("shared", weights, pd.DataFrame({"epoch": [0]}), {"params": made, "inputs": {}})
        artifacts.PIXELS.mkdir(parents=True)
        seconds = []
        for number in (count, count + 1, many):
            np.save(artifacts.PIXELS / "00000.npy", pictures[:number])
            ids = [f"{place:06d}" for place in range(number)]
            rows = pd.DataFrame({"image_id": ids, "fingerprint": ids, "shard": 0, "row": range(number)})
            files = {"00000.npy": provenance.checksum(artifacts.PIXELS / "00000.npy")}
            rows = rows.assign(window="", crop="", mirrored=False)
            artifacts.save_pixels(rows, (side, side, 3), np.dtype(np.uint8), files, {}, {})
            start = time.perf_counter()
            embed.run(settings)
            seconds.append(time.perf_counter() - start)
    finally:
        os.chdir(home)
    full, startup, more = seconds
    unit = f"(3 % of {full:.1f} s + {startup:.2f} s for one row more) / {more:.2f} s for 1 % of {count} rows more"
    return {"incremental_1_percent": {"value": (0.03 * full + startup) / more, "unit": unit, "goal": 1.0}}


if __name__ == "__main__":
    main()
