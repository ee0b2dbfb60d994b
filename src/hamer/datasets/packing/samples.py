"""Annotations as the dicts of arrays that a training tar holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from hamer.datasets.packing.annotations import HandAnnotation
from hamer.structures import Camera

BOX_FACTOR = 2.0
"""Side of the stored box over that of the box tight around the hand: the demo's, so that training sees what it sees."""


def hand_sample(
    hand: HandAnnotation,
    *,
    camera: Camera | None = None,
    box_factor: float = BOX_FACTOR,
    source: str = "",
    mask_index: int | None = None,
) -> dict[str, Any]:
    """One hand as the original's tars hold it: float32 arrays, what is unknown zero with its flag or confidence at 0.

    Returns keypoints_2d (21, 3), keypoints_3d (21, 4), center (2,) px, scale (2,) sides of the box over 200 px,
    hand_pose (48,), betas (10,), right, has_hand_pose, has_betas (), and extra_info, a dict: `source` names the picture,
    `camera` (4,) fx, fy, cx, cy px where known and free of distortion, `detection_npz_idx` the row of its mask. Readers
    that do not know a key of extra_info pass over it.
    """
    box = hand.tight_box()
    extra: dict[str, Any] = {}
    if mask_index is not None:
        extra["detection_npz_idx"] = mask_index
    if camera is not None and not any(camera.distortion):
        extra["camera"] = np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float32)
    if source:
        extra["source"] = source
    return {
        "keypoints_2d": _or_zeros(hand.keypoints_2d, (21, 3)),
        "keypoints_3d": _with_root(_or_zeros(hand.keypoints_3d, (21, 4))),
        "center": ((box[:2] + box[2:]) / 2).astype(np.float32),
        "scale": ((box[2:] - box[:2]) * box_factor / 200.0).astype(np.float32),
        "hand_pose": _or_zeros(hand.hand_pose, (48,)),
        "betas": _or_zeros(hand.betas, (10,)),
        "right": _flag(hand.is_right),
        "has_hand_pose": _flag(hand.hand_pose is not None),
        "has_betas": _flag(hand.betas is not None),
        "extra_info": extra,
    }


def _with_root(joints: np.ndarray) -> np.ndarray:
    """Joints (21, 4), none of them labelled where the wrist is not: the loss is of positions relative to it."""
    return joints if joints[0, 3] > 0 else joints * np.array([1, 1, 1, 0], np.float32)


def _or_zeros(array: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    return np.zeros(shape, np.float32) if array is None else np.ascontiguousarray(array, np.float32)


def _flag(value: bool) -> np.ndarray:
    return np.array(float(value), np.float32)
