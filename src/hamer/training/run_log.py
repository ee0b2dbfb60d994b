"""What a run says: the package's log also in a file, Lightning's advertisements nowhere."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from hamer.configs.node import ConfigNode
from hamer.training.folder import TrainingFolder


@contextmanager
def log_file(folder: TrainingFolder, *, writing: bool) -> Iterator[None]:
    """What the package logs also goes to the folder's train.log."""
    package = logging.getLogger("hamer")
    if not writing:  # the first process says what there is to say
        before = package.level
        package.setLevel(logging.ERROR)
        try:
            yield
        finally:
            package.setLevel(before)
        return
    handler = logging.FileHandler(folder.path / "train.log", encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.setLevel(logging.INFO)
    before = package.level
    package.addHandler(handler)
    if package.getEffectiveLevel() > logging.INFO:
        package.setLevel(logging.INFO)
    try:
        yield
    finally:
        package.setLevel(before)
        package.removeHandler(handler)
        handler.close()


@contextmanager
def quiet_lightning(settings: ConfigNode) -> Iterator[None]:
    """Keep Lightning's advertisements and its advice that does not apply away; everything with ignore_warnings."""
    told = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    before = [each.level for each in told]
    for each in told:
        each.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for text in _NOT_FOR_US:
                warnings.filterwarnings("ignore", message=text)
            if settings.get("extras", {}).get("ignore_warnings"):
                warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(told, before, strict=True):
            each.setLevel(level)


_NOT_FOR_US = (
    ".*Using ModelCheckpoint with manual optimization.*",  # checkpoints are of the state after a step, as they should be
    ".*does not have many workers.*",
    ".*in eval mode at the start of training.*",  # what is frozen rests
    ".*is smaller than the logging interval.*",
    ".*your dataloader is not resumable.*",  # the data module keeps the position, not its loader
    ".*callbacks used to create the checkpoint need to be provided.*",  # a checkpoint of other settings, or the original's
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*It is recommended to use .self.log.*sync_dist=True.*",  # the bar shows the first process's loss
    ".*The dirpath has changed from.*",
    ".*isinstance.treespec, LeafSpec.*",
)
