"""Training of the backbone against a plain script: the same recipe, epochs of both in turns.

    python benchmarks/train.py --images DIR --labels CSV [--label COLUMN] [--patient COLUMN]

The plain script holds all pictures in memory and is what one would write in an afternoon: WeightedRandomSampler, flips
and right-angle turns, AdamW with one-cycle, bfloat16 autocast where it is native, an evaluation after each epoch. Ours
writes a checkpoint after each epoch besides.
"""

import dataclasses
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import claims
import numpy as np
import pandas as pd
import pydicom
import timm
import torch
from torch.nn import functional

from pipeline import params, storage
from pipeline.backbone import inputs, models, steps, train
from pipeline.judge import metrics

MODEL, SEED = "resnet18", 0


def main() -> None:
    options = claims.parser(__doc__.splitlines()[0])
    options.add_argument("--images", type=Path, required=True, help="DICOM files of equal size, RGB")
    options.add_argument("--labels", type=Path, required=True, help="CSV with a column `path`")
    options.add_argument("--label", default="label")
    options.add_argument("--patient", default="patient_id")
    options.add_argument("--epochs", type=int, default=6)
    chosen = options.parse_args()
    epochs = 2 if chosen.quick else chosen.epochs
    table = pd.read_csv(chosen.labels, dtype=str).rename(columns={chosen.label: "label", chosen.patient: "group"})
    pictures = np.stack([pydicom.dcmread(chosen.images / path).pixel_array for path in table["path"]])
    classes = sorted(table["label"].unique())
    labels = pd.Categorical(table["label"], categories=classes).codes.astype(int)
    patients = np.random.default_rng(SEED).permutation(table["group"].unique())
    parts = np.split(patients, [int(0.7 * len(patients)), int(0.8 * len(patients))])
    rows = [np.flatnonzero(table["group"].isin(part)) for part in parts]
    plain = Plain(pictures, labels, rows, len(classes), epochs)
    model, seconds, plain_seconds = run(pictures, labels, rows, len(classes), epochs, plain)
    ours = metrics.score(labels[rows[2]], steps.predict(model, data_of(pictures, labels, rows), rows[2], 256)[1])
    theirs = metrics.score(labels[rows[2]], plain.predict(rows[2]))
    claims.publish(
        {
            "train_time_vs_plain": {
                "value": sum(plain_seconds) / sum(seconds),
                "unit": f"plain {sum(plain_seconds):.0f} s / ours {sum(seconds):.0f} s, {epochs} epochs",
                "goal": 1 / 1.05,
            },
            "train_macro_f1": {"value": ours["macro_f1"], "unit": f"plain {theirs['macro_f1']:.3f}", "goal": 0.41},
        },
        chosen.json,
    )


def run(pictures, labels, rows, classes: int, epochs: int, plain: "Plain"):
    """Train ours; before each of its epochs the plain script takes one."""
    recipe = dataclasses.replace(
        params.load(Path(__file__).parents[1] / "params.yaml").finetune, epochs=epochs, batch_size=64, seed=SEED
    )
    amplitudes = dict.fromkeys(("degrees", "shift", "scale", "contrast"), 0.0)
    recipe = dataclasses.replace(recipe, augment=dataclasses.replace(recipe.augment, turns=True, **amplitudes))
    seconds, plain_seconds = [], []

    def in_turns(numbers: range) -> Iterator[int]:
        for number in numbers:
            start = time.perf_counter()
            plain.epoch()
            plain_seconds.append(time.perf_counter() - start)
            start = time.perf_counter()
            yield number
            seconds.append(time.perf_counter() - start)

    def rate(truth, probabilities):
        scores = metrics.score(truth, probabilities)
        key = metrics.selection_key(scores, ["balanced_accuracy_adjusted", "kappa", "auc"])
        return train.Rating(key, scores, np.full(classes, np.nan), [])

    model = models.create(MODEL, "none", 3, pictures.shape[1], classes, SEED)
    data = data_of(pictures, labels, rows)
    with tempfile.TemporaryDirectory() as folder:
        keeper = train.Keeper(lambda: None, lambda state: storage.write_atomic(Path(folder) / "state.pt", state))
        model, _ = train.train(model, data, recipe, rate, keeper, in_turns)
    return model, seconds, plain_seconds


def data_of(pictures, labels, rows) -> train.Data:
    numbers = np.arange(len(labels))
    return train.Data(pictures.__getitem__, labels, numbers, numbers.astype(str), labels.max() + 1, rows[0], rows[1])


class Plain:
    """The script to compare with."""

    def __init__(self, pictures, labels, rows, classes: int, epochs: int) -> None:
        torch.manual_seed(SEED)
        self.pictures, self.labels, self.rows = torch.from_numpy(pictures).permute(0, 3, 1, 2), labels, rows
        self.device = inputs.device()
        self.bf16 = inputs.has_bf16(self.device)
        self.model = timm.create_model(MODEL, num_classes=classes).to(self.device, memory_format=torch.channels_last)
        steps = -(-len(rows[0]) // 64)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=0.003, weight_decay=0.05)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimiser, 0.003, total_steps=epochs * steps)
        weights = 1 / np.bincount(labels[rows[0]])[labels[rows[0]]]
        self.sampler = torch.utils.data.WeightedRandomSampler(weights, len(rows[0]))

    def input(self, rows) -> torch.Tensor:
        pictures = self.pictures[rows].to(self.device).float().div_(255)
        return ((pictures - 0.45) / 0.225).contiguous(memory_format=torch.channels_last)

    def epoch(self) -> None:
        self.model.train()
        for batch in torch.tensor(list(self.sampler)).split(64):
            rows = self.rows[0][batch.numpy()]
            x = self.input(rows)
            x = x.flip(-1) if np.random.rand() < 0.5 else x
            x = torch.rot90(x, np.random.randint(4), (-2, -1)).contiguous(memory_format=torch.channels_last)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                logits = self.model(x)
            target = torch.from_numpy(self.labels[rows]).to(self.device)
            loss = functional.cross_entropy(logits.float(), target)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.schedule.step()
        self.predict(self.rows[1])

    def predict(self, rows) -> np.ndarray:
        self.model.eval()
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits = [self.model(self.input(part)).float() for part in np.array_split(rows, -(-len(rows) // 64))]
        return torch.cat(logits).double().softmax(1).cpu().numpy()


if __name__ == "__main__":
    main()
