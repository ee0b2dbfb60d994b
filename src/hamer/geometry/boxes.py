"""Boxes (x0, y0, x1, y1) in pixels, NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

Number = float | int | np.number


def iou_matrix(a: Float[ndarray, "n 4"], b: Float[ndarray, "m 4"]) -> Float[ndarray, "n m"]:
    """Intersection over union of every box of `a` with every box of `b`, xyxy; 0 where a box has no area."""
    shared = _shared_areas(a, b)
    union = box_areas(a)[:, None] + box_areas(b)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def coverage_matrix(a: Float[ndarray, "n 4"], b: Float[ndarray, "m 4"]) -> Float[ndarray, "n m"]:
    """How much of every box of `a` lies inside every box of `b`, 0..1, xyxy; 0 where the box has no area."""
    shared, areas = _shared_areas(a, b), box_areas(a)[:, None]
    return np.divide(shared, areas, out=np.zeros_like(shared), where=areas > 0)


def _shared_areas(a: ndarray, b: ndarray) -> ndarray:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.prod(np.clip(high - low, 0, None), axis=-1)


def box_areas(boxes: Float[ndarray, "*batch n 4"]) -> Float[ndarray, "*batch n"]:
    """Areas in square pixels; 0 for a box whose corners are swapped."""
    return np.prod(np.clip(boxes[..., 2:] - boxes[..., :2], 0, None), axis=-1)


def boxes_from_keypoints(
    keypoints: Float[ndarray, "*batch n_points coordinates"], padding: Number = 0.0, min_confidence: Number = 0.0
) -> Float[ndarray, "*batch 4"]:
    """Boxes around keypoints (x, y[, confidence]), each side moved out by `padding` times the box's width or height.

    Points with a confidence of `min_confidence` or less, or with coordinates that are not finite, do not count; a hand
    without any point that counts gives a box of NaN.
    """
    if keypoints.shape[-1] not in (2, 3):
        raise ValueError(f"keypoints must have 2 or 3 numbers each (x, y[, confidence]), got {keypoints.shape[-1]}")
    xy = keypoints[..., :2]
    counts = np.isfinite(xy).all(-1)
    if keypoints.shape[-1] == 3:
        counts = counts & (keypoints[..., 2] > min_confidence)
    low = np.where(counts[..., None], xy, np.inf).min(-2)
    high = np.where(counts[..., None], xy, -np.inf).max(-2)
    has_points = counts.any(-1)[..., None]
    low, high = np.where(has_points, low, np.nan), np.where(has_points, high, np.nan)
    margin = padding * (high - low)
    return np.concatenate([low - margin, high + margin], axis=-1).astype(keypoints.dtype)


def clip_boxes(boxes: Float[ndarray, "*batch 4"], width: int, height: int) -> Float[ndarray, "*batch 4"]:
    """Boxes cut at the picture's edges 0 and width (height)."""
    limits = np.array([width, height, width, height], dtype=boxes.dtype)
    return np.clip(boxes, 0, limits)


def expand_to_aspect_ratio(input_shape: Any, target_aspect_ratio: Any = None) -> Any:
    """(width, height) grown on one side until width : height is `target_aspect_ratio`, given as (width, height).

    As the original: without a ratio, or where `input_shape` is no pair, the input comes back as it is.
    """
    if target_aspect_ratio is None:
        return input_shape
    try:
        width, height = input_shape
    except (TypeError, ValueError):
        return input_shape
    ratio_width, ratio_height = target_aspect_ratio
    return np.array([max(width, height * ratio_width / ratio_height), max(height, width * ratio_height / ratio_width)])
