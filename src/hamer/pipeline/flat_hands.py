"""The hands of several pictures in one row, and parameters for them: what estimators work on. N hands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from hamer.geometry.cameras import undistort_with_camera
from hamer.structures import Camera, HandBoxes


@dataclass
class Estimate:
    """Parameters of N hands, right-hand convention: rotation matrices, betas, translation (N, 3) metres, valid (N,).

    `global_orient` (N, 3, 3), `hand_pose` (N, 15, 3, 3), `betas` (N, 10). `misfit` (N,) px: root mean square distance of
    the joints to the detector's keypoints where they were fitted to these, else infinite.
    """

    global_orient: torch.Tensor
    hand_pose: torch.Tensor
    betas: torch.Tensor
    translation: torch.Tensor
    valid: torch.Tensor
    misfit: torch.Tensor

    def __getitem__(self, rows: torch.Tensor) -> Estimate:
        """The hands that `rows` (indices or mask) selects."""
        return Estimate(*(getattr(self, field.name)[rows] for field in fields(self)))

    def replaced(self, rows: torch.Tensor, other: Estimate) -> Estimate:
        """A copy whose `rows` (K,) int64 are the K hands of `other`."""
        return Estimate(*(getattr(self, f.name).index_copy(0, rows, getattr(other, f.name)) for f in fields(self)))


@dataclass
class FlatHands:
    """The hands of several pictures in one row: arrays of N, and the picture that each belongs to.

    `is_rough` (N,): hands of which a detector of joints found none, only where they must be.
    """

    picture_index: np.ndarray
    hands: HandBoxes
    camera_matrix: torch.Tensor  # (N, 3, 3)
    keypoints_2d: torch.Tensor  # (N, 21, 3) undistorted px and confidence, NaN where the detector gave none
    is_rough: np.ndarray

    @classmethod
    def of(cls, cameras: Sequence[Camera], found: Sequence[HandBoxes]) -> FlatHands:
        """All hands `found` in pictures that were taken by `cameras`."""
        index = np.repeat(np.arange(len(found)), [len(f) for f in found])
        matrices = torch.from_numpy(np.stack([cameras[int(i)].matrix for i in index])).float()
        points = torch.from_numpy(np.concatenate([_undistorted(f, c) for f, c in zip(found, cameras, strict=True)]))
        rough = np.concatenate([_rough(f) for f in found])
        return cls(index, _concatenated(found), matrices, points.float(), rough)

    def __len__(self) -> int:
        return len(self.hands)

    def __getitem__(self, rows: torch.Tensor) -> FlatHands:
        """The hands that `rows` (indices or mask) selects."""
        index = rows.numpy()
        return FlatHands(
            self.picture_index[index], self.hands[index], self.camera_matrix[rows], self.keypoints_2d[rows],
            self.is_rough[index],
        )  # fmt: skip

    @property
    def has_keypoints(self) -> torch.Tensor:
        """(N,) bool: of which hands any keypoint is known."""
        return self._known.any(1)

    def filled(self, points: torch.Tensor) -> FlatHands:
        """A copy whose hands without keypoints have `points` (N, 21, 3) instead: undistorted px and confidence."""
        keypoints = torch.where(self.has_keypoints[:, None, None], self.keypoints_2d, points.to(self.keypoints_2d))
        return replace(self, keypoints_2d=keypoints)

    @property
    def _known(self) -> torch.Tensor:
        points = self.keypoints_2d
        return torch.isfinite(points[..., :2]).all(-1) & (torch.nan_to_num(points[..., 2]) > 0)

    @property
    def sizes(self) -> torch.Tensor:
        """(N,) px: longer sides of the known keypoints' boxes; 0 where none is known."""
        points, known = self.keypoints_2d[..., :2], self._known[..., None]
        high = torch.where(known, points, -torch.inf).amax(1)
        low = torch.where(known, points, torch.inf).amin(1)
        return (high - low).amax(-1).clamp(min=0.0)

    @property
    def mirror(self) -> torch.Tensor:
        """(N, 3): what a vector of each hand's camera frame is multiplied by to get to the right-hand convention."""
        sign = torch.from_numpy(np.where(self.hands.is_right, 1.0, -1.0)).float()
        return torch.stack([sign, torch.ones_like(sign), torch.ones_like(sign)], -1)


def _undistorted(found: HandBoxes, camera: Camera) -> np.ndarray:
    if found.keypoints_2d is None:
        return np.full((len(found), 21, 3), np.nan, np.float32)
    points = found.keypoints_2d.copy()
    points[..., :2] = undistort_with_camera(points[..., :2], camera)
    return points


def _rough(found: HandBoxes) -> np.ndarray:
    """(N,) bool: without any joint, from a detector that gives joints."""
    if found.keypoints_2d is None:
        return np.zeros(len(found), bool)
    return ~np.isfinite(found.keypoints_2d[..., :2]).all(-1).any(-1)


def _concatenated(found: Sequence[HandBoxes]) -> HandBoxes:
    """All hands in one row; keypoints are NaN for those whose detector gave none."""

    def points(name: str) -> np.ndarray | None:
        if all(getattr(f, name) is None for f in found if len(f)):
            return None
        blank = (21, 3)
        return np.concatenate(
            [np.full((len(f), *blank), np.nan) if getattr(f, name) is None else getattr(f, name) for f in found]
        )

    return HandBoxes(
        np.concatenate([f.boxes for f in found]),
        np.concatenate([f.is_right for f in found]),
        np.concatenate([f.scores for f in found]),
        points("keypoints_2d"),
        points("keypoints_3d"),
    )
