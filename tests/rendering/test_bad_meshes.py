"""What cannot be drawn is refused with a message that names it."""

from __future__ import annotations

import numpy as np
import pytest

from hamer.rendering import Mesh, overlay, render
from hamer.structures import Camera

TRIANGLE = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1.0]])
FACES = np.array([[0, 1, 2]])
CAMERA = Camera(10, 10, 5, 5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_vertices_must_be_finite(bad: float) -> None:
    vertices = TRIANGLE.copy()
    vertices[1, 2] = bad
    with pytest.raises(ValueError, match=r"Mesh\.vertices must be finite.*1 of 3"):
        Mesh(vertices, FACES)


@pytest.mark.parametrize(
    ("vertices", "faces", "color", "message"),
    [
        (TRIANGLE[:, :2], FACES, (1, 1, 1), r"Mesh\.vertices must have shape \(V, 3\)"),
        (TRIANGLE, FACES[0], (1, 1, 1), r"Mesh\.faces must have shape \(F, 3\)"),
        (TRIANGLE, FACES + 1, (1, 1, 1), r"Mesh\.faces must index the 3 vertices"),
        (TRIANGLE, FACES - 1, (1, 1, 1), r"Mesh\.faces must index the 3 vertices"),
        (TRIANGLE, FACES, (255, 0, 0), r"Mesh\.color"),
        (TRIANGLE, FACES, (0.5, 0.5), r"Mesh\.color"),
        (np.array([["a"] * 3] * 3), FACES, (1, 1, 1), r"Mesh\.vertices must be an array of numbers"),
    ],
)
def test_misshapen_meshes(vertices, faces, color, message) -> None:
    with pytest.raises(ValueError, match=message):
        Mesh(vertices, faces, color)


def test_bad_arguments() -> None:
    mesh = Mesh(TRIANGLE, FACES)
    with pytest.raises(ValueError, match="width and height"):
        render([mesh], CAMERA, 0, 10)
    with pytest.raises(ValueError, match="backend"):
        render([mesh], CAMERA, 10, 10, backend="opengl")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="supersample"):
        render([mesh], CAMERA, 10, 10, supersample=9)
    with pytest.raises(ValueError, match="RGB uint8"):
        overlay(np.zeros((10, 10, 3), np.float32), [mesh], CAMERA)
    with pytest.raises(ValueError, match="RGB uint8"):
        overlay(np.zeros((10, 10), np.uint8), [mesh], CAMERA)
    with pytest.raises(ValueError, match="opacity"):
        overlay(np.zeros((10, 10, 3), np.uint8), [mesh], CAMERA, opacity=2)


def test_triangles_without_area_draw_nothing() -> None:
    flat = Mesh(
        np.array([[0, 0, 1], [0.1, 0, 1], [0.2, 0, 1], [0, 0, 1.0]]), np.array([[0, 1, 2], [0, 0, 0], [0, 3, 1]])
    )
    for backend in ("auto", "numpy"):
        assert not render([flat], CAMERA, 10, 10, backend=backend).alpha.any()


@pytest.mark.parametrize("far", [1e3, 9e6])
@pytest.mark.parametrize("distortion", [(), (0.1, 0.1, 0, 0)])
def test_absurd_coordinates_do_no_harm(far: float, distortion: tuple[float, ...]) -> None:
    corners = np.array([[0, 0, 1], [far, 0, 1], [0, -far, 1], [0.1, 0, 1], [0, 0.1, 1], [-far, far, -far]])
    mesh = Mesh(corners, np.array([[0, 1, 2], [0, 3, 4], [0, 4, 5]]))
    for backend in ("auto", "numpy"):
        drawn = render([mesh], Camera(50, 50, 5, 5, distortion), 20, 20, backend=backend)
        assert drawn.hand_id[6, 6] == 0
        assert np.isfinite(drawn.color).all()
