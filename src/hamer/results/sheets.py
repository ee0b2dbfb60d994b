"""Pictures of a result: the meshes over the whole picture, and a row of views of one hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from hamer.rendering import LIGHT_BLUE, Mesh, composite, draw_keypoints
from hamer.rendering import overlay as render_overlay
from hamer.rendering import side_view as turn_to_side
from hamer.structures import Camera, Hand, Reconstruction

SHEET_SIZE = 256  # px a view of a sheet, as the original's crops
_LEFT_TINT = (0.93, 0.74, 0.62)  # a left hand beside a right one can be told apart where callers ask for it


def overlay(
    result: Reconstruction, image: np.ndarray | None = None, *, keypoints: bool = False, tint: bool = False
) -> np.ndarray:
    """The picture with all hands drawn over it, nearer ones in front: (H, W, 3) uint8 RGB.

    Args:
        result: what `HandReconstructor` returned.
        image: the picture, where `result` did not keep it.
        keypoints: draw the 21 joints too.
        tint: colour left hands differently.

    Raises:
        ValueError: there is no picture to draw over.
    """
    picture = _picture_of(result, image)
    meshes = [hand_mesh(h, result.faces, tint=tint) for h in result.hands]
    drawn = render_overlay(picture, meshes, result.camera)
    if keypoints:
        for hand in result.hands:
            drawn = draw_keypoints(drawn, hand.keypoints_2d)
    return drawn


def hand_sheet(
    result: Reconstruction,
    hand: Hand,
    image: np.ndarray | None = None,
    *,
    side_view: bool = False,
    rescale_factor: float = 2.0,
) -> np.ndarray:
    """One hand as a row of square views: its crop, the crop with the mesh, and, if asked, the mesh from the side.

    A left hand is shown as the left hand that it is (the original's sheets show it mirrored). Returns
    (256, 512 or 768, 3) uint8 RGB.
    """
    crop, camera = _crop(_picture_of(result, image), result.camera, hand.box, rescale_factor)
    mesh = hand_mesh(hand, result.faces)
    views = [crop, render_overlay(crop, [mesh], camera)]
    if side_view:
        blank = np.full((SHEET_SIZE, SHEET_SIZE, 3), 255, np.uint8)
        views.append(composite(blank, turn_to_side(mesh, camera, SHEET_SIZE, SHEET_SIZE)))
    return np.concatenate(views, axis=1)


def hand_mesh(hand: Hand, faces: np.ndarray, *, tint: bool = False) -> Mesh:
    """The hand as the renderer wants it, in the original's light blue."""
    color = _LEFT_TINT if tint and not hand.is_right else LIGHT_BLUE
    return Mesh(hand.vertices, faces, color)


def _picture_of(result: Reconstruction, image: np.ndarray | None) -> np.ndarray:
    picture = result.image if image is None else image
    if picture is None:
        source = Path(result.path).name if result.path else "given as an array"
        raise ValueError(f"image must be given: this result did not keep its picture ({source})")
    if picture.shape[:2] != (result.height, result.width):
        raise ValueError(f"image must be {result.height} x {result.width} as the result says, got {picture.shape[:2]}")
    return picture


def _crop(image: np.ndarray, camera: Camera, box: np.ndarray, rescale_factor: float) -> tuple[np.ndarray, Camera]:
    """The square around `box` at SHEET_SIZE, and the camera that sees just this square (the lens bends as before)."""
    center = (box[:2] + box[2:]) / 2
    side = max(float((box[2:] - box[:2]).max()) * rescale_factor, 2.0)
    scale = SHEET_SIZE / side
    origin = center - side / 2
    seen = Camera(
        camera.fx * scale,
        camera.fy * scale,
        (camera.cx - origin[0]) * scale,
        (camera.cy - origin[1]) * scale,
        camera.distortion,
    )
    part, corner = _region(image, origin, side)
    if scale < 1:  # average the pixels that fall together
        part, corner, scale = _shrunk(part, corner, scale)
    move = np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
    crop = cv2.warpAffine(part, move, (SHEET_SIZE, SHEET_SIZE), flags=cv2.INTER_LINEAR, borderValue=(255, 255, 255))
    return crop, seen


def _region(image: np.ndarray, corner: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
    """The part of `image` under the square and a pixel around it, and the square's corner in it.

    OpenCV warps no picture of more than 32,767 pixels a side, and a part of one is all that is needed.
    """
    size = np.array([image.shape[1], image.shape[0]])
    low = np.clip(np.floor(corner).astype(int) - 1, 0, size - 1)
    high = np.clip(np.ceil(corner + side).astype(int) + 1, low + 1, size)
    return image[low[1] : high[1], low[0] : high[0]], corner - low


def _shrunk(part: np.ndarray, corner: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray, float]:
    """`part` reduced by area so that the square is about SHEET_SIZE: (part, corner in it, remaining scale)."""
    size = [max(1, round(n * scale)) for n in (part.shape[1], part.shape[0])]
    ratio = np.array(size) / [part.shape[1], part.shape[0]]
    return cv2.resize(part, size, interpolation=cv2.INTER_AREA), corner * ratio, 1.0
