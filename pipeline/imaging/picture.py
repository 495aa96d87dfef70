"""From the bytes of a file to the small picture that the model sees."""

import io
from dataclasses import dataclass

import numpy as np

from pipeline.imaging import decode, files, render


@dataclass(frozen=True)
class Look:
    """How pictures are rendered; section `render` of the params.

    Attributes:
        size: side, pixels.
        fit: `pad` keeps the aspect on black, `squash` does not, `crop` takes the square in the centre.
        window: `file`, `percentile`, or centre and width in the values of the modality.
        voi: which of several windows or VOI LUTs of a file, from 1; its last where it has fewer.
        crop: `none`, or `foreground`.
        face: `as_is`, or `right`: mirrored so that the brighter half is left.
        bits: 8 or 16.
        channels: 1 or 3.
    """

    size: int
    fit: str
    window: str | tuple[float, float]
    voi: int
    crop: str
    face: str
    bits: int
    channels: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one picture."""
        return (self.size, self.size, 3) if self.channels == 3 else (self.size, self.size)

    @property
    def dtype(self) -> np.dtype:
        """Type of its pixels, uint8 or uint16."""
        return np.dtype(f"uint{self.bits}")


@dataclass(frozen=True)
class Shown:
    """A small picture, and what decided how it looks.

    Attributes:
        picture: in the shape and type of the look.
        syntax: name of the transfer syntax, or PNG, JPEG, TIFF.
        photometric: photometric interpretation.
        window: in words.
        crop: top, left, height, width of the part of the full picture that is shown, pixels.
        mirrored: whether left and right were changed.
    """

    picture: np.ndarray
    syntax: str
    photometric: str
    window: str
    crop: tuple[int, int, int, int]
    mirrored: bool


def show(content: bytes, name: str, frame: int, look: Look) -> Shown:
    """The picture of a file.

    Args:
        content: of a DICOM, PNG, JPEG or TIFF file.
        name: of the file, for errors.
        frame: of a file with several, from 1; 0 takes the greatest value over all frames.
        look: how.

    Raises:
        PipelineError: the file can be read, but shows nothing or can't be trusted.
        Exception: of pydicom, Pillow or a decoder, where they can't read it.
    """
    with files.quiet():
        picture = decode.picture(io.BytesIO(content), name, str(look.window))
    small = render.fit(picture, look.size, look.fit)
    small = np.repeat(small[..., None], 3, axis=-1) if small.ndim < len(look.shape) else small
    return Shown(small, "", "", "", (0, 0, *picture.shape[:2]), False)
