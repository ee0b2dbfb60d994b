"""Several sets of tars as one stream: each next hand comes from a set drawn by its weight.

The weights are shares of hands (the original's mixture draws likewise); a set that ends begins anew, so that shares hold
however small it is. Position and order can be kept: a stream that starts over after n batches of an epoch reads on where
the first would have, without decoding what it passes over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Protocol

import torch

from hamer.datasets.crop_settings import section
from hamer.datasets.hands import Cutter, Hand
from hamer.datasets.skipping import SkipCounts
from hamer.datasets.streams import (
    Place,
    StreamPosition,
    process_rank,
    quiet_worker,
    resumed_place,
    samples_to_skip,
    shuffled,
    stream_rng,
)
from hamer.datasets.tar_dataset import TarSource, tar_source
from hamer.datasets.tar_filters import AnnotationFilters

EPOCH_SAMPLES = 100_000
"""Items that each worker gives in an epoch, as in the original."""

SHUFFLE_BUFFER = 4000
"""Hands that wait in a worker's buffer, as in the original."""

INITIAL_BUFFER = 100
"""Hands that must wait there before the first is given."""


class HandSource(Protocol):
    """One set of a mixture."""

    @property
    def name(self) -> str:
        """In configurations."""

    @property
    def skipped(self) -> SkipCounts:
        """What could not be used."""

    def endless_hands(self, seed: int, epoch: int, place: Place) -> Iterator[Hand]:
        """Hands of a worker, without end."""


class Mixture(torch.utils.data.IterableDataset):
    """Items of several sets, weighted, endless but for the epoch's length; seeded by epoch, rank and worker."""

    def __init__(
        self,
        sources: Sequence[HandSource],
        weights: Sequence[float],
        cutter: Cutter,
        *,
        epoch_samples: int = EPOCH_SAMPLES,
        shuffle_buffer: int = SHUFFLE_BUFFER,
        seed: int = 0,
        batch_size: int = 1,
        position: StreamPosition | None = None,
    ) -> None:
        """Join sources.

        Args:
            weights: one a source, not negative; they are divided by their sum.
            epoch_samples: items that each worker gives in an epoch.
            shuffle_buffer: hands that wait in each worker's buffer.
            batch_size: of the loader; what `position` counts.
            position: where to begin; None for epoch 0. It is read when an iteration begins.
        """
        super().__init__()
        self.sources, self.weights = list(sources), normalised_weights(weights, [s.name for s in sources])
        self.cutter, self.epoch_samples, self.shuffle_buffer = cutter, int(epoch_samples), int(shuffle_buffer)
        self.seed, self.batch_size = int(seed), int(batch_size)
        self.position = position if position is not None else StreamPosition()
        self.rank, self.world = process_rank()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The items of this worker from the position on."""
        quiet_worker()
        epoch, batches = self.position.epoch, self.position.batches
        place = resumed_place(Place.here(self.rank, self.world), batches)
        skip = samples_to_skip(batches, self.batch_size, place)
        hands = self.hands(epoch, place)
        for hand in islice(hands, skip):
            hand.drop()
        items = (item for hand in hands if (item := hand.item(self.cutter)) is not None)
        yield from islice(items, max(0, self.epoch_samples - skip))

    def hands(self, epoch: int, place: Place) -> Iterator[Hand]:
        """The worker's hands without end, mixed and shuffled, none decoded."""
        rng = stream_rng(self.seed, epoch, place.rank, place.worker, "mixture")
        streams = [source.endless_hands(self.seed, epoch, place) for source in self.sources]
        choices = range(len(streams))
        mixed = (next(streams[rng.choices(choices, self.weights)[0]]) for _ in iter(int, 1))
        return shuffled(mixed, self.shuffle_buffer, stream_rng(self.seed, epoch, place.rank, place.worker, "shuffle"))

    def skipped(self) -> dict[str, dict[str, int]]:
        """Set to reason to count of samples that could not be used; sets without any are left out."""
        return {source.name: totals for source in self.sources if (totals := source.skipped.totals())}


