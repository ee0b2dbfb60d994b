"""Pictures of results: meshes drawn over photos by a tile rasteriser on the CPU, no GL and no display.

`render` draws meshes, `overlay` puts them over a photo, `side_view` turns them first, `draw_keypoints` draws skeletons.
Names are resolved on first use, so that importing this package loads neither Numba nor OpenCV.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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

_HOME = {
    "LIGHT_BLUE": "meshes",
    "Mesh": "meshes",
    "Rendered": "renderer",
    "composite": "renderer",
    "draw_keypoints": "keypoints",
    "overlay": "renderer",
    "render": "renderer",
    "side_view": "renderer",
    "warmup": "renderer",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
