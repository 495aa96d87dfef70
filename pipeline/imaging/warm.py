"""Imported by the process that decoders are forked from: they find their modules loaded and their kernels compiled."""

import imagecodecs
import numpy as np

from pipeline.imaging import jpeg_lossless, kernels, preview, shards

__all__ = ["preview", "shards"]

for _kind in (np.uint8, np.uint16, np.float32):
    _pixels = np.zeros((1, 1), _kind)
    _pixels.flags.writeable = False
    kernels.area(_pixels, np.zeros(1, np.float32), (0, 0, 1, 1), 1, 1, 1)
    if _kind != np.float32:
        kernels.histogram(_pixels, 1)
jpeg_lossless.decode(bytes(imagecodecs.ljpeg_encode(np.zeros((2, 2), np.uint16), bitspersample=12)))
