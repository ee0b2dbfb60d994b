"""From meshes and a camera to triangles on the picture: near-plane clipping and projection.

Pixel coordinates here are continuous with their origin at the picture's top left corner, so the centre of the first
pixel is (0.5, 0.5) and a point lands at fx * x / z + cx. Letters: P points, T triangles, M meshes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from hamer.rendering.meshes import Mesh, vertex_normals
from hamer.structures import Camera

NEAR = 5e-3  # metres; what lies nearer to the camera's plane is cut away
_FARTHEST = 1e8  # pixels; triangles with corners beyond would exceed what the rasteriser can count

Normals = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass
class Scene:
    """Triangles ready to be rasterised.

    `xy` (P, 2) pixels, `inverse_z` (P,) 1/metres, `positions` (P, 3) camera frame, `normals` (P, 3), `faces` (T, 3)
    into these, `mesh_ids` (T,) which mesh a triangle belongs to, `colors` (M, 3) in 0..1.
    """

    xy: np.ndarray
    inverse_z: np.ndarray
    positions: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    mesh_ids: np.ndarray
    colors: np.ndarray

    def bounds(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The pixels x0, y0, x1, y1 (exclusive) of a `width` x `height` picture that the triangles may touch."""
        if not len(self.faces):
            return 0, 0, 0, 0
        low, high = self.xy.min(axis=0), self.xy.max(axis=0)
        x0, y0 = np.clip(np.floor(low), 0, (width, height)).astype(int)
        x1, y1 = np.clip(np.ceil(high), 0, (width, height)).astype(int)
        return int(x0), int(y0), int(max(x1, x0)), int(max(y1, y0))


def build_scene(meshes: Sequence[Mesh], camera: Camera, normals_of: Normals = vertex_normals) -> Scene:
    """Join `meshes` into one scene, cut off what lies behind the camera, and project the rest."""
    counts = [0, *np.cumsum([len(mesh.vertices) for mesh in meshes])]
    positions = np.concatenate([mesh.vertices for mesh in meshes]) if meshes else np.zeros((0, 3))
    shifted = [mesh.faces + start for mesh, start in zip(meshes, counts, strict=False)]
    faces = np.concatenate(shifted) if meshes else np.zeros((0, 3), np.int64)
    mesh_ids = np.repeat(np.arange(len(meshes)), [len(mesh.faces) for mesh in meshes])
    normals = normals_of(positions, faces)
    if len(positions) and positions[:, 2].min() < NEAR:
        positions, normals, faces, mesh_ids = _clip(positions, normals, faces, mesh_ids)
    if camera.distortion:
        positions, normals, faces, mesh_ids = _drop_folded(positions, normals, faces, mesh_ids, camera)
    xy, inverse_z = _project(positions, camera)
    if len(xy) and not np.abs(xy).max() < _FARTHEST:
        keep = (np.abs(xy) < _FARTHEST).all(axis=1)[faces].all(axis=1)
        faces, mesh_ids = faces[keep], mesh_ids[keep]
        xy = np.where(np.abs(xy) < _FARTHEST, xy, 0.0)
    colors = np.array([mesh.color for mesh in meshes], dtype=np.float64).reshape(-1, 3)
    return Scene(xy, inverse_z, positions, normals, faces, mesh_ids, colors)


def _project(positions: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    inverse_z = 1.0 / positions[:, 2]
    if camera.distortion and len(positions):
        none = np.zeros(3)
        distorted, _ = cv2.projectPoints(positions, none, none, camera.matrix, np.array(camera.distortion))
        return np.ascontiguousarray(distorted[:, 0]), inverse_z
    xy = positions[:, :2] * inverse_z[:, None] * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    return xy, inverse_z


def _clip(
    positions: np.ndarray, normals: np.ndarray, faces: np.ndarray, mesh_ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cut triangles at z = NEAR: one corner in front leaves a triangle, two leave a quadrilateral."""
    in_front = positions[:, 2] >= NEAR
    corners_in_front = in_front[faces].sum(axis=1)
    points, point_normals = [positions], [normals]
    kept_faces, kept_ids = [faces[corners_in_front == 3]], [mesh_ids[corners_in_front == 3]]
    start = len(positions)
    for count in (1, 2):
        chosen = corners_in_front == count
        cut, ids = faces[chosen], mesh_ids[chosen]
        if not len(cut):
            continue
        # Turn each triangle so that its corner that is alone on its side comes first; the winding stays.
        alone = np.argmax(in_front[cut] == (count == 1), axis=1)
        a, b, c = np.take_along_axis(cut, (alone[:, None] + np.arange(3)) % 3, axis=1).T
        for other in (b, c):
            share = (NEAR - positions[a, 2]) / (positions[other, 2] - positions[a, 2])
            crossing = positions[a] + share[:, None] * (positions[other] - positions[a])
            crossing[:, 2] = NEAR
            points.append(crossing)
            point_normals.append(normals[a] + share[:, None] * (normals[other] - normals[a]))
        on_ab = np.arange(start, start + len(cut))
        on_ac = on_ab + len(cut)
        start += 2 * len(cut)
        pieces = [(a, on_ab, on_ac)] if count == 1 else [(on_ab, b, c), (on_ab, c, on_ac)]
        kept_faces += [np.stack(piece, axis=1) for piece in pieces]
        kept_ids += [ids] * len(pieces)
    return _compact(
        np.concatenate(points), np.concatenate(point_normals), np.concatenate(kept_faces), np.concatenate(kept_ids)
    )


def _drop_folded(
    positions: np.ndarray, normals: np.ndarray, faces: np.ndarray, mesh_ids: np.ndarray, camera: Camera
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Leave out triangles so far off the axis that the distortion polynomial would fold them back into the picture."""
    k1, k2, _, _, k3, k4, k5, k6 = (*camera.distortion, 0.0, 0.0, 0.0, 0.0)[:8]
    radius = np.linspace(0, 20, 20001)
    square = radius**2
    distorted = radius * (1 + square * (k1 + square * (k2 + square * k3)))
    distorted /= 1 + square * (k4 + square * (k5 + square * k6))
    falling = np.flatnonzero(~(np.diff(distorted) > 0))
    if not len(falling):
        return positions, normals, faces, mesh_ids
    inside = np.hypot(positions[:, 0], positions[:, 1]) <= radius[falling[0]] * positions[:, 2]
    keep = inside[faces].all(axis=1)
    return _compact(positions, normals, faces[keep], mesh_ids[keep])


def _compact(
    positions: np.ndarray, normals: np.ndarray, faces: np.ndarray, mesh_ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Forget points without a triangle, such as those behind the camera, which cannot be projected."""
    used, index = np.unique(faces, return_inverse=True)
    return positions[used], normals[used], index.reshape(-1, 3), mesh_ids
