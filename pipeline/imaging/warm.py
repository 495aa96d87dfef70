"""Imported by the process that decoders are forked from: they find their modules loaded and their kernels compiled."""

import numpy as np

from pipeline.imaging import kernels, preview, shards

__all__ = ["preview", "shards"]

for _kind in (np.uint8, np.uint16):
    _pixels = np.zeros((1, 1), _kind)
    _pixels.flags.writeable = False
    kernels.area(_pixels, np.zeros(1, np.float32), (0, 0, 1, 1), 1, 1, 1)
    kernels.histogram(_pixels, 1)
