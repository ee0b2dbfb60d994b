"""Pinhole cameras in torch: projection with lens distortion, its inverse, and translations from crops and from points.

Camera frame: x right, y down, z forward, metres. Pixels: the origin is the picture's top-left corner. A camera matrix
is [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]. Distortion coefficients are OpenCV's, in its order: k1, k2, p1, p2[, k3[,
k4, k5, k6]]. All functions take any leading dimensions and keep dtype and device.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hamer.geometry.intrinsics import camera_from_exif, default_camera
from hamer.structures import Camera

Number = float | int

__all__ = [
    "cam_crop_to_full",
    "camera_from_exif",
    "camera_tensors",
    "default_camera",
    "distort",
    "perspective_projection",
    "pred_cam_to_translation",
    "project",
    "project_with_camera",
    "solve_translation",
    "undistort",
    "undistort_points",
    "undistort_with_camera",
]


def project(
    points: Float[Tensor, "*batch n_points 3"],
    camera_matrix: Float[Tensor, "... 3 3"],
    distortion: Float[Tensor, "... n_coefficients"] | None = None,
) -> Float[Tensor, "*batch n_points 2"]:
    """Pixels where points of the camera frame appear.

    Args:
        points: metres, in front of the camera (z > 0); what lies behind is mirrored through the centre, as the
        formula has it. camera_matrix: one for all, or one for each batch entry: its leading dimensions broadcast with
        those of `points`. distortion: 4, 5 or 8 coefficients, with leading dimensions as those of `camera_matrix`.
    """
    xy = points[..., :2] / points[..., 2:]
    if distortion is not None and distortion.shape[-1]:
        xy = distort(xy, distortion[..., None, :])
    focal, center = _focal_and_center(camera_matrix)
    return xy * focal + center


def undistort_points(
    points_2d: Float[Tensor, "*batch n_points 2"],
    camera_matrix: Float[Tensor, "... 3 3"],
    distortion: Float[Tensor, "... n_coefficients"] | None,
) -> Float[Tensor, "*batch n_points 2"]:
    """Pixels where the same points would appear with the same camera matrix and no distortion."""
    if distortion is None or not distortion.shape[-1]:
        return points_2d
    focal, center = _focal_and_center(camera_matrix)
    return undistort((points_2d - center) / focal, distortion[..., None, :]) * focal + center


def distort(xy: Float[Tensor, "... 2"], distortion: Float[Tensor, "... n_coefficients"]) -> Float[Tensor, "... 2"]:
    """Where a lens with OpenCV's rational model moves the normalised point (x / z, y / z)."""
    return _distort(xy, _coefficients(distortion))[0]


def undistort(
    xy: Float[Tensor, "... 2"], distortion: Float[Tensor, "... n_coefficients"], iterations: int = 12
) -> Float[Tensor, "... 2"]:
    """Normalised points that `distort` moves to `xy`, by Newton's method on the two equations.

    Far outside the picture a lens model folds back and some points have no origin: the nearest point found is
    returned there.
    """
    k = _coefficients(distortion)
    xy = xy.expand(torch.broadcast_shapes(xy.shape, (*distortion.shape[:-1], 2)))
    guess = best = xy
    smallest = torch.full_like(xy[..., :1], torch.inf)
    for _ in range(iterations):
        moved, (a, b, d) = _distort(guess, k)
        miss = moved - xy
        size = miss.abs().amax(-1, keepdim=True)
        best = torch.where(size < smallest, guess, best)
        smallest = torch.minimum(size, smallest)
        determinant = a * d - b * b
        determinant = torch.where(determinant.abs() < 1e-6, torch.ones_like(determinant), determinant)
        step_x = (d * miss[..., 0] - b * miss[..., 1]) / determinant
        step_y = (a * miss[..., 1] - b * miss[..., 0]) / determinant
        # A step of half the focal length is already huge; longer ones come from the fold and would leave the lens.
        guess = guess - torch.stack((step_x, step_y), dim=-1).clamp(-0.5, 0.5)
    moved, _ = _distort(guess, k)
    return torch.where((moved - xy).abs().amax(-1, keepdim=True) <= smallest, guess, best)


