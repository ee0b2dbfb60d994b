"""Batches for training: pictures from a weighted mixture of tars, poses from a mocap file, both from a position that is kept.

A batch is `{"img": ..., "mocap": ...}`: BATCH_SIZE hands with the original's keys, and NUM_TRAIN_SAMPLES times as many
poses, as in the original.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from itertools import repeat
from typing import TYPE_CHECKING, Any

import torch

from hamer.datasets.crop_settings import CropSettings, section
from hamer.datasets.gpu_samples import WindowCutter, WindowWarp, collate_windows
from hamer.datasets.hands import Cutter, PatchCutter
from hamer.datasets.mixture import (
    EPOCH_SAMPLES,
    SHUFFLE_BUFFER,
    Chain,
    Mixture,
    dataset_entry,
    training_mixture,
    validation_chain,
)
from hamer.datasets.mocap_dataset import MocapBatches, MoCapDataset
from hamer.datasets.streams import StreamPosition
from hamer.errors import require

if TYPE_CHECKING:
    from lightning.pytorch import LightningDataModule
else:
    LightningDataModule = require("lightning.pytorch", extra="train", purpose="training").LightningDataModule

logger = logging.getLogger(__name__)

lightning = require("lightning.pytorch", extra="train", purpose="training")


class HAMERDataModule(LightningDataModule):
    """The loaders of a training run.

    What it reads of the configuration: DATASETS (TRAIN, VAL, MOCAP, filters, CONFIG; optional: SHUFFLE_BUFFER,
    EPOCH_SAMPLES, DEVICE_CROPS), TRAIN.BATCH_SIZE, TRAIN.NUM_TRAIN_SAMPLES, GENERAL.NUM_WORKERS,
    GENERAL.PREFETCH_FACTOR, MODEL.IMAGE_SIZE, IMAGE_MEAN, IMAGE_STD, BBOX_SHAPE, `seed`.
    """

    def __init__(self, cfg: Any, dataset_cfg: Any) -> None:
        """Keep the configurations; files are looked for in `setup`.

        Args:
            cfg: the run's configuration.
            dataset_cfg: the list of data sets, name -> URLS (and epoch_size) or DATASET_FILE.
        """
        super().__init__()
        self.cfg, self.dataset_cfg = cfg, dataset_cfg
        self.train_dataset: Mixture | None = None
        self.val_dataset: Chain | None = None
        self.mocap_dataset: MoCapDataset | None = None
        self.position = StreamPosition()
        self.seed = _seed(cfg)
        self._batches: TrainingBatches | None = None
        self._seen = 0
        self._warp: WindowWarp | None = None

    def setup(self, stage: str | None = None) -> None:
        """Find the files and read the mocap poses; AssetError where files are missing."""
        if self.train_dataset is not None:
            return
        self.seed = _of_first_process(self.seed)
        datasets = section(self.cfg, "DATASETS")
        buffer = int(datasets.get("SHUFFLE_BUFFER", SHUFFLE_BUFFER))
        epoch_samples = int(datasets.get("EPOCH_SAMPLES", EPOCH_SAMPLES))
        if epoch_samples < self.batch_size:  # the last part of a batch is dropped: epochs would be empty
            raise ValueError(
                f"DATASETS.EPOCH_SAMPLES must be at least TRAIN.BATCH_SIZE ({self.batch_size}), got {epoch_samples}"
            )
        self.train_dataset = training_mixture(
            self.cfg,
            self.dataset_cfg,
            self._cutter(train=True),
            seed=self.seed,
            batch_size=self.batch_size,
            epoch_samples=epoch_samples,
            shuffle_buffer=buffer,
            position=self.position,
        )
        self.val_dataset = validation_chain(
            self.cfg, self.dataset_cfg, self._cutter(train=False), shuffle_buffer=buffer
        )
        if datasets.get("MOCAP") is not None:
            entry = dataset_entry(self.dataset_cfg, str(datasets["MOCAP"]))
            self.mocap_dataset = MoCapDataset(entry["dataset_file"])

    @property
    def batch_size(self) -> int:
        """Hands in a batch of one process."""
        return int(section(self.cfg, "TRAIN").get("BATCH_SIZE", 8))

    def train_dataloader(self) -> TrainingBatches:
        """Batches of one epoch at a time, `{"img", "mocap"}`, without "mocap" where DATASETS.MOCAP is null; iterating again
        gives the next epoch.
        """
        self.setup("fit")
        assert self.train_dataset is not None
        mocap = None
        if self.mocap_dataset is not None:
            poses = self.batch_size * int(section(self.cfg, "TRAIN").get("NUM_TRAIN_SAMPLES", 2))
            mocap = MocapBatches(self.mocap_dataset, poses, seed=self.seed, position=self.position)
        loader = self._loader(self.train_dataset, self._workers, drop_last=True)
        self._seen = 0
        self._batches = TrainingBatches(loader, mocap, self.train_dataset, self.position)
        return self._batches

    def val_dataloader(self) -> Any:
        """Batches of the validation sets, in the same order each time."""
        self.setup("fit")
        assert self.val_dataset is not None
        return self._loader(self.val_dataset, min(self._workers, 1), drop_last=False)

    def state_dict(self) -> dict[str, Any]:
        """Seed and position: the epoch and its batches that were trained on."""
        epoch, batches = self._trained()
        return {"seed": self.seed, "epoch": epoch, "batches": batches, "workers": self._workers}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken: the same samples in the same order, with the same augmentation.

        With another number of workers, processes or hands a batch the streams are divided otherwise: the rest of the
        epoch is then as long but not the same samples; later epochs are unaffected. Nothing is decoded of what is passed
        over, but its tars are read.
        """
        if int(state.get("workers", self._workers)) != self._workers:
            logger.info(
                "resuming with %d loader workers after %s: the rest of this epoch has another order",
                self._workers,
                state["workers"],
            )
        if self.train_dataset is not None:
            self.train_dataset.seed = int(state["seed"])
        self.seed = int(state["seed"])
        self.position.set(int(state["epoch"]), int(state["batches"]))

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Count the training batches, and finish on the device what workers left to it."""
        trainer = self.trainer
        if trainer is not None and trainer.training:
            self._seen += 1
        if isinstance(batch, dict) and isinstance(batch.get("img"), dict) and self._warp is not None:
            return {**batch, "img": self._warp(batch["img"])}
        return batch

    def teardown(self, stage: str) -> None:
        """Log what was skipped, when training ends within an epoch too."""
        if stage == "fit" and self.train_dataset is not None:
            tell_skipped(self.train_dataset)

    def skipped(self) -> dict[str, dict[str, int]]:
        """Set to reason to count of training samples that could not be used so far."""
        return self.train_dataset.skipped() if self.train_dataset is not None else {}

    def _trained(self) -> tuple[int, int]:
        if self._batches is None:
            return self.position.epoch, self.position.batches
        return self._batches.position_after(self._seen if self.trainer is not None else None)

    def _cutter(self, *, train: bool) -> Cutter:
        settings = CropSettings.from_cfg(self.cfg, train=train)
        if train and section(self.cfg, "DATASETS").get("DEVICE_CROPS", False):
            self._warp = WindowWarp(settings)
            return WindowCutter(settings)
        return PatchCutter(settings)

    @property
    def _workers(self) -> int:
        return int(section(self.cfg, "GENERAL").get("NUM_WORKERS", 4))

    def _loader(self, dataset: Any, workers: int, *, drop_last: bool) -> Any:
        general = section(self.cfg, "GENERAL")
        many: dict[str, Any] = {}
        if workers > 0:
            many = {
                "prefetch_factor": int(general.get("PREFETCH_FACTOR", 2)),
                "persistent_workers": True,
            }
        return torch.utils.data.DataLoader(
            dataset,
            self.batch_size,
            drop_last=drop_last,
            num_workers=workers,
            pin_memory=torch.cuda.is_available(),
            # Not the global one: a loader that begins anew must not change what the network draws next.
            generator=torch.Generator().manual_seed(self.seed),
            collate_fn=collate_windows if isinstance(dataset.cutter, WindowCutter) else None,
            **many,
        )


class TrainingBatches:
    """`{"img", "mocap"}` batches of one epoch an iteration; the next iteration begins the next epoch."""

    def __init__(self, loader: Any, mocap: MocapBatches | None, mixture: Mixture, position: StreamPosition) -> None:
        self.loader, self.mocap, self.mixture, self.position = loader, mocap, mixture, position
        self._first = (position.epoch, position.batches)
        self._given: list[int] = []  # batches given in each epoch that was begun
        self._running = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The batches that are left of the position's epoch."""
        self._end_epoch()
        self._running = True
        self._given.append(0)
        for img, mocap in zip(self.loader, self.mocap or repeat(None), strict=False):
            self._given[-1] += 1
            yield {"img": img} if mocap is None else {"img": img, "mocap": mocap}
        self._end_epoch()

    def _end_epoch(self) -> None:
        """The epoch is over when its batches are, or when the next one begins: a trainer may leave the last ones."""
        if self._running:
            self._running = False
            self.position.set(self.position.epoch + 1)
            tell_skipped(self.mixture)

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        workers = max(1, self.loader.num_workers)
        return workers * (self.mixture.epoch_samples // self.loader.batch_size)

    def position_after(self, trained: int | None) -> tuple[int, int]:
        """Epoch and batches of it after `trained` batches since the first iteration; None: all that were given."""
        epoch, before = self._first
        left = sum(self._given) if trained is None else min(trained, sum(self._given))
        for given in self._given:
            whole = before + given >= len(self)
            if left < given or (left == given and not whole):
                return epoch, before + left
            left, epoch, before = left - given, epoch + 1, 0
        return epoch, before


def tell_skipped(mixture: Mixture) -> None:
    """Log how many samples of each set could not be used, and why."""
    for source in mixture.sources:
        summary = source.skipped.summary()
        if summary:
            logger.warning("data set %s: %s so far", source.name, summary)


def _seed(cfg: Any) -> int:
    """The configuration's `seed`, else that of Lightning's `seed_everything`, else a new one."""
    given = cfg.get("seed") if hasattr(cfg, "get") else getattr(cfg, "seed", None)
    if given is None:
        given = os.environ.get("PL_GLOBAL_SEED")
    return int(given) if given is not None else secrets.randbits(31)


def _of_first_process(seed: int) -> int:
    """The seed of rank 0, so that all ranks share shards out in one order."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return seed
    seeds = [seed]
    torch.distributed.broadcast_object_list(seeds, src=0)
    return int(seeds[0])
