"""What happens around the steps: stopping on signals, random states in checkpoints, batches that broke the loss."""

from __future__ import annotations

import logging
import random
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, distributed

from hamer.errors import require

if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningModule, Trainer
else:
    Callback = require("lightning.pytorch", extra="train", purpose="training").Callback

logger = logging.getLogger(__name__)


class LastCheckpoint(Callback):
    """Saves `path` where a run ends: at its last step, and when it is asked to stop (SIGTERM, Ctrl-C).

    The step at hand is finished first; a second Ctrl-C stops at once and saves nothing.

    Args:
        path: the checkpoint to write.
        every: steps between checkpoints that are written anyway; those steps are left to them.

    Attributes:
        stopped_by: name of the signal that ended the run, else None.
    """

    def __init__(self, path: Path, *, every: int = 0) -> None:
        self.path, self.every = path, every
        self.stopped_by: str | None = None
        self._received: str | None = None
        self._handlers: dict[int, Any] = {}
        self._saved_step = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to signals, after Lightning has put its own handlers there."""
        if threading.current_thread() is not threading.main_thread():
            return  # Python delivers signals to the main thread only
        for number in (signal.SIGTERM, signal.SIGINT):
            self._handlers[number] = signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._received is not None:
            raise KeyboardInterrupt
        self._received = signal.Signals(number).name

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and stop, where a signal came to any process or the last step is done."""
        stopping = trainer.strategy.reduce_boolean_decision(self._received is not None, all=False)
        if stopping:
            self.stopped_by = self._received or "a signal to another process"
            logger.warning("%s: saving %s and stopping", self.stopped_by, self.path)
            trainer.should_stop = True
        at_end = 0 <= trainer.max_steps <= trainer.global_step
        if stopping or (at_end and not (self.every and trainer.global_step % self.every == 0)):
            self._save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the handlers; save where the epochs, not the steps, were counted."""
        self._restore()
        on_schedule = bool(self.every) and trainer.global_step % self.every == 0
        if trainer.global_step > 0 and self._saved_step != trainer.global_step and not on_schedule:
            self._save(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore the handlers."""
        self._restore()

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._saved_step = trainer.global_step

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()


class RandomState(Callback):
    """Keeps every process's random numbers in the checkpoint, so that a continued run draws what the first would have."""

    def __init__(self) -> None:
        self._pending: Mapping[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """States of all processes: a row for each."""
        python = random.getstate()
        numpy = np.random.get_state(legacy=True)  # noqa: NPY002  # other people's code may draw from it
        assert isinstance(numpy, tuple)
        own = {
            "torch": torch.get_rng_state(),
            "python": torch.tensor(python[1], dtype=torch.int64),
            "numpy": torch.from_numpy(np.append(numpy[1], numpy[2]).astype(np.int64)),
        }
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            own["cuda"] = torch.cuda.get_rng_state()
        return {name: _from_all(value) for name, value in own.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the states until the first batch."""
        self._pending = state_dict

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Restore here, after the loader has drawn what it needs to begin: the states belong to this moment."""
        if self._pending is None:
            return
        state, self._pending = self._pending, None
        rank = trainer.global_rank
        if len(state["torch"]) <= rank:
            logger.warning("the checkpoint is of %d processes: this one draws new numbers", len(state["torch"]))
            return
        # Copies: torch takes a state from the beginning of its memory, also for a row further on.
        torch.set_rng_state(state["torch"][rank].clone())
        if "cuda" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda"][rank].clone())
        random.setstate((3, tuple(state["python"][rank].tolist()), None))
        numbers = state["numpy"][rank].cpu().numpy()
        np.random.set_state(("MT19937", numbers[:-1].astype(np.uint32), int(numbers[-1]), 0, 0.0))  # noqa: NPY002


def _from_all(value: Tensor) -> Tensor:
    """(P, ...): `value` of each of P processes."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return value[None]
    on_gpu = distributed.get_backend() == "nccl"
    own = value.cuda() if on_gpu else value
    rows = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(rows, own)
    return torch.stack(rows).cpu()


class FailedBatch(Callback):
    """Writes the batch whose loss was NaN or infinite (`HamerModule.failed_batch`) to `folder`, for looking at it.

    Attributes:
        path: the file, once there is one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path: Path | None = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save it, where the module has one."""
        batch = getattr(pl_module, "failed_batch", None)
        if batch is None:
            return
        path = self.folder / f"failed_batch_step={trainer.global_step}_rank={trainer.global_rank}.npz"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, **flat_arrays(batch))  # type: ignore[arg-type]
        except OSError as error:  # the loss is what matters, not the place for its cause
            logger.warning("the failed batch could not be written to %s: %s", path, error)
            return
        self.path = path


def flat_arrays(tree: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """Nested dicts as arrays with dotted names, `img.mano_params.betas`; what is no array of numbers becomes text."""
    if isinstance(tree, Mapping):
        parts = (flat_arrays(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in tree.items())
        return {name: value for part in parts for name, value in part.items()}
    if isinstance(tree, Tensor):
        tensor = tree.detach().cpu()
        return {prefix: (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()}
    array = np.asarray(tree)
    return {prefix: array if array.dtype.kind in "biufU" else np.asarray(str(tree))}
