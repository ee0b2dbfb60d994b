"""Creases of the palm and the fingers, wrinkles over the knuckles, bracelets of the wrist.

Every layer is a vector over the M used texels of `Texels`: shade 0 (flat skin) to 1 (depth of a crease).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hamer.datasets.synthetic.skin.curves import bell, smoothstep, spline, to_curve
from hamer.datasets.synthetic.skin.noise import fractal
from hamer.datasets.synthetic.skin.places import Places
from hamer.datasets.synthetic.skin.texels import Texels
from hamer.fitting.anatomy import THUMB


@dataclass(frozen=True)
class Lines:
    """Creases and wrinkles: shade (M,) 0..1, on the palm's side and on the back's, and relief (M,) metres."""

    palmar: np.ndarray
    dorsal: np.ndarray
    relief: np.ndarray


def lines(texels: Texels, masks: Places, rng: np.random.Generator) -> Lines:
    """One variant of all creases and wrinkles."""
    warp = 0.0011 * fractal(texels.position, rng, scale=0.009, octaves=2)
    palmar = np.maximum(_finger_creases(texels, warp, rng), _palm_lines(texels, warp, rng))
    fine = _fine_lines(texels, rng)
    palmar = np.maximum(palmar, 0.2 * fine) * smoothstep(0.1, 0.6, masks.palm)
    palmar = np.maximum(palmar, _wrist_creases(texels, warp, rng))
    dorsal = _knuckle_wrinkles(texels, warp, rng) * masks.back
    dorsal = np.maximum(dorsal, 0.18 * fine * masks.back)
    relief = -3.5e-4 * palmar - 2.6e-4 * dorsal
    return Lines(*(layer.astype(np.float32) for layer in (palmar, dorsal, relief)))


def _finger_creases(texels: Texels, warp: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Creases across the fingers' palm side: two at each joint of the four, the last one's second faint; a thumb has two joints."""
    result = np.zeros(len(texels.index))
    for f in range(5):
        own = texels.finger == f
        reach = texels.anatomy.reach[f]
        base = 0.52 * reach[1] if f != THUMB else reach[1]
        middle = reach[1] if f != THUMB else reach[2]
        rows = [(base, 0.7, 0.0007), (middle - 0.0012, 0.9, 0.0007), (middle + 0.0014, 0.7, 0.0006)]
        rows.append((base + 0.0035, 0.45, 0.0005))
        if f != THUMB:
            rows += [(reach[2] - 0.001, 0.9, 0.0007), (reach[2] + 0.0015, 0.3, 0.0005)]
        for centre, depth, width in rows:
            shift = rng.normal(0, 0.0006) + rng.normal(0, 0.06) * texels.across - rng.uniform(0, 12) * texels.across**2
            gap = texels.along - centre - shift + 0.5 * warp
            result = np.maximum(result, own * depth * rng.uniform(0.6, 1.1) * bell(gap, width * rng.uniform(0.8, 1.3)))
    return result


def _palm_lines(texels: Texels, warp: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Heart, head and life line and a few lesser ones, drawn between the joints of this hand."""
    joints = texels.anatomy.joints
    index, middle, ring, little, wrist, thumb = (joints[i][[0, 2]] for i in (1, 4, 10, 7, 0, 14))
    down = wrist - middle
    radial = (index - little) / np.linalg.norm(index - little)

    def jitter(points: list[np.ndarray]) -> np.ndarray:
        return np.stack(points) + rng.normal(0, 0.0022, (len(points), 2))

    start = index + 0.24 * down + 0.012 * radial
    inner = 0.5 * (wrist + thumb) - 0.016 * radial
    heart_end = 0.5 * (index + middle) - 0.02 * down
    courses = [
        (1.0, [little + 0.16 * down - 0.010 * radial, ring + 0.2 * down, middle + 0.16 * down, heart_end]),
        (0.9, [start, middle + 0.36 * down, ring + 0.46 * down, little + 0.52 * down - 0.004 * radial]),
        (1.0, [start, index + 0.42 * down - 0.004 * radial, inner + 0.1 * down, wrist - 0.12 * down + 0.004 * radial]),
        (rng.uniform(0, 0.35), [middle + 0.85 * down, middle + 0.6 * down, middle + 0.25 * down]),
        (rng.uniform(0, 0.3), [little + 0.75 * down, ring + 0.45 * down, little + 0.1 * down]),
    ]
    curves = [(jitter(points), depth) for depth, points in courses]
    flat = texels.position[:, [0, 2]] + warp[:, None] * [0.5, 0.4]
    flat[texels.dorsal > 0.3] = np.inf  # nothing to measure on the back
    strength = fractal(texels.position, rng, scale=0.008, octaves=1)  # lines fade and deepen along their way
    result = np.zeros(len(texels.index))
    for points, depth in curves:
        distance, place = to_curve(flat, spline(points, 24))
        taper = (1 - 0.25 * np.abs(strength)) * smoothstep(-0.02, 0.12, place) * smoothstep(1.02, 0.8, place)
        result = np.maximum(
            result, depth * rng.uniform(0.55, 1.1) * taper * bell(distance, rng.uniform(0.0007, 0.0011))
        )
    return result


def _fine_lines(texels: Texels, rng: np.random.Generator) -> np.ndarray:
    """The net of fine furrows of all skin: ridges of noise, (M,) 0..1."""
    first = np.abs(fractal(texels.position, rng, scale=0.0055, octaves=1))
    second = np.abs(fractal(texels.position * [1.0, 1.0, 2.2], rng, scale=0.006, octaves=1))
    return np.maximum(bell(first, 0.10), 0.8 * bell(second, 0.10))


def _wrist_creases(texels: Texels, warp: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One to three bracelets on the inner side of the wrist."""
    result = np.zeros(len(texels.index))
    start = texels.anatomy.joints[0, 0] - rng.uniform(0.004, 0.010)
    inner = smoothstep(0.2, -0.5, texels.dorsal)
    for row in range(int(rng.integers(1, 4))):
        gap = texels.position[:, 0] - start - row * rng.uniform(0.004, 0.007) + 0.7 * warp
        result = np.maximum(result, rng.uniform(0.3, 0.8) * inner * bell(gap, 0.0008))
    return result


def _knuckle_wrinkles(texels: Texels, warp: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of short wrinkles over the middle and last joints, faint ones over the first."""
    result = np.zeros(len(texels.index))
    for f in range(5):
        own = texels.nearest == f
        for k, strength in ((0, 0.25), (1, 0.85), (2, 0.5)):
            if f == THUMB:
                strength = (0.0, 0.4, 0.8)[k]
            rows = int(rng.integers(3, 6))
            for row in range(rows):
                offset = (row - (rows - 1) / 2) * rng.uniform(0.0016, 0.0023)
                bow = -np.sign(offset) * rng.uniform(0, 25) * texels.across**2  # wrinkles close around the joint
                gap = texels.along - texels.anatomy.reach[f, k] - offset - bow + 0.8 * warp
                short = np.exp(-((texels.across / rng.uniform(0.0035, 0.006)) ** 2))
                result = np.maximum(result, own * strength * rng.uniform(0.5, 1.1) * short * bell(gap, 0.00055))
    return result
