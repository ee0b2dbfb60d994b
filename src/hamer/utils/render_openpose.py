"""The original's `hamer.utils.render_openpose` (drop-in): keypoints in OpenPose's colours over pictures.

Pictures are (H, W, 3) with values in 0..255, of any dtype, which the results keep; keypoints are (N, 3): x, y, confidence.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from hamer.rendering.keypoints import BONES, JOINT_COLORS

# OpenPose's BODY_25: the trunk from neck to hip, arms, legs, face, feet.
_BODY_BONES = (
    (1, 8), (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (10, 11), (8, 12), (12, 13), (13, 14),
    (1, 0), (0, 15), (15, 17), (0, 16), (16, 18), (14, 19), (19, 20), (14, 21), (11, 22), (22, 23), (11, 24),
)  # fmt: skip
_BODY_COLORS = tuple(tuple(255 * c for c in colorsys.hsv_to_rgb(part / 25, 1, 1)) for part in range(25))


def get_keypoints_rectangle(keypoints: np.ndarray, threshold: float) -> tuple[float, float, float]:
    """Width, height and area of the rectangle around the keypoints with a confidence over `threshold`; zeros if none."""
    shown = keypoints[keypoints[:, -1] > threshold, :2]
    if not len(shown):
        return 0.0, 0.0, 0.0
    width, height = (float(side) for side in np.ptp(shown, axis=0))
    return width, height, width * height


def render_keypoints(
    img: np.ndarray,
    keypoints: np.ndarray,
    pairs: Sequence[Any] | np.ndarray,
    colors: Sequence[Any] | np.ndarray,
    thickness_circle_ratio: float | np.ndarray,
    thickness_line_ratio_wrt_circle: float,
    pose_scales: Sequence[float],
    threshold: float = 0.1,
    alpha: float = 1.0,
) -> np.ndarray:
    """A skeleton over a copy of `img`.

    Args:
        pairs: (M, 2) joints that a line connects, coloured as the second one.
        colors: a colour a joint, repeated where there are fewer.
        thickness_circle_ratio: diameter of a joint's disc relative to the picture's size, one number or one a joint; it
            shrinks with the skeleton's share of the picture.
        thickness_line_ratio_wrt_circle: width of the lines relative to the discs.
        pose_scales: the first multiplies all widths.
        threshold: joints with less confidence, and lines to them, are left out.
        alpha: 1 covers the picture, 0 leaves it as it is.
    """
    width, height, _ = get_keypoints_rectangle(keypoints, threshold)
    canvas = np.ascontiguousarray(img).copy()
    if width * height <= 0:
        return canvas
    share = min(1.0, max(width / img.shape[1], height / img.shape[0]))
    size = np.sqrt(img.shape[0] * img.shape[1]) * share
    discs = np.maximum(np.round(size * np.broadcast_to(thickness_circle_ratio, len(keypoints))), 2) * pose_scales[0]
    lines = np.maximum(np.round(discs * thickness_line_ratio_wrt_circle), 1)
    shown = (keypoints[:, -1] > threshold) & np.isfinite(keypoints).all(axis=1) & (np.abs(keypoints) < 1e5).all(axis=1)
    points = np.where(shown[:, None], keypoints[:, :2], 0).astype(int)
    palette = [tuple(float(c) for c in color) for color in colors]
    for start, end in np.asarray(pairs).reshape(-1, 2):
        if shown[start] and shown[end]:
            thickness = max(1, round(min(lines[start], lines[end])))
            color = palette[end % len(palette)]
            cv2.line(canvas, points[start].tolist(), points[end].tolist(), color, thickness, cv2.LINE_AA)
    for joint in np.flatnonzero(shown):
        radius = max(1, round(discs[joint] / 2))
        color = palette[joint % len(palette)]
        cv2.circle(canvas, points[joint].tolist(), radius, color, cv2.FILLED, cv2.LINE_AA)
    return canvas if alpha >= 1 else cv2.addWeighted(canvas, alpha, np.ascontiguousarray(img), 1 - alpha, 0)


def render_hand_keypoints(
    img: np.ndarray,
    right_hand_keypoints: np.ndarray,
    threshold: float = 0.1,
    use_confidence: bool = False,
    map_fn: Callable[[np.ndarray], np.ndarray] = np.ones_like,
    alpha: float = 1.0,
) -> np.ndarray:
    """A hand's 21 keypoints (21, 3) over a copy of `img`; `use_confidence` scales the discs by `map_fn` of the confidence."""
    ratio = np.full(len(right_hand_keypoints), 1 / 50)
    if use_confidence and map_fn is not None:
        ratio = ratio * map_fn(right_hand_keypoints[:, -1])
    return render_keypoints(img, right_hand_keypoints, BONES, JOINT_COLORS, ratio, 0.75, [1], threshold, alpha)


def render_body_keypoints(img: np.ndarray, body_keypoints: np.ndarray) -> np.ndarray:
    """A body's 25 keypoints (25, 3) in OpenPose's order over a copy of `img`."""
    return render_keypoints(img, body_keypoints, _BODY_BONES, _BODY_COLORS, 1 / 75, 0.75, [1], 0.1)


def render_openpose(img: np.ndarray, hand_keypoints: np.ndarray) -> np.ndarray:
    """A hand's 21 keypoints (21, 3) over a copy of `img`."""
    return render_hand_keypoints(img, hand_keypoints)