class Chain(torch.utils.data.IterableDataset):
    """Each hand of several sets once, the same order each time: for validation."""

    def __init__(self, sources: Sequence[TarSource], cutter: Cutter, *, shuffle_buffer: int = SHUFFLE_BUFFER) -> None:
        super().__init__()
        self.sources, self.cutter, self.shuffle_buffer = list(sources), cutter, shuffle_buffer
        self.rank, self.world = process_rank()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The items of this worker."""
        quiet_worker()
        place = Place.here(self.rank, self.world)
        hands = chain.from_iterable(source.hands(0, 0, place) for source in self.sources)
        for hand in shuffled(hands, self.shuffle_buffer, stream_rng(0, place.rank, place.worker, "validation")):
            item = hand.item(self.cutter)
            if item is not None:
                yield item


def training_mixture(cfg: Any, dataset_cfg: Any, cutter: Cutter, *, seed: int = 0, **options: Any) -> Mixture:
    """The mixture of DATASETS.TRAIN; options are those of `Mixture`."""
    entries = section(cfg, "DATASETS").get("TRAIN") or {}
    epoch_samples = int(options.get("epoch_samples", EPOCH_SAMPLES))
    sources = [_training_source(cfg, dataset_cfg, name, epoch_samples) for name in entries]
    weights = [float(entry["WEIGHT"]) for entry in entries.values()]
    return Mixture(sources, weights, cutter, seed=seed, **options)


def validation_chain(cfg: Any, dataset_cfg: Any, cutter: Cutter, **options: Any) -> Chain:
    """The sets of DATASETS.VAL, each hand once."""
    entries = section(cfg, "DATASETS").get("VAL") or {}
    return Chain([_source(cfg, dataset_cfg, name, train=False) for name in entries], cutter, **options)


def normalised_weights(weights: Sequence[float], names: Sequence[str]) -> list[float]:
    """Weights that sum to 1, or a ValueError that names what is wrong."""
    if not names:
        raise ValueError("DATASETS.TRAIN must name at least one data set, got none")
    if len(weights) != len(names) or any(not w >= 0 for w in weights) or not 0 < sum(weights) < float("inf"):
        given = dict(zip(names, weights, strict=False))
        raise ValueError(f"DATASETS.TRAIN.*.WEIGHT must be numbers of at least 0 and not all 0, got {given}")
    return [weight / sum(weights) for weight in weights]


def dataset_entry(dataset_cfg: Any, name: str) -> Mapping[str, Any]:
    """What a list of data sets says of `name`, keys in lower case; a ValueError that names those it has."""
    entry = section(dataset_cfg, name)
    if not entry:
        known = ", ".join(sorted(map(str, dataset_cfg))) if hasattr(dataset_cfg, "__iter__") else "none"
        raise ValueError(f"data set {name} is not in the list of data sets, which has: {known}")
    return {str(key).lower(): value for key, value in entry.items()}


def _training_source(cfg: Any, dataset_cfg: Any, name: str, epoch_samples: int) -> HandSource:
    entry = dataset_entry(dataset_cfg, name)
    if "synthetic" not in entry:
        return _source(cfg, dataset_cfg, name, train=True)
    from hamer.datasets.made_set import made_set

    return made_set(name, entry["synthetic"], AnnotationFilters.from_cfg(cfg), epoch_samples)


def _source(cfg: Any, dataset_cfg: Any, name: str, *, train: bool) -> TarSource:
    entry = dataset_entry(dataset_cfg, name)
    if "urls" not in entry:
        raise ValueError(f"data set {name} must give URLS of tars to be trained on, it gives {sorted(entry)}")
    resampled = train and entry.get("epoch_size") is not None
    return tar_source(cfg, entry["urls"], train=train, resampled=resampled, cache_dir=entry.get("cache_dir"), name=name)
