"""The affine between picture and crop, in the original's pixel convention, and OpenCV 4's rounding of its positions.

Integer coordinates are pixel centres in both pictures, and the crop's centre is coordinate size / 2 (128 for 256): crop
coordinate u shows picture coordinate centre + (u - size / 2) * box_size / size. A left hand's crop is taken from the
mirrored picture, whose coordinate is W - 1 - x. Matrices (2, 3) act on column vectors (x, y, 1).
"""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
import torch

FRACTION_BITS = 5
"""OpenCV 4 rounds the position of every warped pixel to 1/32 px: `p >> 5` is the pixel, `p & 31` the fraction."""

WORKING_STEPS = 1024
"""Before that, OpenCV 4 sums the rounded terms of a position in steps of 1/1024 px."""

ArrayOrTensor = TypeVar("ArrayOrTensor", np.ndarray, torch.Tensor)


def patch_transform(
    center_x: float,
    center_y: float,
    source_width: float,
    source_height: float,
    patch_width: float,
    patch_height: float,
    scale: float = 1.0,
    rotation: float = 0.0,
) -> np.ndarray:
    """The affine (2, 3) float64 that takes picture coordinates to patch coordinates.

    Args:
        center_x, center_y: centre of the source rectangle, px of the picture (of the mirrored picture for left hands).
        source_width, source_height: its sides, px.
        patch_width, patch_height: sides of the patch, px.
        scale: enlarges the source rectangle.
        rotation: turns the source rectangle about its centre, degrees, clockwise as seen (y points down).

    Solved from three corresponding points in float32, as the original does, so that its rounding is ours.
    """
    angle = np.pi * rotation / 180.0
    sin, cos = np.sin(angle), np.cos(angle)
    half_w, half_h = source_width * scale * 0.5, source_height * scale * 0.5
    center = np.array([center_x, center_y], dtype=np.float32)
    down = np.array([-half_h * sin, half_h * cos], dtype=np.float32)
    right = np.array([half_w * cos, half_w * sin], dtype=np.float32)
    patch_center = np.array([patch_width * 0.5, patch_height * 0.5], dtype=np.float32)
    source = np.stack([center, center + down, center + right])
    target = np.stack([patch_center, [patch_center[0], patch_height], [patch_width, patch_center[1]]]).astype(
        np.float32
    )
    return cv2.getAffineTransform(source, target)


def invert(matrix: np.ndarray) -> np.ndarray:
    """The inverse (2, 3) of an affine, with the order of operations that OpenCV's warpAffine uses inside."""
    determinant = matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]
    if determinant == 0 or not np.isfinite(determinant):
        raise ValueError(
            f"The crop's affine must be invertible, got {matrix.tolist()}: the source rectangle has no area"
        )
    d = 1.0 / determinant
    inverse = np.array([[matrix[1, 1] * d, -matrix[0, 1] * d, 0.0], [-matrix[1, 0] * d, matrix[0, 0] * d, 0.0]])
    inverse[0, 2] = -inverse[0, 0] * matrix[0, 2] - inverse[0, 1] * matrix[1, 2]
    inverse[1, 2] = -inverse[1, 0] * matrix[0, 2] - inverse[1, 1] * matrix[1, 2]
    return inverse


def axis_positions(matrix: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where OpenCV 4's warpAffine reads each column and row of an unrotated patch of `size` pixels.

    Args:
        matrix: (2, 3) picture to patch; the parts that mix x and y are rounding noise (below 1e-12) and left out.

    Returns:
        columns (size,) and rows (size,) int64 in 1/32 px, equal to OpenCV's own (its rounding differs between the two
        axes: a column's term is rounded by itself, a row's together with the offset).
    """
    inverse = invert(matrix)
    per_step = WORKING_STEPS >> FRACTION_BITS
    steps = np.arange(size, dtype=np.float64)
    columns = np.rint(inverse[0, 0] * steps * WORKING_STEPS) + np.rint(inverse[0, 2] * WORKING_STEPS)
    rows = np.rint((inverse[1, 1] * steps + inverse[1, 2]) * WORKING_STEPS)
    return (columns.astype(np.int64) + per_step // 2) // per_step, (rows.astype(np.int64) + per_step // 2) // per_step


def crop_to_picture(
    points: ArrayOrTensor,
    box_center: ArrayOrTensor,
    box_size: ArrayOrTensor,
    right: ArrayOrTensor,
    size: int = 256,
    rotation: ArrayOrTensor | None = None,
) -> ArrayOrTensor:
    """Points of crops in the pictures that they were cut from.

    Args:
        points: (N, K, 2) px of the crop, 0..size; a left hand's crop is mirrored and its points come back unmirrored.
            For points in units of the crop width with the origin at its centre (the network's), pass (p + 0.5) * size.
        box_center: (N, 2), box_size: (N,), right: (N,) as in `CropBatch`.
        size: side of the crop, px.
        rotation: (N,) degrees, clockwise as seen, by which each square is turned about its centre in the picture.

    Returns:
        (N, K, 2) px of the picture.
    """
    step = (box_size / size)[:, None]
    sign = 2 * right[:, None] - 1
    x = sign * step * (points[..., 0] - size / 2)
    y = step * (points[..., 1] - size / 2)
    if rotation is not None:
        sin, cos = _sin_cos(rotation)
        x, y = cos * x - sin * y, sin * x + cos * y
    return _stack(box_center[:, None, 0] + x, box_center[:, None, 1] + y)


def picture_to_crop(
    points: ArrayOrTensor,
    box_center: ArrayOrTensor,
    box_size: ArrayOrTensor,
    right: ArrayOrTensor,
    size: int = 256,
    rotation: ArrayOrTensor | None = None,
) -> ArrayOrTensor:
    """Points (N, K, 2) px of the pictures in their crops, px: the inverse of `crop_to_picture`."""
    step = (size / box_size)[:, None]
    sign = 2 * right[:, None] - 1
    x = points[..., 0] - box_center[:, None, 0]
    y = points[..., 1] - box_center[:, None, 1]
    if rotation is not None:
        sin, cos = _sin_cos(rotation)
        x, y = cos * x + sin * y, cos * y - sin * x
    return _stack(size / 2 + sign * step * x, size / 2 + step * y)


def _sin_cos(degrees: ArrayOrTensor) -> tuple[ArrayOrTensor, ArrayOrTensor]:
    """Of angles (N,), as columns (N, 1)."""
    if isinstance(degrees, torch.Tensor):
        angle = torch.deg2rad(degrees)[:, None]
        return torch.sin(angle), torch.cos(angle)
    angle = np.deg2rad(degrees)[:, None]
    return np.sin(angle), np.cos(angle)


def _stack(x: ArrayOrTensor, y: ArrayOrTensor) -> ArrayOrTensor:
    if isinstance(x, torch.Tensor):
        return torch.stack([x, y], dim=-1)
    return np.stack([x, y], axis=-1)
