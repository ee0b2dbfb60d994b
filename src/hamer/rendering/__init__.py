"""Pictures of results: meshes drawn over photos by a tile rasteriser on the CPU, no GL and no display.

`render` draws meshes, `overlay` puts them over a photo, `side_view` turns them first, `draw_keypoints` draws skeletons.
Names are resolved on first use, so that importing this package loads neither Numba nor OpenCV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hamer.lazy import lazy_names

if TYPE_CHECKING:
    from hamer.rendering.keypoints import draw_keypoints as draw_keypoints
    from hamer.rendering.meshes import LIGHT_BLUE as LIGHT_BLUE
    from hamer.rendering.meshes import Mesh as Mesh
    from hamer.rendering.renderer import Rendered as Rendered
    from hamer.rendering.renderer import composite as composite
    from hamer.rendering.renderer import overlay as overlay
    from hamer.rendering.renderer import render as render
    from hamer.rendering.renderer import side_view as side_view
    from hamer.rendering.renderer import warmup as warmup

_HOMES = {
    "LIGHT_BLUE": "hamer.rendering.meshes",
    "Mesh": "hamer.rendering.meshes",
    "Rendered": "hamer.rendering.renderer",
    "composite": "hamer.rendering.renderer",
    "draw_keypoints": "hamer.rendering.keypoints",
    "overlay": "hamer.rendering.renderer",
    "render": "hamer.rendering.renderer",
    "side_view": "hamer.rendering.renderer",
    "warmup": "hamer.rendering.renderer",
}

__all__ = sorted(_HOMES)

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
