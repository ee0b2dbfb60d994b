"""The original's `hamer.utils.renderer` (drop-in), drawn by our rasteriser: no GL, no display.

Arguments, shapes and dtypes are the original's; pictures differ in their lights. What differs on purpose: arguments are never
changed (the original negates the camera's x in the caller's array), and meshes keep all their vertices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
import trimesh

from hamer.errors import PictureError
from hamer.geometry.cameras import cam_crop_to_full
from hamer.hand_models.arrays import MANO_WRIST_FACES
from hamer.rendering.meshes import Mesh
from hamer.rendering.renderer import Rendered, render
from hamer.structures import Camera

__all__ = ["Renderer", "cam_crop_to_full"]

_MANO_VERTICES = 778
_CREAM = (1.0, 1.0, 0.9)


class Renderer:
    """Draws hand meshes as the original's class of this name does.

    Args:
        cfg: the model's configuration; `EXTRA.FOCAL_LENGTH`, `MODEL.IMAGE_SIZE`, `.IMAGE_MEAN`, `.IMAGE_STD` are read.
        faces: (F, 3) of a right hand. Faces that close the wrist are added, as the original does, unless the mesh has
            more vertices than MANO and so is none.
    """

    def __init__(self, cfg: Any, faces: np.ndarray) -> None:
        self.cfg = cfg
        self.focal_length = cfg.EXTRA.FOCAL_LENGTH
        self.img_res = cfg.MODEL.IMAGE_SIZE
        faces = _array(faces).astype(np.int64)
        if faces.size and faces.max() < _MANO_VERTICES:
            faces = np.concatenate([faces, np.array(MANO_WRIST_FACES)])
        self.camera_center = [self.img_res // 2, self.img_res // 2]
        self.faces = faces
        self.faces_left = faces[:, [0, 2, 1]]

    def __call__(
        self,
        vertices: np.ndarray,
        camera_translation: np.ndarray,
        image: torch.Tensor,
        full_frame: bool = False,
        imgname: str | None = None,
        side_view: bool = False,
        rot_angle: float = 90,
        mesh_base_color: Sequence[float] = _CREAM,
        scene_bg_color: Sequence[float] = (0, 0, 0),
        return_rgba: bool = False,
    ) -> np.ndarray:
        """One hand over its picture, or turned about the vertical axis in front of the background.

        Args:
            vertices: (V, 3) metres; `camera_translation` (3,) puts them in front of the camera.
            image: (3, H, W) crop, normalised by the configuration's mean and deviation.
            full_frame: draw over the file `imgname` instead.
            side_view: turn the mesh by `rot_angle` degrees about y first, and show it without the picture.
            return_rgba: give the drawing alone.

        Returns:
            (H, W, 3), or (H, W, 4) with `return_rgba`; float32 RGB in 0..1.

        Raises:
            PictureError: `imgname` cannot be read.
        """
        picture = _read(imgname) if full_frame else self._denormalised(image)
        height, width = picture.shape[:2]
        points = _array(vertices).astype(np.float64)  # float32 at a hundred metres would be coarse
        if side_view:
            points = points @ _rotation(rot_angle, (0, 1, 0)).T
        mesh = Mesh(points + _array(camera_translation), self.faces, tuple(mesh_base_color))
        drawn = self._draw([mesh], width, height, self.focal_length)
        if return_rgba:
            return _rgba(drawn, scene_bg_color)
        if side_view:
            return _rgba(drawn, scene_bg_color)[:, :, :3]
        return _over(drawn, picture)

    def vertices_to_trimesh(
        self,
        vertices: np.ndarray,
        camera_translation: np.ndarray,
        mesh_base_color: Sequence[float] = _CREAM,
        rot_axis: Sequence[float] = (1, 0, 0),
        rot_angle: float = 0,
        is_right: float | None = 1,
    ) -> trimesh.Trimesh:
        """The mesh, moved by `camera_translation`, turned by `rot_angle` degrees about `rot_axis` through the camera, in
        the frame of 3D viewers (y up, z backward), with `mesh_base_color` at every vertex."""
        points = (_array(vertices) + _array(camera_translation)) @ _rotation(rot_angle, rot_axis).T
        faces = self.faces if is_right else self.faces_left
        colors = np.tile([*mesh_base_color, 1.0], (len(points), 1))
        return trimesh.Trimesh(points * (1, -1, -1), faces.copy(), vertex_colors=colors, process=False)

    def render_rgba(
        self,
        vertices: np.ndarray,
        cam_t: np.ndarray | None = None,
        rot: Any = None,
        rot_axis: Sequence[float] = (1, 0, 0),
        rot_angle: float = 0,
        camera_z: float = 3,
        mesh_base_color: Sequence[float] = _CREAM,
        scene_bg_color: Sequence[float] = (0, 0, 0),
        render_res: Sequence[int] = (256, 256),
        focal_length: float | None = None,
        is_right: float | None = None,
    ) -> np.ndarray:
        """One hand, turned about its own origin; without `cam_t` at a distance that goes with `camera_z`.

        `render_res` is (width, height); `rot` and `is_right` change nothing, as both sides of a face are drawn alike.
        Returns (H, W, 4) float32 in 0..1: colour over the background, and the share of the pixel that is covered.
        """
        width, height = (int(side) for side in render_res)
        focal = self.focal_length if focal_length is None else focal_length
        translation = np.array([0, 0, camera_z * focal / height]) if cam_t is None else _array(cam_t)
        points = _array(vertices) @ _rotation(rot_angle, rot_axis).T + translation
        drawn = self._draw([Mesh(points, self.faces, tuple(mesh_base_color))], width, height, focal)
        return _rgba(drawn, scene_bg_color)

    def render_rgba_multiple(
        self,
        vertices: Sequence[np.ndarray],
        cam_t: Sequence[np.ndarray],
        rot_axis: Sequence[float] = (1, 0, 0),
        rot_angle: float = 0,
        mesh_base_color: Sequence[float] = _CREAM,
        scene_bg_color: Sequence[float] = (0, 0, 0),
        render_res: Sequence[int] = (256, 256),
        focal_length: float | None = None,
        is_right: Sequence[float] | None = None,
    ) -> np.ndarray:
        """Several hands, each at its own `cam_t`, seen by one camera. Arguments and result as of `render_rgba`."""
        width, height = (int(side) for side in render_res)
        focal = self.focal_length if focal_length is None else focal_length
        sides = [1.0] * len(vertices) if is_right is None else list(is_right)
        turn = _rotation(rot_angle, rot_axis)
        meshes = [
            Mesh(
                (_array(points) + _array(translation)) @ turn.T,
                self.faces if side else self.faces_left,
                tuple(mesh_base_color),
            )
            for points, translation, side in zip(vertices, cam_t, sides, strict=False)
        ]
        return _rgba(self._draw(meshes, width, height, focal), scene_bg_color)

    def _denormalised(self, image: torch.Tensor) -> np.ndarray:
        """(3, H, W) normalised -> (H, W, 3) float32 in 0..1."""
        mean, deviation = (np.asarray(v, np.float32) for v in (self.cfg.MODEL.IMAGE_MEAN, self.cfg.MODEL.IMAGE_STD))
        return _array(image).astype(np.float32).transpose(1, 2, 0) * deviation + mean

    def _draw(self, meshes: list[Mesh], width: int, height: int, focal: Any) -> Rendered:
        focal = float(focal)  # callers pass 0-dimensional tensors too
        return render(meshes, Camera(focal, focal, width / 2, height / 2), width, height)


def _array(value: Any) -> np.ndarray:
    """A copy of an array or tensor."""
    return np.array(value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value)


def _rotation(degrees: float, axis: Sequence[float]) -> np.ndarray:
    return trimesh.transformations.rotation_matrix(np.radians(degrees), axis)[:3, :3]


def _read(path: str | None) -> np.ndarray:
    picture = None if path is None else cv2.imread(str(path))
    if picture is None:
        raise PictureError(f"imgname must be a picture when full_frame is set, cannot read {path!r}")
    return picture[:, :, ::-1].astype(np.float32) / 255


def _over(drawn: Rendered, picture: np.ndarray) -> np.ndarray:
    share = drawn.alpha[:, :, None]
    return (drawn.color * share + picture * (1 - share)).astype(np.float32)


def _rgba(drawn: Rendered, background: Sequence[float]) -> np.ndarray:
    """Colour over `background` with coverage as fourth channel, as the original's pictures are."""
    picture = np.broadcast_to(np.asarray(background, np.float32), (*drawn.alpha.shape, 3))
    return np.concatenate([_over(drawn, picture), drawn.alpha[:, :, None]], axis=2)
