"""A run's folder on disk: what is written for a `Reconstruction`, how files are named, how a run continues."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hamer.results.run_folder import RunFolder
    from hamer.results.sheets import hand_sheet, overlay
    from hamer.results.writing import Outputs, save

__all__ = ["Outputs", "RunFolder", "hand_sheet", "overlay", "save"]

_HOME = {
    "Outputs": "hamer.results.writing",
    "RunFolder": "hamer.results.run_folder",
    "hand_sheet": "hamer.results.sheets",
    "overlay": "hamer.results.sheets",
    "save": "hamer.results.writing",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'hamer.results' has no attribute {name!r}")
