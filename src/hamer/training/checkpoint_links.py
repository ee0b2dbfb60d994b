"""A checkpoint under two names is written once.

`last.ckpt` and `epoch=E-step=S.ckpt` are the same 8 GB for ViT-H; a hard link gives the second name at once. Later
checkpoints replace names and never change files, so neither name disturbs the other.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from hamer.training.checkpointing import SafeCheckpointIO

logger = logging.getLogger(__name__)


class LinkingCheckpointIO(SafeCheckpointIO):
    """`SafeCheckpointIO` that links `last.ckpt` to the file that was just written of the same step."""

    def __init__(self, last: Path) -> None:
        self.last = last
        self._newest: tuple[int, Path] | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Link where this step is on disk already and the file system can, else write (CheckpointWriteError)."""
        path, step = Path(path).absolute(), int(checkpoint.get("global_step", -1))
        if path == self.last and self._newest is not None and self._newest[0] == step and self._linked(path):
            return
        super().save_checkpoint(checkpoint, path, storage_options)
        if path != self.last:
            self._newest = (step, path)

    def _linked(self, path: Path) -> bool:
        assert self._newest is not None
        partial = path.with_name(f"{path.name}.partial")
        try:
            partial.unlink(missing_ok=True)
            os.link(self._newest[1], partial)
            partial.replace(path)
        except OSError as error:  # a file system without links, or the file is gone
            logger.debug("%s is written, not linked: %s", path, error)
            return False
        finally:
            partial.unlink(missing_ok=True)
        return True
