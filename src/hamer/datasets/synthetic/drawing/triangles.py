"""Surfaces joined into one list of triangles, projected; and the frames of shadow maps. What both drawings begin with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hamer.datasets.synthetic.drawing.numba_zbuffer import seen_from
from hamer.datasets.synthetic.drawing.surfaces import Surface

NEAR = 0.02  # metres; a triangle with a corner nearer to the camera's plane is not drawn
_FARTHEST = 1e6  # pixels; triangles with corners beyond would exceed what float32 can count

SHADOW_SIZE = 256  # texels; 1.5 mm over a hand and what is seen of its arm
_MARGIN = 12  # texels around what is seen, for soft edges


@dataclass
class Triangles:
    """All surfaces of a scene. P points, F faces, T texture coordinates, M surfaces.

    `positions` (P, 3) float32 camera frame; `faces` (F, 3) int32; `uv` (T, 2); `uv_faces` (F, 3); `owners` (F,) int32
    number of the surface; `labels` (F,) uint8; `finish` (M, 2) float32 gloss and scattering;
    `casts` (F,) bool, whether a face throws shadows.
    """

    positions: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray
    owners: np.ndarray
    labels: np.ndarray
    finish: np.ndarray
    casts: np.ndarray

    @classmethod
    def of(cls, surfaces: Sequence[Surface]) -> Triangles:
        """Join `surfaces`, in their order; may be none."""
        points = np.cumsum([0, *(len(surface.vertices) for surface in surfaces)])
        coordinates = np.cumsum([0, *(len(surface.uv) for surface in surfaces)])
        empty3 = np.zeros((0, 3), np.int32)
        return cls(
            positions=np.concatenate([np.zeros((0, 3), np.float32), *(s.vertices for s in surfaces)]),
            faces=np.concatenate([empty3, *(s.faces + np.int32(n) for s, n in zip(surfaces, points, strict=False))]),
            uv=np.concatenate([np.zeros((0, 2), np.float32), *(s.uv for s in surfaces)]),
            uv_faces=np.concatenate(
                [empty3, *(s.uv_faces + np.int32(n) for s, n in zip(surfaces, coordinates, strict=False))]
            ),
            owners=np.repeat(np.arange(len(surfaces), dtype=np.int32), [len(s.faces) for s in surfaces]),
            labels=np.concatenate([np.zeros(0, np.uint8), *(s.labels for s in surfaces)]),
            finish=np.array([(s.gloss, s.softness) for s in surfaces], np.float32).reshape(-1, 2),
            casts=np.repeat(np.array([s.casts for s in surfaces], bool), [len(s.faces) for s in surfaces]),
        )


@dataclass
class Projection:
    """Where points land: `xy` (P, 2) float64 pixels, `inverse_z` (P,) float64 1/m, `drawn` (F,) faces wholly in front."""

    xy: np.ndarray
    inverse_z: np.ndarray
    drawn: np.ndarray

    @classmethod
    def of(cls, triangles: Triangles, camera_matrix: np.ndarray) -> Projection:
        """Project; points behind the camera land anywhere, and their faces are not `drawn`."""
        positions = triangles.positions.astype(np.float64)
        usable = positions[:, 2] >= NEAR
        inverse_z = 1.0 / np.where(usable, positions[:, 2], 1.0)
        fx, fy, cx, cy = lens_of(camera_matrix)
        xy = positions[:, :2] * inverse_z[:, None] * (fx, fy) + (cx, cy)
        usable &= (np.abs(xy) < _FARTHEST).all(axis=1)
        return cls(xy, inverse_z, usable[triangles.faces].all(axis=1))

    def bounds(self, faces: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
        """The pixels x0, y0, x1, y1 (exclusive) that the drawn `faces` may touch."""
        used = np.zeros(len(self.xy), bool)
        used[faces[self.drawn]] = True
        if not used.any():
            return 0, 0, 0, 0
        x, y = self.xy[used, 0], self.xy[used, 1]
        x0, x1 = np.clip((np.floor(x.min()), np.ceil(x.max())), 0, width)
        y0, y1 = np.clip((np.floor(y.min()), np.ceil(y.max())), 0, height)
        return int(x0), int(y0), int(max(x1, x0)), int(max(y1, y0))


def lens_of(camera_matrix: np.ndarray) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy of a camera matrix (3, 3) without skew."""
    matrix = np.asarray(camera_matrix, np.float64)
    if matrix.shape != (3, 3) or matrix[0, 0] <= 0 or matrix[1, 1] <= 0 or matrix[0, 1] != 0:
        raise ValueError(f"camera_matrix must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] with fx, fy > 0, got {matrix}")
    return float(matrix[0, 0]), float(matrix[1, 1]), float(matrix[0, 2]), float(matrix[1, 2])


def light_frame(
    triangles: Triangles, projection: Projection, direction: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, float]:
    """The shadow map's frame (3, 4): a point to column, row and height towards the light; and a texel's size in metres.

    The map covers what the camera sees of all that throws shadows: what lies outside along the light's way can shade
    nothing of it, and what only takes shadows is lit there.
    """
    helper = np.eye(3)[np.argmin(np.abs(direction))]
    across = np.cross(direction, helper)
    across /= np.linalg.norm(across)
    axes = np.stack([across, np.cross(direction, across), direction.astype(np.float64)])
    turned = triangles.positions @ axes.T
    seen = seen_from(turned, projection.xy, triangles.faces, projection.drawn & triangles.casts, width, height)
    low, high = np.array(seen[:2]), np.array(seen[2:])
    texel = float(max((high - low).max(), 1e-3) / (SHADOW_SIZE - 2 * _MARGIN))
    frame = np.zeros((3, 4))
    frame[:2, :3] = axes[:2] / texel
    frame[:2, 3] = SHADOW_SIZE / 2 - 0.5 - (low + high) / 2 / texel
    frame[2, :3] = axes[2]
    frame[2, 3] = 0.01 - turned[:, 2].min(initial=0.0)
    return frame, texel
