"""The original's `hamer.utils.SkeletonRenderer` (drop-in): previews of joints during training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hamer.utils.picture_grid import picture_grid
from hamer.utils.render_openpose import render_openpose


class SkeletonRenderer:
    """Draws predicted and true joints, in the picture and from the side.

    Args:
        cfg: the configuration; `EXTRA.FOCAL_LENGTH` and `MODEL.IMAGE_SIZE` are read.
    """

    def __init__(self, cfg: Any) -> None:
        self.cfg = cfg

    def __call__(
        self,
        pred_keypoints_3d: torch.Tensor,
        gt_keypoints_3d: torch.Tensor,
        gt_keypoints_2d: torch.Tensor,
        images: np.ndarray | None = None,
        camera_translation: np.ndarray | None = None,
    ) -> torch.Tensor:
        """A grid (3, H', W'), a row a sample: picture, true 2D joints, predicted joints, true joints, and both from the side.

        Args:
            pred_keypoints_3d: (N, 21, 3) metres, camera frame, any origin.
            gt_keypoints_3d: (N, 21, 4) with confidence; moved so that wrists coincide.
            gt_keypoints_2d: (N, 21, 3) in crop widths from its centre, with confidence.
            images: (N, 3, H, W) in 0..1; default black.
            camera_translation: (N, 3); default straight ahead, at a distance where the joints fill the picture.
        """
        size, focal = int(self.cfg.MODEL.IMAGE_SIZE), float(self.cfg.EXTRA.FOCAL_LENGTH)
        predicted = _numpy(pred_keypoints_3d)[..., :3]
        true = _numpy(gt_keypoints_3d)
        true[..., :3] += predicted[:, :1] - true[:, :1, :3]
        flat = _numpy(gt_keypoints_2d)
        flat[..., :2] = size * (flat[..., :2] + 0.5)
        count = len(predicted)
        pictures = np.zeros((count, 3, size, size), np.float32) if images is None else _numpy(images)
        views: list[torch.Tensor] = []
        for number in range(count):
            joints = (_with_confidence(predicted[number]), true[number])
            place = (
                _in_front(predicted[number], focal, size)
                if camera_translation is None
                else _numpy(camera_translation[number])
            )
            centre = predicted[number].mean(axis=0)
            picture = pictures[number]
            blank = np.zeros_like(picture)
            views.append(torch.from_numpy(picture))
            views.append(_drawn(picture, flat[number]))
            views += [_drawn(picture, _project(points, place, focal, size)) for points in joints]
            views += [_drawn(blank, _project(_from_side(points, centre), place, focal, size)) for points in joints]
        return picture_grid(views, nrow=6)


def _numpy(value: Any) -> np.ndarray:
    """A float32 copy."""
    return np.array(value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value, np.float32)


def _with_confidence(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, np.ones_like(points[:, :1])], axis=1)


def _in_front(points: np.ndarray, focal: float, size: int) -> np.ndarray:
    """A translation that brings the middle of the joints straight ahead, where they take 80 % of the picture."""
    low, high = points.min(axis=0), points.max(axis=0)
    extent = max(float((high - low).max()), 1e-3)
    return np.array([0, 0, focal * extent / (0.8 * size)]) - (low + high) / 2


def _from_side(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Turned by 90 degrees about the vertical axis through `centre`."""
    x, y, z = (points[:, :3] - centre).T
    turned = np.stack([z, y, -x], axis=1) + centre
    return np.concatenate([turned, points[:, 3:]], axis=1)


def _project(points: np.ndarray, place: np.ndarray, focal: float, size: int) -> np.ndarray:
    """(21, 4) metres and confidence -> (21, 3) pixels and confidence; what is not in front of the camera gets none."""
    seen = points[:, :3] + place
    depth = np.maximum(seen[:, 2], 1e-6)
    confidence = np.where(seen[:, 2] > 1e-6, points[:, 3], 0)
    return np.stack([*(focal * seen[:, k] / depth + size / 2 for k in (0, 1)), confidence], axis=1)


def _drawn(picture: np.ndarray, keypoints: np.ndarray) -> torch.Tensor:
    drawn = render_openpose(255 * np.ascontiguousarray(picture.transpose(1, 2, 0)), keypoints) / 255
    return torch.from_numpy(drawn.transpose(2, 0, 1).astype(np.float32))
