"""A set of pictures that are made while training, as one of a mixture's: nothing on disk, no picture twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from hamer.datasets.hands import Hand
from hamer.datasets.skipping import SkipCounts
from hamer.datasets.streams import Place
from hamer.datasets.synthetic.options import SyntheticOptions
from hamer.datasets.synthetic.shards import Recipe
from hamer.datasets.synthetic.stream import MadeSource
from hamer.datasets.tar_filters import AnnotationFilters

_RECIPE = ("seed", "first_index", "hand", "backgrounds", "landmarks", "quality")


@dataclass
class MadeSet:
    """What a mixture asks of its sets; an epoch begins where the one before ended, for every worker."""

    name: str
    source: MadeSource
    epoch_samples: int

    @property
    def skipped(self) -> SkipCounts:
        """Pictures that could not be used."""
        return self.source.skipped

    def endless_hands(self, seed: int, epoch: int, place: Place) -> Iterator[Hand]:
        """This worker's hands without end."""
        return self.source.endless_hands(seed, epoch, place, start=epoch * self.epoch_samples)


def made_set(name: str, entry: Mapping[str, Any], filters: AnnotationFilters, epoch_samples: int) -> MadeSet:
    """The set of an entry's `SYNTHETIC`.

    Args:
        name: the set's.
        entry: SEED, FIRST_INDEX, HAND, BACKGROUNDS, LANDMARKS, QUALITY of `Recipe`, and fields of `SyntheticOptions`, in
            capitals; what it leaves out keeps its default there.
        filters: as for tars.
        epoch_samples: hands that each worker gives in an epoch.

    Raises:
        ValueError: a key that is not known, or a value that makes no sense.
    """
    values = {str(key).lower(): value for key, value in entry.items() if value is not None}
    options = {field.name for field in fields(SyntheticOptions)}
    unknown = sorted(values.keys() - options - set(_RECIPE))
    if unknown:
        known = ", ".join([*_RECIPE, *sorted(options)]).upper()
        raise ValueError(f"data set {name}: SYNTHETIC.{unknown[0].upper()} is not known; known are {known}")
    recipe = Recipe(SyntheticOptions(**{key: value for key, value in values.items() if key in options}))
    given = {key: values[key] for key in _RECIPE if key in values}
    if "backgrounds" in given:
        given["backgrounds"] = Path(given["backgrounds"]).expanduser()
    return MadeSet(name, MadeSource(replace(recipe, **given), filters, SkipCounts(name)), epoch_samples)
