"""Hand-model parameters and the hand's place from 21 keypoints: the first fit, and refinement of a network's result.

    fit = fit_hands(hand_model, keypoints_2d, is_right, camera_matrix, keypoints_3d)

Results are in the right-hand convention: see `hamer.fitting.options`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hamer.fitting.fit import fit_hands as fit_hands
    from hamer.fitting.options import FitOptions as FitOptions
    from hamer.fitting.options import HandFit as HandFit
    from hamer.fitting.options import HandPose as HandPose

_HOMES = {"fit_hands": "fit", "FitOptions": "options", "HandFit": "options", "HandPose": "options"}
__all__ = ["FitOptions", "HandFit", "HandPose", "fit_hands"]


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that importing the room costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