def perspective_projection(
    points: Float[Tensor, "*batch n_points 3"],
    translation: Float[Tensor, "*batch 3"],
    focal_length: Float[Tensor, "*batch 2"],
    camera_center: Float[Tensor, "*batch 2"] | None = None,
    rotation: Float[Tensor, "*batch 3 3"] | None = None,
) -> Float[Tensor, "*batch n_points 2"]:
    """Project points as the original's function of the same name: rotate, translate, divide by depth, scale, shift.

    Args:
        points: (..., N, 3).
        translation: (..., 3), added after the rotation.
        focal_length: (..., 2), in the unit of the result.
        camera_center: (..., 2), zero by default.
        rotation: (..., 3, 3), identity by default.
    """
    if rotation is not None:
        points = points @ rotation.transpose(-1, -2)
    moved = points + translation.unsqueeze(-2)
    projected = moved[..., :2] / moved[..., 2:] * focal_length.unsqueeze(-2)
    return projected if camera_center is None else projected + camera_center.unsqueeze(-2)


def pred_cam_to_translation(
    pred_cam: Float[Tensor, "*batch 3"], focal_length: Float[Tensor, "..."] | Number, image_size: Number
) -> Float[Tensor, "*batch 3"]:
    """Translation (tx, ty, 2 f / (image_size s)) of a weak-perspective camera in a crop of that size, px."""
    scale, tx, ty = pred_cam.unbind(-1)
    return torch.stack((tx, ty, 2 * focal_length / (image_size * scale + 1e-9)), dim=-1)


def cam_crop_to_full(
    cam_bbox: Float[Tensor, "*batch 3"],
    box_center: Float[Tensor, "*batch 2"],
    box_size: Float[Tensor, "*batch"],
    img_size: Float[Tensor, "*batch 2"],
    focal_length: Float[Tensor, "..."] | Number = 5000.0,
) -> Float[Tensor, "*batch 3"]:
    """Translation in the whole picture's camera of a crop's weak-perspective camera, as the original computes it.

    Args:
        cam_bbox: (s, tx, ty) predicted in the crop.
        box_center: centre of the crop in the picture, px.
        box_size: side of the crop in the picture, px.
        img_size: (width, height) of the picture, px; the principal point is its centre.
        focal_length: of the whole picture, px.
    """
    scale, tx, ty = cam_bbox.unbind(-1)
    scaled_box = box_size * scale + 1e-9
    offset = 2 * (box_center - img_size / 2) / scaled_box.unsqueeze(-1)
    return torch.stack((offset[..., 0] + tx, offset[..., 1] + ty, 2 * focal_length / scaled_box), dim=-1)


def solve_translation(
    joints: Float[Tensor, "*batch n_points 3"],
    points_2d: Float[Tensor, "*batch n_points 2"],
    camera_matrix: Float[Tensor, "... 3 3"],
    weights: Float[Tensor, "*batch n_points"] | None = None,
) -> Float[Tensor, "*batch 3"]:
    """Translations that make the perspective projection of `joints` fit `points_2d` best.

    With u the normalised point, (x + tx) = u (z + tz) is linear in t. The rows are solved in closed form after centring; a
    second pass divides each row by its depth, which turns the algebraic error into pixels. Where the points contradict the
    joints so much that the best depth lies behind the camera, the depth comes from the two spreads instead
    (weak perspective), so that the hand always is in front.

    Args:
        joints: metres, any origin, axes of the camera frame.
        points_2d: px, free of distortion (`undistort_points`).
        camera_matrix: leading dimensions broadcast with those of `joints`.
        weights: how much each point counts, 0 or more; at least two distinct points must count. All equal by default.
    """
    focal, center = _focal_and_center(camera_matrix)
    rays = (points_2d - center) / focal
    weights = torch.ones_like(points_2d[..., 0]) if weights is None else weights
    row_weights = weights.unsqueeze(-1) * focal * focal  # fx and fy may differ: count pixels, not angles
    first = _fit_rows(joints, rays, row_weights)
    depth = joints[..., 2:] + first[..., None, 2:]
    in_front = (depth > 1e-3 * first[..., None, 2:].abs()).all(-2, keepdim=True)
    safe_depth = torch.where(in_front, depth, torch.ones_like(depth))
    refined = _fit_rows(joints, rays, row_weights / safe_depth**2)
    return torch.where(in_front[..., 0], refined, _weak_perspective(joints, rays, row_weights))


