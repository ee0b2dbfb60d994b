"""Cameras for pictures that come without one: from EXIF, else from a stated field of view. No heavy imports."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from hamer.structures import Camera

logger = logging.getLogger(__name__)

_EXIF_IFD = 0x8769
_TAGS = {
    "FocalLength": 37386,
    "FocalLengthIn35mmFilm": 41989,
    "FocalPlaneXResolution": 41486,
    "FocalPlaneYResolution": 41487,
    "FocalPlaneResolutionUnit": 41488,
    "ExifImageWidth": 40962,
    "ExifImageHeight": 40963,
}
_SYNONYMS = {  # names in the EXIF standard, and in other tools
    "ExifImageWidth": "PixelXDimension",
    "ExifImageHeight": "PixelYDimension",
    "FocalLengthIn35mmFilm": "FocalLengthIn35mmFormat",
}
_FULL_FRAME_DIAGONAL_MM = math.hypot(36.0, 24.0)
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0}  # inch, centimetre, millimetre
# Between a 147 degree and a 1 degree diagonal field of view; other numbers are mistakes of whoever wrote them.
_PLAUSIBLE_DIAGONALS = (0.15, 60.0)


def default_camera(width: int, height: int) -> Camera:
    """A camera assumed for a picture of unknown origin: its focal length is the diagonal (53 degrees across it)."""
    if width <= 0 or height <= 0:
        raise ValueError(f"width and height must be positive pixels, got {width} x {height}")
    focal = math.hypot(width, height)
    return Camera(focal, focal, width / 2, height / 2, source="assumed")


def camera_from_exif(exif: Any, width: int, height: int) -> Camera | None:
    """The camera that a picture's EXIF describes, or None where it says too little.

    The focal length comes from the 35 mm equivalent (by the diagonal, as CIPA defines it), else from focal length and
    sensor resolution. The principal point is the centre. A picture cropped since (its sides' ratio differs from the
    recorded one) gives None.

    Args:
        exif: PIL's `Image.getexif()`, or a mapping from tag numbers or tag names to values; None gives None.
        width: of the upright picture, px (EXIF rotation applied).
        height: the same.
    """
    if exif is None or width <= 0 or height <= 0:
        return None
    tags = _read_tags(exif)
    if _is_cropped(tags, width, height):
        logger.info("EXIF describes a picture of other proportions: its focal length is not used")
        return None
    diagonal = math.hypot(width, height)
    focal = _focal_from_film(tags, diagonal) or _focal_from_sensor(tags, max(width, height))
    low, high = _PLAUSIBLE_DIAGONALS
    if focal is None or not low <= focal / diagonal <= high:
        return None
    return Camera(focal, focal, width / 2, height / 2, source="exif")


def _read_tags(exif: Any) -> dict[str, float]:
    """The wanted tags as positive finite numbers; those that are absent or nonsense are left out."""
    sources: list[Mapping[Any, Any]] = [exif] if isinstance(exif, Mapping) else []
    if hasattr(exif, "get_ifd"):
        sources = [exif.get_ifd(_EXIF_IFD), *(sources or [dict(exif)])]
    found: dict[str, float] = {}
    for name, number in _TAGS.items():
        keys = (number, name, _SYNONYMS.get(name, name))
        values = (_number(source[key]) for source in sources for key in keys if key in source)
        value = next((v for v in values if v is not None), None)
        if value is not None:
            found[name] = value
    return found


def _number(value: Any) -> float | None:
    """A rational (PIL's, or a pair), a number or its text as a positive finite float, else None."""
    try:
        if isinstance(value, (tuple, list)):
            value = value[0] / value[1] if len(value) == 2 else value[0]
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, IndexError, OverflowError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _is_cropped(tags: dict[str, float], width: int, height: int) -> bool:
    if "ExifImageWidth" not in tags or "ExifImageHeight" not in tags:
        return False
    sides = sorted((tags["ExifImageWidth"], tags["ExifImageHeight"]))  # sorted: the picture may have been turned
    ratio = (sides[1] / sides[0]) / (max(width, height) / min(width, height))
    return abs(ratio - 1) > 0.02  # resizing rounds to whole pixels; 2 % is more than that at any usual size


def _focal_from_film(tags: dict[str, float], diagonal: float) -> float | None:
    film = tags.get("FocalLengthIn35mmFilm")
    return None if film is None else film / _FULL_FRAME_DIAGONAL_MM * diagonal


def _focal_from_sensor(tags: dict[str, float], long_side: int) -> float | None:
    """Focal length in pixels of the picture as it was taken, scaled to the size that it has now."""
    unit = _UNIT_MM.get(int(tags.get("FocalPlaneResolutionUnit", 2)))
    if unit is None or "FocalLength" not in tags or "FocalPlaneXResolution" not in tags:
        return None
    if "ExifImageWidth" not in tags or "ExifImageHeight" not in tags:
        return None
    taken = max(tags["ExifImageWidth"], tags["ExifImageHeight"])
    return tags["FocalLength"] * tags["FocalPlaneXResolution"] / unit * long_side / taken
