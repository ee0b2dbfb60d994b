"""Make the pictures of README and docs/conventions.md from the sample pictures and the open hand.

python tools/make_docs_pictures.py
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

import hamer
from hamer.geometry.cameras import project_with_camera
from hamer.pipeline.reconstructor import load_hand_model
from hamer.rendering import LIGHT_BLUE, Mesh, draw_keypoints, overlay
from hamer.results import hand_sheet
from hamer.structures import Camera

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
NAMES = ("x right", "y down", "z forward")
COLORS = ((200, 40, 40), (40, 140, 40), (40, 70, 210))


def first_picture() -> np.ndarray:
    """What a run gives: picture and overlay, then the hands' rows."""
    model = hamer.HandReconstructor.from_pretrained()
    result = model(ROOT / "examples" / "pictures" / "peace.jpg")
    assert result.image is not None
    top = np.concatenate([result.image, hamer.overlay(result)], axis=1)
    rows = np.concatenate([hand_sheet(result, hand, side_view=True) for hand in result.hands[:2]], axis=1)
    rows = cv2.resize(rows, (top.shape[1], round(rows.shape[0] * top.shape[1] / rows.shape[1])))
    return cv2.resize(np.concatenate([top, rows]), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)


def axes_picture() -> np.ndarray:
    """The right hand's rest pose in the camera frame, seen obliquely, with axes of 5 cm and its 21 joints."""
    model = load_hand_model("open")
    output = model.forward_axis_angle(torch.zeros(3), torch.zeros(45), torch.zeros(10))
    vertices, joints = output.vertices.numpy(), output.joints.numpy()
    look = cv2.Rodrigues(np.array([0.5, 0.0, 0.0]))[0] @ cv2.Rodrigues(np.array([0.0, -0.5, 0.0]))[0]
    camera, away = Camera(800, 800, 340, 270), np.array([0.0, 0.0, 0.42])
    seen = vertices @ look.T + away
    picture = overlay(
        np.full((480, 760, 3), 250, np.uint8), [Mesh(seen, model.arrays.closed_faces, LIGHT_BLUE)], camera
    )
    points = project_with_camera(joints @ look.T + away, camera)
    picture = draw_keypoints(picture, points)
    for number, (x, y) in enumerate(points.round().astype(int)):
        cv2.putText(
            picture, str(number), (int(x) + 5, int(y) - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (20, 20, 20), 1, cv2.LINE_AA
        )
    origin = np.array([0.125, -0.02, -0.08])
    ends = origin + 0.05 * np.eye(3)
    tips = project_with_camera(np.vstack([origin, ends]) @ look.T + away, camera).round().astype(int)
    for name, color, tip in zip(NAMES, COLORS, tips[1:], strict=True):
        cv2.arrowedLine(picture, tuple(tips[0].tolist()), tuple(tip.tolist()), color, 2, cv2.LINE_AA, tipLength=0.2)
        cv2.putText(picture, name, tuple((tip + 6).tolist()), cv2.FONT_HERSHEY_SIMPLEX, 0.5, color, 1, cv2.LINE_AA)
    return picture


def main() -> None:
    """Write both pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(IMAGES / "axes.png"), axes_picture()[..., ::-1])
    cv2.imwrite(str(IMAGES / "first.jpg"), first_picture()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
