"""A photo or a folder of photos to `Reconstruction`s: reading, finding hands, estimating them in batches. Draws nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hamer.lazy import lazy_names

if TYPE_CHECKING:
    from hamer.pipeline.estimators import FittingEstimator
    from hamer.pipeline.network_estimator import NetworkEstimator
    from hamer.pipeline.pictures import Picture, list_pictures, read_picture
    from hamer.pipeline.reconstructor import HandReconstructor

__all__ = ["FittingEstimator", "HandReconstructor", "NetworkEstimator", "Picture", "list_pictures", "read_picture"]

_HOMES = {
    "FittingEstimator": "hamer.pipeline.estimators",
    "HandReconstructor": "hamer.pipeline.reconstructor",
    "NetworkEstimator": "hamer.pipeline.network_estimator",
    "Picture": "hamer.pipeline.pictures",
    "list_pictures": "hamer.pipeline.pictures",
    "read_picture": "hamer.pipeline.pictures",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
