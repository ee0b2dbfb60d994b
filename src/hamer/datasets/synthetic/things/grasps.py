"""Where a hand's pose leaves room for a thing, and how large it may be.

Joints (21, 3) are in OpenPose order, metres, any frame; a `Grasp` is in the same frame. Nothing is said about forces: the
room is the largest in which no joint or bone would be inside the thing, near where fingers and palm would touch it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["wrap", "ball", "pinch", "pen", "flat"]
ADULT_PALM = 0.095  # metres from wrist to the middle finger's first joint; sizes below are for such a hand
FINGERS = np.array([[5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16], [17, 18, 19, 20]])
_PARENTS = np.array([0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19])
# Half the thickness of finger or palm at each joint, metres; the tips of hand models lie on the skin.
_FLESH = np.array([16, 15, 12, 10, 4, 11, 8.5, 7.5, 4, 11, 8.5, 7.5, 4, 10, 8, 7, 4, 9.5, 7, 6, 4]) * 1e-3
_STRAIGHT = 0.94  # of the bones' summed length from first joint to tip, beyond which a finger holds nothing


@dataclass
class Grasp:
    """Room for a thing in a hand.

    `centre` (3,) metres; `axes` (3, 3), columns the thing's x, y, z: z is its long axis, y points out of the palm (for a
    pinch: from thumb to finger); `room` metres, the radius it may have about z (ball: about the centre; pinch: half its
    thickness along y; flat: things lie on the centre and may be of any thickness); `scale` size of the hand over an adult's.
    """

    kind: Kind
    centre: np.ndarray
    axes: np.ndarray
    room: float
    scale: float


def grasps(joints: np.ndarray, *, is_right: bool = True) -> list[Grasp]:
    """Every way in which this hand could hold something, often none.

    `is_right` says on which side its palm is: fingers may be bent backwards.
    """
    joints = np.asarray(joints, np.float64)
    finders: tuple[Callable[[_Hand], Grasp | None], ...] = (_wrap, _ball, _pinch, _pen, _flat)
    hand = _Hand(joints, is_right)
    return [grasp for find in finders if (grasp := find(hand)) is not None]


class _Hand:
    """Measures of one pose: palm frame, how straight fingers are, points that a thing must stay clear of."""

    def __init__(self, joints: np.ndarray, is_right: bool) -> None:
        self.joints = joints
        self.scale = float(np.linalg.norm(joints[9] - joints[0])) / ADULT_PALM
        bones = np.linalg.norm(np.diff(joints[FINGERS], axis=1), axis=-1).sum(1)
        self.straight = np.linalg.norm(joints[FINGERS[:, 3]] - joints[FINGERS[:, 0]], axis=1) / np.maximum(bones, 1e-9)
        self.across = _unit(joints[5] - joints[17])  # from little to index finger
        forward = _unit(joints[[5, 9, 13, 17]].mean(0) - joints[0])
        self.out = _unit(np.cross(self.across, forward)) * (1 if is_right else -1)
        curl = (joints[FINGERS[:, 3]] - joints[FINGERS[:, 0]]) @ self.out
        self.curl = float(curl.mean()) / self.scale  # how far the tips are before the palm, as on an adult's hand
        self.forward = forward
        self.points = np.concatenate([joints, (joints[1:] + joints[_PARENTS]) / 2])
        flesh = _FLESH * self.scale
        self.flesh = np.concatenate([flesh, (flesh[1:] + flesh[_PARENTS]) / 2])

    @property
    def palm(self) -> np.ndarray:
        """The middle of the palm's bones."""
        return 0.35 * self.joints[0] + 0.65 * self.joints[[5, 9, 13, 17]].mean(0)

    def clearance(self, centres: np.ndarray, along: np.ndarray | None = None) -> np.ndarray:
        """Room (C,) about `centres` (C, 3): to the nearest flesh, across the unit vector `along` where one is given."""
        apart = self.points[None] - centres[:, None]
        if along is not None:
            apart = apart - (apart @ along)[..., None] * along
        return (np.linalg.norm(apart, axis=-1) - self.flesh).min(1)


