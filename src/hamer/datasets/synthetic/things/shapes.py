"""Simple closed bodies with texture coordinates: turned on a lathe, boxes with round edges, bent tubes, cut plates.

Their own frame: z is the long axis, the body lies about the origin. Faces wind counter-clockwise as seen from outside.
Letters: V vertices, F faces, T texture coordinates, N points of a profile or outline, K segments around.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass
class Shape:
    """`vertices` (V, 3) float64 metres; `faces` (F, 3) int32; `uv` (T, 2) in 0..1, v down; `uv_faces` (F, 3) int32."""

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray

    def volume(self) -> float:
        """Cubic metres enclosed; negative where faces point inwards."""
        a, b, c = (self.vertices[self.faces[:, i]] for i in range(3))
        return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)

    def moved(self, rotation: np.ndarray, translation: np.ndarray) -> Shape:
        """Turned by `rotation` (3, 3), whose columns are the own axes' new directions, then shifted by (3,)."""
        return Shape(self.vertices @ np.asarray(rotation).T + translation, self.faces, self.uv, self.uv_faces)


def joined(shapes: list[Shape]) -> Shape:
    """Several bodies as one mesh; each keeps its own texture coordinates."""
    vertex_starts = np.cumsum([0, *(len(s.vertices) for s in shapes)])
    uv_starts = np.cumsum([0, *(len(s.uv) for s in shapes)])
    return Shape(
        np.concatenate([s.vertices for s in shapes]),
        np.concatenate([s.faces + n for s, n in zip(shapes, vertex_starts, strict=False)]).astype(np.int32),
        np.concatenate([s.uv for s in shapes]),
        np.concatenate([s.uv_faces + n for s, n in zip(shapes, uv_starts, strict=False)]).astype(np.int32),
    )


