"""Finding hands and persons: one file a backend, loaded by name. See docs/detectors.md for the table of backends.

detector = hamer.detectors.load("mediapipe", effort="normal")
hands, = detector([rgb_picture])        # HandBoxes: boxes, is_right, scores, keypoints_2d, keypoints_3d
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

#: Backends by name: module and class.
_BACKENDS = {
    "mediapipe": ("hamer.detectors.mediapipe", "MediapipeDetector"),
    "boxes": ("hamer.detectors.given_boxes", "GivenBoxes"),
}
#: Names of the original's detectors, which this version does not carry.
_UNAVAILABLE = ("vitdet", "regnety", "vitpose")


def names() -> tuple[str, ...]:
    """Names that `load` takes."""
    return tuple(_BACKENDS)


def load(name: str, **options: Any) -> Callable[..., list[Any]]:
    """The detector called `name`: a callable from a list of RGB uint8 pictures (H, W, 3) to a list of `HandBoxes`.

    Args:
        name: "mediapipe" or "boxes".
        options: the backend's own, see `hamer.detectors.mediapipe.MediapipeDetector` and
            `hamer.detectors.given_boxes.GivenBoxes`.

    Raises:
        ValueError: the name is unknown, the backend is not part of this version, or an option is wrong.
    """
    known = ", ".join(f"'{key}'" for key in _BACKENDS)
    if name in _UNAVAILABLE:
        raise ValueError(
            f"detector '{name}' is unavailable in this version of hamer; detectors that exist: {known}. "
            "'mediapipe' finds hands by itself, without a body detector"
        )
    if name not in _BACKENDS:
        raise ValueError(f"unknown detector {name!r}; detectors that exist: {known}")
    module, attribute = _BACKENDS[name]
    backend = getattr(importlib.import_module(module), attribute)
    try:
        return backend(**options)
    except TypeError as error:
        raise ValueError(f"detector '{name}' does not take these options: {error}") from error
