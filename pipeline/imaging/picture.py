"""From the bytes of a file to the small picture that the model sees."""

import io
from dataclasses import dataclass
from mmap import mmap
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION

from pipeline.errors import PipelineError
from pipeline.imaging import files, fullsize, render, stored, tone
from pipeline.imaging.render import Full
from pipeline.imaging.stored import Stored
from pipeline.imaging.tone import Tone, Window

WARM = "pipeline.imaging.warm"  # the module that processes import before they call `show`
AS_STORED = "as stored"
FAINTEST = 2**-17  # half a level of 16 bits; averages of equal values differ by less


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


def show(content: bytes | mmap, name: str, frame: int, look: Look) -> Shown:
    """The picture of a file.

    Args:
        content: of a DICOM, PNG, JPEG or TIFF file.
        name: of the file, for errors.
        frame: of a file with several, from 1; 0 takes the brightest value over all frames.
        look: how.

    Raises:
        PipelineError: the file can be read, but shows nothing or can't be trusted.
        Exception: of pydicom, Pillow or a decoder, where they can't read it.
    """
    found = _read(content, name, frame, look)
    box = render.foreground(found.full) if look.crop == "foreground" else found.full.box
    box = render.centre_square(box) if look.fit == "crop" else box
    small = render.resize(found.full, box, *render.shape_in(box, look.size, look.fit))
    if np.ptp(small, axis=(0, 1)).max() < FAINTEST:
        raise _flat(box != found.full.box, name)
    # The whole picture tells the side of the chest wall; within the crop, dense tissue far from it may outweigh it.
    mirrored = look.face == "right" and render.brighter_on_the_right(found.full)
    canvas = render.on_canvas(small[:, ::-1] if mirrored else small, look.size, look.bits)
    canvas = np.repeat(canvas[..., None], 3, axis=-1) if canvas.ndim < len(look.shape) else canvas
    return Shown(canvas, found.syntax, found.photometric, found.window, box, mirrored)


def _flat(cropped: bool, name: str) -> PipelineError:
    if cropped:
        what = "its crop leaves every pixel with the same brightness"
        return PipelineError(name, what, "set render.crop: none and render.fit: pad, or drop its row from the labels")
    what = "its window leaves every pixel with the same brightness"
    return PipelineError(name, what, "set render.window: percentile, or drop its row from the labels")


def full(content: bytes | mmap, name: str, frame: int, look: Look) -> np.ndarray:
    """The picture at its full size, before crop, mirror and resize: (H, W) or (H, W, 3) float32 in 0…1.

    Arguments and errors are those of `show`.
    """
    found = _read(content, name, frame, look).full
    return found.part(found.box)


@dataclass(frozen=True)
class _Found:
    full: Full
    syntax: str
    photometric: str
    window: str


def _read(content: bytes | mmap, name: str, frame: int, look: Look) -> _Found:
    file = io.BytesIO(content[:132] if isinstance(content, mmap) else content)
    kind = files.kind(file)
    with files.quiet():
        if kind in ("PNG", "JPEG", "TIFF"):
            return _from_picture(io.BytesIO(content), kind, name, frame, look)
        return _from_dicom(stored.load(content, name), name, frame, look)


def _from_dicom(source: stored.Source, name: str, frame: int, look: Look) -> _Found:
    numbers = _numbers(frame, source.frames, name)
    photometric = str(source.dataset.PhotometricInterpretation)
    pixels = (stored.read(source, number, name) for number in numbers)
    if photometric in stored.GREY:
        tones = (tone.read(source.dataset, number, look.window, look.voi, name) for number in numbers)
        shown, words = fullsize.grey(zip(pixels, tones, strict=True), name)
    else:
        shown, words = fullsize.colour(pixels, name), AS_STORED
    return _Found(shown, source.syntax.name, photometric, words)


def _from_picture(file: BinaryIO, kind: str, name: str, frame: int, look: Look) -> _Found:
    with files.open_picture(file) as image:
        stored.check_size(image.height, image.width, name)
        grey = image.mode in files.GREY_BITS
        pixels = (_page(image, number, grey, name) for number in _numbers(frame, getattr(image, "n_frames", 1), name))
        if grey:
            shown, words = fullsize.grey(((page, _tone(page, image, look.window)) for page in pixels), name)
        else:
            shown, words = fullsize.colour(pixels, name), AS_STORED
    return _Found(shown, kind, "MONOCHROME2" if grey else "RGB", words)


def _numbers(frame: int, count: int, name: str) -> list[int]:
    """The frames to read, from 0."""
    if frame > count:
        raise PipelineError(name, f"has no frame {frame}: it has {count}", "run `dvc repro`: the index is out of date")
    return [frame - 1] if frame else [*range(count)]


def _page(image: Image.Image, number: int, grey: bool, name: str) -> Stored:
    """A page of a picture file, upright, without transparency."""
    first = image.size
    if number:
        image.seek(number)
    if (image.mode in files.GREY_BITS) != grey or image.size != first:
        what = f"page {number + 1} differs from the first in size or colour"
        raise PipelineError(name, what, "write its pages to files of their own")
    if grey:
        page = np.asarray(ImageOps.exif_transpose(image.convert("L") if image.mode == "1" else image))
    else:
        opaque = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image.convert("RGBA"))
        opaque.getexif().update(image.getexif())
        page = np.asarray(ImageOps.exif_transpose(opaque).convert("RGB"))
    return Stored(np.ascontiguousarray(page, page.dtype.newbyteorder("=")), 8 * page.dtype.itemsize, False)


def _tone(page: Stored, image: Image.Image, window: str | tuple[float, float]) -> Tone:
    """Grey of 8 bits is shown as it is; deeper grey has no window of its own, and 0 may be white."""
    inverted = page.pixels.dtype != np.uint8 and getattr(image, "tag_v2", {}).get(PHOTOMETRIC_INTERPRETATION) == 0
    if not isinstance(window, str):
        voi, words = tone.asked(window)
        return Tone(voi=voi, words=words, inverted=inverted)
    if window == "file" and page.pixels.dtype == np.uint8:
        return Tone(voi=Window(127.5, 255, "LINEAR_EXACT"), words=AS_STORED)
    return Tone(inverted=inverted)
