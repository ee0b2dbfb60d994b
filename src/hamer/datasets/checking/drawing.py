"""Hands of a set as a sheet of pictures: joints over the crop, and the mesh where there are parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import torch

from hamer.datasets.checking.posing import posed_hand
from hamer.datasets.checking.sample_checks import camera_of
from hamer.geometry.cameras import project_with_camera, solve_translation
from hamer.geometry.intrinsics import default_camera
from hamer.hand_models.layer import HandModel
from hamer.rendering import LIGHT_BLUE, Mesh, draw_keypoints, overlay
from hamer.structures import Camera

CELL = 256
_TITLE = 18
_BACKGROUND = 40


class ContactSheet:
    """A few hands of a set, picked evenly at random, the same ones for the same set.

    Args:
        count: how many to show.
        hand_model: draws the parameters. Betas belong to the model that they were fitted with: with the open hand, the
            mean shape is drawn.
    """

    def __init__(self, count: int, hand_model: HandModel) -> None:
        if count < 1:
            raise ValueError(f"the number of hands to draw must be at least 1, got {count}")
        self._count, self._model = count, hand_model
        self._random = np.random.default_rng(0)
        self._seen = 0
        self._picked: list[tuple[int, np.ndarray]] = []

    def add(self, where: str, picture: np.ndarray, sample: Mapping[str, Any]) -> None:
        """Show the hand `where`, or not: each of those seen has the same chance (Vitter's algorithm R)."""
        self._seen += 1
        if len(self._picked) < self._count:
            self._picked.append((self._seen, draw_hand(where, picture, sample, self._model)))
            return
        slot = int(self._random.integers(self._seen))
        if slot < self._count:
            self._picked[slot] = (self._seen, draw_hand(where, picture, sample, self._model))

    def picture(self) -> np.ndarray | None:
        """(H, W, 3) RGB uint8, hands in the order of the set; None without hands."""
        if not self._picked:
            return None
        cells = [cell for _, cell in sorted(self._picked, key=lambda pair: pair[0])]
        columns = max(1, min(4, round((len(cells) / 2) ** 0.5 * 1.5)))
        blank = np.full_like(cells[0], _BACKGROUND)
        cells += [blank] * (-len(cells) % columns)
        rows = [np.concatenate(cells[i : i + columns], axis=1) for i in range(0, len(cells), columns)]
        return np.concatenate(rows)


def draw_hand(where: str, picture: np.ndarray, sample: Mapping[str, Any], hand_model: HandModel) -> np.ndarray:
    """A cell (CELL + title, 2 CELL, 3): the stored box with the labelled joints, and with what is known in 3D.

    That is the mesh where the hand has a pose, else its 3D joints, moved to where they meet the labelled ones best and
    projected; grey without either. The hand is shown as in the picture, left hands unmirrored.
    """
    to_cell = _to_cell(sample)
    crop = _warp(picture, to_cell)
    points = np.array(sample["keypoints_2d"], np.float64)
    points[:, :2] = points[:, :2] * to_cell[0, 0] + to_cell[:, 2]
    with_joints = draw_keypoints(crop, points, threshold=1e-6)
    view = np.concatenate(
        [with_joints, _in_3d(crop, to_cell, sample, picture.shape[1], picture.shape[0], hand_model)], axis=1
    )
    return np.concatenate([_title(where, sample), view])


def _in_3d(
    crop: np.ndarray, to_cell: np.ndarray, sample: Mapping[str, Any], width: int, height: int, hand_model: HandModel
) -> np.ndarray:
    camera = _camera(sample, width, height)
    points = np.asarray(sample["keypoints_2d"], np.float64)
    if np.asarray(sample["has_hand_pose"]).item():
        output = posed_hand(sample, hand_model)
        shift = _shift(output.joints.double(), points, points[:, 2] > 0, camera)
        mesh = Mesh((output.vertices.double() + shift).numpy(), hand_model.arrays.closed_faces, LIGHT_BLUE)
        return overlay(crop, [mesh], _camera_of_cell(camera, to_cell), opacity=0.85)
    joints = np.asarray(sample["keypoints_3d"], np.float64)
    both = (joints[:, 3] > 0) & (points[:, 2] > 0)
    if both.sum() < 2:
        return np.full_like(crop, 128)
    placed = joints[:, :3] + _shift(torch.as_tensor(joints[:, :3]), points, both, camera).numpy()
    projected = project_with_camera(placed, _camera_of_cell(camera, to_cell))
    return draw_keypoints(crop, np.c_[projected, joints[:, 3]], threshold=1e-6)


def _to_cell(sample: Mapping[str, Any]) -> np.ndarray:
    """(2, 3): pixels of the picture to those of the cell, which shows the square around the stored box."""
    side = max(float(np.asarray(sample["scale"]).max() * 200), 1.0)
    zoom = CELL / side
    corner = np.asarray(sample["center"], np.float64) - side / 2
    return np.array([[zoom, 0, -zoom * corner[0]], [0, zoom, -zoom * corner[1]]])


def _warp(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    zoom = matrix[0, 0]
    if zoom < 0.5:  # average what falls together
        size = [max(1, round(n * 2 * zoom)) for n in (picture.shape[1], picture.shape[0])]
        matrix = matrix @ np.diag([picture.shape[1] / size[0], picture.shape[0] / size[1], 1.0])
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    border = (_BACKGROUND,) * 3
    return cv2.warpAffine(
        np.ascontiguousarray(picture), matrix, (CELL, CELL), flags=cv2.INTER_LINEAR, borderValue=border
    )


def _shift(joints: torch.Tensor, points: np.ndarray, counts: np.ndarray, camera: Camera) -> torch.Tensor:
    """(3,) the translation of `joints` (21, 3) that meets those of `points` best that count; all, where too few do."""
    weights = torch.as_tensor(counts if counts.sum() >= 2 else np.ones(21), dtype=torch.float64)
    return solve_translation(joints, torch.as_tensor(points[:, :2]), torch.as_tensor(camera.matrix), weights)


def _camera(sample: Mapping[str, Any], width: int, height: int) -> Camera:
    known = camera_of(sample)
    return default_camera(width, height) if known is None else Camera(*known.tolist())


def _camera_of_cell(camera: Camera, to_cell: np.ndarray) -> Camera:
    zoom, (x, y) = to_cell[0, 0], to_cell[:, 2]
    return Camera(camera.fx * zoom, camera.fy * zoom, camera.cx * zoom + x, camera.cy * zoom + y)


def _title(where: str, sample: Mapping[str, Any]) -> np.ndarray:
    side = "right" if np.asarray(sample["right"]).item() else "left"
    labelled = int((np.asarray(sample["keypoints_2d"])[:, 2] > 0).sum())
    has = [
        name for name, flag in (("pose", "has_hand_pose"), ("betas", "has_betas")) if np.asarray(sample[flag]).item()
    ]
    if (np.asarray(sample["keypoints_3d"])[:, 3] > 0).any():
        has.insert(0, "3D")
    strip = np.full((_TITLE, 2 * CELL, 3), _BACKGROUND, np.uint8)
    text = f"{where}  {side}  {labelled}/21  {' '.join(has)}"
    ascii_text = text.encode("ascii", "replace").decode()  # the font has no other letters
    return cv2.putText(strip, ascii_text, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (235, 235, 235), 1, cv2.LINE_AA)
