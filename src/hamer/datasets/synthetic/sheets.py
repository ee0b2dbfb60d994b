"""Sheets of made pictures to be looked at: the picture, and beside it its parts and joints, the hidden ones hollow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np

from hamer.datasets.synthetic.maker import MadePicture
from hamer.rendering.keypoints import BONES, JOINT_COLORS

CELL = 256
_SHIFT = 4  # OpenCV draws at 1/16 px
_RADIUS, _GAP = 3.2, 2


def sheet(pictures: Sequence[MadePicture], columns: int = 4, *, annotated: bool = True) -> np.ndarray:
    """(H, W, 3) RGB uint8 of pictures in rows, each with its annotated copy to the right, or without."""
    if not pictures or columns < 1:
        raise ValueError(f"a sheet needs pictures and columns, got {len(pictures)} and {columns}")
    cells = [cell(picture, annotated=annotated) for picture in pictures]
    columns = min(columns, len(cells))
    cells += [np.full_like(cells[0], 40)] * (-len(cells) % columns)
    rows = [np.concatenate(cells[i : i + columns], axis=1) for i in range(0, len(cells), columns)]
    return np.concatenate(rows)


def cell(picture: MadePicture, *, annotated: bool = True) -> np.ndarray:
    """A picture at CELL px a side (H, W, 3), and to its right the same with parts tinted and joints drawn."""
    plain = _fitted(picture.rgb, cv2.INTER_AREA)
    views = [plain]
    if annotated:
        parts = _fitted(picture.parts, cv2.INTER_NEAREST)
        views.append(_with_joints(_tinted(plain, parts), picture))
    framed = [cv2.copyMakeBorder(v, 0, _GAP, 0, _GAP, cv2.BORDER_CONSTANT, value=(40, 40, 40)) for v in views]
    return np.concatenate(framed, axis=1)


def _fitted(pixels: np.ndarray, interpolation: int) -> np.ndarray:
    scale = CELL / max(pixels.shape[:2])
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    return pixels if scale == 1 else cv2.resize(pixels, size, interpolation=interpolation)


def _tinted(rgb: np.ndarray, parts: np.ndarray) -> np.ndarray:
    tint = part_colors()[parts].astype(np.float32)
    strength = np.where(parts[..., None] > 0, 0.4, 0.0)
    return (rgb * (1 - strength) + tint * strength + 0.5).astype(np.uint8)


def _with_joints(rgb: np.ndarray, picture: MadePicture) -> np.ndarray:
    canvas = np.ascontiguousarray(rgb)
    scale = CELL / max(picture.rgb.shape[:2])
    points = (picture.truth.keypoints_2d + 0.5) * scale - 0.5
    for start, end in BONES:
        cv2.line(canvas, _fixed(points[start]), _fixed(points[end]), JOINT_COLORS[end], 1, cv2.LINE_AA, _SHIFT)
    for joint in range(21):
        hidden = not picture.visibility[joint]
        color = JOINT_COLORS[joint]
        radius = round(_RADIUS * 2**_SHIFT)
        if hidden:
            cv2.circle(canvas, _fixed(points[joint]), radius, (255, 255, 255), 1, cv2.LINE_AA, _SHIFT)
        else:
            cv2.circle(canvas, _fixed(points[joint]), radius, color, cv2.FILLED, cv2.LINE_AA, _SHIFT)
    return canvas


def _fixed(point: np.ndarray) -> tuple[int, int]:
    x, y = np.round(np.clip(point, -1000, 5000) * 2**_SHIFT).astype(int)
    return int(x), int(y)


@cache
def part_colors() -> np.ndarray:
    """(256, 3) uint8: a colour for each label, black for no hand, grey for arms, white for another hand."""
    colors = np.zeros((256, 3), np.uint8)
    hues = (np.arange(16) * 77) % 180  # neighbours far apart on the wheel
    wheel = np.stack([hues, np.full(16, 200), np.full(16, 255)], -1).astype(np.uint8)
    colors[1:17] = cv2.cvtColor(wheel[None], cv2.COLOR_HSV2RGB)[0]
    colors[17], colors[18] = (90, 90, 90), (255, 255, 255)
    return colors
