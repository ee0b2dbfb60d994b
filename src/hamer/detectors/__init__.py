"""Finding hands and persons: one file a backend, loaded by name. See docs/detectors.md for the table of backends.

detector = hamer.detectors.load_hands("mediapipe", effort="normal")
hands, = detector([rgb_picture])        # HandBoxes: boxes, is_right, scores, keypoints_2d, keypoints_3d

persons = hamer.detectors.load("vitdet")
found, = persons([rgb_picture])         # Detections: boxes, scores, classes
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hamer.structures import HandBoxes

#: Backends by name: module and class.
_BACKENDS = {
    "mediapipe": ("hamer.detectors.mediapipe", "MediapipeDetector"),
    "boxes": ("hamer.detectors.given_boxes", "GivenBoxes"),
    "vitdet": ("hamer.detectors.vitdet", "VitDet"),
    "regnety": ("hamer.detectors.regnety", "RegNetY"),
    "vitpose": ("hamer.detectors.vitpose", "ViTPose"),
}
_PERSON_HANDS = ("hamer.detectors.person_hands", "person_hands")
#: What finds hands. The body detectors do so with the keypoints of each person they find.
_HAND_DETECTORS = {
    "mediapipe": _BACKENDS["mediapipe"],
    "vitdet": _PERSON_HANDS,
    "regnety": _PERSON_HANDS,
    "boxes": _BACKENDS["boxes"],
}
BODY_DETECTORS = ("vitdet", "regnety")
"""Names that find persons."""


def names() -> tuple[str, ...]:
    """Names that `load` takes: every backend."""
    return tuple(_BACKENDS)


def hand_detectors() -> tuple[str, ...]:
    """Names that `load_hands` takes."""
    return tuple(_HAND_DETECTORS)


def load(name: str, **options: Any) -> Callable[..., list[Any]]:
    """The backend called `name`: a callable that takes a list of RGB uint8 pictures (H, W, 3) first.

    Args:
        name: "mediapipe" and "boxes" give a list of `HandBoxes`; "vitdet" and "regnety" a list of `Detections` (COCO
            classes, person 0); "vitpose" takes also the persons' boxes, one (P, 4) array a picture, and gives (P, 133, 3)
            keypoints x, y px and score.
        options: the backend's own, see its class: `weights`, `device`, `precision` ... for the original's networks.

    Raises:
        ValueError: the name is unknown, or an option is wrong.
        AssetError: the backend's weights are not here; the message has the command that fetches them.
    """
    return _make(name, _BACKENDS, "detector", options)


def load_hands(name: str, **options: Any) -> Callable[..., list[HandBoxes]]:
    """The hand detector called `name`: a callable from a list of RGB uint8 pictures (H, W, 3) to a list of `HandBoxes`.

    Args:
        name: "mediapipe", "boxes", or a body detector, "vitdet" or "regnety", whose persons are given to ViTPose, around
            whose hand keypoints the boxes are put (`hamer.detectors.person_hands`).
        options: the detector's own.

    Raises:
        ValueError: the name is unknown, or an option is wrong.
        AssetError: weights are not here; the message has the command that fetches them.
    """
    return _make(
        name, _HAND_DETECTORS, "hand detector", {"body": name, **options} if name in BODY_DETECTORS else options
    )


def _make(name: str, table: Mapping[str, tuple[str, str]], what: str, options: Mapping[str, Any]) -> Callable[..., Any]:
    if name not in table:
        known = ", ".join(f"'{key}'" for key in table)
        raise ValueError(f"unknown {what} {name!r}; those that exist: {known}")
    module, attribute = table[name]
    maker = getattr(importlib.import_module(module), attribute)
    try:
        return maker(**options)
    except TypeError as error:
        raise ValueError(f"{what} '{name}' does not take these options: {error}") from error
