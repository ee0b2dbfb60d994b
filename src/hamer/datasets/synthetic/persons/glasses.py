"""Glasses and sunglasses. Frame and units: see `parts.py`."""

from __future__ import annotations

import numpy as np

from hamer.datasets.synthetic.persons import heads
from hamer.datasets.synthetic.persons.parts import Part
from hamer.datasets.synthetic.things.shapes import Shape, joined, plate, tube

_WORN, _DARK = 0.25, 0.25  # shares of persons with glasses, and of those with dark ones
_COLORS = ((22, 20, 20), (22, 20, 20), (96, 58, 32), (150, 150, 154), (190, 150, 90), (130, 30, 40))
_AHEAD = -0.098  # z of the lenses, m


def glasses(face: heads.Face, rng: np.random.Generator) -> Part | None:
    """A pair of glasses on a face, or None: round or square rims, a bridge, temples; dark lenses on some."""
    if rng.random() >= _WORN:
        return None
    wide, high = rng.uniform(0.021, 0.028), rng.uniform(0.015, 0.024)
    outline = _rim(wide, high, rng.uniform(0.5, 1.0))
    wire = rng.uniform(0.0008, 0.0025)
    shapes: list[Shape] = []
    for side in (-1, 1):
        middle = np.array([side * 0.033, heads.EYES[1] + 0.004, _AHEAD])
        shapes.append(tube(np.concatenate([outline, outline[:2]]) + middle, np.full(len(outline) + 2, wire), 5))
        ear = np.array(
            [[side * (0.033 + wide), 0.112, _AHEAD], [side * 0.076, 0.108, -0.05], [side * 0.078, 0.108, 0.01]]
        )
        shapes.append(tube(ear, np.full(3, 1.2 * wire), 5))
    bridge = np.array([[-0.033 + wide, 0.114, _AHEAD], [0.0, 0.112, _AHEAD - 0.004], [0.033 - wide, 0.114, _AHEAD]])
    shapes.append(tube(bridge, np.full(3, wire), 5))
    if rng.random() < _DARK:
        shapes += [_lens(outline, side) for side in (-1, 1)]
    shape = joined(shapes)
    albedo = np.full((4, 4, 3), _COLORS[rng.integers(len(_COLORS))], np.uint8)
    shape = Shape(shape.vertices * face.size, shape.faces, shape.uv, shape.uv_faces)
    return Part(shape, lambda: (albedo, None), 0.7, 0.0)


def _rim(wide: float, high: float, roundness: float) -> np.ndarray:
    """A closed outline (N, 3) about the origin in the plane z = 0, from square (0.5) to round (1)."""
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    x, y = (np.sign(f) * np.abs(f) ** roundness for f in (np.cos(angles), np.sin(angles)))
    return np.stack([wide * x, high * y, 0 * x], 1)


def _lens(outline: np.ndarray, side: int) -> Shape:
    lens = plate(outline[:, :2], 0.001)
    upright = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # the plate's z, its long axis, becomes y
    return lens.moved(upright, np.array([side * 0.033, heads.EYES[1] + 0.004, _AHEAD]))
