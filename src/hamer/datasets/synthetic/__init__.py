"""Made pictures of hands with exact truth: surfaces, light and drawing, poses, skins, backgrounds and the picture maker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hamer.lazy import lazy_names

if TYPE_CHECKING:
    from hamer.datasets.synthetic.drawing import Drawn, draw
    from hamer.datasets.synthetic.lights import Lights, draw_lights
    from hamer.datasets.synthetic.surfaces import Surface

_HOMES = {
    "Drawn": "hamer.datasets.synthetic.drawing",
    "Lights": "hamer.datasets.synthetic.lights",
    "Surface": "hamer.datasets.synthetic.surfaces",
    "draw": "hamer.datasets.synthetic.drawing",
    "draw_lights": "hamer.datasets.synthetic.lights",
}

__all__ = [
    "Drawn",
    "Lights",
    "Surface",
    "draw",
    "draw_lights",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
