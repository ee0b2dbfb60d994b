"""Pictures made while training, as an endless source of the samples that tars hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from hamer.datasets.hands import Cutter, Hand, hands_of_sample
from hamer.datasets.skipping import SkipCounts
from hamer.datasets.streams import Place, quiet_worker, stream_rng
from hamer.datasets.synthetic.shards import Recipe, encoded
from hamer.datasets.tar_filters import AnnotationFilters
from hamer.datasets.tar_reading import TarSample


@dataclass
class MadeSource:
    """Made pictures as hands, each picture once: place p of n makes the pictures p, p + n, p + 2 n ... of the recipe.

    `filters` as for tars. A source is light until it is read, and may be sent to a loader's workers.
    """

    recipe: Recipe
    filters: AnnotationFilters
    skipped: SkipCounts = field(default_factory=SkipCounts)
    _maker: Any = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maker": None}  # each process makes its own

    def samples(self, place: Place, start: int = 0) -> Iterator[TarSample]:
        """Samples without end, encoded as a tar would hold them; `start` passes over this place's first ones."""
        if self._maker is None:
            self._maker = self.recipe.maker()
        number = place.number + start * place.count
        while True:
            picture = self._maker.make(self.recipe.first_index + number)
            yield TarSample(f"{number:06d}", "made", dict(encoded(picture, self.recipe.quality).members))
            number += place.count

    def endless_hands(self, seed: int, epoch: int, place: Place, start: int = 0) -> Iterator[Hand]:
        """Hands without end; `seed` and `epoch` decide how each is augmented."""
        own = stream_rng(seed, epoch, "made", place.rank, place.worker)
        for sample in self.samples(place, start):
            yield from hands_of_sample(sample, self.filters, self.skipped, lambda: own.getrandbits(63))


class MadeSamples(torch.utils.data.IterableDataset):
    """Training items of made pictures, the same as of a tar's.

    Args:
        source: where hands come from.
        cutter: hand to item.
        epoch_size: items that a worker gives before it stops; the next iteration goes on with pictures not seen before.
        seed: of the augmentation.
    """

    def __init__(self, source: MadeSource, cutter: Cutter, *, epoch_size: int, seed: int = 0) -> None:
        super().__init__()
        if epoch_size < 1:
            raise ValueError(f"epoch_size must be at least 1, got {epoch_size}")
        self.source, self.cutter, self.epoch_size, self.seed = source, cutter, epoch_size, seed
        self.epoch = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The items of this worker."""
        quiet_worker()
        epoch, given = self.epoch, 0
        self.epoch += 1
        for hand in self.source.endless_hands(self.seed, epoch, Place.here(), start=epoch * self.epoch_size):
            item = hand.item(self.cutter)
            if item is None:
                continue
            yield item
            given += 1
            if given == self.epoch_size:
                return
