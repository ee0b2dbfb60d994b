"""A hand as 19 tapered capsules, measured from the model's own mesh: 15 of the fingers' bones and 4 of the palm.

Each capsule's ends are centres of slices of skin, so they and the radii change with the shape as the mesh does. All
of it is taken as linear in the betas: one matrix, made once per model. That is off by 0.1 mm in the middle and by up to
3 mm for shapes far from the mean, whose slices hold other vertices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hamer.datasets.synthetic.hands.collisions import ENDS_AT, JOINTS_AT, N_SEGMENTS, PALM, RADII_AT, ROW, Bones
from hamer.datasets.synthetic.skin.rest_anatomy import TIPS_IN_MANO_ORDER
from hamer.fitting.anatomy import FLEXION, THUMB, Anatomy
from hamer.fitting.kinematics import Skeleton

SOFT = 0.0015  # metres that skin gives way where two fingers press on one another
SOFT_PALM = 0.006  # and where a finger presses into the palm's pads
DEFAULT_RADIUS = 0.007  # of a segment that no skin belongs to (a hand model of sticks)
SHAPE_STEP = 1.0  # betas by which radii are differentiated


@dataclass(frozen=True)
class CapsuleHand:
    """The capsules of one hand model for all shapes.

    base (ROW,), slopes (ROW, 10): a shape's row is base + slopes @ betas (see `collisions`). bones: what is common to
    all shapes. bent (A,): the flexion in radians that the rest pose already has, so that active angle = angle measured
    from a straight finger - bent.
    """

    base: np.ndarray
    slopes: np.ndarray
    bones: Bones
    bent: np.ndarray

    @classmethod
    def from_hand_model(cls, hand_model: Any) -> CapsuleHand:
        """Measure a `HandModel` or `HandModelArrays`."""
        arrays = getattr(hand_model, "arrays", hand_model)
        skeleton = Skeleton.from_hand_model(arrays)
        anatomy = Anatomy.from_skeleton(skeleton)
        base = _row(arrays, np.zeros(10))
        slopes = np.stack([(_row(arrays, b) - _row(arrays, -b)) / (2 * SHAPE_STEP) for b in SHAPE_STEP * np.eye(10)], 1)
        joint_of, axis_of = anatomy.joint_of.numpy(), anatomy.axis_of.numpy()
        frames = np.ascontiguousarray(anatomy.frames.numpy())
        pairs = _pairs()
        bones = Bones(
            frames, joint_of, axis_of, anatomy.low.numpy(), anatomy.high.numpy(), pairs, _allowed(base, pairs)
        )
        bent = np.where(axis_of == FLEXION, _rest_flexion(base, skeleton, frames)[joint_of], 0.0)
        return cls(base, slopes, bones, bent)

    def row(self, betas: np.ndarray) -> np.ndarray:
        """The row (ROW,) of one shape (10,)."""
        return self.base + self.slopes @ betas


def _row(arrays: Any, betas: np.ndarray) -> np.ndarray:
    """Rest joints, ends and radii of one shape, measured on its mesh; the wrist is the origin."""
    vertices = arrays.v_template.astype(np.float64) + arrays.shapedirs.astype(np.float64) @ betas
    joints = arrays.J_regressor.astype(np.float64) @ vertices
    vertices, joints = vertices - joints[0], joints - joints[0]
    owner = arrays.lbs_weights.argmax(axis=1)
    ends, radii = np.zeros((N_SEGMENTS, 2, 3)), np.zeros((N_SEGMENTS, 2))
    for finger in range(5):
        nodes = np.concatenate(
            [joints[1 + 3 * finger : 4 + 3 * finger], vertices[None, arrays.fingertips[TIPS_IN_MANO_ORDER[finger]]]]
        )
        for level in range(3):
            s = 3 * finger + level
            skin = vertices[owner == s + 1]
            ends[s], radii[s] = _segment(skin, nodes[level], nodes[level + 1], last=level == 2)
            ends[s] -= nodes[level]
        if finger != THUMB:
            ends[PALM + finger], radii[PALM + finger] = _palm_segment(vertices[owner == 0], nodes[0])
    row = np.empty(ROW)
    row[JOINTS_AT:ENDS_AT], row[ENDS_AT:RADII_AT], row[RADII_AT:] = joints[1:].ravel(), ends.ravel(), radii.ravel()
    return row


def _segment(skin: np.ndarray, start: np.ndarray, end: np.ndarray, *, last: bool) -> tuple[np.ndarray, np.ndarray]:
    """Ends (2, 3) and radii (2,) of a finger's segment between two joints, or a joint and the tip (`last`)."""
    length = np.linalg.norm(end - start)
    bone = (end - start) / length
    along = (skin - start) @ bone / length
    places = (0.25, 0.70) if last else (0.15, 0.85)
    ends, radii = np.stack([start, end]), np.full(2, DEFAULT_RADIUS)
    for i, place in enumerate(places):
        near = skin[np.abs(along - place) < 0.22]
        if len(near) < 6:
            ends[i] = start + place * length * bone
            continue
        across = near - start - ((near - start) @ bone)[:, None] * bone
        centre = (across.max(axis=0) + across.min(axis=0)) / 2
        ends[i] = start + place * length * bone + centre
        radii[i] = np.median(np.linalg.norm(across - centre, axis=1))
    if last:  # the round end of the capsule is the fingertip
        reach = max((end - ends[1]) @ bone - radii[1], 0.0)
        ends[1] = ends[1] + reach * bone
    else:  # let the round ends meet at the joints
        ends[1] = ends[1] + (1 - places[1]) * length * bone
    ends[0] = ends[0] - places[0] * length * bone
    return ends, radii


