"""HInt's annotation of one hand: a json beside a picture of the same stem.

The json is a list with one dict: `bbox`, `keypoints` (21 points, wrist, thumb to little, base to tip: our order) and
`occlusion` (21; 1 hidden). Whether a joint lies inside the picture is said to be labelled too; where no key says so, its
coordinates do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hamer.datasets.packing.sources import read_json

PRESENCE_KEYS = ("presence", "present", "in_frame", "visibility")
"""Names under which a release may keep 21 flags of joints inside the picture."""


@dataclass(frozen=True)
class HintAnnotation:
    """One hand.

    `box` (4,) xyxy px; `keypoints` (21, 2) px; `occluded` (21,) bool; `present` (21,) bool, True where the joint lies in the
    picture as far as the file alone tells; `is_right` None where the stem does not end in _l or _r; `box_form` "nested" or
    "flat" and `presence_key` (None: there is none) say how the file is written.
    """

    stem: str
    box: np.ndarray
    keypoints: np.ndarray
    occluded: np.ndarray
    present: np.ndarray
    is_right: bool | None
    box_form: str
    presence_key: str | None

    def inside(self, width: int, height: int) -> np.ndarray:
        """(21,) bool: present, and within a picture of this size."""
        return np.asarray(self.present & (self.keypoints < (width, height)).all(axis=1))


def read_annotation(path: Path) -> HintAnnotation:
    """The hand of a json.

    Raises:
        ValueError: no json, or not one hand with 21 finite joints, a box and flags of 0 and 1. OSError: unreadable.
    """
    entry = _entry(read_json(path), path)
    missing = [name for name in ("bbox", "keypoints", "occlusion") if name not in entry]
    if missing:
        raise ValueError(f"{path.name} must have bbox, keypoints and occlusion, it lacks {', '.join(missing)}")
    points = _numbers(entry["keypoints"], "keypoints", path)
    if points.ndim != 2 or len(points) != 21 or points.shape[1] < 2:
        raise ValueError(f"keypoints of {path.name} must be 21 points, got shape {points.shape}")
    boxes = _numbers(entry["bbox"], "bbox", path)
    box = boxes.reshape(-1)[:4]
    if boxes.ndim not in (1, 2) or box.size != 4 or not (box[2:] > box[:2]).all():
        raise ValueError(f"bbox of {path.name} must be x0, y0, x1, y1 with x1 > x0 and y1 > y0, got {entry['bbox']}")
    key = next((name for name in PRESENCE_KEYS if np.size(entry.get(name, ())) == 21), None)
    present = np.asarray((points[:, :2] >= 0).all(axis=1))
    if key is not None:
        present = present & _flags(entry[key], key, path)
    return HintAnnotation(
        path.stem, box, points[:, :2], _flags(entry["occlusion"], "occlusion", path), present,
        side_of(path.stem), "nested" if boxes.ndim == 2 else "flat", key,
    )  # fmt: skip


def side_of(stem: str) -> bool | None:
    """Is it a right hand? None where the stem does not end in _l or _r."""
    return {"_r": True, "_l": False}.get(stem[-2:])


def known_side(stem: str, otherwise: str | None) -> bool:
    """The same, or `otherwise` ("left", "right") where the stem does not tell.

    Raises ValueError where neither does.
    """
    is_right = side_of(stem)
    if is_right is None and otherwise is None:
        raise ValueError(f"the name must end in _l or _r, got {stem}: say the side of such hands with --side")
    return otherwise == "right" if is_right is None else is_right


def _entry(content: Any, path: Path) -> Mapping[str, Any]:
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], Mapping):
        return content[0]
    got = f"a list of {len(content)}" if isinstance(content, list) else type(content).__name__
    raise ValueError(f"{path.name} must be a list with the dict of one hand, got {got}")


def _numbers(value: Any, name: str, path: Path) -> np.ndarray:
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} of {path.name} must be numbers: {error}") from error
    if not np.isfinite(array).all():
        raise ValueError(f"{name} of {path.name} must be finite")
    return array


def _flags(value: Any, name: str, path: Path) -> np.ndarray:
    flags = _numbers(value, name, path).reshape(-1)
    if flags.shape != (21,) or not np.isin(flags, (0, 1)).all():
        raise ValueError(f"{name} of {path.name} must be 21 times 0 or 1, got {value}")
    return flags > 0
