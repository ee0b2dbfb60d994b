"""Whether the 2D and the 3D joints of a hand tell the same story.

The 3D joints are in the camera frame, so they need no turning: moved to where they fit best and projected, they should
fall on the 2D ones. Where they do so much better mirrored, somebody has mixed up left and right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from hamer.geometry.cameras import solve_translation
from hamer.geometry.intrinsics import default_camera

FEW = 8  # joints below which a fit says little
LARGEST_RESIDUAL = 0.12
"""Of the hand's longer side in the picture. Annotators differ by some 3 %; another camera than assumed adds as much."""
_MIRRORED_BETTER = 0.5


def check_consistency(
    values: Mapping[str, np.ndarray], width: int, height: int, camera: np.ndarray | None
) -> Iterator[tuple[str, str]]:
    """(code, message) of each contradiction between keypoints_2d (21, 3) and keypoints_3d (21, 4) of `values`.

    Args:
        camera: fx, fy, cx, cy (4,) px; None assumes a common field of view.
    """
    residual = fit_residual(values["keypoints_2d"], values["keypoints_3d"], width, height, camera)
    if residual is None or residual <= LARGEST_RESIDUAL:
        return
    mirrored = fit_residual(values["keypoints_2d"], values["keypoints_3d"] * [-1, 1, 1, 1], width, height, camera)
    if mirrored is not None and mirrored < min(_MIRRORED_BETTER * residual, LARGEST_RESIDUAL):
        yield "mirrored", "keypoints_3d fit keypoints_2d when x is negated: a left hand must be given as a left hand"
        return
    yield (
        "projection",
        f"keypoints_3d miss keypoints_2d by {residual:.0%} of the hand's size when projected: check the order of the "
        "joints, the frame (x right, y down, z forward) and the units",
    )


def fit_residual(
    keypoints_2d: np.ndarray, keypoints_3d: np.ndarray, width: int, height: int, camera: np.ndarray | None
) -> float | None:
    """Mean distance of the projected 3D joints (21, 4) to the 2D ones (21, 3), over the hand's longer side in px.

    None where fewer than 8 joints have both, or the hand is a point.
    """
    both = (keypoints_2d[:, 2] > 0) & (keypoints_3d[:, 3] > 0)
    if both.sum() < FEW:
        return None
    points, joints = keypoints_2d[both, :2], keypoints_3d[both, :3]
    extent = float(np.ptp(points, axis=0).max())
    if extent < 1 or np.ptp(joints, axis=0).max() < 1e-6:
        return None
    matrix = default_camera(width, height).matrix if camera is None else _matrix(camera)
    translation = solve_translation(*(torch.as_tensor(a, dtype=torch.float64) for a in (joints, points, matrix)))
    placed = joints + translation.numpy()
    projected = placed @ matrix.T
    projected = projected[:, :2] / np.maximum(projected[:, 2:], 1e-6)
    return float(np.linalg.norm(projected - points, axis=1).mean() / extent)


def _matrix(camera: np.ndarray) -> np.ndarray:
    fx, fy, cx, cy = camera
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)
