"""Hand mesh recovery: every hand in a photo as a 3D mesh.

    import hamer
    model = hamer.HandReconstructor.from_pretrained()
    result = model("photo.jpg")
    hamer.save(result, "out/")

Names are resolved when they are first used, so that `import hamer` is silent and loads no network library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hamer.lazy import lazy_names

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

_HOMES = {
    "Camera": "hamer.structures",
    "Detections": "hamer.structures",
    "Hand": "hamer.structures",
    "HandBoxes": "hamer.structures",
    "HandParameters": "hamer.structures",
    "HandReconstructor": "hamer.pipeline",
    "Reconstruction": "hamer.structures",
    "overlay": "hamer.results",
    "save": "hamer.results",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
