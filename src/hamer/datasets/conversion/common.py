"""What the readers of releases hand over: the annotated pictures of a split, and what is known about it.

Frames, units and joint order are those of `hamer.datasets.packing.annotations`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hamer.datasets.packing.annotations import HandAnnotation, PictureAnnotation, Pictures
from hamer.errors import HamerError

Joints = Literal["all", "visible", "occluded"]


class ReleaseError(HamerError, ValueError):
    """A release that is not there, is not laid out as its makers say, or is not complete."""


@dataclass
class TruthHand(HandAnnotation):
    """A hand with what only evaluation asks for.

    `vertices` (V, 3) m, camera frame; `occlusion` (21,) 1 where a joint is hidden, 0 where it is seen.
    """

    vertices: np.ndarray | None = None
    occlusion: np.ndarray | None = None

    @classmethod
    def of(cls, hand: HandAnnotation, **more: Any) -> TruthHand:
        """`hand` with `more` fields."""
        return cls(**{f.name: getattr(hand, f.name) for f in fields(HandAnnotation)} | more)


@dataclass(frozen=True)
class Count:
    """How many of `what` were found, and how many were published; None where nobody says."""

    what: str
    found: int
    published: int | None = None

    @property
    def is_right(self) -> bool:
        return self.published is None or self.found == self.published

    def __str__(self) -> str:
        told = "" if self.published is None else f", published {self.published}"
        return f"{self.what}: found {self.found}{told}"


@dataclass(frozen=True)
class Output:
    """An npz to be written: the set's `name` in configurations, the `file`, and which `joints` have a confidence."""

    name: str
    file: str
    joints: Joints = "all"


@dataclass
class Part:
    """A split of a release, ready to be converted.

    `img_dir` is what imgname is relative to; `counts` are compared before anything is written; `notes` say what the reader
    found where the layout leaves it open; `side_known` is False where the release does not say which hand it is;
    `training` gives the pictures for tars where these differ (hidden joints are no label there).
    """

    split: str
    pictures: Pictures[Any]
    img_dir: Path
    outputs: tuple[Output, ...]
    counts: list[Count] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    side_known: bool = True
    training: Pictures[Any] | None = None


@dataclass(frozen=True)
class ConvertOptions:
    """How a release is read.

    `split` of the release, None for the one that is evaluated on; `img_folder` of the pictures where they are not in
    their place; `mano` a MANO file or folder, without which finger angles relative to its mean are left out; `truth`
    folder of ground truth that was released later; `side` of hands whose side the release does not know; `version` of
    HO-3D ("v2", "v3"), None to be told by its pictures; `with_vertices` None for evaluation splits only; `pictures`
    how closely they are looked at: "header" (there, and of the size that the annotation is for), "decode" or "none".
    """

    split: str | None = None
    img_folder: Path | None = None
    mano: Path | None = None
    truth: Path | None = None
    side: Literal["left", "right"] | None = None
    version: Literal["v2", "v3"] | None = None
    with_vertices: bool | None = None
    pictures: Literal["header", "decode", "none"] = "header"


def extended(
    base: Pictures[Any], change: Callable[[int, PictureAnnotation], PictureAnnotation], files: tuple[Path, ...] = ()
) -> Pictures[int]:
    """`base` with `change(index, picture)` made to each picture as it is asked for."""
    return Pictures(range(len(base)), lambda i: change(i, base[i]), name=base.name, files=[*base.files, *files])


def with_hand(picture: PictureAnnotation, **more: Any) -> PictureAnnotation:
    """`picture` whose only hand has `more` fields."""
    hand = picture.hands[0]
    changed = replace(hand, **more) if isinstance(hand, TruthHand) else TruthHand.of(hand, **more)
    picture.hands[:] = [changed]
    return picture


def require_folder(path: Path, what: str) -> Path:
    """`path` if it is a folder, else a ReleaseError that says what was expected there."""
    if not path.is_dir():
        raise ReleaseError(f"{path} must be {what}, but there is no such folder")
    return path
