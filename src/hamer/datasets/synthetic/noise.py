"""Smooth noise in space: the same function on both sides of a texture's seam."""

from __future__ import annotations

import numpy as np

LATTICE = 32
"""Points of the repeated lattice along each axis."""


def fractal(position: np.ndarray, rng: np.random.Generator, *, scale: float, octaves: int) -> np.ndarray:
    """Noise (M,) of mean 0 and deviation about 1 at points (M, 3).

    `scale` is the size of the largest blotches, in the points' unit; each octave halves size and strength.
    """
    result, weight, total = np.zeros(len(position)), 1.0, 0.0
    for octave in range(octaves):
        result += weight * _lattice_noise(position * (2**octave / scale) + rng.uniform(0, LATTICE, 3), rng)
        total += weight**2
        weight *= 0.5
    return result / np.sqrt(total)


def _lattice_noise(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random values on a lattice of unit cells, joined smoothly; deviation about 1."""
    values = rng.normal(0, 1.9, (LATTICE,) * 3)  # 1.9: joining eight neighbours evens the values out
    cell = np.floor(points).astype(np.int64)
    t = points - cell
    t = t * t * (3 - 2 * t)
    near, far = cell % LATTICE, (cell + 1) % LATTICE
    result = np.zeros(len(points))
    for corner in range(8):
        pick = [(corner >> axis) & 1 for axis in range(3)]
        where = tuple((far if on else near)[:, axis] for axis, on in enumerate(pick))
        weight = np.prod([t[:, axis] if on else 1 - t[:, axis] for axis, on in enumerate(pick)], axis=0)
        result += weight * values[where]
    return result
