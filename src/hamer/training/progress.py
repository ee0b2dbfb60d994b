"""How far a training is: a bar on a terminal, a line now and then elsewhere, and what was skipped."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from tqdm import tqdm

from hamer.errors import require

if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningModule, Trainer
else:
    Callback = require("lightning.pytorch", extra="train", purpose="training").Callback

logger = logging.getLogger(__name__)


class TrainingProgress(Callback):
    """Steps done and to do, rate, remaining time, loss.

    Steps are `global_step`, as in the configuration and in the names of checkpoints.

    Args:
        log_steps: away from a terminal, a line is written every so many steps.
        stream: where to write; None for stderr.
    """

    def __init__(self, log_steps: int = 1000, stream: TextIO | None = None) -> None:
        self.log_steps = max(1, log_steps)
        self._stream = stream
        self._bar: Any = None
        self._began = (0.0, 0)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin where the run continues: earlier steps do not count for the rate."""
        stream = self._stream or sys.stderr
        if trainer.is_global_zero and stream.isatty():
            total = trainer.max_steps if trainer.max_steps > 0 else None
            size = shutil.get_terminal_size()  # 80 x 24 where a terminal does not say
            self._bar = tqdm(
                total=total, initial=trainer.global_step, unit="step", file=stream, ncols=size.columns, nrows=size.lines
            )
        self._began = (time.monotonic(), trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move on."""
        if self._bar is not None:
            # Reading the loss waits for the device, so it is shown now and then.
            if batch_idx % 10 == 0:
                self._bar.set_postfix_str(_loss_text(outputs), refresh=False)
            self._bar.update(trainer.global_step - self._bar.n)
        elif trainer.is_global_zero and trainer.global_step // self.log_steps > self._lines_written:
            self._lines_written = trainer.global_step // self.log_steps
            logger.info("%s", self._line(trainer, outputs))

    _lines_written = 0

    def _line(self, trainer: Trainer, outputs: Any) -> str:
        began, first_step = self._began
        seconds, done = time.monotonic() - began, trainer.global_step - first_step
        rate = done / max(seconds, 1e-9)
        of_total, remaining = "", ""
        if trainer.max_steps > 0:
            of_total = f" of {trainer.max_steps}"
            remaining = f", {tqdm.format_interval((trainer.max_steps - trainer.global_step) / max(rate, 1e-9))} to go"
        return f"step {trainer.global_step}{of_total}, {rate:.2f} steps/s{remaining}, {_loss_text(outputs)}"

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the bar, so that the error stands on a line of its own."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _loss_text(outputs: Any) -> str:
    losses = outputs.get("losses", {}) if isinstance(outputs, Mapping) else {}
    return f"loss {float(losses['loss']):.4g}" if "loss" in losses else ""
