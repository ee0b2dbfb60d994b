"""A training run on disk, laid out as the original's: logs/train/runs/NAME with configurations, checkpoints, TensorBoard.

NAME/model_config.yaml, dataset_config.yaml    what was trained and on what; load_hamer finds the first one here
NAME/checkpoints/last.ckpt, epoch=E-step=S.ckpt
NAME/tensorboard/                              curves and previews
NAME/curves.csv                                the same curves as a table
NAME/train.log, NAME/overrides.yaml            what was said, what was asked for
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hamer.configs.node import ConfigNode

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingFolder:
    """Where a run keeps its files."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """The newest checkpoint, once there is one."""
        return self.checkpoints / "last.ckpt"

    @property
    def curves(self) -> Path:
        """Losses and errors by step."""
        return self.path / "curves.csv"

    @property
    def model_config(self) -> Path:
        """The run's configuration as composed, interpolations unresolved, as the original saves it."""
        return self.path / "model_config.yaml"

    @property
    def dataset_config(self) -> Path:
        """The data sets that the run's mixture is drawn from."""
        return self.path / "dataset_config.yaml"

    def newest_checkpoint(self) -> Path | None:
        """The checkpoint to continue from: `last`, else the newest of the others, else None."""
        if self.last.is_file():
            return self.last
        others = sorted(self.checkpoints.glob("*.ckpt"), key=lambda file: file.stat().st_mtime)
        return others[-1] if others else None

    def write_configs(self, cfg: DictConfig, sets: ConfigNode, overrides: Sequence[str] = ()) -> None:
        """Save what the run is; a run that continues with other settings says in the log which ones.

        Raises:
            OSError: the folder cannot be written.
        """
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        if self.model_config.is_file() and self.newest_checkpoint():
            before = OmegaConf.to_container(OmegaConf.load(self.model_config), resolve=False)
            for change in changes(before, OmegaConf.to_container(cfg, resolve=False)):
                logger.warning("%s continues with another setting: %s", self.path.name, change)
        OmegaConf.save(cfg, self.model_config)
        OmegaConf.save(OmegaConf.create(sets.to_dict()), self.dataset_config)
        OmegaConf.save(OmegaConf.create(list(overrides)), self.path / "overrides.yaml")


def changes(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Every setting that differs between two trees, as "KEY: old -> new"."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            yield from changes(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
    elif before != after:
        yield f"{path}: {before} -> {after}"