def _fit_rows(joints: Tensor, rays: Tensor, weights: Tensor) -> Tensor:
    """Weighted least squares of tx - u tz = u z - x (and the same for y); `rays` and `weights` are (..., N, 2)."""
    constant = joints[..., :2] - rays * joints[..., 2:]
    mean_ray, mean_constant = _weighted_mean(rays, weights), _weighted_mean(constant, weights)
    ray = rays - mean_ray
    numerator = (weights * ray * (constant - mean_constant)).sum((-2, -1))
    denominator = (weights * ray * ray).sum((-2, -1)).clamp_min(1e-20)
    depth = (numerator / denominator)[..., None]
    return torch.cat((mean_ray[..., 0, :] * depth - mean_constant[..., 0, :], depth), dim=-1)


def _weak_perspective(joints: Tensor, rays: Tensor, weights: Tensor) -> Tensor:
    """Translation whose mean depth is the ratio of the joints' spread to the rays' spread."""
    mean_joint, mean_ray = _weighted_mean(joints[..., :2], weights), _weighted_mean(rays, weights)
    spread_of_joints = (weights * (joints[..., :2] - mean_joint) ** 2).sum((-2, -1))
    spread_of_rays = (weights * (rays - mean_ray) ** 2).sum((-2, -1))
    depth = (spread_of_joints.clamp_min(1e-20) / spread_of_rays.clamp_min(1e-20)).sqrt()[..., None]
    mean_z = _weighted_mean(joints[..., 2:], weights[..., :1])[..., 0, :]
    return torch.cat((mean_ray[..., 0, :] * depth - mean_joint[..., 0, :], depth - mean_z), dim=-1)


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean over the points, kept as a dimension of 1; zero where no point counts."""
    return (weights * values).sum(-2, keepdim=True) / weights.sum(-2, keepdim=True).clamp_min(1e-20)


def camera_tensors(camera: Camera, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor | None]:
    """The camera matrix (3, 3) and the distortion coefficients (n,), or None without distortion."""
    matrix = torch.as_tensor(camera.matrix, dtype=dtype)
    return matrix, torch.tensor(camera.distortion, dtype=dtype) if camera.distortion else None


def project_with_camera(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Pixels (..., N, 2) of NumPy points (..., N, 3), computed in double, in the dtype of `points`."""
    matrix, distortion = camera_tensors(camera, torch.float64)
    pixels = project(torch.as_tensor(np.asarray(points, np.float64)), matrix, distortion)
    return pixels.numpy().astype(np.result_type(points.dtype, np.float32))


def undistort_with_camera(points_2d: np.ndarray, camera: Camera) -> np.ndarray:
    """NumPy pixels (..., N, 2) freed of the camera's distortion, computed in double, in the dtype of `points_2d`."""
    matrix, distortion = camera_tensors(camera, torch.float64)
    pixels = undistort_points(torch.as_tensor(np.asarray(points_2d, np.float64)), matrix, distortion)
    return pixels.numpy().astype(np.result_type(points_2d.dtype, np.float32))


def _focal_and_center(camera_matrix: Tensor) -> tuple[Tensor, Tensor]:
    """(..., 1, 2) each, to broadcast over points."""
    focal = torch.stack((camera_matrix[..., 0, 0], camera_matrix[..., 1, 1]), dim=-1)
    return focal.unsqueeze(-2), camera_matrix[..., :2, 2].unsqueeze(-2)


def _coefficients(distortion: Tensor) -> list[Tensor]:
    """k1, k2, p1, p2, k3, k4, k5, k6, each of the leading dimensions; missing ones are zero."""
    if distortion.shape[-1] not in (4, 5, 8):
        raise ValueError(f"distortion must have 4, 5 or 8 OpenCV coefficients, got {distortion.shape[-1]}")
    given = list(distortion.unbind(-1))
    return given + [torch.zeros_like(given[0])] * (8 - len(given))


def _distort(xy: Tensor, coefficients: list[Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Distorted points, and the Jacobian's entries (dx'/dx, dx'/dy = dy'/dx, dy'/dy)."""
    k1, k2, p1, p2, k3, k4, k5, k6 = coefficients
    x, y = xy.unbind(-1)
    r2 = x * x + y * y
    above = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    below = 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
    radial = above / below
    slope = ((k1 + r2 * (2 * k2 + 3 * r2 * k3)) - radial * (k4 + r2 * (2 * k5 + 3 * r2 * k6))) / below
    moved_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    moved_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    across = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
    along_x = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
    along_y = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x
    return torch.stack((moved_x, moved_y), dim=-1), (along_x, across, along_y)
