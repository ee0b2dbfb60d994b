"""A textured surface of a made picture: a hand, an arm, a held object, something in front of it, a body behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NO_HAND = 0  # background, objects, occluders
FIRST_PART, LAST_PART = 1, 16  # the annotated hand: 1 + the MANO joint with the largest skinning weight
FOREARM = 17  # arm and sleeve of the annotated hand
OTHER_HAND = 18  # another hand and its arm
LABELS = 19


@dataclass
class Surface:
    """Triangles with a texture, camera frame (x right, y down, z forward), metres.

    V vertices, F faces, T texture coordinates, S x S texels.

    `vertices` (V, 3) float32; `faces` (F, 3) int32, both sides are drawn; `uv` (T, 2) float32 in 0..1, u to the right
    and v downwards in the texture, so that texel row r spans v * S = r..r + 1; `uv_faces` (F, 3) int32 into `uv`;
    `albedo` (S, S, 3) uint8 sRGB; `relief` (S, S) float32 height of small bumps in metres, or None; `gloss` 0 (matt) to
    1 (wet, varnished); `labels` (F,) uint8, see above; `scattering` 0..1: how far light travels under the surface, so
    that shade begins softly and reddish (None: 1 for hands and arms, 0 for surfaces without any of their labels);
    `casts`: whether it throws shadows, else it only takes them. Shadow maps are fitted to what throws them, so large
    things behind should not.

    Raises:
        ValueError: shapes or indices that do not fit together.
    """

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray
    albedo: np.ndarray
    relief: np.ndarray | None
    gloss: float
    labels: np.ndarray
    scattering: float | None = None
    casts: bool = True

    def __post_init__(self) -> None:
        self.vertices = _points(self.vertices, "vertices", 3)
        self.uv = _points(self.uv, "uv", 2)
        self.faces = _triangles(self.faces, "faces", len(self.vertices))
        self.uv_faces = _triangles(self.uv_faces, "uv_faces", len(self.uv))
        if len(self.uv_faces) != len(self.faces):
            raise ValueError(
                f"Surface.uv_faces must have a row for each of {len(self.faces)} faces, got {len(self.uv_faces)}"
            )
        self.labels = np.ascontiguousarray(self.labels, np.uint8)
        if self.labels.shape != (len(self.faces),):
            raise ValueError(f"Surface.labels must have shape ({len(self.faces)},), got {self.labels.shape}")
        self.albedo = np.ascontiguousarray(self.albedo)
        size = self.albedo.shape[0]
        if self.albedo.dtype != np.uint8 or self.albedo.shape != (size, size, 3) or size == 0:
            raise ValueError(
                f"Surface.albedo must be uint8 of shape (S, S, 3), got {self.albedo.dtype} of {self.albedo.shape}"
            )
        if self.relief is not None:
            self.relief = np.ascontiguousarray(self.relief, np.float32)
            if self.relief.shape != (size, size):
                raise ValueError(
                    f"Surface.relief must have the texture's shape {(size, size)}, got {self.relief.shape}"
                )
        for name, value in (("gloss", self.gloss), ("scattering", self.scattering)):
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"Surface.{name} must be in 0..1, got {value}")

    @property
    def softness(self) -> float:
        """`scattering`, or what the labels say where it is None."""
        if self.scattering is not None:
            return float(self.scattering)
        return 1.0 if self.labels.any() else 0.0


def _points(value: np.ndarray, name: str, width: int) -> np.ndarray:
    array = np.ascontiguousarray(value, np.float32)
    if array.ndim != 2 or array.shape[1] != width:
        raise ValueError(f"Surface.{name} must have shape (*, {width}), got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"Surface.{name} must be finite, got NaN or infinity")
    return array


def _triangles(value: np.ndarray, name: str, limit: int) -> np.ndarray:
    array = np.ascontiguousarray(value, np.int32)
    if array.ndim != 2 or array.shape[1] != 3:
        raise ValueError(f"Surface.{name} must have shape (F, 3), got {array.shape}")
    if array.size and (array.min() < 0 or array.max() >= limit):
        raise ValueError(f"Surface.{name} must index {limit} points, got {array.min()} to {array.max()}")
    return array
