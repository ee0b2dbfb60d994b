"""Parts of a body: shapes in the body's frame, whose textures are painted only where they are seen.

The body's frame: metres, the crown of the head at the origin, x to the person's left, y down, z backwards. Somebody who
stands upright and faces the camera has the camera's axes. Letters: S x S texture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hamer.datasets.synthetic.drawing.surfaces import NO_HAND, Surface
from hamer.datasets.synthetic.things.shapes import Shape

Painted = tuple[np.ndarray, np.ndarray | None]
"""Albedo (S, S, 3) uint8 sRGB, and relief (S, S) float32 metres or None."""


@dataclass(frozen=True)
class Part:
    """A part's shape, how it is painted, and its gloss and scattering 0..1."""

    shape: Shape
    paint: Callable[[], Painted]
    gloss: float
    scattering: float

    def surface(self, vertices: np.ndarray) -> Surface:
        """It with its `vertices` (V, 3) in the camera's frame, metres; takes shadows and throws none."""
        albedo, relief = self.paint()
        return Surface(
            vertices=vertices.astype(np.float32),
            faces=self.shape.faces,
            uv=self.shape.uv.astype(np.float32),
            uv_faces=self.shape.uv_faces,
            albedo=albedo,
            relief=relief,
            gloss=self.gloss,
            labels=np.full(len(self.shape.faces), NO_HAND, np.uint8),
            scattering=self.scattering,
            casts=False,
        )
