"""The original's `hamer.utils.MeshRenderer` (drop-in): previews of meshes during training, drawn by our rasteriser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch

from hamer.rendering.meshes import Mesh
from hamer.rendering.renderer import render
from hamer.structures import Camera
from hamer.utils.picture_grid import picture_grid
from hamer.utils.render_openpose import render_openpose


class MeshRenderer:
    """Draws predicted meshes beside their pictures.

    Args:
        cfg: the configuration; `EXTRA.FOCAL_LENGTH` and `MODEL.IMAGE_SIZE` are read.
        faces: (F, 3) of the mesh.
    """

    def __init__(self, cfg: Any, faces: np.ndarray | None = None) -> None:
        self.cfg = cfg
        self.focal_length = cfg.EXTRA.FOCAL_LENGTH
        self.img_res = cfg.MODEL.IMAGE_SIZE
        self.camera_center = [self.img_res // 2, self.img_res // 2]
        self.faces = faces

    def __call__(
        self,
        vertices: np.ndarray,
        camera_translation: np.ndarray,
        image: np.ndarray,
        focal_length: float = 5000,
        text: str | None = None,
        resize: Sequence[int] | None = None,
        side_view: bool = False,
        baseColorFactor: Sequence[float] = (1.0, 1.0, 0.9, 1.0),
        rot_angle: float = 90,
    ) -> np.ndarray:
        """`image` (H, W, 3) float in 0..1 with the mesh over it; from the side, the mesh on white.

        `text` is written on it, `resize` (width, height) scales it. Returns (H, W, 3) float32; arguments stay unchanged.
        """
        picture = np.asarray(image, np.float32)
        points = np.asarray(vertices, np.float64)
        if side_view:
            angle = np.radians(rot_angle)
            points = points @ np.array(
                [[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]]
            )
            picture = np.ones_like(picture)
        height, width = picture.shape[:2]
        if self.faces is None:
            raise ValueError("MeshRenderer was made without faces: pass faces=model.mano.faces to draw meshes")
        mesh = Mesh(points + np.asarray(camera_translation), self.faces, tuple(baseColorFactor[:3]))
        focal = float(focal_length)
        drawn = render([mesh], Camera(focal, focal, width / 2, height / 2), width, height)
        share = drawn.alpha[:, :, None] * np.float32(baseColorFactor[3] if len(baseColorFactor) > 3 else 1)
        result = np.ascontiguousarray(drawn.color * share + picture * (1 - share), np.float32)
        if resize is not None:
            result = np.asarray(cv2.resize(result, (int(resize[0]), int(resize[1]))), np.float32)
        if text:
            cv2.putText(result, text, (5, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        return result

    def visualize(
        self,
        vertices: np.ndarray,
        camera_translation: np.ndarray,
        images: np.ndarray,
        focal_length: float | None = None,
        nrow: int = 3,
        padding: int = 2,
    ) -> torch.Tensor:
        """For each of `images` (N, 3, H, W) in 0..1: the picture, the overlay and the side view, as a grid (3, H', W')."""
        views: list[torch.Tensor] = []
        for points, translation, picture in zip(vertices, camera_translation, images, strict=True):
            views += self._views(points, translation, picture, focal_length)
        return picture_grid(views, nrow, padding)

    def visualize_tensorboard(
        self,
        vertices: np.ndarray,
        camera_translation: np.ndarray,
        images: np.ndarray,
        pred_keypoints: np.ndarray,
        gt_keypoints: np.ndarray,
        focal_length: float | None = None,
        nrow: int = 5,
        padding: int = 2,
    ) -> torch.Tensor:
        """As `visualize`, with the predicted (N, 21, 2) and the true (N, 21, 3) keypoints; in crop widths from its centre."""
        views: list[torch.Tensor] = []
        predicted = np.asarray(pred_keypoints)
        predicted = np.concatenate([predicted[..., :2], np.ones_like(predicted[..., :1])], axis=-1)
        for number, picture in enumerate(np.asarray(images)):
            views += self._views(vertices[number], camera_translation[number], picture, focal_length)
            views += [self._skeleton(picture, points[number]) for points in (predicted, np.asarray(gt_keypoints))]
        return picture_grid(views, nrow, padding)

    def _views(
        self, vertices: np.ndarray, translation: np.ndarray, picture: np.ndarray, focal_length: float | None
    ) -> list[torch.Tensor]:
        focal = self.focal_length if focal_length is None else focal_length
        picture = np.asarray(picture)
        shown = picture.transpose(1, 2, 0)
        drawn = [self(vertices, translation, shown, focal, side_view=side) for side in (False, True)]
        return [torch.from_numpy(picture), *(torch.from_numpy(view.transpose(2, 0, 1)) for view in drawn)]

    def _skeleton(self, picture: np.ndarray, keypoints: np.ndarray) -> torch.Tensor:
        pixels = np.array(keypoints, np.float32)
        pixels[:, :2] = self.img_res * (pixels[:, :2] + 0.5)
        drawn = render_openpose(255 * np.ascontiguousarray(picture.transpose(1, 2, 0), np.float32), pixels) / 255
        return torch.from_numpy(drawn.transpose(2, 0, 1))
