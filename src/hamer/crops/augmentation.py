"""Random changes of training crops, and what they do to keypoints and poses.

The eight values and their distributions are the original's; so are the signs of the rotations. `Augmentation.sample`
takes its random numbers from Python's `random` module (seeded per worker by PyTorch's loader) or from a `random.Random`
of the caller's.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from hamer.geometry.directions import turns_about_view

HAND_PARTS: dict[str, tuple[int, ...]] = {
    "palm": (0, 1, 5, 9, 13, 17),
    "fingers": (5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20),
    "thumb side": (0, 1, 2, 3, 4, 5, 6, 7, 8),
    "little side": (0, 13, 14, 15, 16, 17, 18, 19, 20),
    "thumb": (1, 2, 3, 4),
    "index": (5, 6, 7, 8),
    "middle": (9, 10, 11, 12),
    "ring": (13, 14, 15, 16),
    "little": (17, 18, 19, 20),
}
"""Joints (of the 21) that extreme crops may keep."""

_MILD_PARTS = ("palm", "fingers", "thumb side", "little side")
_EXTREME_PADDING = 1.2  # joints lie inside the hand: room for the flesh around them
_EXTREME_MIN_SIZE = 4.0  # px; below, the crop stays as it was


@dataclass(frozen=True)
class Augmentation:
    """One draw; the default changes nothing.

    `scale` enlarges the crop, `rotation` turns it (degrees), `flip` mirrors it, `extreme_crop` cuts it to a part of the
    hand (`extreme_crop_level` 0: a half, palm or fingers; 1: single fingers too), `color_scale` multiplies R, G, B, and
    the crop's centre is shifted by `shift_x`, `shift_y` of its side.
    """

    scale: float = 1.0
    rotation: float = 0.0
    flip: bool = False
    extreme_crop: bool = False
    extreme_crop_level: int = 0
    color_scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shift_x: float = 0.0
    shift_y: float = 0.0

    @classmethod
    def sample(cls, config: Any, rng: random.Random | None = None) -> Augmentation:
        """A random draw.

        Args:
            config: DATASETS.CONFIG of the configuration: SCALE_FACTOR, ROT_FACTOR (degrees), TRANS_FACTOR, COLOR_SCALE,
                ROT_AUG_RATE, DO_FLIP, FLIP_AUG_RATE, EXTREME_CROP_AUG_RATE and, where present, EXTREME_CROP_AUG_LEVEL.
                TRANS_AUG_RATE is not used, as in the original.
        """
        draw = rng if rng is not None else random
        shift_x, shift_y = (clipped_normal(draw, 1.0) * float(config.TRANS_FACTOR) for _ in range(2))
        scale = 1.0 + clipped_normal(draw, 1.0) * float(config.SCALE_FACTOR)
        turns = draw.random() <= float(config.ROT_AUG_RATE)
        rotation = clipped_normal(draw, 2.0) * float(config.ROT_FACTOR) if turns else 0.0
        flip = bool(config.DO_FLIP) and draw.random() <= float(config.FLIP_AUG_RATE)
        rate = float(config.EXTREME_CROP_AUG_RATE)
        extreme = rate > 0 and draw.random() <= rate
        level = int(getattr(config, "EXTREME_CROP_AUG_LEVEL", 0) or 0)
        color = float(config.COLOR_SCALE)
        red, green, blue = (draw.uniform(1.0 - color, 1.0 + color) for _ in range(3))
        return cls(scale, rotation, flip, extreme, level, (red, green, blue), shift_x, shift_y)

    @classmethod
    def from_values(cls, values: Sequence[Any]) -> Augmentation:
        """From the original's eight: scale, rotation, flip, extreme crop, its level, colour scale, shift x, shift y."""
        scale, rotation, flip, extreme, level, color, shift_x, shift_y = values
        red, green, blue = (float(c) for c in color)
        return cls(
            float(scale),
            float(rotation),
            bool(flip),
            bool(extreme),
            int(level),
            (red, green, blue),
            float(shift_x),
            float(shift_y),
        )

    def values(self) -> tuple[float, float, bool, bool, int, list[float], float, float]:
        """The original's eight values, in its order."""
        color = list(self.color_scale)
        return (
            self.scale,
            self.rotation,
            self.flip,
            self.extreme_crop,
            self.extreme_crop_level,
            color,
            self.shift_x,
            self.shift_y,
        )


