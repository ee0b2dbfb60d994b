"""A set in two parts: what is trained on, and what is kept apart to validate with."""

from __future__ import annotations

import hashlib
from pathlib import PurePath
from typing import Any, Literal

from hamer.datasets.packing.annotations import Pictures

Part = Literal["train", "val"]


def part_of(pictures: Pictures[Any], part: Part, validation_share: float = 0.1) -> Pictures[Any]:
    """The pictures of one part, the same for the same names, whatever else the set holds.

    Pictures in a folder of their own stay together, as frames of a video must: a frame beside one that was trained on
    validates nothing. Where all are in one folder, or folders are few, the share is met roughly.

    Raises:
        ValueError: the share is not between 0 and 1, or leaves the part empty.
    """
    if not 0 < validation_share < 1:
        raise ValueError(f"validation_share must be between 0 and 1, got {validation_share}")
    names = [PurePath(pictures.name(index)) for index in range(len(pictures))]
    by_folder = len({name.parent for name in names}) > 1
    kept = [
        index
        for index, name in enumerate(names)
        if (_number(str(name.parent if by_folder else name)) < validation_share) == (part == "val")
    ]
    if not kept:
        raise ValueError(
            f"part {part} of {len(names)} pictures would be empty with a validation share of {validation_share}"
        )
    return pictures.select(kept)


def _number(name: str) -> float:
    """A number in 0..1 that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode(errors="replace")).digest()[:8], "big") / 2**64