def _wrap(hand: _Hand) -> Grasp | None:
    """A bar across the palm, inside the bent fingers: the largest circle in the plane across it."""
    bent = FINGERS[hand.straight < _STRAIGHT]
    if len(bent) < 2 or hand.curl < 0.012:
        return None
    z = hand.across if len(bent) > 2 else _unit(hand.joints[bent[0, 0]] - hand.joints[bent[-1, 0]])
    y = _unit(hand.out - z * (hand.out @ z))
    x = np.cross(y, z)
    ring = hand.joints[bent].reshape(-1, 3)
    middle = hand.joints[bent[:, [0, 3]]].mean((0, 1))
    reach = np.ptp(ring @ y) / 2
    offsets = np.stack(np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9)), -1).reshape(-1, 2) * max(reach, 0.01)
    centres = middle + offsets @ np.stack([x, y])
    room = hand.clearance(centres, z)
    # Room outside the fingers is no grasp: the centre must lie before the palm and behind the outermost bent joint.
    height = (centres - hand.palm) @ y
    room[(height < 0.012 * hand.scale) | (height > np.max((ring - hand.palm) @ y))] = -1
    best = int(room.argmax())
    if not 0.0035 * hand.scale < room[best] < 0.06 * hand.scale:
        return None
    return Grasp("wrap", centres[best], np.stack([x, y, z], 1), float(room[best]), hand.scale)


def _ball(hand: _Hand) -> Grasp | None:
    """A ball on the palm that at least two finger tips reach."""
    radii = np.linspace(0.05, 0.014, 13) * hand.scale
    tips = hand.joints[[4, 8, 12, 16, 20]]
    base = hand.palm + 0.015 * hand.scale * hand.forward
    centres = base + (radii + 0.013 * hand.scale)[:, None] * hand.out
    fits = np.flatnonzero(hand.clearance(centres) >= radii)
    if not len(fits):
        return None
    centre, radius = centres[fits[0]], float(radii[fits[0]])
    touching = np.linalg.norm(tips - centre, axis=1) < radius + 0.02 * hand.scale
    if touching.sum() < 2 or hand.curl < 0.008:
        return None
    z = hand.across
    y = _unit(hand.out - z * (hand.out @ z))
    return Grasp("ball", centre, np.stack([np.cross(y, z), y, z], 1), radius, hand.scale)


def _pinch(hand: _Hand) -> Grasp | None:
    """Between thumb and the nearer of index and middle finger tip; the thing reaches away from the palm."""
    thumb, tip = (
        hand.joints[4],
        min((hand.joints[8], hand.joints[12]), key=lambda t: float(np.linalg.norm(t - hand.joints[4]))),
    )
    gap = float(np.linalg.norm(tip - thumb))
    if not 0.004 * hand.scale < gap < 0.075 * hand.scale:
        return None
    centre, y = (thumb + tip) / 2, _unit(tip - thumb)
    away = centre - hand.palm
    z = away - y * (away @ y)
    if np.linalg.norm(z) < 0.02 * hand.scale:
        return None
    z = _unit(z)
    room = min(
        gap / 2 - 0.005 * hand.scale, float(hand.clearance((centre + 0.3 * gap * z)[None])[0]) + 0.004 * hand.scale
    )
    return Grasp("pinch", centre, np.stack([np.cross(y, z), y, z], 1), max(room, 0.0008), hand.scale)


def _pen(hand: _Hand) -> Grasp | None:
    """Between thumb and index tip and over the web between their first joints, as pens are held."""
    thumb, tip = hand.joints[4], hand.joints[8]
    gap = float(np.linalg.norm(tip - thumb))
    centre = (thumb + tip) / 2
    back = (hand.joints[5] + hand.joints[2]) / 2 - hand.out * 0.012 * hand.scale
    if gap > 0.035 * hand.scale or np.linalg.norm(centre - back) < 0.03 * hand.scale:
        return None
    z = _unit(centre - back)
    y = _unit(hand.out - z * (hand.out @ z))
    return Grasp("pen", centre, np.stack([np.cross(y, z), y, z], 1), 0.0055 * hand.scale, hand.scale)


def _flat(hand: _Hand) -> Grasp | None:
    """On the open palm, along the fingers."""
    if (hand.straight > 0.9).sum() < 3:
        return None
    z = hand.forward
    y = _unit(hand.out - z * (hand.out @ z))
    top = np.quantile((hand.points - hand.palm) @ y + hand.flesh, 0.75)
    centre = hand.palm + z * 0.03 * hand.scale + y * max(float(top), 0.012 * hand.scale)
    return Grasp("flat", centre, np.stack([np.cross(y, z), y, z], 1), 0.03 * hand.scale, hand.scale)


def checked_joints(joints: np.ndarray, name: str) -> np.ndarray:
    """Joints (21, 3) float64; ValueError, on behalf of the function `name`, for anything else."""
    joints = np.asarray(joints, np.float64)
    if joints.shape != (21, 3) or not np.isfinite(joints).all():
        raise ValueError(f"{name}: joints must be finite numbers of shape (21, 3), got {joints.shape}")
    return joints


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
