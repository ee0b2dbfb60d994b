"""Things between hand and camera. Camera frame, metres; their label is 0: no hand."""

from __future__ import annotations

import cv2
import numpy as np

from hamer.datasets.synthetic.drawing.surfaces import Surface
from hamer.datasets.synthetic.things import shapes, wares
from hamer.datasets.synthetic.things.grasps import checked_joints
from hamer.datasets.synthetic.things.wares import Ware
from hamer.datasets.synthetic.vectors import projected, uniform_rotation

Generator = np.random.Generator
HIDDEN = (0.1, 0.5)  # share of the hand's box that an occluder hides
_NEAREST = 0.05  # metres; nothing comes nearer to the camera
_PROBE = 48  # pixels along the side of the small picture in which hidden shares are measured


def occluder(joints: np.ndarray, camera_matrix: np.ndarray, rng: Generator) -> Surface | None:
    """Something nearer to the camera that hides 10 to 50 % of the box around the hand's joints; None where none fitted.

    Args:
        joints: (21, 3) camera frame, metres.
        camera_matrix: (3, 3), pixels.
    """
    joints = checked_joints(joints, "occluder")
    camera_matrix = np.asarray(camera_matrix, np.float64)
    nearest = float(joints[:, 2].min())
    if nearest < 3 * _NEAREST:
        return None
    pixels = projected(joints, camera_matrix)
    low, high = pixels.min(0), pixels.max(0)
    low, high = low - 0.08 * (high - low), high + 0.08 * (high - low)
    for _ in range(3):
        ware = _obstacle(rng)
        depth = max(nearest * rng.uniform(0.5, 0.85), 2 * _NEAREST)
        placed = _hiding(ware, depth, (low, high), camera_matrix, rng)
        if placed is not None:
            return placed
    return None


def _hidden_share(
    vertices: np.ndarray, faces: np.ndarray, camera_matrix: np.ndarray, box: tuple[np.ndarray, np.ndarray]
) -> float:
    """The share of a picture's `box` (low (2,), high (2,) pixels) that a mesh before the camera covers."""
    pixels = (projected(vertices, camera_matrix) - box[0]) / np.maximum(box[1] - box[0], 1e-6) * _PROBE - 0.5
    corners = np.clip(np.round(pixels * 16), -(2**20), 2**20).astype(np.int32)[faces]
    corners = corners[_faces_camera(corners)]
    mask = np.zeros((_PROBE, _PROBE), np.uint8)
    for triangle in corners:
        cv2.fillConvexPoly(mask, triangle, 1, cv2.LINE_8, 4)
    return float(mask.mean())


def _hiding(
    ware: Ware, depth: float, box: tuple[np.ndarray, np.ndarray], camera_matrix: np.ndarray, rng: Generator
) -> Surface | None:
    """The ware at `depth` over a random part of the box, made larger or smaller until it hides the wanted share."""
    wanted = rng.uniform(HIDDEN[0] + 0.03, HIDDEN[1] - 0.05)
    size = box[1] - box[0]
    pixel = (box[0] + box[1]) / 2 + rng.uniform(-0.5, 0.5, 2) * size
    rotation = uniform_rotation(rng)
    extent = float(np.ptp(ware.shape.vertices @ rotation.T, axis=0)[:2].max())
    scale = float(size.max()) * rng.uniform(0.4, 1.0) / camera_matrix[0, 0] * depth / extent
    for _ in range(6):
        ray = np.linalg.solve(camera_matrix, np.array([*pixel, 1.0]))
        vertices = scale * (ware.shape.vertices @ rotation.T) + depth * ray
        ahead = vertices[:, 2].min()
        if ahead < _NEAREST:
            return None
        share = _hidden_share(vertices, ware.shape.faces, camera_matrix, box)
        if HIDDEN[0] <= share <= HIDDEN[1] and abs(share - wanted) < 0.12:
            return ware.surface(rotation, depth * ray, scale)
        scale *= float(np.clip(np.sqrt(wanted / max(share, 0.02)), 0.5, 1.6))
        if share < wanted:
            pixel = pixel + 0.3 * ((box[0] + box[1]) / 2 - pixel)
    return None


def _obstacle(rng: Generator) -> Ware:
    """What comes between: limbs, bars, plates, leaves, boxes, vessels."""
    kind = rng.random()
    if kind < 0.2:
        return wares.limb(rng)
    if kind < 0.35:
        return wares.stick(rng.uniform(0.01, 0.06), rng)
    if kind < 0.5:
        return wares.card(rng.uniform(0.05, 0.3), rng.uniform(0.05, 0.3), rng)
    if kind < 0.65:
        return wares.leaf(rng.uniform(0.05, 0.3), rng)
    if kind < 0.75:
        return _bunch(rng)
    if kind < 0.88:
        return wares.carton(rng.uniform(0.03, 0.2, 3), rng)
    return wares.any_vessel(rng.uniform(0.02, 0.05), rng)


def _bunch(rng: Generator) -> Ware:
    """Several leaves at random angles about one place, as of a plant before the camera."""
    parts = [wares.leaf(rng.uniform(0.05, 0.15), rng) for _ in range(int(rng.integers(2, 6)))]
    placed = [part.shape.moved(uniform_rotation(rng), rng.normal(0, 0.05, 3)) for part in parts]
    return Ware(shapes.joined(placed), parts[0].albedo, parts[0].gloss)


def _faces_camera(corners: np.ndarray) -> np.ndarray:
    """(F,) which triangles (F, 3, 2) of a projected mesh are seen from outside: those whose turn is negative, as y is down."""
    a, b = (corners[:, i].astype(np.float64) - corners[:, 0] for i in (1, 2))
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] < 0