def clipped_normal(draw: Any, limit: float) -> float:
    """A standard normal number of `draw` (Python's `random`, or a `random.Random`), within `limit` of 0."""
    return max(-limit, min(limit, draw.gauss(0.0, 1.0)))


def scale_colors(patch: np.ndarray, color_scale: Sequence[float]) -> np.ndarray:
    """The first three channels of a patch (C, H, W) in grey levels multiplied and clipped to 0..255; float32."""
    scaled = patch.astype(np.float32)
    factors = np.asarray(color_scale, np.float32)[: min(3, len(scaled)), None, None]
    scaled[:3] = np.clip(scaled[:3] * factors, 0.0, 255.0)
    return scaled


def flip_keypoints_2d(keypoints: np.ndarray, width: int, permutation: Sequence[int]) -> np.ndarray:
    """Keypoints (K, 2+) px in the mirrored picture: x' = width - 1 - x, reordered by `permutation`."""
    flipped = keypoints.copy()
    flipped[:, 0] = width - flipped[:, 0] - 1
    return flipped[list(permutation)]


def transform_keypoints_2d(keypoints: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Keypoints (K, 2+) with x, y taken through an affine (2, 3); the other columns unchanged."""
    moved = keypoints.copy()
    moved[:, :2] = keypoints[:, :2].astype(np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return moved


def augment_keypoints_3d(keypoints: np.ndarray, flip: bool, rotation: float, permutation: Sequence[int]) -> np.ndarray:
    """Keypoints (K, 3+) of the camera frame, mirrored (x negated, reordered), then turned by `rotation` degrees."""
    changed = keypoints.copy()
    if flip:
        changed[:, 0] = -changed[:, 0]
        changed = changed[list(permutation)]
    if rotation != 0:
        changed[:, :3] = changed[:, :3] @ turns_about_view(-rotation).T
    return changed.astype(np.float32)


def rotate_axis_angle(axis_angle: np.ndarray, rotation: float) -> np.ndarray:
    """A global orientation (3,) seen in a crop turned by `rotation` degrees, which turns its content by minus that; float32.

    The vector goes through a rotation matrix even for 0 degrees, as in the original: angles beyond pi are rewritten.
    """
    matrix, _ = cv2.Rodrigues(np.asarray(axis_angle, np.float64).reshape(3, 1))
    turned, _ = cv2.Rodrigues(turns_about_view(-rotation) @ matrix)
    return turned[:, 0].astype(np.float32)


def extreme_crop(
    center_x: float,
    center_y: float,
    width: float,
    height: float,
    keypoints_2d: np.ndarray,
    level: int = 0,
    rng: random.Random | None = None,
) -> tuple[float, float, float, float]:
    """A square around a random part of the hand, or the crop as it was where too few of that part's joints are known.

    The original cuts at joints of the body here, which a hand does not have; the parts are ours.

    Args:
        keypoints_2d: (21, 3) px and confidence (known where positive).
        level: 0 keeps a larger part (palm, fingers, either side), 1 may keep a single finger.

    Returns:
        centre x, centre y, width, height, px.
    """
    draw = rng if rng is not None else random
    part = draw.choice(_MILD_PARTS if level == 0 else tuple(HAND_PARTS))
    joints = np.asarray(keypoints_2d)[list(HAND_PARTS[part])]
    known = joints[joints[:, -1] > 0, :2]
    if len(known) < 2:
        return center_x, center_y, width, height
    low, high = known.min(axis=0), known.max(axis=0)
    side = float((high - low).max()) * _EXTREME_PADDING
    if side < _EXTREME_MIN_SIZE:
        return center_x, center_y, width, height
    middle = (low + high) / 2
    return float(middle[0]), float(middle[1]), side, side
