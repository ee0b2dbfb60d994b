"""Triangle meshes to draw, and their smooth normals.

Letters used in shapes: V vertices, F faces. Vertices are in the camera frame (x right, y down, z forward), metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LIGHT_BLUE = (0.65098039, 0.74117647, 0.85882353)
_FARTHEST = 1e7  # metres; the original's camera puts hands at hundreds of them, more is an overflow somewhere


@dataclass
class Mesh:
    """A mesh of one colour: `vertices` (V, 3) camera frame, metres; `faces` (F, 3) indices; `color` RGB in 0..1.

    The winding of the faces does not matter for drawing: both sides are shaded alike.
    Raises ValueError for wrong shapes, vertices that are not finite, and indices without a vertex.
    """

    vertices: np.ndarray
    faces: np.ndarray
    color: Sequence[float] = LIGHT_BLUE

    def __post_init__(self) -> None:
        self.vertices = np.ascontiguousarray(_numeric(self.vertices, "Mesh.vertices"), dtype=np.float64)
        self.faces = np.ascontiguousarray(_numeric(self.faces, "Mesh.faces"), dtype=np.int64)
        if self.vertices.ndim != 2 or self.vertices.shape[1] != 3:
            raise ValueError(f"Mesh.vertices must have shape (V, 3), got {self.vertices.shape}")
        if self.faces.ndim != 2 or self.faces.shape[1] != 3:
            raise ValueError(f"Mesh.faces must have shape (F, 3), got {self.faces.shape}")
        bad = int((~(np.abs(self.vertices) < _FARTHEST)).any(axis=1).sum())
        if bad:
            raise ValueError(
                f"Mesh.vertices must be finite metres, got {bad} of {len(self.vertices)} with NaN, infinity or more than "
                f"{_FARTHEST:.0e} m; leave this hand out or repair its parameters"
            )
        if self.faces.size and not (self.faces.min() >= 0 and self.faces.max() < len(self.vertices)):
            raise ValueError(
                f"Mesh.faces must index the {len(self.vertices)} vertices, "
                f"got indices from {self.faces.min()} to {self.faces.max()}"
            )
        color = np.asarray(self.color, dtype=np.float64)
        if color.shape != (3,) or not ((color >= 0) & (color <= 1)).all():
            raise ValueError(f"Mesh.color must be three numbers r, g, b in 0..1, got {self.color!r}")
        self.color = (float(color[0]), float(color[1]), float(color[2]))


def _numeric(value: object, name: str) -> np.ndarray:
    """`value` as a numeric array; tensors on any device are taken too, so that callers need no conversion."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be an array of numbers, got {type(value).__name__} of type {array.dtype}")
    return array


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Smooth unit normals (V, 3): the mean of the adjoining faces' normals, weighted by their area.

    They point to the side from which the faces wind counter-clockwise; zero for a vertex without a face.
    """
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    # The cross product's length is twice the area: adding it unnormalised is the weighting.
    per_face = np.cross(b - a, c - a)
    normals = np.stack(
        [np.bincount(faces.ravel(), np.repeat(per_face[:, axis], 3), len(vertices)) for axis in range(3)], axis=1
    )
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
