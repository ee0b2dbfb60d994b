"""Previews of a training: each hand's crop, its true and its estimated keypoints, its mesh from the front and the side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from hamer.models.config import IMAGE_MEAN, IMAGE_STD
from hamer.rendering.keypoints import draw_keypoints
from hamer.rendering.meshes import LIGHT_BLUE, Mesh
from hamer.rendering.renderer import overlay, side_view
from hamer.structures import Camera

if TYPE_CHECKING:
    from hamer.training.module import HamerModule

_GAP = 2
_WHITE = 255


class Previews:
    """What `HamerModule` calls to draw: rows of `preview` go to TensorBoard as `train/predictions`, `val/predictions`.

    Args:
        n_hands: rows; `EXTRA.NUM_LOG_IMAGES`.
    """

    def __init__(self, n_hands: int = 4) -> None:
        self.n_hands = n_hands

    def __call__(self, module: HamerModule, batch: Mapping[str, Any], output: Mapping[str, Any], stage: str) -> None:
        """Draw the batch's first hands, on the first process; nothing without a logger that takes pictures."""
        experiments: list[Any] = [getattr(each, "experiment", None) for each in module.loggers]
        writers = [experiment for experiment in experiments if hasattr(experiment, "add_image")]
        if not writers or not module.trainer.is_global_zero or self.n_hands < 1:
            return
        picture = preview(
            batch,
            output,
            np.asarray(module.mano.faces),
            mean=module.cfg.MODEL.IMAGE_MEAN,
            std=module.cfg.MODEL.IMAGE_STD,
            n_hands=self.n_hands,
        )
        for writer in writers:
            writer.add_image(f"{stage}/predictions", picture, module.global_step, dataformats="HWC")


def preview(
    batch: Mapping[str, Any],
    output: Mapping[str, Any],
    faces: np.ndarray,
    *,
    mean: Any = IMAGE_MEAN,
    std: Any = IMAGE_STD,
    n_hands: int = 4,
) -> np.ndarray:
    """One row a hand: crop, true keypoints, estimated keypoints, mesh, mesh from the side.

    Args:
        batch: `img` (B, 3, H, W) normalised; `keypoints_2d` (B, 21, 3) in crop widths from the centre, where there are
            any.
        output: what HAMER gives for it.
        faces: (F, 3) of the hand.
        mean, std: of the normalisation, for values in 0..1.
        n_hands: at most so many rows.

    Returns:
        RGB uint8.
    """
    crops = _pictures(batch["img"][:n_hands], mean, std)
    truth = _array(batch["keypoints_2d"][:n_hands]) if "keypoints_2d" in batch else None
    estimated, vertices = _array(output["pred_keypoints_2d"]), _array(output["pred_vertices"])
    translations, focal = _array(output["pred_cam_t"]), _array(output["focal_length"])
    rows = []
    for i, crop in enumerate(crops):
        height, width = crop.shape[:2]
        camera = Camera(float(focal[i, 0]), float(focal[i, 1]), width / 2, height / 2)
        points = vertices[i] + translations[i]
        meshes = [Mesh(points, faces, LIGHT_BLUE)] if np.isfinite(points).all() else []
        rows.append(
            [
                crop,
                crop if truth is None else draw_keypoints(crop, _in_pixels(truth[i], crop)),
                draw_keypoints(crop, _in_pixels(estimated[i], crop)),
                overlay(crop, meshes, camera),
                _from_the_side(meshes, camera, width, height),
            ]
        )
    return _grid(rows)


def _pictures(images: Tensor, mean: Any, std: Any) -> np.ndarray:
    """(N, H, W, 3) uint8 from normalised (N, 3, H, W)."""
    values = _array(images).transpose(0, 2, 3, 1) * np.asarray(std, np.float32) + np.asarray(mean, np.float32)
    return np.ascontiguousarray((values * 255).round().clip(0, 255).astype(np.uint8))


def _in_pixels(keypoints: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """Crop widths from the centre to pixels from the corner."""
    side = crop.shape[1]
    return np.concatenate([(keypoints[:, :2] + 0.5) * side, keypoints[:, 2:]], axis=1)


def _from_the_side(meshes: list[Mesh], camera: Camera, width: int, height: int) -> np.ndarray:
    seen = side_view(meshes, camera, width, height)
    alpha = seen.alpha[:, :, None]
    return (255 * (seen.color * alpha + 1 - alpha)).round().astype(np.uint8)


def _grid(rows: list[list[np.ndarray]]) -> np.ndarray:
    height, width = rows[0][0].shape[:2]
    grid = np.full((len(rows) * (height + _GAP) - _GAP, len(rows[0]) * (width + _GAP) - _GAP, 3), _WHITE, np.uint8)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            grid[r * (height + _GAP) :, c * (width + _GAP) :][:height, :width] = picture
    return grid


def _array(value: Tensor) -> np.ndarray:
    return value.detach().float().cpu().numpy()