def _palm_segment(skin: np.ndarray, knuckle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The palm below one knuckle as a capsule as thick as the palm (-y is where it faces)."""
    ends, radii = np.zeros((2, 3)), np.full(2, DEFAULT_RADIUS)
    for i, place in enumerate((0.35, 0.85)):
        ends[i] = place * knuckle
        near = skin[np.hypot(*(skin - ends[i])[:, [0, 2]].T) < 0.010]
        if len(near) >= 6:
            top, radii[i] = near[:, 1].max(), (near[:, 1].max() - near[:, 1].min()) / 2
            ends[i, 1] = top - radii[i]
    # The ball of the thumb is thick but soft and moves away with the thumb: it is no part of the palm's thickness.
    thick = max(radii[0] - radii[1], 0.0)
    ends[0, 1] += thick
    radii[0] -= thick
    return ends, radii


def _rest_flexion(base: np.ndarray, skeleton: Skeleton, frames: np.ndarray) -> np.ndarray:
    """The angle (15,) by which the rest pose already flexes each bone against the one before it; 0 at the thumb's base."""
    joints = base[JOINTS_AT:ENDS_AT].reshape(5, 3, 3)
    tips = skeleton.tips_template.numpy()[list(TIPS_IN_MANO_ORDER)]
    nodes = np.concatenate([np.zeros((5, 1, 3)), joints, tips[:, None]], axis=1)
    bones = np.diff(nodes, axis=1)
    before, after = bones[:, :-1], bones[:, 1:]
    axis = frames[:, :, 0].reshape(5, 3, 3)
    sine = (np.cross(before, after) * axis).sum(-1)
    across = before - (before * axis).sum(-1, keepdims=True) * axis
    angle = np.arctan2(sine, (across * after).sum(-1))
    angle[THUMB, 0] = 0.0
    return angle.ravel()


def _pairs() -> np.ndarray:
    """Pairs of segments (P, 2) of different fingers, and of fingers and palm, that can meet."""
    pairs = [(3 * f + i, 3 * g + j) for f in range(5) for g in range(f) for i in range(3) for j in range(3)]
    pairs = [(a, b) for a, b in pairs if not (a == 3 * THUMB and b % 3 == 0)]  # the web between thumb and palm
    pairs += [(3 * f + i, PALM + g) for f in range(5) for i in (1, 2) for g in range(4)]
    return np.array(pairs)


def _allowed(base: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Depth (P,) that each pair may have: soft skin, and whatever the rest pose itself shows (webbing)."""
    joints, ends, radii = (
        base[JOINTS_AT:ENDS_AT].reshape(15, 3),
        base[ENDS_AT:RADII_AT].reshape(N_SEGMENTS, 2, 3).copy(),
        base[RADII_AT:].reshape(N_SEGMENTS, 2),
    )
    ends[:PALM] += joints[:, None]
    fractions = np.linspace(0, 1, 33)[:, None]
    lines = [e[0] + fractions * (e[1] - e[0]) for e in ends]
    thick = [r[0] + fractions[:, 0] * (r[1] - r[0]) for r in radii]
    allowed = np.empty(len(pairs))
    for k, (a, b) in enumerate(pairs):
        distance = np.linalg.norm(lines[a][:, None] - lines[b][None], axis=-1)
        overlap = (thick[a][:, None] + thick[b][None] - distance).max()
        allowed[k] = max(overlap, 0.0) + (SOFT_PALM if b >= PALM else SOFT)
    return allowed
