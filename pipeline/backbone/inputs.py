"""From stored pictures to what a model takes, on the device at hand."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch

from pipeline.backbone.models import TimmModel

AHEAD = 2  # batches read while the model works on one


def device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bf16(where: torch.device) -> bool:
    """Whether bfloat16 arithmetic is native there; emulated, it is slower than float32."""
    if where.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def send(values: np.ndarray | torch.Tensor, where: torch.device) -> torch.Tensor:
    """The same values there.

    A GPU gets them from page-locked memory, since a copy from any other waits until the GPU has done all that it was
    given before.
    """
    tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    return tensor if where.type == "cpu" else tensor.pin_memory().to(where, non_blocking=True)


def read_ahead(
    take: Callable[[np.ndarray], np.ndarray], parts: Sequence[np.ndarray], where: torch.device
) -> Iterator[torch.Tensor]:
    """The stored pictures of each part, (B, H, W) or (B, H, W, 3), read by a thread while the caller computes.

    They are in this machine's memory, page-locked where a GPU will ask for them.
    """

    def read(part: np.ndarray) -> torch.Tensor:
        pictures = torch.from_numpy(take(part))
        return pictures if where.type == "cpu" else pictures.pin_memory()

    with ThreadPoolExecutor(1) as reader:
        coming = deque(reader.submit(read, part) for part in parts[:AHEAD])
        for part in [*parts[AHEAD:], *[None] * min(AHEAD, len(parts))]:
            pictures = coming.popleft().result()
            if part is not None:
                coming.append(reader.submit(read, part))
            yield pictures


def to_tensor(pictures: np.ndarray | torch.Tensor, where: torch.device) -> torch.Tensor:
    """Pictures (B, H, W) or (B, H, W, 3) → (B, C, H, W) float32 in 0..1, channels last in memory.

    uint8 and uint16 alike; of the latter torch can do little more than the conversion to float, which comes first.
    """
    tensor = send(pictures, where)
    most = torch.iinfo(tensor.dtype).max
    tensor = tensor.unsqueeze(1) if tensor.ndim == 3 else tensor.permute(0, 3, 1, 2)
    return tensor.float().div_(most).contiguous(memory_format=torch.channels_last)


def normalise(pictures: torch.Tensor, model: TimmModel) -> torch.Tensor:
    """Pictures (B, C, H, W) in 0..1, with the mean and standard deviation that the model expects taken out.

    Grey pictures take the mean over the colours of both.
    """
    cfg = model.pretrained_cfg
    mean, std = _constants(tuple(cfg["mean"]), tuple(cfg["std"]), pictures.shape[1], pictures.device)
    return (pictures - mean) / std


@lru_cache
def _constants(
    mean: tuple[float, ...], std: tuple[float, ...], channels: int, where: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as (C, 1, 1) there; made once, since each copy to a GPU from ordinary memory waits for it."""
    both = torch.tensor([mean, std])
    if channels == 1:
        both = both.mean(1, keepdim=True)
    one, other = both.reshape(2, -1, 1, 1).to(where)
    return one, other
