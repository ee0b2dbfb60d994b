"""A differentiable hand from arrays: linear blend skinning, joint orders, left hands by mirroring.

Nothing here opens files: `hamer.checkpoints.hand_files` reads and writes `HandModelArrays`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hamer.hand_models.arrays import HandModelArrays as HandModelArrays
    from hamer.hand_models.layer import HandModel as HandModel
    from hamer.hand_models.layer import HandOutput as HandOutput
    from hamer.hand_models.layer import mirror_output as mirror_output

_HOMES = {"HandModelArrays": "arrays", "HandModel": "layer", "HandOutput": "layer", "mirror_output": "layer"}
__all__ = ["HandModel", "HandModelArrays", "HandOutput", "mirror_output"]


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that importing the room costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
