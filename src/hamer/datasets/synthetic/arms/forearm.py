"""The arm behind a made hand: a tube that leaves the wrist's open edge, bare or dressed.

Letters: L vertices of the wrist's loop, R rings along the arm, S x S texture. Camera frame, metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hamer.datasets.synthetic.arms.arm_textures import arm_texture
from hamer.datasets.synthetic.arms.dress import Dress, Profile, draw_dress
from hamer.datasets.synthetic.arms.wrists import Wrist
from hamer.datasets.synthetic.drawing.surfaces import FOREARM, Surface
from hamer.datasets.synthetic.skin.bank import Skin
from hamer.datasets.synthetic.skin.curves import smoothstep
from hamer.hand_models.arrays import HandModelArrays

FLEXION_LIMIT, DEVIATION_LIMIT = np.deg2rad(65.0), np.deg2rad(25.0)
"""How far a wrist bends toward palm or back, and sideways (AAOS, Joint Motion, 1965), a little short of the end."""

LENGTHS = (0.26, 0.46)
"""How much of the arm is made, metres: mostly more than the picture shows."""

_ELBOW, _ELBOW_BEND, _ELBOW_LIMIT = 0.23, 0.12, np.deg2rad(75.0)
"""Where the elbow begins, over what length it bends, how far at most: more would fold the tube into itself."""

_TRIES, _TOWARD_CAMERA = 6, 0.8
"""Bends to choose from, and the cosine beyond which an arm comes straight at the camera and hides its hand."""

_BEND = 0.045
"""Length over which the arm turns from the hand's direction to its own: the carpus."""


@dataclass(frozen=True)
class _Course:
    """The arm's axis: the loop's centre, rest-to-camera rotation, and the bends in the hand's frame (radians)."""

    start: np.ndarray
    rotation: np.ndarray
    direction: np.ndarray
    axis: np.ndarray
    angle: float
    elbow_axis: np.ndarray
    elbow_angle: float
    twist: float
    length: float


def forearm(hand_vertices: np.ndarray, arrays: HandModelArrays, skin: Skin, rng: np.random.Generator) -> Surface:
    """The arm of a posed right hand (V, 3): begins exactly at the loop's vertices, `LENGTHS` long, label 17.

    The first L vertices of the surface are the hand's own loop, so that no gap can open. Bare skin takes the hand's
    colours at the loop and runs into the arm's own within a few centimetres.
    """
    wrist = Wrist.of(arrays)
    loop = np.asarray(hand_vertices, np.float64)[wrist.loop]
    course = _draw_course(wrist, loop, hand_vertices, rng)
    dress = draw_dress(skin, rng)
    profile = dress.profile(course.length)
    vertices = _rings(wrist, loop, course, profile, dress)
    faces, uv_faces = _tube_faces(len(profile.s), len(loop))
    vertices = np.concatenate([vertices.reshape(-1, 3), vertices[-1].mean(axis=0, keepdims=True)])
    albedo, relief = arm_texture(skin, wrist, profile, dress, rng)
    labels = np.full(len(faces), FOREARM, np.uint8)
    uv = _tube_uv(profile, len(loop))
    return Surface(
        vertices=vertices.astype(np.float32),
        faces=faces,
        uv=uv,
        uv_faces=uv_faces,
        albedo=albedo,
        relief=relief,
        gloss=_gloss(skin, dress, rng),
        labels=labels,
        scattering=None if dress.shows_skin else 0.2,
    )


def _gloss(skin: Skin, dress: Dress, rng: np.random.Generator) -> float:
    """Bare arms shine as the hand does, or its end would show; cloth hardly does, and between the two is a compromise."""
    matt = float(min(skin.gloss, rng.uniform(0.0, 0.1)))
    if skin.cuff is not None or not dress.shows_skin:
        return matt
    return skin.gloss if dress.sleeve is None else 0.3 * matt + 0.7 * skin.gloss


def _draw_course(wrist: Wrist, loop: np.ndarray, hand_vertices: np.ndarray, rng: np.random.Generator) -> _Course:
    """A bend of the wrist, the likeliest of a few; arms that would hide the hand from the camera are the last choice."""
    rotation = wrist.motion(hand_vertices)
    outward = wrist.outward.mean(axis=0)
    outward /= np.linalg.norm(outward)
    flexion = np.clip(rng.normal(0.0, np.deg2rad(24), _TRIES), -FLEXION_LIMIT, FLEXION_LIMIT)
    deviation = np.clip(rng.normal(0.0, np.deg2rad(11), _TRIES), -DEVIATION_LIMIT, DEVIATION_LIMIT)
    # Flexion turns the arm about the hand's lateral axis z, deviation about the palm's normal y.
    turns = np.stack([np.zeros(_TRIES), deviation, flexion], axis=1)
    angles = np.linalg.norm(turns, axis=1)
    axes = turns / np.maximum(angles, 1e-9)[:, None]
    start = loop.mean(axis=0)
    to_camera = -start / max(float(np.linalg.norm(start)), 1e-9)
    directions = np.stack(
        [rotation @ _rotations(u, np.array([a]))[0] @ outward for u, a in zip(axes, angles, strict=True)]
    )
    toward = directions @ to_camera
    clear = np.flatnonzero(toward < _TOWARD_CAMERA)
    chosen = int(clear[0]) if len(clear) else int(np.argmin(toward))
    elbow_axis = rng.normal(size=3) * [0.3, 1.0, 1.0]
    return _Course(
        start=start,
        rotation=rotation,
        direction=outward,
        axis=axes[chosen],
        angle=float(angles[chosen]),
        elbow_axis=elbow_axis / np.linalg.norm(elbow_axis),
        elbow_angle=float(rng.uniform(0, _ELBOW_LIMIT)),
        twist=float(rng.normal(0, np.deg2rad(25))),
        length=float(rng.uniform(*LENGTHS)),
    )


