"""Which square of the picture a hand's crop shows: boxes checked, enlarged, brought to the network's aspect ratio."""

from __future__ import annotations

from typing import Any

import numpy as np

MAX_REACH = 1e6
"""How far from the picture's origin a crop may reach, px.

Warp positions are 32-bit integers in 1/1024 px, which end at 2e6.
"""

MIN_SIZE = 0.1
"""Smallest side of a crop's square, px. The affine is built from float32 corners, which fall together below this."""

RESCALE_FACTOR = 2.0
"""Side of a crop over that of the box tight around the hand: in the original's demo, and of the boxes that its tars store."""


def check_boxes(boxes: Any) -> np.ndarray:
    """Boxes as (N, 4) float32 xyxy px, or a ValueError that names the box which is not one.

    An empty list gives (0, 4). A box may lie partly or wholly outside the picture; it may not be NaN, infinite, or a
    point. A line is a box: keypoints of a small hand may lie in one column, and its crop is as high as the line asks for.
    """
    array = np.asarray(boxes, dtype=np.float64)
    if array.size == 0 and array.ndim <= 2:
        return np.zeros((0, 4), np.float32)
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"boxes must have shape (N, 4), xyxy in px, got {array.shape}")
    for index, box in enumerate(array):
        if not np.isfinite(box).all():
            raise ValueError(f"boxes[{index}] must be four finite numbers x0, y0, x1, y1 in px, got {box.tolist()}")
        if box[2] < box[0] or box[3] < box[1] or (box[2:] == box[:2]).all():
            raise ValueError(
                f"boxes[{index}] must have x1 > x0 and y1 > y0 (xyxy in px), got {box.tolist()}: "
                "drop boxes that are points, and convert boxes given as x, y, width, height"
            )
    return array.astype(np.float32)


def check_is_right(is_right: Any, count: int) -> np.ndarray:
    """Handedness as (N,) float32 of 0 and 1, or a ValueError."""
    array = np.asarray(is_right, dtype=np.float32).reshape(-1) if np.ndim(is_right) <= 1 else np.asarray(is_right)
    if array.shape != (count,):
        raise ValueError(f"is_right must have shape ({count},), one value a box, got {np.shape(is_right)}")
    if not np.isin(array, (0.0, 1.0)).all():
        raise ValueError(f"is_right must hold 1 (right hand) or 0 (left hand), got {array.tolist()}")
    return array


def check_rotation(rotation: Any, count: int) -> np.ndarray | None:
    """Angles of crops as (N,) float32 degrees, None for None, or a ValueError."""
    if rotation is None:
        return None
    array = np.asarray(rotation, dtype=np.float32)
    if array.shape != (count,) or not np.isfinite(array).all():
        raise ValueError(
            f"rotation must be ({count},) finite degrees, one value a box, got shape {array.shape}: {array.tolist()}"
        )
    return array


def expand_to_aspect(width_height: np.ndarray, bbox_shape: tuple[int, int] | None) -> np.ndarray:
    """Sides (N, 2) px enlarged to the aspect ratio width : height of `bbox_shape`; unchanged for None."""
    if bbox_shape is None:
        return width_height
    target_w, target_h = bbox_shape
    w, h = width_height[:, 0], width_height[:, 1]
    return np.stack([np.maximum(w, h * target_w / target_h), np.maximum(h, w * target_h / target_w)], axis=1)


def crop_windows(
    boxes: Any, *, rescale_factor: float = RESCALE_FACTOR, bbox_shape: tuple[int, int] | None = (192, 256)
) -> tuple[np.ndarray, np.ndarray]:
    """The square that each box's crop shows.

    Args:
        boxes: (N, 4) xyxy px.
        rescale_factor: how much larger than the box the crop is; the original's demo uses 2.0, its class 2.5.
        bbox_shape: width and height whose aspect ratio the box takes before its longer side is used. The original's
            inference forces (192, 256), the part that the ViT sees; its training has None: the square of the longer
            side.

    Returns:
        centre (N, 2) float32 px and side length (N,) float32 px of the squares.
    """
    if not np.isfinite(rescale_factor) or rescale_factor <= 0:
        raise ValueError(f"rescale_factor must be a positive number, got {rescale_factor}")
    center, size = _squares(check_boxes(boxes), rescale_factor, bbox_shape)
    _check_windows(center, size)
    return center, size


def can_be_cropped(
    boxes: np.ndarray, *, rescale_factor: float = RESCALE_FACTOR, bbox_shape: tuple[int, int] | None = (192, 256)
) -> np.ndarray:
    """Which of the boxes (N, 4) xyxy px `crop_windows` takes, (N,) bool."""
    array = np.asarray(boxes, np.float32).reshape(-1, 4)
    usable = np.logical_and(np.isfinite(array).all(1), (array[:, 2:] >= array[:, :2]).all(1))
    center, size = _squares(np.where(usable[:, None], array, np.float32(0)), rescale_factor, bbox_shape)
    return usable & (size >= MIN_SIZE) & (np.abs(center).max(1) + size <= MAX_REACH)


def _squares(
    array: np.ndarray, rescale_factor: float, bbox_shape: tuple[int, int] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Centres (N, 2) and sides (N,), float32 px, of the crops of boxes (N, 4) float32."""
    center = (array[:, 2:4] + array[:, 0:2]) / np.float32(2.0)
    # Through units of 200 px and back, as the original: its float32 rounding is then ours.
    sides = np.float32(rescale_factor) * (array[:, 2:4] - array[:, 0:2]) / np.float32(200.0) * np.float32(200.0)
    size = expand_to_aspect(sides, bbox_shape).max(axis=1).astype(np.float32) if len(array) else np.zeros(0, np.float32)
    return center, size


def _check_windows(center: np.ndarray, size: np.ndarray) -> None:
    for index, ((x, y), side) in enumerate(zip(center, size, strict=True)):
        if not side >= MIN_SIZE:
            raise ValueError(
                f"boxes[{index}] gives a crop of {side:g} px, at least {MIN_SIZE:g} px is needed: drop tiny boxes"
            )
        if not max(abs(x), abs(y)) + side <= MAX_REACH:
            raise ValueError(
                f"boxes[{index}] gives a crop of {side:g} px around ({x:g}, {y:g}), "
                f"which reaches beyond {MAX_REACH:g} px: boxes are in pixels of the picture"
            )
