"""The original's `hamer.utils` (drop-in): names that live elsewhere in this package, resolved when asked for."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hamer.utils.recursive import recursive_to

_HOMES = {
    "Evaluator": "hamer.utils.pose_utils",
    "MeshRenderer": "hamer.utils.mesh_renderer",
    "Renderer": "hamer.utils.renderer",
    "SkeletonRenderer": "hamer.utils.skeleton_renderer",
    "cam_crop_to_full": "hamer.utils.renderer",
    "recursive_to": "hamer.utils.recursive",
}

__all__ = ["recursive_to"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is not None and importlib.util.find_spec(home) is not None:
        return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(name for name, home in _HOMES.items() if importlib.util.find_spec(home) is not None)
