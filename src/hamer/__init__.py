"""Hand mesh recovery: every hand in a photo as a 3D mesh.

    import hamer
    model = hamer.HandReconstructor.from_pretrained()
    result = model("photo.jpg")
    hamer.save(result, "out/")

Names are resolved when they are first used, so that `import hamer` is silent and loads no network library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hamer.pipeline import HandReconstructor
    from hamer.results import overlay, save
    from hamer.structures import Camera, Detections, Hand, HandBoxes, HandParameters, Reconstruction

__version__ = "2.0.0.dev0"

__all__ = [
    "Camera",
    "Detections",
    "Hand",
    "HandBoxes",
    "HandParameters",
    "HandReconstructor",
    "Reconstruction",
    "__version__",
    "overlay",
    "save",
]

_HOME = {
    "HandReconstructor": "hamer.pipeline",
    "overlay": "hamer.results",
    "save": "hamer.results",
    **dict.fromkeys(["Camera", "Detections", "Hand", "HandBoxes", "HandParameters", "Reconstruction"], "hamer.structures"),
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'hamer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
