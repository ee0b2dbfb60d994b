"""Many pictures through one piece of work: read ahead in threads, worked on in batches, one bad one never stopping the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from hamer.pipeline.pictures import Picture, pixels_of, read_picture

logger = logging.getLogger(__name__)

MAX_BATCH_PIXELS = 100_000_000  # of a batch of pictures: 300 MB of RGB, as eight photos of a phone

Source = str | Path | np.ndarray | Picture
OnError = Callable[[Source, Exception], None]
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Item:
    """A picture that was read: its `position` in the row of sources, where it came from, and its pixels."""

    position: int
    source: Source
    picture: Picture


def in_batches(
    sources: Iterable[Source],
    work: Callable[[Sequence[int], Sequence[Picture]], Sequence[Result]],
    *,
    batch_size: int,
    on_error: OnError | None,
) -> Iterator[tuple[int, Result]]:
    """(position, result) of every source, in order; the next pictures are read meanwhile.

    Args:
        sources: paths or arrays.
        work: positions and pictures of a batch to one result each. Where it fails, its pictures are tried one by one.
        batch_size: pictures that are worked on together, fewer where they are large: two batches of at most 100 megapixels
            (or of one picture) are in memory.
        on_error: called with the source and its error for a picture that fails, which is then left out; None raises.
    """
    for items in _read_ahead(sources, batch_size, on_error):
        try:
            done = list(zip(items, _worked(work, items), strict=True))
        except Exception as error:
            if on_error is None:
                raise
            if len(items) > 1:
                logger.warning("a batch of %d pictures failed (%s); trying them one by one", len(items), error)
                done = list(_one_by_one(work, items, on_error))
            else:
                on_error(items[0].source, error)
                done = []
        for item, result in done:
            yield item.position, result


def _worked(work: Callable[..., Sequence[Result]], items: Sequence[_Item]) -> Sequence[Result]:
    return work([i.position for i in items], [i.picture for i in items])


def _one_by_one(
    work: Callable[..., Sequence[Result]], items: Sequence[_Item], on_error: OnError
) -> Iterator[tuple[_Item, Result]]:
    for item in items:
        try:
            result = _worked(work, [item])[0]
        except Exception as error:
            on_error(item.source, error)
        else:
            yield item, result


def _read_ahead(sources: Iterable[Source], batch_size: int, on_error: OnError | None) -> Iterator[list[_Item]]:
    """Batches of pictures, read in threads one batch ahead; unreadable ones go to `on_error`."""
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    batches = _batches(enumerate(sources), batch_size)
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="hamer-read") as pool:

        def submit() -> list[tuple[int, Source, Future[Picture]]]:
            return [(n, s, pool.submit(read_picture, s)) for n, s in next(batches, [])]

        pending = submit()
        while pending:
            following = submit()
            items = []
            for position, source, future in pending:
                try:
                    items.append(_Item(position, source, future.result()))
                except Exception as error:
                    if on_error is None:
                        raise
                    on_error(source, error)
            if items:
                yield items
            pending = following


def _batches(sources: Iterable[tuple[int, Source]], batch_size: int) -> Iterator[list[tuple[int, Source]]]:
    """Batches that end after `batch_size` pictures or before the one with which they would exceed MAX_BATCH_PIXELS."""
    batch: list[tuple[int, Source]] = []
    total = 0
    for position, source in sources:
        pixels = pixels_of(source)
        if batch and total + pixels > MAX_BATCH_PIXELS:
            yield batch
            batch, total = [], 0
        batch.append((position, source))
        total += pixels
        if len(batch) == batch_size:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
