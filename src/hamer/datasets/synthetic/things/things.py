"""Things that made hands hold, and things between hand and camera. Camera frame, metres; their label is 0: no hand."""

from __future__ import annotations

import cv2
import numpy as np

from hamer.datasets.synthetic.drawing.surfaces import Surface
from hamer.datasets.synthetic.things import shapes, wares
from hamer.datasets.synthetic.things.grasps import Grasp, grasps
from hamer.datasets.synthetic.things.wares import Ware

Generator = np.random.Generator
HIDDEN = (0.1, 0.5)  # share of the hand's box that an occluder hides
_NEAREST = 0.05  # metres; nothing comes nearer to the camera
_PROBE = 48  # pixels along the side of the small picture in which hidden shares are measured


def held_object(joints: np.ndarray, rng: Generator) -> Surface | None:
    """Something that a hand in this pose could be holding, or None where it leaves no room for anything.

    Args:
        joints: (21, 3) in OpenPose order, camera frame, metres; a right or a left hand.
    """
    joints = _checked(joints, "held_object")
    found = grasps(joints)
    if not found:
        return None
    grasp = found[int(rng.integers(len(found)))]
    ware = _ware_for(grasp, rng)
    tilt = _small_turn(rng, 0.12 if grasp.kind in ("wrap", "ball") else 0.25)
    shift = grasp.axes[:, 2] * rng.normal(0, 0.015) * grasp.scale if grasp.kind == "wrap" else 0.0
    return _surface(ware, grasp.axes @ tilt, grasp.centre + shift)


def occluder(joints: np.ndarray, camera_matrix: np.ndarray, rng: Generator) -> Surface | None:
    """Something nearer to the camera that hides 10 to 50 % of the box around the hand's joints; None where none fitted.

    Args:
        joints: (21, 3) camera frame, metres.
        camera_matrix: (3, 3), pixels.
    """
    joints = _checked(joints, "occluder")
    camera_matrix = np.asarray(camera_matrix, np.float64)
    nearest = float(joints[:, 2].min())
    if nearest < 3 * _NEAREST:
        return None
    pixels = joints @ camera_matrix.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    low, high = pixels.min(0), pixels.max(0)
    low, high = low - 0.08 * (high - low), high + 0.08 * (high - low)
    for _ in range(3):
        ware = _obstacle(rng)
        depth = max(nearest * rng.uniform(0.5, 0.85), 2 * _NEAREST)
        placed = _hiding(ware, depth, (low, high), camera_matrix, rng)
        if placed is not None:
            return placed
    return None


def hidden_share(
    vertices: np.ndarray, faces: np.ndarray, camera_matrix: np.ndarray, box: tuple[np.ndarray, np.ndarray]
) -> float:
    """The share of a picture's `box` (low (2,), high (2,) pixels) that a mesh before the camera covers."""
    pixels = vertices @ camera_matrix.T
    pixels = (pixels[:, :2] / pixels[:, 2:] - box[0]) / np.maximum(box[1] - box[0], 1e-6) * _PROBE - 0.5
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
    rotation = _any_turn(rng)
    extent = float(np.ptp(ware.shape.vertices @ rotation.T, axis=0)[:2].max())
    scale = float(size.max()) * rng.uniform(0.4, 1.0) / camera_matrix[0, 0] * depth / extent
    for _ in range(6):
        ray = np.linalg.solve(camera_matrix, np.array([*pixel, 1.0]))
        vertices = scale * (ware.shape.vertices @ rotation.T) + depth * ray
        ahead = vertices[:, 2].min()
        if ahead < _NEAREST:
            return None
        share = hidden_share(vertices, ware.shape.faces, camera_matrix, box)
        if HIDDEN[0] <= share <= HIDDEN[1] and abs(share - wanted) < 0.12:
            return _surface(ware, rotation, depth * ray, scale)
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
    return any_vessel(rng.uniform(0.02, 0.05), rng)


def _bunch(rng: Generator) -> Ware:
    """Several leaves at random angles about one place, as of a plant before the camera."""
    parts = [wares.leaf(rng.uniform(0.05, 0.15), rng) for _ in range(int(rng.integers(2, 6)))]
    placed = [part.shape.moved(_any_turn(rng), rng.normal(0, 0.05, 3)) for part in parts]
    return Ware(shapes.joined(placed), parts[0].albedo, parts[0].gloss)


def any_vessel(radius: float, rng: Generator) -> Ware:
    """A bottle, a can, a cup or a ball of a radius in metres."""
    return (wares.bottle, wares.can, wares.cup, wares.ball)[int(rng.integers(4))](radius, rng)


