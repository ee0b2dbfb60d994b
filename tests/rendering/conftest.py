"""Small meshes to draw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import trimesh

from hamer.rendering import Mesh
from hamer.structures import Camera

Ball = Callable[..., Mesh]


@pytest.fixture
def camera() -> Camera:
    """Sees a metre at a metre's distance in 128 pixels."""
    return Camera(128, 128, 64, 64)


@pytest.fixture(scope="session")
def ball() -> Ball:
    """A maker of balls: `ball(centre, radius, color)`, faces winding outwards."""
    shape = trimesh.creation.icosphere(subdivisions=3)
    vertices, faces = np.array(shape.vertices), np.array(shape.faces)

    def make(centre: tuple[float, float, float], radius: float = 0.2, color: tuple[float, ...] = (1, 1, 1)) -> Mesh:
        return Mesh(vertices * radius + centre, faces, color)

    return make


def square(z: float, half: float = 0.25, x: float = 0.0, color: tuple[float, ...] = (1, 1, 1)) -> Mesh:
    """A square facing the camera, side 2 `half`."""
    corners = np.array([[x - half, -half, z], [x + half, -half, z], [x + half, half, z], [x - half, half, z]])
    return Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]), color)


@pytest.fixture(name="square")
def square_maker() -> Callable[..., Mesh]:
    return square
