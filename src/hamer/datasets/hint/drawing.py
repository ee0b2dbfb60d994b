"""HInt's annotations over their pictures: joints that are seen filled, hidden ones hollow."""

from __future__ import annotations

import cv2
import numpy as np

from hamer.datasets.hint.annotation import HintAnnotation
from hamer.rendering.keypoints import BONES, JOINT_COLORS

_SHIFT = 4  # OpenCV draws at 1/16 px
_MARGIN = 1.6  # side of the square over that of the box
_WHITE = (255, 255, 255)
_BOX_COLOR = (255, 255, 255)
_BONE, _RADIUS, _RING = 1 / 90, 1 / 40, 1 / 120  # of the longer side of the box


def draw_annotation(rgb: np.ndarray, found: HintAnnotation, *, crop: bool = True, side: int = 512) -> np.ndarray:
    """A copy of the RGB picture (H, W, 3) uint8 with box, bones and joints.

    A joint that is seen is a disc in its finger's colour, a hidden one a ring through which the picture shows; bones with a
    hidden end are dashed. Joints that are not in the picture are left out.

    Args:
        crop: the square around the box, `side` px wide, instead of the whole picture.
    """
    height, width = rgb.shape[:2]
    inside, points, box = found.inside(width, height), found.keypoints, found.box
    canvas = np.ascontiguousarray(rgb).copy()
    if crop:
        to_crop = _square(box, side)
        canvas = cv2.warpAffine(
            canvas, to_crop, (side, side), flags=cv2.INTER_AREA if to_crop[0, 0] < 1 else cv2.INTER_LINEAR
        )
        points, box = points * to_crop[0, 0] + to_crop[:, 2], box * to_crop[0, 0] + np.tile(to_crop[:, 2], 2)
    size = float((box[2:] - box[:2]).max())
    cv2.rectangle(canvas, _fixed(box[:2]), _fixed(box[2:]), _BOX_COLOR, 1, cv2.LINE_AA, _SHIFT)
    for start, end in BONES:
        if inside[start] and inside[end]:
            hidden = bool(found.occluded[start]), bool(found.occluded[end])
            _bone(canvas, points[start], points[end], JOINT_COLORS[end], size, hidden)
    for joint in np.flatnonzero(inside):
        _joint(canvas, points[joint], JOINT_COLORS[joint], size, hollow=bool(found.occluded[joint]))
    return canvas


def sheet(pictures: list[np.ndarray], columns: int = 4) -> np.ndarray:
    """Pictures of one size (H, W, 3) in rows."""
    blank = np.full_like(pictures[0], 40)
    cells = [*pictures, *([blank] * (-len(pictures) % columns))] if len(pictures) > columns else pictures
    columns = min(columns, len(cells))
    return np.concatenate([np.concatenate(cells[i : i + columns], axis=1) for i in range(0, len(cells), columns)])


def _joint(canvas: np.ndarray, at: np.ndarray, color: tuple[int, int, int], size: float, *, hollow: bool) -> None:
    radius, ring = round(_radius(size, hollow) * 2**_SHIFT), max(1, round(size * _RING))
    if hollow:
        cv2.circle(canvas, _fixed(at), radius + 2**_SHIFT, _WHITE, ring, cv2.LINE_AA, _SHIFT)
        cv2.circle(canvas, _fixed(at), radius, color, ring, cv2.LINE_AA, _SHIFT)
    else:
        cv2.circle(canvas, _fixed(at), radius + 2**_SHIFT, _WHITE, cv2.FILLED, cv2.LINE_AA, _SHIFT)
        cv2.circle(canvas, _fixed(at), radius, color, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def _bone(
    canvas: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    color: tuple[int, int, int],
    size: float,
    hidden: tuple[bool, bool],
) -> None:
    """A line, dashed where an end is hidden; it stops at the ring of such an end, so that the ring stays hollow."""
    width, length = max(1, round(size * _BONE)), float(np.linalg.norm(end - start))
    trim = _radius(size, hollow=True) / max(length, 1e-6)
    if 2 * trim > 1:
        return  # the rings touch
    start, end = start + (end - start) * trim * hidden[0], end - (end - start) * trim * hidden[1]
    pieces = max(3, round(length / (5 * width))) | 1 if any(hidden) else 1
    for piece in range(0, pieces, 2):
        a, b = (start + (end - start) * step / pieces for step in (piece, piece + 1))
        cv2.line(canvas, _fixed(a), _fixed(b), color, width, cv2.LINE_AA, _SHIFT)


def _radius(size: float, hollow: bool) -> float:
    """Rings are wider than discs, so that there is something to see inside."""
    return max(3.0, size * _RADIUS) * (1.4 if hollow else 1.0)


def _square(box: np.ndarray, side: int) -> np.ndarray:
    """(2, 3): pixels of the picture to those of a square around the box."""
    zoom = side / (_MARGIN * float((box[2:] - box[:2]).max()))
    corner = (box[:2] + box[2:]) / 2 - side / (2 * zoom)
    return np.array([[zoom, 0, -zoom * corner[0]], [0, zoom, -zoom * corner[1]]])


def _fixed(point: np.ndarray) -> tuple[int, int]:
    x, y = np.round(np.clip(point, -1e5, 1e5) * 2**_SHIFT).astype(int)
    return int(x), int(y)
