"""One data set of tars as a stream of hands: shards shared out and drawn, samples read, shuffled, filtered, cut.

Everything random follows from seed, epoch, rank, worker and the set's name: the same run again sees the same numbers,
two workers never do.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from hamer.datasets.crop_settings import CropSettings
from hamer.datasets.hands import Cutter, Hand, PatchCutter, hands_of_sample
from hamer.datasets.skipping import SkipCounts
from hamer.datasets.streams import Place, quiet_worker, shuffled, stream_rng
from hamer.datasets.tar_filters import AnnotationFilters
from hamer.datasets.tar_reading import TarSample, check_tars, expand_urls, read_tar
from hamer.errors import HamerError

SAMPLE_SHUFFLE = 100
"""Tar samples that wait in the buffer of one set when it trains, as in the original."""


class NoUsableSampleError(HamerError, ValueError):
    """A data set that gave no hand in a whole pass."""


@dataclass
class TarSource:
    """The tars of one set and how they are read.

    `resampled`: every worker draws tars with replacement, without end, and none are shared out; else a pass reads each
    sample once, over all workers. `shuffle`: order of tars and of samples is random.
    """

    name: str
    urls: list[str]
    filters: AnnotationFilters
    resampled: bool = False
    shuffle: bool = False
    cache_dir: str | Path | None = None
    skipped: SkipCounts = field(default_factory=SkipCounts)

    def __post_init__(self) -> None:
        self.skipped.name = self.name
        check_tars(self.urls, self.name)

    def hands(self, seed: int, epoch: int, place: Place) -> Iterator[Hand]:
        """One pass of this worker: its share of the tars, or of the samples where tars are fewer than workers."""
        common, own = self._numbers(seed, epoch, place)
        share_tars = len(self.urls) >= place.count
        return self._pass(common, own, place if share_tars else Place(), Place() if share_tars else place)

    def endless_hands(self, seed: int, epoch: int, place: Place) -> Iterator[Hand]:
        """Pass after pass over this worker's share of the tars, or over all where they are fewer than workers.

        Raises:
            NoUsableSampleError: a pass over all tars gives nothing.
        """
        common, own = self._numbers(seed, epoch, place)
        share = place if len(self.urls) >= place.count and not self.resampled else Place()
        while True:
            count = 0
            for hand in self._pass(common, own, share, Place()):
                count += 1
                yield hand
            if count == 0 and share.count > 1:
                share = Place()  # others may have what can be used
            elif count == 0:
                reasons = self.skipped.summary() or "the filters of DATASETS left all of them out"
                raise NoUsableSampleError(
                    f"data set {self.name} gave no hand in a pass over {len(self.urls)} tars: {reasons}. "
                    "Look at it with `hamer data check`"
                )

    def _numbers(self, seed: int, epoch: int, place: Place) -> tuple[random.Random, random.Random]:
        """Random numbers that all workers share, for the order of tars that they share out, and this worker's own."""
        return stream_rng(seed, epoch, self.name), stream_rng(seed, epoch, self.name, place.rank, place.worker)

    def _pass(self, common: random.Random, own: random.Random, of_tars: Place, of_samples: Place) -> Iterator[Hand]:
        """Hands of the tars that are the share of `of_tars`, and among their samples of those of `of_samples`."""
        urls = list(self.urls)
        if self.resampled:
            urls = own.choices(urls, k=len(urls))
        elif self.shuffle:
            (common if of_tars.count > 1 or of_samples.count > 1 else own).shuffle(urls)
        samples = self._samples(urls[of_tars.number :: of_tars.count], of_samples)
        for sample in shuffled(samples, SAMPLE_SHUFFLE if self.shuffle else 0, own):
            yield from hands_of_sample(sample, self.filters, self.skipped, lambda: own.getrandbits(63))

    def _samples(self, urls: Sequence[str], place: Place) -> Iterator[TarSample]:
        for url in urls:
            yield from islice(read_tar(url, self.skipped, self.cache_dir), place.number, None, place.count)


class TarSamples(torch.utils.data.IterableDataset):
    """Items of one set; each iteration is the next epoch."""

    def __init__(self, source: TarSource, cutter: Cutter, *, epoch_size: int | None = None, seed: int = 0) -> None:
        """Join a source and a cutter.

        Args:
            epoch_size: items that a worker gives in an epoch, from pass after pass; None for one pass, or for items
                without end where the source is resampled.
        """
        super().__init__()
        self.source, self.cutter, self.epoch_size, self.seed = source, cutter, epoch_size, seed
        self.epoch = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The items of this worker."""
        quiet_worker()
        place, epoch = Place.here(), self.epoch
        self.epoch += 1
        endless = self.epoch_size is not None or self.source.resampled
        hands = (self.source.endless_hands if endless else self.source.hands)(self.seed, epoch, place)
        items = (item for hand in hands if (item := hand.item(self.cutter)) is not None)
        yield from items if self.epoch_size is None else islice(items, self.epoch_size)


def tar_source(
    cfg: Any,
    urls: str | Sequence[str],
    *,
    train: bool,
    resampled: bool = False,
    cache_dir: str | Path | None = None,
    name: str = "tars",
) -> TarSource:
    """A source with the filters of `cfg`; AssetError where tars are missing."""
    filters = AnnotationFilters.from_cfg(cfg)
    return TarSource(name, expand_urls(urls), filters, resampled=resampled, shuffle=train, cache_dir=cache_dir)


def load_tars(
    cfg: Any,
    urls: str | Sequence[str],
    train: bool,
    resampled: bool = False,
    epoch_size: int | None = None,
    cache_dir: str | Path | None = None,
    *,
    seed: int = 0,
    name: str = "tars",
) -> TarSamples:
    """The items of one set of tars; the arguments are those of `ImageDataset.load_tars_as_webdataset`."""
    resampled = resampled or epoch_size is not None
    source = tar_source(cfg, urls, train=train, resampled=resampled, cache_dir=cache_dir, name=name)
    return TarSamples(source, PatchCutter(CropSettings.from_cfg(cfg, train=train)), epoch_size=epoch_size, seed=seed)
