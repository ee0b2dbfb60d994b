"""The shape of a head with its neck: rings from the crown to the shoulders, with a nose, eye sockets, lips and ears.

Frame and units: see `parts.py`. Letters: R rings, K points around a ring, theta 0 at the back, pi at the face.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from hamer.datasets.synthetic.things.shapes import Shape, loft

HEIGHT = 0.225  # m from the crown to the chin
EYES, MOUTH = (0.032, 0.115), (0.0, 0.186)  # x and y of an eye, the mouth
_RINGS, _AROUND = 52, 64

# y at the face, y at the back, half width, depth to the face and to the back, metres; rings from the crown downwards.
_TABLE = np.array([
    (0.001, 0.001, 0.016, 0.018, 0.020), (0.008, 0.008, 0.041, 0.046, 0.055), (0.030, 0.030, 0.064, 0.075, 0.084),
    (0.060, 0.060, 0.073, 0.088, 0.096), (0.090, 0.088, 0.075, 0.093, 0.098), (0.103, 0.100, 0.075, 0.093, 0.097),
    (0.118, 0.115, 0.073, 0.087, 0.094), (0.140, 0.132, 0.070, 0.088, 0.088), (0.160, 0.148, 0.066, 0.089, 0.081),
    (0.180, 0.162, 0.061, 0.089, 0.074), (0.200, 0.176, 0.055, 0.087, 0.067), (0.216, 0.186, 0.048, 0.085, 0.062),
    (0.226, 0.193, 0.044, 0.074, 0.060), (0.230, 0.198, 0.046, 0.052, 0.059), (0.236, 0.206, 0.050, 0.036, 0.058),
    (0.262, 0.232, 0.053, 0.033, 0.060), (0.290, 0.262, 0.057, 0.036, 0.064), (0.315, 0.290, 0.075, 0.045, 0.074),
    (0.335, 0.315, 0.110, 0.060, 0.085),
])  # fmt: skip


@dataclass(frozen=True)
class Face:
    """A person's features: `size` (3,) scale of the axes; `nose`, `lips`, `brow`, `cheeks`, `jaw` strengths about 1."""

    size: np.ndarray
    nose: float
    lips: float
    brow: float
    cheeks: float
    jaw: float


def draw_face(rng: np.random.Generator) -> Face:
    """Features of a person between a large child and a tall man."""
    size = rng.uniform(0.9, 1.06) * (1 + rng.normal(0, (0.035, 0.025, 0.03)))
    nose, lips, brow, cheeks, jaw = rng.uniform(0.6, 1.4, 5)
    return Face(size, nose, lips, brow, cheeks, jaw)


def angles(u: np.ndarray) -> np.ndarray:
    """Angle theta of texture columns u: the face has twice the mean share, the back of the head less."""
    return 2 * np.pi * u + 0.5 * np.sin(2 * np.pi * u)


def points(t: np.ndarray, u: np.ndarray) -> np.ndarray:
    """The smooth head (..., 3) without features at t, 0 at the crown to 1 at the shoulders, and columns u."""
    fine, table = _profile()
    theta = angles(u)
    front_y, back_y, width, front_z, back_z = (np.interp(t, fine, column) for column in table.T)
    cosine, sine = np.cos(theta), np.sin(theta)
    x = width * np.sign(sine) * np.abs(sine) ** 0.88
    y = back_y + (front_y - back_y) * (0.5 - 0.5 * cosine)
    z = back_z * np.maximum(cosine, 0) - front_z * np.maximum(-cosine, 0)
    return np.stack(np.broadcast_arrays(x, y, z), -1)


def bell(place: np.ndarray, ahead: np.ndarray, centre: tuple[float, float], wide: float, high: float) -> np.ndarray:
    """A bump 0..1 over points `place` (..., 3) that are `ahead`: about a `centre` x, y, and about its mirror image."""
    x, y = place[..., 0], place[..., 1]
    return ahead * np.exp(-(((np.abs(x) - centre[0]) / wide) ** 2) - ((y - centre[1]) / high) ** 2)


def head(face: Face) -> Shape:
    """The head and neck of a face."""
    place, bumps = _lattice()
    strength = np.array([face.nose, 1.0, face.lips, face.brow, face.cheeks, face.jaw, 1.0])
    vertices = (place + np.tensordot(bumps, strength, 1)) * face.size
    shape = _loft()
    ends = vertices[0].mean(0)[None], vertices[-1].mean(0)[None]
    return Shape(np.concatenate([ends[0], vertices.reshape(-1, 3), ends[1]]), shape.faces, shape.uv, shape.uv_faces)


@cache
def _profile() -> tuple[np.ndarray, np.ndarray]:
    """The table at many t (N,), (N, 5), smoothed; t runs with the length walked down the face."""
    steps = np.hypot(np.diff(_TABLE[:, 0]), np.diff(_TABLE[:, 3]))
    at = np.concatenate([[0], np.cumsum(steps)]) / steps.sum()
    fine = np.linspace(0, 1, 160)
    table = np.stack([np.interp(fine, at, column) for column in _TABLE.T], 1)
    window = np.hanning(11)[1:-1] / np.hanning(11).sum()
    padded = np.concatenate([np.repeat(table[:1], 4, 0), table, np.repeat(table[-1:], 4, 0)])
    return fine, np.stack([np.convolve(column, window, "valid") for column in padded.T], 1)


@cache
def _lattice() -> tuple[np.ndarray, np.ndarray]:
    """The smooth head's rings (R, K, 3) and its features as shifts (R, K, 3, 7), metres."""
    u, t = np.arange(_AROUND) / _AROUND, np.linspace(0, 1, _RINGS)
    place = points(t[:, None], u[None])
    x, y, z = np.moveaxis(place, -1, 0)
    ahead = z < 0.02

    at = partial(bell, place, ahead)
    bridge = np.clip((y - 0.100) / 0.060, 0, 1) * np.clip((0.172 - y) / 0.010, 0, 1)
    nose = 0.024 * bridge * np.exp(-((x / (0.008 + 0.007 * bridge)) ** 2)) * ahead
    sockets = -0.009 * at(EYES, 0.015, 0.010)
    lips = 0.005 * (at((0.0, 0.180), 0.018, 0.005) + at((0.0, 0.193), 0.016, 0.006))
    brow = 0.004 * at((0.030, 0.099), 0.022, 0.006)
    cheeks = 0.004 * at((0.043, 0.142), 0.016, 0.018)
    chin = 0.005 * at((0.0, 0.214), 0.018, 0.010)
    forward = np.zeros((*x.shape, 3, 7))
    forward[..., 2, :6] = -np.stack([nose, sockets, lips, brow, cheeks, chin], -1)
    ears = np.exp(-(((z - 0.012) / 0.014) ** 2) - ((y - 0.130) / 0.026) ** 4)
    forward[..., 0, 6] = 0.017 * np.sign(x) * ears
    forward[..., 2, 6] = 0.010 * ears
    return place, forward


@cache
def _loft() -> Shape:
    return loft(_lattice()[0], np.linspace(0, 1, _RINGS))
