"""Hand-model parameters and the hand's place from 21 keypoints: the first fit, and refinement of a network's result.

    fit = fit_hands(hand_model, keypoints_2d, is_right, camera_matrix, keypoints_3d)

Results are in the right-hand convention: see `hamer.fitting.options`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hamer.lazy import lazy_names

if TYPE_CHECKING:
    from hamer.fitting.fit import fit_hands as fit_hands
    from hamer.fitting.options import FitOptions as FitOptions
    from hamer.fitting.options import HandFit as HandFit
    from hamer.fitting.options import HandPose as HandPose

_HOMES = {
    "FitOptions": "hamer.fitting.options",
    "HandFit": "hamer.fitting.options",
    "HandPose": "hamer.fitting.options",
    "fit_hands": "hamer.fitting.fit",
}

__all__ = ["FitOptions", "HandFit", "HandPose", "fit_hands"]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
