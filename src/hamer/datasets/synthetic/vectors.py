"""Geometry in NumPy that several folders need (`hamer.geometry`'s rotations and cameras are torch's)."""

from __future__ import annotations

import cv2
import numpy as np


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) with length 1; zero ones stay zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def area_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Outward normals (V, 3) float64 at the vertices, not of length 1: each face counts by its area."""
    vertices = np.asarray(vertices, np.float64)
    corners = vertices[faces]
    of_faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], of_faces)
    return normals


def rotation_of(vector: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) of a rotation vector (3,), radians (Rodrigues' formula)."""
    return cv2.Rodrigues(np.asarray(vector, np.float64))[0]


def uniform_rotation(rng: np.random.Generator) -> np.ndarray:
    """A rotation (3, 3) uniform over SO(3): a normal quaternion's (Shoemake, Graphics Gems III, 1992)."""
    w, x, y, z = (q := rng.normal(size=4)) / np.linalg.norm(q)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def projected(points: np.ndarray, camera_matrix: np.ndarray) -> np.ndarray:
    """Pixels (N, 2) float64 of points (N, 3) of the camera frame, seen with a camera matrix (3, 3)."""
    pixels = np.asarray(points, np.float64) @ np.asarray(camera_matrix, np.float64).T
    return pixels[:, :2] / pixels[:, 2:]
