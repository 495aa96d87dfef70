"""Pooled features of stored pictures."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import nn

from pipeline.backbone import fuse, inputs, models
from pipeline.errors import PipelineError

LEAST_COSINE = 0.999  # between features in another arithmetic, or computed another way, and those in plain float32
MOST_NOISE = 0.1  # the same as a distance; see Agreement
AHEAD = 2  # batches that a GPU has been given before the first of them is waited for


@dataclass(frozen=True, eq=False)
class Encoder:
    """A model made ready.

    Attributes:
        prepare: stored pictures (B, H, W) or (B, H, W, 3) on the device → what the network takes, (B, C, H, W).
        network: that → features (B, D).
        precision: `bfloat16` or `float32`.
        where: the device.
        width: D.
    """

    prepare: Callable[[torch.Tensor], torch.Tensor]
    network: Callable[[torch.Tensor], torch.Tensor]
    precision: str
    where: torch.device
    width: int

    @torch.inference_mode()
    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, D) float32 of stored pictures on the device."""
        return self.network(self.prepare(pictures)).float()


@dataclass(frozen=True)
class Agreement:
    """How near features lie to what they should be.

    Attributes:
        cosine: least over the rows.
        noise: greatest distance of a row from what it should be, as a share of the mean distance of the rows from their
            centre. A cosine alone says little: where all pictures have nearly the same features, it is 1 for any two.
    """

    cosine: float
    noise: float

    def __str__(self) -> str:
        """`cosine 0.99987, noise 0.013`."""
        return f"cosine {self.cosine:.5f}, noise {self.noise:.2g}"

    @property
    def good(self) -> bool:
        """Whether one may stand for the other."""
        return self.cosine >= LEAST_COSINE and self.noise <= MOST_NOISE


def agreement(found: np.ndarray, truth: np.ndarray) -> Agreement:
    """Compare rows of features, (n, D) float32 each; NaN agrees with nothing."""
    one, other = found.astype(np.float64), truth.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosine = (one * other).sum(1) / np.where(lengths, lengths, 1)
    cosine[(one == other).all(1)] = 1.0  # two rows of zeros too
    spread = np.linalg.norm(other - other.mean(0), axis=1).mean()
    least = 1e-3 * np.linalg.norm(other, axis=1).mean()  # where the pictures are all alike
    scale = max(spread, least) or 1.0
    return Agreement(float(cosine.min()), float((np.linalg.norm(one - other, axis=1) / scale).max()))


def plain(model: models.TimmModel, picture: np.ndarray) -> Encoder:
    """The model as it is, in float32: what its features should be.

    Args:
        model: is moved to the device and set to `eval()`, so that no row depends on its batch.
        picture: a stored one, (1, H, W) or (1, H, W, 3).
    """
    where = inputs.device()
    model.to(where, memory_format=torch.channels_last).eval()
    return _encoder(model, _Pooled(model), torch.float32, picture)


def fast(model: models.TimmModel, picture: np.ndarray, precision: str, compile: bool) -> Encoder:
    """The model in a form that computes the same sooner; its weights are copied.

    Args:
        model: after `plain`.
        picture: as there.
        precision: of weights and activations, `bfloat16` or `float32`.
        compile: through torch.compile.

    Raises:
        RuntimeError: torch can't do it for this model.
    """
    dtype, where = getattr(torch, precision), inputs.device()
    example = inputs.normalise(inputs.to_tensor(picture, where), model)
    folded = _Pooled(fuse.fold_norms(model, example)).to(where, dtype)
    folded.to(memory_format=torch.channels_last).eval().requires_grad_(False)
    if compile:
        return _encoder(model, fuse.compiled(folded), dtype, picture)
    scripted = where.type == "cpu" and torch.backends.mkldnn.is_available()
    return _encoder(model, fuse.Scripted(folded) if scripted else folded, dtype, picture)


