"""What is known about the hands of a picture, in one form for every source.

Pixels are those of the upright picture; 3D points and rotations are in the camera frame (x right, y down, z forward,
metres); a left hand is given as the left hand that it is. 21 joints in OpenPose's order: see docs/conventions.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import numpy as np

from hamer.geometry.boxes import boxes_from_keypoints
from hamer.structures import Camera

Key = TypeVar("Key")


@dataclass
class HandAnnotation:
    """One hand; what is not known is None.

    `box` (4,) xyxy px, tight around the hand; `keypoints_2d` (21, 3) x, y px and confidence 0..1, 0 where a joint is not
    labelled; `keypoints_3d` (21, 4) x, y, z m and confidence; `hand_pose` (48,) axis-angle, global orientation first, the
    fingers absolute (no mean pose to be added); `betas` (10,); `mask` a picture file, non-zero where the hand is.
    """

    is_right: bool
    box: np.ndarray | None = None
    keypoints_2d: np.ndarray | None = None
    keypoints_3d: np.ndarray | None = None
    hand_pose: np.ndarray | None = None
    betas: np.ndarray | None = None
    mask: Path | None = None

    def __post_init__(self) -> None:
        self.is_right = bool(self.is_right)
        for name, shape in (
            ("box", (4,)),
            ("keypoints_2d", (21, 3)),
            ("keypoints_3d", (21, 4)),
            ("hand_pose", (48,)),
            ("betas", (10,)),
        ):
            setattr(self, name, _floats(getattr(self, name), name, shape))
        if self.box is None and self.keypoints_2d is None:
            raise ValueError("a hand must have a box or keypoints_2d, got neither")

    def tight_box(self) -> np.ndarray:
        """(4,) xyxy px: the box as given, else around the joints that are labelled.

        Raises ValueError where no joint is labelled.
        """
        if self.box is not None:
            return self.box
        assert self.keypoints_2d is not None
        box = boxes_from_keypoints(self.keypoints_2d)
        if not np.isfinite(box).all():
            raise ValueError("box is not given, and no keypoint with a confidence above 0 to draw one around")
        return box


@dataclass
class PictureAnnotation:
    """One picture: `path` of its file, `name` by which reports call it, its `hands`, the `camera` where it is known.

    `size` (width, height) px is what the annotation says, where it says it. `faults` tells which of its hands could not
    be taken, and why.
    """

    path: Path
    name: str
    hands: list[HandAnnotation]
    camera: Camera | None = None
    size: tuple[int, int] | None = None
    faults: list[str] = field(default_factory=list)


class Pictures(Sequence[PictureAnnotation], Generic[Key]):
    """A list of annotated pictures of which each is made when it is asked for.

    Args:
        keys: one a picture, in the order of packing.
        make: key to annotation; raises ValueError, KeyError, TypeError, IndexError or OSError for a bad one.
        name: key to what the picture is called, cheap.
        files: the annotation files that everything comes from, by which a continued run knows that they are the same.
    """

    def __init__(
        self,
        keys: Sequence[Key],
        make: Callable[[Key], PictureAnnotation],
        *,
        name: Callable[[Key], str] = str,
        files: Sequence[Path] = (),
    ) -> None:
        self._keys, self._make, self._name = keys, make, name
        self.files = list(files)

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, index: int) -> PictureAnnotation: ...
    @overload
    def __getitem__(self, index: slice) -> Pictures[Key]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Pictures(self._keys[index], self._make, name=self._name, files=self.files)
        return self._make(self._keys[index])

    def select(self, indices: Sequence[int]) -> Pictures[Key]:
        """The pictures of `indices`, in their order."""
        return Pictures([self._keys[index] for index in indices], self._make, name=self._name, files=self.files)

    def name(self, index: int) -> str:
        """What picture `index` is called; never fails."""
        return self._name(self._keys[index])


def _floats(value: Any, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    if value is None:
        return None
    try:
        array = np.asarray(value, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers of shape {shape}: {error}") from error
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be finite, got {np.size(array) - int(np.isfinite(array).sum())} numbers that are not"
        )
    return array
