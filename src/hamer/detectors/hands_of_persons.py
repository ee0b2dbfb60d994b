"""Boxes of hands from persons' whole-body keypoints, as the original's demo makes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hamer.detectors.wholebody.keypoints import LEFT_HAND, N_KEYPOINTS, RIGHT_HAND
from hamer.geometry.boxes import boxes_from_keypoints
from hamer.structures import HandBoxes


@dataclass(frozen=True)
class OwnedHands:
    """Hands and the persons that they are of: `persons` (N,) index of each hand's person, `hands` N of them."""

    hands: HandBoxes
    persons: np.ndarray


def hands_from_keypoints(keypoints: np.ndarray, min_confidence: float = 0.5, more_than: int = 3) -> HandBoxes:
    """The hands of one picture, per person left then right.

    Args:
        keypoints: (P, 133, 3) x, y px and confidence of COCO-WholeBody's keypoints.
        min_confidence: a keypoint counts if its confidence is above, strictly.
        more_than: a hand counts if more of its 21 keypoints than this do.

    Returns:
        tight boxes around the points that count, not cut at the picture's edges; all 21 points with their confidences in
        `keypoints_2d`; as score the mean of all 21 confidences, each cut to 0..1 first, so that a hand seen in part
        scores lower than one seen whole.

    Raises:
        ValueError: keypoints of another shape.
    """
    return owned_hands(keypoints, min_confidence, more_than).hands


def owned_hands(keypoints: np.ndarray, min_confidence: float = 0.5, more_than: int = 3) -> OwnedHands:
    """As `hands_from_keypoints`, with the person that each hand is of."""
    keypoints = check_keypoints(keypoints)
    points = np.stack([keypoints[:, LEFT_HAND], keypoints[:, RIGHT_HAND]], axis=1).reshape(-1, 21, 3)
    is_right = np.tile([False, True], len(keypoints))
    counted = (points[..., 2] > min_confidence).sum(-1) > more_than
    hands = HandBoxes(
        boxes_from_keypoints(points, min_confidence=min_confidence)[counted],
        is_right[counted],
        np.clip(points[..., 2], 0, 1).mean(-1)[counted],
        points[counted],
    )
    return OwnedHands(hands, np.flatnonzero(counted) // 2)


def check_keypoints(keypoints: np.ndarray) -> np.ndarray:
    """`keypoints` as float32 (P, 133, 3), or a ValueError; one that is not finite gets confidence 0, as not seen."""
    array = np.asarray(keypoints, np.float32)
    if array.size == 0:
        return array.reshape(0, N_KEYPOINTS, 3)
    if array.ndim != 3 or array.shape[1:] != (N_KEYPOINTS, 3):
        raise ValueError(
            f"keypoints must have shape (P, {N_KEYPOINTS}, 3), x, y and confidence of COCO-WholeBody, got {array.shape}"
        )
    return np.where(np.isfinite(array).all(-1, keepdims=True), array, np.float32(0))
