"""Sizes of picture files from their first bytes."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from hamer.errors import PictureError


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) px as stored, EXIF's rotation not applied, without decoding.

    Raises:
        PictureError: missing, or not the beginning of a picture.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError:
        raise PictureError(f"cannot read {path}: no such file") from None
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise PictureError(f"cannot read {path}: {error}") from error
