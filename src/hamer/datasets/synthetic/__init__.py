"""Made pictures of hands with exact truth.

`options` says what pictures show, `composition` puts a scene together, `maker` makes a picture of it, `truth` and
`landmarking` annotate it; `shards` writes pictures as tars, `stream` gives them to training, `sheets` shows them. What
they are made of is in the folders:

- `hands`: poses, shapes and views; `skin`: the hand's texture; `arms`: what follows behind the wrist;
- `things`: what is held or in front; `backgrounds`: what lies behind; `materials`: what both are coloured with;
- `drawing`: surfaces and lights to pixels; `camera`: light to a photograph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hamer.lazy import lazy_names

if TYPE_CHECKING:
    from hamer.datasets.synthetic.drawing.lights import Lights, draw_lights
    from hamer.datasets.synthetic.drawing.numba_drawing import Drawn, draw
    from hamer.datasets.synthetic.drawing.surfaces import Surface

_HOMES = {
    "Drawn": "hamer.datasets.synthetic.drawing.numba_drawing",
    "Lights": "hamer.datasets.synthetic.drawing.lights",
    "Surface": "hamer.datasets.synthetic.drawing.surfaces",
    "draw": "hamer.datasets.synthetic.drawing.numba_drawing",
    "draw_lights": "hamer.datasets.synthetic.drawing.lights",
}

__all__ = [
    "Drawn",
    "Lights",
    "Surface",
    "draw",
    "draw_lights",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
