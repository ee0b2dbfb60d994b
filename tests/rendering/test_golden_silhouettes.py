"""Silhouettes and positions of the original's renderer."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hamer.rendering import Mesh, render
from hamer.rendering.scene import build_scene
from hamer.structures import Camera

# The two programs sample an edge at four points each, but not the same ones: about a pixel's width along the outline.
LEAST_IOU = 0.98


def silhouette(golden: Path, name: str) -> np.ndarray:
    return cv2.imread(str(golden / "hamer" / f"render_{name}.png"), cv2.IMREAD_UNCHANGED)[:, :, 3] > 127


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return (first & second).sum() / (first | second).sum()


@pytest.fixture(scope="module")
def data(golden: Path) -> dict[str, np.ndarray]:
    return dict(np.load(golden / "hamer" / "render.npz"))


@pytest.fixture(scope="module")
def hands(data: dict[str, np.ndarray]) -> list[Mesh]:
    return [
        Mesh(data["vertices"] + data["camera"][0], data["render_faces"]),
        Mesh(data["vertices_left"] + data["camera"][1], data["render_faces_left"]),
    ]


@pytest.mark.parametrize("backend", ["auto", "numpy"])
@pytest.mark.parametrize(("name", "count"), [("one", 1), ("two", 2)])
def test_whole_picture(golden, data, hands, name, count, backend) -> None:
    focal = float(data["focal_length"])
    drawn = render(hands[:count], Camera(focal, focal, 320, 240), 640, 480, backend=backend)
    assert iou(255 * drawn.alpha > 127, silhouette(golden, name)) >= LEAST_IOU


@pytest.mark.parametrize("name", ["crop", "crop_side"])
def test_crop(golden, data, name) -> None:
    vertices = data["crop_vertices"].astype(float)
    if name == "crop_side":
        vertices = vertices[:, [2, 1, 0]] * (1, 1, -1)  # a quarter turn about y: x becomes z, z becomes -x
    mesh = Mesh(vertices + data["crop_camera"], data["render_faces"])
    drawn = render([mesh], Camera(5000, 5000, 128, 128), 256, 256)
    assert iou(255 * drawn.alpha > 127, silhouette(golden, name)) >= LEAST_IOU


def test_projected_positions(data, hands) -> None:
    focal = float(data["focal_length"])
    for mesh, side in zip(hands, ("right", "left"), strict=True):
        scene = build_scene([mesh], Camera(focal, focal, 320, 240))
        # The golden positions come from float32 vertices at 8 metres: 1e-6 m times 12500 / 8 px per metre.
        np.testing.assert_allclose(scene.xy, data[f"projected_{side}"], atol=2e-3)
