"""The search for hands one network at a time: each passes over all pictures of a group and is released before the next loads.

The pictures are read once a stage; what is kept between the stages are boxes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hamer.detectors.stages import Stage
from hamer.pipeline.batches import MAX_BATCH_PIXELS, OnError, Source, in_batches
from hamer.pipeline.pictures import Picture, pixels_of

logger = logging.getLogger(__name__)

GROUP = 256  # pictures that pass a stage before the next one: loading a network (seconds) is shared by so many

OnStage = Callable[[str, int, int], None]
"""Told the stage's name, how many pictures it has done, and how many it has to do."""


def groups(sources: Iterable[Source]) -> Iterator[list[Source]]:
    """`sources` in lists of at most GROUP, fewer where they are large pictures in memory already: 600 MB of them."""
    group: list[Source] = []
    held = 0
    for source in sources:
        group.append(source)
        held += 0 if isinstance(source, str | Path) else pixels_of(source)
        if len(group) == GROUP or held > 2 * MAX_BATCH_PIXELS:
            yield group
            group, held = [], 0
    if group:
        yield group


def search_in_stages(
    stages: Sequence[Stage],
    sources: Sequence[Source],
    *,
    batch_size: int,
    on_error: OnError | None,
    on_stage: OnStage | None = None,
) -> dict[int, Any]:
    """The last stage's result of every picture on which none of them failed, by its position in `sources`.

    Weights that cannot be loaded raise: they would fail for every picture.
    """
    found: dict[int, Any] = dict.fromkeys(range(len(sources)))
    for stage in stages:
        if not found:
            break
        logger.info("%s: loading its network", stage.name)
        stage.network.load()
        try:
            found = _pass(stage, sources, found, batch_size, on_error, on_stage)
        finally:
            stage.network.release()
    return found


def _pass(
    stage: Stage,
    sources: Sequence[Source],
    before: dict[int, Any],
    batch_size: int,
    on_error: OnError | None,
    on_stage: OnStage | None,
) -> dict[int, Any]:
    positions = list(before)

    def work(indices: Sequence[int], pictures: Sequence[Picture]) -> list[Any]:
        return stage.run([p.rgb for p in pictures], [before[positions[i]] for i in indices])

    found: dict[int, Any] = {}
    waiting = [sources[p] for p in positions]
    for index, result in in_batches(waiting, work, batch_size=batch_size, on_error=on_error):
        found[positions[index]] = result
        if on_stage is not None:
            on_stage(stage.name, index + 1, len(positions))
    return found
