"""Pictures made while training, as an endless source of the samples that tars hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hamer.datasets.hands import Hand, hands_of_sample
from hamer.datasets.skipping import SkipCounts
from hamer.datasets.streams import Place, stream_rng
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
