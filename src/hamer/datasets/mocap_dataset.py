"""Hand poses and shapes without pictures: what the discriminator takes for real."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hamer.datasets.npz_arrays import read_npz
from hamer.datasets.streams import StreamPosition, process_rank
from hamer.errors import AssetError

HAND_POSE = 45


class MoCapDataset(torch.utils.data.Dataset):
    """Poses of a mocap file, one item a hand: `hand_pose` (45,) axis-angle without the global orientation, `betas` (10,)."""

    def __init__(self, dataset_file: str | Path, **_: Any) -> None:
        """Read the file.

        Args:
            dataset_file: npz with `hand_pose` (N, 48), global orientation first, or (N, 45), and `betas` (N, 10).

        Raises:
            AssetError: no such file.
            ValueError: other arrays than these.
        """
        super().__init__()
        if not Path(dataset_file).is_file():
            raise AssetError(
                f"no mocap file at {dataset_file} (relative to {Path.cwd()}): fetch the original's training data with "
                "`hamer fetch hamer_training_data` in the folder that you train in, or correct DATASET_FILE"
            )
        arrays = read_npz(dataset_file, ("hand_pose", "betas"))
        pose, betas = (np.asarray(arrays.get(name, ()), np.float32) for name in ("hand_pose", "betas"))
        pose = pose.reshape(len(pose), -1) if pose.size else np.zeros((0, 0), np.float32)
        if not len(pose) or pose.shape[1] not in (HAND_POSE, HAND_POSE + 3) or betas.shape != (len(pose), 10):
            raise ValueError(
                f"{dataset_file} must hold hand_pose (N, 48) or (N, 45) and betas (N, 10), got {pose.shape} and "
                f"{betas.shape}"
            )
        self.pose = np.ascontiguousarray(pose[:, -HAND_POSE:])
        self.betas = betas

    def __len__(self) -> int:
        """The number of hands."""
        return len(self.pose)

    def __getitem__(self, idx: int) -> dict[str, np.ndarray]:
        """One hand."""
        return {"hand_pose": self.pose[idx].copy(), "betas": self.betas[idx].copy()}


class MocapBatches(torch.utils.data.IterableDataset):
    """Batches of random hands without end, the same for the same seed, epoch and rank, from any batch on.

    The hands fit in memory and a batch is one indexing, so no worker is needed. Each pass sees every hand once.
    """

    def __init__(
        self, dataset: MoCapDataset, batch_size: int, *, seed: int = 0, position: StreamPosition | None = None
    ) -> None:
        super().__init__()
        self.dataset, self.batch_size, self.seed = dataset, int(batch_size), abs(int(seed))
        self.position = position if position is not None else StreamPosition()
        self.rank, _ = process_rank()

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        """Batches `hand_pose` (B, 45) and `betas` (B, 10) from the position on."""
        epoch, skip, count = self.position.epoch, self.position.batches * self.batch_size, len(self.dataset)
        passes, start = divmod(skip, count)
        waiting = self._order(epoch, passes)[start:]
        while True:
            while len(waiting) < self.batch_size:
                passes += 1
                waiting = np.concatenate([waiting, self._order(epoch, passes)])
            rows, waiting = waiting[: self.batch_size], waiting[self.batch_size :]
            pose, betas = self.dataset.pose[rows], self.dataset.betas[rows]
            yield {"hand_pose": torch.from_numpy(pose), "betas": torch.from_numpy(betas)}

    def _order(self, epoch: int, number: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch, self.rank, number]).permutation(len(self.dataset))
