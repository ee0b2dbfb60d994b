"""Picture files as training reads them: the bytes as they are where that will do, else decoded and written again."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from hamer.errors import PictureError
from hamer.pipeline.pictures import read_picture

_KEPT = {
    "JPEG": "jpg",
    "MPO": "jpg",
    "PNG": "png",
}  # MPO: phones append a second picture. Pillow's name of a format -> extension in the tar
_KEPT_MODES = ("RGB", "L", "P", "1")  # decoded to RGB without loss and without a choice of background
_ORIENTATION = 0x0112
JPEG_QUALITY = 95


@dataclass(frozen=True)
class PictureBytes:
    """A picture for a tar: `extension` and `content`; `width` and `height` px of what training will decode.

    `scale` is the size over the original's, 1 unless it was made smaller; `is_kept` tells whether the bytes are the file's.
    """

    extension: str
    content: bytes
    width: int
    height: int
    scale: float = 1.0
    is_kept: bool = True


def picture_bytes(path: Path, *, max_side: int | None = None) -> PictureBytes:
    """The picture of a file, decoded once to be sure that it can be.

    JPEG and PNG files keep their bytes. Those with an EXIF orientation other than upright are turned and written again,
    because training's decoder does not turn them; so are other formats, CMYK, 16 bits, transparency (on white), and
    pictures whose longer side exceeds `max_side`: as JPEG of quality 95 without chroma subsampling, PNG files as PNG.

    Raises:
        PictureError: the file is missing, damaged or no picture.
    """
    rgb = read_picture(path).rgb
    height, width = rgb.shape[:2]
    content = path.read_bytes()
    kept = _kept_extension(content)
    shrink = max_side is not None and max(width, height) > max_side
    if kept is not None and not shrink:
        return PictureBytes(kept, content, width, height)
    scale = 1.0
    if shrink:
        assert max_side is not None
        scale = max_side / max(width, height)
        rgb = _reduced(rgb, scale)
    as_png = kept == "png" or path.suffix.lower() == ".png"
    return PictureBytes(
        "png" if as_png else "jpg", _encode(rgb, as_png=as_png), rgb.shape[1], rgb.shape[0], scale, is_kept=False
    )


def _kept_extension(content: bytes) -> str | None:
    """The tar's extension for bytes that training decodes to the very pixels of `read_picture`, else None."""
    with Image.open(io.BytesIO(content)) as image:
        extension = _KEPT.get(str(image.format))
        is_upright = image.getexif().get(_ORIENTATION, 1) in (0, 1)
        is_plain = image.mode in _KEPT_MODES and "transparency" not in image.info
        return extension if is_upright and is_plain else None


def _reduced(rgb: np.ndarray, scale: float) -> np.ndarray:
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def _encode(rgb: np.ndarray, *, as_png: bool) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(rgb)
    if as_png:
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def read_mask(path: Path, width: int, height: int) -> np.ndarray:
    """(height, width) bool from a mask's picture file: True where it is not black.

    Raises:
        PictureError: unreadable, or of another size than its picture.
    """
    rgb = read_picture(path).rgb
    if rgb.shape[:2] != (height, width):
        raise PictureError(
            f"mask {path} must be {width} x {height} px as its picture, got {rgb.shape[1]} x {rgb.shape[0]}"
        )
    return rgb.max(axis=2) > 0