def lathe(profile: np.ndarray, segments: int = 28) -> Shape:
    """A body of revolution about z.

    `profile` (N, 2) radius and z, metres, from the first pole to the last (radius 0 at both ends), walked so that the
    body is on the left when the radius points right and z up: outside upwards. u runs around, v along the profile.
    """
    profile = np.asarray(profile, np.float64)
    rings = profile[1:-1]
    angles = 2 * np.pi * np.arange(segments) / segments
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    ring_points = np.concatenate(
        [rings[:, None, :1] * circle[None], np.broadcast_to(rings[:, None, 1:], (len(rings), segments, 1))], -1
    )
    vertices = np.concatenate([[[0, 0, profile[0, 1]]], ring_points.reshape(-1, 3), [[0, 0, profile[-1, 1]]]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    return _rings(vertices, len(rings), segments, 1 - length / length[-1])


def tube(path: np.ndarray, radii: np.ndarray, segments: int = 14) -> Shape:
    """A round bar along `path` (N, 3), N >= 2, with `radii` (N,), metres; both ends closed by flat caps. u around, v along."""
    path, radii = np.asarray(path, np.float64), np.broadcast_to(np.asarray(radii, np.float64), (len(path),))
    tangents = np.gradient(path, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    side = np.cross(tangents[0], np.eye(3)[np.abs(tangents[0]).argmin()])
    angles = 2 * np.pi * np.arange(segments) / segments
    circles = []
    for centre, tangent, radius in zip(path, tangents, radii, strict=True):
        side = side - tangent * (side @ tangent)  # carried along without twisting
        side /= np.linalg.norm(side)
        up = np.cross(tangent, side)
        circles.append(centre + radius * (np.cos(angles)[:, None] * side + np.sin(angles)[:, None] * up))
    vertices = np.concatenate([path[:1], *circles, path[-1:]])
    v = np.concatenate([[0], np.linspace(0.03, 0.97, len(path)), [1]])
    return _rings(vertices, len(path), segments, 1 - v)


def loft(rings: np.ndarray, v: np.ndarray) -> Shape:
    """A body through `rings` (N, K, 3) metres, counter-clockwise about the way from the first to the last.

    Both ends are closed by fans to the rings' means. u runs around, `v` (N,) 0..1 is the rings' place in the texture.
    """
    vertices = np.concatenate([rings[0].mean(0)[None], rings.reshape(-1, 3), rings[-1].mean(0)[None]])
    return _rings(vertices, len(rings), rings.shape[1], np.concatenate([v[:1], v, v[-1:]]))


def box(size: np.ndarray, rounding: float = 0.0, steps: int = 4) -> Shape:
    """A box of `size` (3,) metres whose edges have the radius `rounding`; each side has its own part of the texture.

    The sides lie in the texture as a grid of 3 columns and 2 rows: +x, -x, +y above -y, +z, -z.
    """
    half = np.asarray(size, np.float64) / 2
    rounding = min(rounding, 0.95 * float(half.min()))  # at the full half, opposite edges would coincide
    lattice = _side_lattice(half, rounding, steps)
    points, cells = [], []
    n = steps + 1
    for side in range(6):
        axis, sign = side // 2, 1 - 2 * (side % 2)
        first, second = ((axis + 1) % 3, (axis + 2) % 3) if sign > 0 else ((axis + 2) % 3, (axis + 1) % 3)
        grid = np.empty((n, n, 3))
        grid[..., axis] = sign * half[axis]
        grid[..., first], grid[..., second] = lattice[first][:, None], lattice[second][None]
        points.append(grid.reshape(-1, 3))
        i, j = np.meshgrid(np.linspace(0.02, 0.98, n), np.linspace(0.02, 0.98, n), indexing="ij")
        column, row = side % 3, side // 3
        cells.append(np.stack([(column + i) / 3, (row + 1 - j) / 2], -1).reshape(-1, 2))
    uv_faces = np.concatenate([_grid_faces(n, n) + side * n * n for side in range(6)])
    corners = np.concatenate(points)
    inner = np.clip(corners, -(half - rounding), half - rounding)
    outward = corners - inner
    length = np.linalg.norm(outward, axis=1, keepdims=True)
    if rounding > 0:
        corners = inner + outward / np.maximum(length, 1e-12) * np.minimum(length, rounding)
    keys = np.round(corners / max(half.max(), 1e-9) * 1e7).astype(np.int64)
    _, where, back = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return Shape(corners[where], back.reshape(-1)[uv_faces].astype(np.int32), np.concatenate(cells), uv_faces)


def plate(outline: np.ndarray, thickness: float, bend: float = 0.0, rings: int = 3) -> Shape:
    """A flat body: `outline` (N, 2) x, z metres, counter-clockwise about the origin from which all of it is seen.

    `bend` (1/metres) curves it about the x axis, as leaves and paper are. The texture covers both sides alike.
    """
    outline = np.asarray(outline, np.float64)
    count = len(outline)
    shares = np.linspace(0, 1, rings + 1)[1:]
    flat = np.concatenate([[[0.0, 0.0]], *(outline * share for share in shares)])
    reach = np.abs(outline).max()
    uv_side = 0.5 + 0.49 * flat / reach
    n = len(flat)
    height = 0.5 * bend * flat[:, 1] ** 2
    upper = np.stack([flat[:, 0], height + thickness / 2, flat[:, 1]], 1)
    lower = upper - [0, thickness, 0]
    first = _fan_faces(count, rings)
    rim = 1 + (rings - 1) * count + np.arange(count)
    after = np.roll(rim, -1)
    wall = np.concatenate([np.stack([rim, after, after + n], 1), np.stack([rim, after + n, rim + n], 1)])
    # x, z counter-clockwise turns towards -y: the upper side (+y) needs the other order.
    faces = np.concatenate([first[:, ::-1], first + n, wall]).astype(np.int32)
    return Shape(np.concatenate([upper, lower]), faces, np.concatenate([uv_side, uv_side]), faces)


def _side_lattice(half: np.ndarray, rounding: float, steps: int) -> list[np.ndarray]:
    """Positions along each axis where a side is divided: more closely within the rounded rim."""
    lattices = []
    for extent in half:
        if rounding <= 0:
            lattices.append(np.linspace(-extent, extent, steps + 1))
            continue
        inner = np.linspace(-(extent - rounding), extent - rounding, steps - 1)
        lattices.append(np.concatenate([[-extent], inner, [extent]]))
    return lattices


def _grid_faces(rows: int, columns: int) -> np.ndarray:
    """Triangles of a grid of points (rows, columns), counter-clockwise when rows run right and columns up."""
    start = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1)
    a, b, c, d = start, start + columns, start + columns + 1, start + 1
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)


def _fan_faces(count: int, rings: int) -> np.ndarray:
    """Triangles from the centre (point 0) through `rings` rings of `count` points, counter-clockwise."""
    around = np.arange(count)
    after = (around + 1) % count
    faces = [np.stack([np.zeros(count, np.int64), 1 + around, 1 + after], 1)]
    for ring in range(rings - 1):
        a, b = 1 + ring * count + around, 1 + ring * count + after
        faces += [np.stack([a, a + count, b + count], 1), np.stack([a, b + count, b], 1)]
    return np.concatenate(faces)


def _rings(vertices: np.ndarray, rings: int, segments: int, v: np.ndarray) -> Shape:
    """A pole, `rings` rings of `segments` points, a pole; rings counter-clockwise about the way from pole to pole."""
    faces, uv_faces = _ring_faces(rings, segments)
    u = np.linspace(0, 1, segments + 1)
    uv = np.stack([np.tile(u, rings + 2), np.repeat(v, segments + 1)], 1)
    return Shape(vertices, faces, uv, uv_faces)


@lru_cache(maxsize=128)
def _ring_faces(rings: int, segments: int) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (F, 3) of the points of `_rings` and of its texture coordinates; not to be written to."""
    around = np.arange(segments)
    after = (around + 1) % segments
    last = 1 + rings * segments
    wide = segments + 1  # texture points of a ring: the seam's twice
    faces = [np.stack([np.zeros(segments, np.int64), 1 + after, 1 + around], 1)]
    uv_faces = [np.stack([around, wide + around + 1, wide + around], 1)]
    for ring in range(rings - 1):
        a, b = 1 + ring * segments + around, 1 + ring * segments + after
        faces += [np.stack([a, b, b + segments], 1), np.stack([a, b + segments, a + segments], 1)]
        s, t = (ring + 1) * wide + around, (ring + 1) * wide + around + 1
        uv_faces += [np.stack([s, t, t + wide], 1), np.stack([s, t + wide, s + wide], 1)]
    a, b, s = last - segments + around, last - segments + after, rings * wide + around
    faces.append(np.stack([a, b, np.full(segments, last)], 1))
    uv_faces.append(np.stack([s, s + 1, s + wide], 1))
    result = np.concatenate(faces).astype(np.int32), np.concatenate(uv_faces).astype(np.int32)
    for array in result:
        array.flags.writeable = False
    return result
