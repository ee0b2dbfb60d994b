"""Which part of an endless stream of samples a process reads, in which order, and from where: places, seeds, positions."""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
import torch

Item = TypeVar("Item")


@dataclass(frozen=True)
class Place:
    """This process among all that read: `rank` of `world` training processes, `worker` of `workers` in each."""

    rank: int = 0
    world: int = 1
    worker: int = 0
    workers: int = 1

    @classmethod
    def here(cls, rank: int | None = None, world: int | None = None) -> Place:
        """The place of the running process; rank and world from the caller, else torch.distributed, else RANK, WORLD_SIZE.

        A loader's worker knows its number; it has no process group and finds its rank in the environment.
        """
        info = torch.utils.data.get_worker_info()
        if rank is None or world is None:
            rank, world = process_rank()
        return cls(rank, world, 0 if info is None else info.id, 1 if info is None else info.num_workers)

    @property
    def number(self) -> int:
        """Running number over all ranks and workers."""
        return self.rank * self.workers + self.worker

    @property
    def count(self) -> int:
        """How many processes read."""
        return self.world * self.workers


def quiet_worker() -> None:
    """In a loader's worker: let OpenCV use one thread, there are as many workers as the user wants cores busy.

    A forked worker would else wait for the threads of OpenCV's pool, which stayed behind. 0, not 1: for 1 OpenCV waits
    for them to end.
    """
    if torch.utils.data.get_worker_info() is not None and cv2.getNumThreads() > 1:
        cv2.setNumThreads(0)


def process_rank() -> tuple[int, int]:
    """Rank of this training process and how many there are."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def stream_rng(seed: int, *parts: int | str) -> random.Random:
    """A generator of random numbers that depends on every part, and equally on all bits of each."""
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else int(part) for part in parts]
    state = np.random.SeedSequence([abs(int(seed)), *words]).generate_state(4, np.uint64)
    return random.Random(b"".join(int(word).to_bytes(8, "little") for word in state))


class StreamPosition:
    """Epoch and batches already seen of it, in shared memory: set by the main process, read by workers as they start over.

    Shared, because workers that persist hold a copy of the data set from before the first epoch.
    """

    def __init__(self) -> None:
        self._values = torch.zeros(2, dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        """The epoch that the next reader begins."""
        return int(self._values[0])

    @property
    def batches(self) -> int:
        """Batches of that epoch to pass over, of all workers of a rank together."""
        return int(self._values[1])

    def set(self, epoch: int, batches: int = 0) -> None:
        """Let the next readers begin `epoch` after `batches`."""
        self._values[0], self._values[1] = epoch, batches


def resumed_place(place: Place, batches: int) -> Place:
    """Whose stream this worker continues after `batches`: a loader begins with its first worker, whoever's turn it was."""
    return replace(place, worker=(place.worker + batches) % place.workers)


def samples_to_skip(batches: int, batch_size: int, place: Place) -> int:
    """Samples that the worker at `place` has given in the first `batches`; a loader asks its workers in turn."""
    return batch_size * len(range(place.worker, batches, place.workers))


def shuffled(items: Iterable[Item], size: int, rng: random.Random, initial: int = 100) -> Iterator[Item]:
    """Items in an order shuffled through a buffer of `size`, which fills while it is already given from.

    Args:
        size: 0 or 1 leaves the order.
        initial: items to hold before the first is given.
    """
    if size <= 1:
        yield from items
        return
    buffer: list[Item] = []
    for item in items:
        buffer.append(item)
        filling = len(buffer) < min(initial, size) or (len(buffer) < size and rng.random() < 0.5)
        if not filling:
            yield _take(buffer, rng)
    while buffer:
        yield _take(buffer, rng)


def _take(buffer: list[Item], rng: random.Random) -> Item:
    index = rng.randrange(len(buffer))
    buffer[index], buffer[-1] = buffer[-1], buffer[index]
    return buffer.pop()