def _ware_for(grasp: Grasp, rng: Generator) -> Ware:
    room, scale = grasp.room, grasp.scale
    if grasp.kind == "pen":
        return wares.pen(room * rng.uniform(0.55, 1.0), rng)
    if grasp.kind == "ball":
        return wares.ball(room, rng) if rng.random() < 0.7 else wares.can(room * 0.75, rng)
    if grasp.kind == "flat":
        return _lying(grasp, rng)
    if grasp.kind == "pinch":
        return _pinched(grasp, rng)
    if room < 0.012 * scale:
        return (wares.stick, wares.tool, wares.pen)[int(rng.integers(3))](room, rng)
    kind = rng.random()
    if kind < 0.25:
        slant = rng.uniform(0.15, 0.7)  # a box within the room: its diagonal is the room's diameter
        return wares.phone(2 * room * np.cos(slant), 2 * room * np.sin(slant), rng)
    if kind < 0.4:
        return (wares.stick, wares.tool)[int(rng.integers(2))](room, rng)
    return any_vessel(room, rng) if room > 0.018 * scale else wares.stick(room, rng)


def _lying(grasp: Grasp, rng: Generator) -> Ware:
    """Something on an open palm: its lower side is at the grasp's centre."""
    scale, kind = grasp.scale, rng.random()
    if kind < 0.35:
        thickness = rng.uniform(0.007, 0.012)
        ware = wares.phone(rng.uniform(0.06, 0.08) * scale, thickness, rng)
    elif kind < 0.6:
        thickness = rng.uniform(0.01, 0.05) * scale
        ware = wares.carton(
            np.array([rng.uniform(0.03, 0.09) * scale, thickness, rng.uniform(0.03, 0.12) * scale]), rng
        )
    elif kind < 0.8:
        radius = rng.uniform(0.008, 0.03) * scale
        thickness, ware = 2 * radius, wares.ball(radius, rng)
    else:
        thickness, ware = 0.004, wares.card(rng.uniform(0.04, 0.09) * scale, rng.uniform(0.05, 0.14) * scale, rng)
    ware.shape = ware.shape.moved(_turn_about_y(rng.uniform(-0.6, 0.6)), np.array([0, thickness / 2, 0]))
    return ware


def _pinched(grasp: Grasp, rng: Generator) -> Ware:
    """Something between two finger tips: thin things reach away from the hand, thicker ones fill the gap."""
    room, scale = grasp.room, grasp.scale
    kind = rng.random()
    if room < 0.007 * scale:
        if kind < 0.3:
            ware, out = wares.stick(max(room, 0.0015), rng), 0.0
        else:
            length = rng.uniform(0.04, 0.12) * scale
            ware = wares.card(length * rng.uniform(0.5, 1.2), length, rng) if kind < 0.75 else wares.leaf(length, rng)
            out = 0.45 * length
        return Ware(ware.shape.moved(np.eye(3), np.array([0, 0, out])), ware.albedo, ware.gloss)
    if kind < 0.4:
        return wares.ball(room, rng)
    if kind < 0.7:
        size = np.array([rng.uniform(0.8, 2.0) * room, 2 * room, rng.uniform(1.5, 4) * room])
        ware = wares.carton(size, rng)
        return Ware(ware.shape.moved(np.eye(3), np.array([0, 0, 0.25 * size[2]])), ware.albedo, ware.gloss)
    upright = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # its long axis across the line from palm to tips
    ware = any_vessel(room, rng)
    return Ware(ware.shape.moved(upright, np.zeros(3)), ware.albedo, ware.gloss)


def _surface(ware: Ware, rotation: np.ndarray, translation: np.ndarray, scale: float = 1.0) -> Surface:
    shape = ware.shape
    vertices = scale * (shape.vertices @ rotation.T) + translation
    return Surface(
        vertices=vertices.astype(np.float32),
        faces=shape.faces,
        uv=shape.uv.astype(np.float32),
        uv_faces=shape.uv_faces,
        albedo=ware.albedo,
        relief=None,
        gloss=float(ware.gloss),
        labels=np.zeros(len(shape.faces), np.uint8),
    )


def _checked(joints: np.ndarray, name: str) -> np.ndarray:
    joints = np.asarray(joints, np.float64)
    if joints.shape != (21, 3) or not np.isfinite(joints).all():
        raise ValueError(f"{name}: joints must be finite numbers of shape (21, 3), got {joints.shape}")
    return joints


def _faces_camera(corners: np.ndarray) -> np.ndarray:
    """(F,) which triangles (F, 3, 2) of a projected mesh are seen from outside; y is down, so they run clockwise..."""
    a, b = (corners[:, i].astype(np.float64) - corners[:, 0] for i in (1, 2))
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] < 0


def _any_turn(rng: Generator) -> np.ndarray:
    """A rotation (3, 3), all alike probable (Shoemake 1992)."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def _small_turn(rng: Generator, spread: float) -> np.ndarray:
    return cv2.Rodrigues(rng.normal(0, spread, 3))[0]


def _turn_about_y(angle: float) -> np.ndarray:
    return cv2.Rodrigues(np.array([0.0, angle, 0.0]))[0]
