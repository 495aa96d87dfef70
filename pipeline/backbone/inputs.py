"""From stored pictures to what a model takes, on the device at hand."""

import numpy as np
import torch

from pipeline.backbone.models import TimmModel


def device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bf16(where: torch.device) -> bool:
    """Whether bfloat16 arithmetic is native there; emulated, it is slower than float32."""
    if where.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def to_tensor(pictures: np.ndarray, where: torch.device) -> torch.Tensor:
    """Pictures (B, H, W) or (B, H, W, 3) → (B, C, H, W) float32 in 0..1, channels last in memory.

    uint8 and uint16 alike; of the latter torch can do little more than the conversion to float, which comes first.
    """
    tensor = torch.from_numpy(pictures).to(where)
    tensor = tensor.unsqueeze(1) if tensor.ndim == 3 else tensor.permute(0, 3, 1, 2)
    return tensor.float().div_(np.iinfo(pictures.dtype).max).contiguous(memory_format=torch.channels_last)


def normalise(pictures: torch.Tensor, model: TimmModel) -> torch.Tensor:
    """Pictures (B, C, H, W) in 0..1, with the mean and standard deviation that the model expects taken out.

    Grey pictures take the mean over the colours of both.
    """
    mean, std = (torch.tensor(model.pretrained_cfg[key], device=pictures.device) for key in ("mean", "std"))
    if pictures.shape[1] == 1:
        mean, std = mean.mean(0, keepdim=True), std.mean(0, keepdim=True)
    return (pictures - mean.reshape(-1, 1, 1)) / std.reshape(-1, 1, 1)
