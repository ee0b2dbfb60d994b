"""A tar's picture, decoded as training decodes it: the pixels as they are stored."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping

import numpy as np
from PIL import Image

from hamer.datasets.checking.sample_checks import Problem
from hamer.pipeline.pictures import MAX_PIXELS

EXTENSIONS = ("jpg", "jpeg", "png")
_ORIENTATION = 0x0112


def picture_of(members: Mapping[str, bytes], problems: list[Problem]) -> np.ndarray | None:
    """RGB uint8 (H, W, 3) of a sample's picture, or None; `problems` says why."""
    names = [name for name in EXTENSIONS if name in members]
    if not names:
        problems.append(Problem("picture", f"a sample needs a picture (.jpg, .jpeg or .png), got {sorted(members)}"))
        return None
    if len(names) > 1:
        problems.append(Problem("picture", f"a sample needs one picture, got {names}", False))
    try:
        return _decode(members[names[0]], problems)
    except Exception as error:  # decoders raise what they like: OSError, SyntaxError, struct.error, ValueError
        problems.append(Problem("picture", f"the picture cannot be decoded: {error or type(error).__name__}"))
        return None


def _decode(content: bytes, problems: list[Problem]) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large pictures and odd metadata; the limit below is ours
        image = Image.open(io.BytesIO(content))
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels are more than the limit of {MAX_PIXELS:,}")
    orientation = image.getexif().get(_ORIENTATION, 1)
    if orientation not in (0, 1):
        text = f"EXIF orientation {orientation} is not applied by training: are the annotations for the stored pixels?"
        problems.append(Problem("orientation", text, False))
    return np.asarray(image.convert("RGB"))
