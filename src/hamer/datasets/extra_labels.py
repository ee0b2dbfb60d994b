"""What made pictures say beyond the original's annotations: landmarks of a detector, part labels, visibility of joints.

A configuration asks for them (`DATASETS.LANDMARKS`, `DATASETS.PARTS`); sets that lack them then give neutral values, so that
mixtures of sets collate. All of it is seen through the same crop as the hand: mirrored, turned, shifted and enlarged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from hamer.crops import augmentation
from hamer.crops.patches import patch_window
from hamer.datasets.crop_settings import CropSettings
from hamer.datasets.example import ExamplePlan

PARTS_MEMBER = "parts.png"
"""Member of a sample: labels of the picture's pixels, of its first annotation."""

N_PARTS = 19
"""0 no hand, 1..16 the joint (MANO's order, + 1) that a pixel of the annotated hand moves with, 17 its forearm, 18 another hand."""

UNKNOWN_PART = 255
GRID = 32
"""Rows and columns of the part labels of a crop; cell (r, c) shows the crop at ((c + 0.5) / 32, (r + 0.5) / 32) of its side."""

LANDMARK_NUMBERS = 7
_SHAPES = {"landmarks_2d": (21, 3), "landmarks_3d": (21, 3), "visibility": (21,)}


class ExtraLabelError(ValueError):
    """Landmarks, visibility or part labels that cannot be what they claim."""


def extra_labels(
    annotation: Mapping[str, Any],
    parts: np.ndarray | None,
    plan: ExamplePlan,
    shape: tuple[int, int],
    settings: CropSettings,
) -> dict[str, Any]:
    """The item's further labels; empty where the settings ask for none.

    Args:
        annotation: a hand; `landmarks_2d` (21, 3) px and confidence, `landmarks_3d` (21, 3) metres, NaN where unknown,
            `visibility` (21,) where it has them.
        parts: labels (H, W) uint8 of the picture, or None.
        plan: of the crop.
        shape: the picture's H, W.

    Returns:
        with `landmarks`: `landmarks` (21, 7) float32 (see `landmarks_of`) and `has_landmarks` 1 or 0; with `parts`: `parts`
        (32, 32) uint8, 255 where unknown; with either `visibility` (21,) float32, 0 where a joint is known to be hidden.

    Raises:
        ExtraLabelError: an array of another shape, or labels that do not exist.
    """
    labels: dict[str, Any] = {}
    if settings.landmarks:
        landmarks = landmarks_of(annotation, plan, shape[1], settings.size)
        labels |= {"landmarks": landmarks, "has_landmarks": np.float32(landmarks[:, -1].any())}
    if settings.parts:
        labels["parts"] = parts_of(parts, plan, shape, settings.size)
    if labels:
        visibility = extra_numbers(annotation, "visibility")
        labels["visibility"] = np.ones(21, np.float32) if visibility is None else visibility
    return labels


def landmarks_of(annotation: Mapping[str, Any], plan: ExamplePlan, width: int, size: int) -> np.ndarray:
    """A detector's landmarks as the network takes them, (21, 7) float32.

    Columns: x, y in crop widths from the crop's centre; confidence; X, Y, Z of the detector's own 3D guess in metres,
    relative to its wrist, in the crop's frame (0 where there is no guess); 1 where the landmark is known. Unknown
    landmarks are all 0.
    """
    landmarks = np.zeros((21, LANDMARK_NUMBERS), np.float32)
    points = extra_numbers(annotation, "landmarks_2d")
    if points is None:
        return landmarks
    known = np.isfinite(points).all(axis=1) & (points[:, 2] > 0)
    order = range(21)
    if plan.flip:
        points = augmentation.flip_keypoints_2d(points, width, order)
    points = augmentation.transform_keypoints_2d(points, plan.matrix)
    landmarks[:, :2] = points[:, :2] / size - 0.5
    landmarks[:, 2], landmarks[:, 6] = points[:, 2], 1.0
    guess = extra_numbers(annotation, "landmarks_3d")
    if guess is not None:
        guess = augmentation.augment_keypoints_3d(guess - guess[0], plan.flip, plan.rotation, order)
        landmarks[:, 3:6] = np.where(np.isfinite(guess).all(axis=1, keepdims=True), guess, 0.0)
    landmarks[~known] = 0.0
    return landmarks


def parts_of(parts: np.ndarray | None, plan: ExamplePlan, shape: tuple[int, int], size: int) -> np.ndarray:
    """Labels (32, 32) uint8 of a crop of `size` px: that of the picture's pixel nearest to each cell's centre."""
    found = np.full((GRID, GRID), UNKNOWN_PART, np.uint8)
    if parts is None:
        return found
    _, inverse = patch_window(plan.matrix, (size, size), shape, mirrored=plan.flip, whole=True)
    centres = (np.arange(GRID) + 0.5) * (size / GRID)
    x, y = (np.rint(row[0] * centres[None, :] + row[1] * centres[:, None] + row[2]).astype(np.int64) for row in inverse)
    inside = (x >= 0) & (x < shape[1]) & (y >= 0) & (y < shape[0])
    found[inside] = parts[y[inside], x[inside]]
    wrong = (found >= N_PARTS) & (found != UNKNOWN_PART)
    if wrong.any():
        raise ExtraLabelError(
            f"{PARTS_MEMBER} must hold labels 0..{N_PARTS - 1}, or {UNKNOWN_PART} for unknown, got {found[wrong][0]}"
        )
    return found


def read_parts(encoded: bytes | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """Part labels (H, W) uint8 of a picture of `shape` H, W; None where there is no member.

    Raises:
        ExtraLabelError: no grey png of the picture's size.
    """
    if encoded is None:
        return None
    try:
        parts = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED) if encoded else None
    except cv2.error:
        parts = None
    if parts is None or parts.dtype != np.uint8 or parts.shape != tuple(shape[:2]):
        got = "nothing that can be decoded" if parts is None else f"{parts.dtype} {parts.shape}"
        raise ExtraLabelError(f"{PARTS_MEMBER} must be a grey picture of uint8 of shape {tuple(shape[:2])}, got {got}")
    return parts


def extra_numbers(annotation: Mapping[str, Any], name: str) -> np.ndarray | None:
    """A further array of an annotation as float32, or None where it has none; NaN is kept, it says unknown."""
    if annotation.get(name) is None:
        return None
    value = np.asarray(annotation[name])
    if value.shape != _SHAPES[name] or value.dtype.kind not in "fiub":
        raise ExtraLabelError(f"{name} must be numbers of shape {_SHAPES[name]}, got {value.dtype} {value.shape}")
    value = value.astype(np.float32)
    if np.isinf(value).any():
        raise ExtraLabelError(f"{name} must be finite, or NaN for unknown, got infinity")
    return value