class _Pooled(nn.Module):
    """Normalised pictures → pooled features."""

    def __init__(self, model: models.TimmModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return models.pooled_features(self.model, pictures)


def _encoder(
    model: models.TimmModel, network: Callable[[torch.Tensor], torch.Tensor], dtype: torch.dtype, picture: np.ndarray
) -> Encoder:
    where = inputs.device()
    prepare = partial(_normalised, affine=_affine(model, picture, where), dtype=dtype)
    with torch.inference_mode():
        width = models.pooled_features(model, prepare(inputs.send(picture, where)).float()).shape[1]
    return Encoder(prepare, network, str(dtype).removeprefix("torch."), where, width)


def _affine(model: models.TimmModel, picture: np.ndarray, where: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """What `inputs.normalise` does to a line of stored values, as factors and summands, (W × C,) float32 each."""
    channels = picture.shape[3] if picture.ndim == 4 else 1
    dark, bright = inputs.normalise(torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).expand(2, channels, 1, 1), model)
    gain, lift = (bright - dark) / np.iinfo(picture.dtype).max, dark
    gain, lift = (each.reshape(-1).repeat(picture.shape[2]).to(where) for each in (gain, lift))
    return gain, lift


def _normalised(pictures: torch.Tensor, affine: tuple[torch.Tensor, torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
    """Stored pictures (B, H, W) or (B, H, W, 3) → (B, C, H, W) of `dtype`, channels last in memory.

    A processor does it picture by picture, which then fit its cache: a whole batch at once takes four times as long.
    """
    gain, lift = affine
    lines = pictures.flatten(2)  # (B, H, W × C)
    at_once = 1 if pictures.device.type == "cpu" else len(pictures)
    out = torch.empty(lines.shape, dtype=dtype, device=pictures.device)
    for start in range(0, len(pictures), at_once):
        part = slice(start, start + at_once)
        out[part] = torch.addcmul(lift, lines[part].float(), gain)
    return out.reshape(*pictures.shape[:3], -1).permute(0, 3, 1, 2)


def choose(
    model: models.TimmModel, pictures: np.ndarray, compile: bool, precision: str | None = None
) -> tuple[Encoder, str]:
    """The fastest form of the model whose features on `pictures` are those of the plain one, and why it is that.

    Args:
        model: a timm model.
        pictures: a sample of what will be encoded, (n, H, W) or (n, H, W, 3).
        compile: whether torch.compile makes the form.
        precision: the only one to try; None: bfloat16 where it is native, then float32.

    Raises:
        PipelineError: torch can't compile the model.
    """
    reference = plain(model, pictures[:1])
    truth = _encode_once(reference, pictures)
    native = inputs.has_bf16(reference.where)
    reasons = [] if native or precision else ["no native bfloat16 here"]
    for kind in [precision] if precision else ["bfloat16", "float32"][not native :]:
        try:
            encoder = fast(model, pictures[:1], kind, compile)
            found = agreement(_encode_once(encoder, pictures), truth)
        except RuntimeError as error:
            if compile:
                remedy = "install a C++ compiler such as g++, or set embed.compile: false"
                raise PipelineError(
                    "embed.compile", f"torch can't compile this model ({_first_line(error)})", remedy
                ) from error
            reasons.append(f"{kind} fails ({_first_line(error)})")
            continue
        reasons.append(f"{kind} against plain float32 on {len(pictures)} pictures: {found}")
        if found.good:
            return encoder, "; ".join(reasons)
    return reference, "; ".join(reasons)


def symmetric(encoder: Encoder, symmetry: str) -> Encoder:
    """The same, with features that are means over what the symmetry makes of each picture.

    Args:
        encoder: from `plain`, `fast` or `choose`.
        symmetry: of SYMMETRIES.
    """
    seen = SYMMETRIES[symmetry]

    def network(shown: torch.Tensor) -> torch.Tensor:
        return torch.stack([encoder.network(one).float() for one in seen(shown)]).mean(0)

    return replace(encoder, network=network) if symmetry != "none" else encoder


def _flips(shown: torch.Tensor) -> list[torch.Tensor]:
    return [shown, _as_stored(shown.flip(3))]


def _turns(shown: torch.Tensor) -> list[torch.Tensor]:
    return [_as_stored(each.rot90(quarter, (2, 3))) for each in _flips(shown) for quarter in range(4)]


def _as_stored(shown: torch.Tensor) -> torch.Tensor:
    return shown.contiguous(memory_format=torch.channels_last)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _encode_once(encoder: Encoder, pictures: np.ndarray) -> np.ndarray:
    return encoder.features(inputs.send(pictures, encoder.where)).cpu().numpy()


def encode(
    encoder: Encoder,
    take: Callable[[np.ndarray], np.ndarray],
    rows: np.ndarray,
    batch_size: int,
    watch: Callable[[range], Iterator[int]] = iter,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Parts of `rows` in their order, with their features (B, D) float32.

    Batches are of one size, the last one filled up with its last row, since each other shape costs a compiled form of
    the model. A thread reads pictures ahead; to a GPU a stream of its own brings them, as stored.

    Args:
        encoder: from `plain`, `fast` or `choose`.
        take: positions (B,) → stored pictures (B, H, W) or (B, H, W, 3), uint8 or uint16.
        rows: positions to encode, (n,) int.
        batch_size: pictures at a time, at most.
        watch: wraps the range of batches, for a progress bar.
    """
    parts = _parts(rows, batch_size)
    full = [np.pad(part, (0, len(parts[0]) - len(part)), mode="edge") for part in parts]
    stored = _bring(inputs.read_ahead(take, full, encoder.where), encoder.where)
    features = _fetch((encoder.features(pictures) for pictures in stored), encoder.where)
    for number, values in zip(watch(range(len(parts))), features, strict=True):
        yield parts[number], values[: len(parts[number])].numpy()


def _parts(rows: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Consecutive parts of one size, but for the last: as few as can be, then as small as can be."""
    if not len(rows):
        return []
    size = -(-len(rows) // -(-len(rows) // batch_size))
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _bring(batches: Iterator[torch.Tensor], where: torch.device) -> Iterator[torch.Tensor]:
    """Each batch on the device; a GPU copies those that follow while it computes."""
    if where.type == "cpu":
        yield from batches
        return
    copies, coming = torch.cuda.Stream(where), deque()
    for batch in itertools.chain(batches, [None] * AHEAD):
        if batch is not None:
            with torch.cuda.stream(copies):
                coming.append((batch.to(where, non_blocking=True), copies.record_event()))
        if coming and (batch is None or len(coming) > AHEAD):
            moved, arrived = coming.popleft()
            torch.cuda.current_stream(where).wait_event(arrived)
            moved.record_stream(torch.cuda.current_stream(where))
            yield moved


def _fetch(results: Iterator[torch.Tensor], where: torch.device) -> Iterator[torch.Tensor]:
    """Each result in this machine's memory; that of a GPU is waited for only when it has more work to do."""
    if where.type == "cpu":
        yield from results
        return
    going = deque()
    for values in itertools.chain(results, [None] * AHEAD):
        if values is not None:
            going.append((values.to("cpu", non_blocking=True), torch.cuda.current_stream(where).record_event()))
        if going and (values is None or len(going) > AHEAD):
            copied, done = going.popleft()
            done.synchronize()
            yield copied


SYMMETRIES: dict[str, Callable[[torch.Tensor], list[torch.Tensor]]] = {
    "none": lambda shown: [shown],
    "flip": _flips,
    "turns": _turns,
}
"""Pictures (B, C, H, W) → what else they could have been: themselves, mirrored, by right angles turned and mirrored."""
