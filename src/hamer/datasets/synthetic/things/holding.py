"""Things that made hands hold. Camera frame, metres; their label is 0: no hand."""

from __future__ import annotations

import numpy as np

from hamer.datasets.synthetic.drawing.surfaces import Surface
from hamer.datasets.synthetic.things import wares
from hamer.datasets.synthetic.things.grasps import Grasp, checked_joints, grasps
from hamer.datasets.synthetic.things.wares import Ware
from hamer.datasets.synthetic.vectors import rotation_of

Generator = np.random.Generator


def held_object(joints: np.ndarray, rng: Generator, *, is_right: bool = True) -> Surface | None:
    """Something that a hand in this pose could be holding, or None where it leaves no room for anything.

    Args:
        joints: (21, 3) in OpenPose order, camera frame, metres.
        rng: draws which of the things that fit it is.
        is_right: whether they are a right hand's, whose palm is on the other side of its fingers.
    """
    joints = checked_joints(joints, "held_object")
    found = grasps(joints, is_right=is_right)
    if not found:
        return None
    grasp = found[int(rng.integers(len(found)))]
    ware = _ware_for(grasp, rng)
    tilt = rotation_of(rng.normal(0, 0.12 if grasp.kind in ("wrap", "ball") else 0.25, 3))
    shift = grasp.axes[:, 2] * rng.normal(0, 0.015) * grasp.scale if grasp.kind == "wrap" else 0.0
    return ware.surface(grasp.axes @ tilt, grasp.centre + shift)


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
    return wares.any_vessel(room, rng) if room > 0.018 * scale else wares.stick(room, rng)


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
    ware.shape = ware.shape.moved(
        rotation_of(np.array([0.0, rng.uniform(-0.6, 0.6), 0.0])), np.array([0, thickness / 2, 0])
    )
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
    ware = wares.any_vessel(room, rng)
    return Ware(ware.shape.moved(upright, np.zeros(3)), ware.albedo, ware.gloss)
