"""A differentiable hand from arrays: linear blend skinning, joint orders, left hands by mirroring.

Nothing here opens files: `hamer.checkpoints.hand_files` reads and writes `HandModelArrays`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hamer.lazy import lazy_names

if TYPE_CHECKING:
    from hamer.hand_models.arrays import HandModelArrays as HandModelArrays
    from hamer.hand_models.layer import HandModel as HandModel
    from hamer.hand_models.layer import HandOutput as HandOutput
    from hamer.hand_models.layer import mirror_output as mirror_output

_HOMES = {
    "HandModel": "hamer.hand_models.layer",
    "HandModelArrays": "hamer.hand_models.arrays",
    "HandOutput": "hamer.hand_models.layer",
    "mirror_output": "hamer.hand_models.layer",
}

__all__ = ["HandModel", "HandModelArrays", "HandOutput", "mirror_output"]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
