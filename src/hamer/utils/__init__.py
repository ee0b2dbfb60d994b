"""The original's `hamer.utils` (drop-in): names that live elsewhere in this package, resolved when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hamer.lazy import lazy_names

if TYPE_CHECKING:
    from hamer.evaluation.original import Evaluator as Evaluator
    from hamer.utils.mesh_renderer import MeshRenderer as MeshRenderer
    from hamer.utils.recursive import recursive_to as recursive_to
    from hamer.utils.renderer import Renderer as Renderer
    from hamer.utils.renderer import cam_crop_to_full as cam_crop_to_full
    from hamer.utils.skeleton_renderer import SkeletonRenderer as SkeletonRenderer

_HOMES = {
    "Evaluator": "hamer.evaluation.original",
    "MeshRenderer": "hamer.utils.mesh_renderer",
    "Renderer": "hamer.utils.renderer",
    "SkeletonRenderer": "hamer.utils.skeleton_renderer",
    "cam_crop_to_full": "hamer.utils.renderer",
    "recursive_to": "hamer.utils.recursive",
}

__all__ = ["Evaluator", "MeshRenderer", "Renderer", "SkeletonRenderer", "cam_crop_to_full", "recursive_to"]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
