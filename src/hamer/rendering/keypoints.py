"""Skeletons over pictures: the 21 joints of a hand, a colour a finger as OpenPose users know them."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

# Joint order: wrist, then four joints each of thumb, index, middle, ring, little finger.
_HUES = (0.0, 0.13, 0.36, 0.58, 0.83)
BONES = tuple((4 * finger + joint if joint else 0, 4 * finger + joint + 1) for finger in range(5) for joint in range(4))
_SHIFT = 4  # cv2 draws at 1/16 pixel


def _finger_color(finger: int, joint: int) -> tuple[int, int, int]:
    """RGB of a finger's `joint`: dark at the palm, bright at the tip."""
    red, green, blue = colorsys.hsv_to_rgb(_HUES[finger], 1.0 - 0.12 * joint / 3, 0.6 + 0.4 * joint / 3)
    return round(255 * red), round(255 * green), round(255 * blue)


JOINT_COLORS = ((130, 130, 130), *(_finger_color(finger, joint) for finger in range(5) for joint in range(4)))


def draw_keypoints(
    image: np.ndarray, keypoints: np.ndarray, *, threshold: float = 0.1, thickness: float | None = None
) -> np.ndarray:
    """Hand skeletons over a copy of the RGB uint8 `image` (H, W, 3).

    Args:
        keypoints: (21, 2 or 3) or, for several hands, (N, 21, 2 or 3): x, y in pixels and, optionally, a confidence.
            Joints that are not finite, and those with a confidence below `threshold`, are left out with their bones.
        thickness: of the bones, pixels; default by the hand's size in the picture.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image must be RGB uint8 of shape (H, W, 3), got {image.dtype} of shape {image.shape}")
    points = np.asarray(keypoints, dtype=np.float64)
    if points.ndim == 2:
        points = points[None]
    if points.ndim != 3 or points.shape[1] != 21 or points.shape[2] not in (2, 3):
        raise ValueError(f"keypoints must have shape (21, 2 or 3) or (N, 21, 2 or 3), got {np.shape(keypoints)}")
    result = np.ascontiguousarray(image).copy()
    for hand in points:
        _draw_hand(result, hand, threshold, thickness)
    return result


def _draw_hand(image: np.ndarray, hand: np.ndarray, threshold: float, thickness: float | None) -> None:
    # Coordinates beyond what OpenCV's fixed-point numbers hold cannot be near the picture either.
    shown = np.isfinite(hand).all(axis=1) & (np.abs(hand[:, :2]) < 1e5).all(axis=1)
    if hand.shape[1] == 3:
        shown &= hand[:, 2] >= threshold
    if not shown.any():
        return
    if thickness is None:
        thickness = float(np.clip(np.ptp(hand[shown, :2], axis=0).max() / 45, 1, 12))
    width = max(1, round(thickness))
    radius = max(1, round(0.9 * thickness * 2**_SHIFT))
    fixed = np.round(np.where(shown[:, None], hand[:, :2], 0) * 2**_SHIFT - 2 ** (_SHIFT - 1)).astype(int)
    for start, end in BONES:
        if shown[start] and shown[end]:
            cv2.line(
                image, fixed[start].tolist(), fixed[end].tolist(), JOINT_COLORS[end], width, cv2.LINE_AA, _SHIFT
            )  # fmt: skip
    for joint in np.flatnonzero(shown):
        cv2.circle(image, fixed[joint].tolist(), radius, JOINT_COLORS[joint], cv2.FILLED, cv2.LINE_AA, _SHIFT)
