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
    """Random values on a repeated lattice of unit cells, joined smoothly; deviation about 1."""
    values = rng.standard_normal(LATTICE**3, np.float32) * np.float32(1.9)  # joining eight neighbours evens them out
    cell = np.floor(points)
    t = (points - cell).astype(np.float32)
    t = (t * t * (3 - 2 * t)).T
    near = cell.astype(np.int32).T % LATTICE
    far = (near + 1) % LATTICE
    strides = np.array([[LATTICE * LATTICE], [LATTICE], [1]], np.int32)
    near, far = near * strides, far * strides

    def edge(y: np.ndarray, z: np.ndarray) -> np.ndarray:
        base = y + z
        first = values[near[0] + base]
        return first + t[0] * (values[far[0] + base] - first)

    def side(z: np.ndarray) -> np.ndarray:
        first = edge(near[1], z)
        return first + t[1] * (edge(far[1], z) - first)

    first = side(near[2])
    return first + t[2] * (side(far[2]) - first)
