"""A photo or a folder of photos to `Reconstruction`s: reading, finding hands, estimating them in batches. Draws nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hamer.pipeline.estimators import FittingEstimator, NetworkEstimator
    from hamer.pipeline.pictures import Picture, list_pictures, read_picture
    from hamer.pipeline.reconstructor import HandReconstructor

__all__ = ["FittingEstimator", "HandReconstructor", "NetworkEstimator", "Picture", "list_pictures", "read_picture"]

_HOME = {
    "FittingEstimator": "hamer.pipeline.estimators",
    "HandReconstructor": "hamer.pipeline.reconstructor",
    "NetworkEstimator": "hamer.pipeline.estimators",
    "Picture": "hamer.pipeline.pictures",
    "list_pictures": "hamer.pipeline.pictures",
    "read_picture": "hamer.pipeline.pictures",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'hamer.pipeline' has no attribute {name!r}")
