"""A run's folder on disk: what is written for a `Reconstruction`, how files are named, how a run continues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hamer.lazy import lazy_names

if TYPE_CHECKING:
    from hamer.results.run_folder import RunFolder
    from hamer.results.sheets import hand_sheet, overlay
    from hamer.results.writing import Outputs, save

__all__ = ["Outputs", "RunFolder", "hand_sheet", "overlay", "save"]

_HOMES = {
    "Outputs": "hamer.results.writing",
    "RunFolder": "hamer.results.run_folder",
    "hand_sheet": "hamer.results.sheets",
    "overlay": "hamer.results.sheets",
    "save": "hamer.results.writing",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