def _rings(wrist: Wrist, loop: np.ndarray, course: _Course, profile: Profile, dress: Dress) -> np.ndarray:
    """Vertices (R, L, 3): the loop's own outline, turning into an ellipse that widens toward the elbow."""
    offset = (loop - course.start) @ course.rotation  # in the rest frame
    centre, turns = _axis(course, profile.s)
    theta = np.arctan2(offset[:, 1], offset[:, 2])
    along = np.maximum(profile.s, 0.0)[:, None, None]
    own = smoothstep(0.0, 1.0, along / 0.06)
    slope = wrist.outward - wrist.outward.mean(axis=0)
    outline = offset + slope * along * np.exp(-along / 0.02)
    shape = (1 - own) * outline + own * _ellipses(theta, offset, along[:, :, 0], course)
    radial = shape * [0.0, 1.0, 1.0]
    radial /= np.linalg.norm(radial, axis=-1, keepdims=True)
    lift = profile.lift[:, None] + dress.folds(theta, profile.s)
    lift[0] = 0.0  # the loop itself stays the hand's
    shape = shape + lift[..., None] * radial
    rings = centre[:, None] + shape @ turns.transpose(0, 2, 1)
    rings = course.start + rings @ course.rotation.T
    rings[0] = loop
    return rings


def _ellipses(theta: np.ndarray, offset: np.ndarray, s: np.ndarray, course: _Course) -> np.ndarray:
    """Cross-sections (R, L, 3) at distances s (R, 1) from the wrist: nearly round where the muscles are."""
    swell = smoothstep(0.0, 1.0, s / 0.22)
    height = np.ptp(offset[:, 1]) / 2 * (1.0 + 0.95 * swell)
    width = np.ptp(offset[:, 2]) / 2 * (1.0 + 0.55 * swell)
    y, z = height * np.sin(theta), width * np.cos(theta)
    turn = course.twist * s / course.length
    y, z = np.cos(turn) * y - np.sin(turn) * z, np.sin(turn) * y + np.cos(turn) * z
    return np.stack([np.zeros_like(y), y, z], axis=-1)


def _axis(course: _Course, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres (R, 3) and rotations (R, 3, 3) of the rings in the rest frame, the loop's centre at the origin."""
    fine = np.linspace(0.0, max(float(s.max()), _BEND), 64)
    directions = _turns(course, fine) @ course.direction
    steps = 0.5 * (directions[1:] + directions[:-1]) * fine[1]
    path = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    centre = np.stack([np.interp(s, fine, path[:, i]) for i in range(3)], axis=1)
    centre += np.minimum(s, 0.0)[:, None] * course.direction  # a sleeve may begin before the loop, over the hand
    return centre, _turns(course, s)


def _turns(course: _Course, s: np.ndarray) -> np.ndarray:
    """How the arm is turned against the hand at distances s (R,): matrices (R, 3, 3), by the wrist, then the elbow."""
    wrist = _rotations(course.axis, course.angle * smoothstep(0.0, 1.0, s / _BEND))
    elbow = _rotations(course.elbow_axis, course.elbow_angle * smoothstep(0.0, 1.0, (s - _ELBOW) / _ELBOW_BEND))
    return elbow @ wrist


def _rotations(axis: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Rodrigues' formula: matrices (n, 3, 3) for a unit axis (3,) and angles (n,)."""
    x, y, z = axis
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    sine, cosine = np.sin(angles)[:, None, None], np.cos(angles)[:, None, None]
    return np.eye(3) + sine * k + (1 - cosine) * (k @ k)


@lru_cache(maxsize=64)
def _tube_faces(rings: int, around: int) -> tuple[np.ndarray, np.ndarray]:
    """Triangles of the tube and of the cap at its far end, and the same in the texture.

    The texture's grid has one column more, where the tube closes, and one point more, the cap's centre.
    """
    r, i = (x.ravel() for x in np.meshgrid(np.arange(rings - 1), np.arange(around), indexing="ij"))
    end = np.arange(around)
    result = []
    for columns, following in ((around, lambda k: (k + 1) % around), (around + 1, lambda k: k + 1)):
        a, b = r * columns + i, r * columns + following(i)
        c, d = a + columns, b + columns
        last = (rings - 1) * columns
        cap = np.stack([last + following(end), last + end, np.full(around, rings * columns)], 1)
        result.append(np.concatenate([np.stack([b, a, c], 1), np.stack([b, c, d], 1), cap]).astype(np.int32))
    return result[0], result[1]


def _tube_uv(profile: Profile, around: int) -> np.ndarray:
    """Texture points (R * (L + 1) + 1, 2): u once around, v along the profile's own length; last the cap's centre."""
    u, v = np.meshgrid(np.linspace(0, 1, around + 1), profile.v)
    grid = np.stack([u, v], axis=-1).reshape(-1, 2)
    return np.concatenate([grid, [[0.5, 1.0]]]).astype(np.float32)
