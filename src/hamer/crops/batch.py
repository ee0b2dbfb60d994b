"""The result of cropping: network input and what is needed to find the way back to the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hamer.crops import affine


@dataclass
class CropBatch:
    """Crops of N hands; NumPy arrays from the reference, tensors from the torch path.

    `img` (N, 3, size, size) float32 RGB, normalised, left hands mirrored; `box_center` (N, 2) float32 and `box_size`
    (N,) float32, px: the square that the crop shows; `img_size` (N, 2) float64: width and height of the picture, px;
    `right` (N,) float32, 1 or 0; `picture_index` (N,) int64: which picture a hand is from; `personid` (N,) int64: its
    place in that picture; `rotation` (N,) float32 degrees, clockwise as seen: what each square is turned by about its centre
    in the picture, None for squares that are not turned.
    """

    img: Any
    box_center: Any
    box_size: Any
    img_size: Any
    right: Any
    picture_index: Any
    personid: Any
    rotation: Any = None

    def __len__(self) -> int:
        return len(self.box_size)

    def to_batch(self, device: torch.device | str | None = None) -> dict[str, torch.Tensor]:
        """The network's batch, the original's keys and types: img, personid, box_center, box_size, img_size, right."""
        names = ("img", "personid", "box_center", "box_size", "img_size", "right")
        return {name: torch.as_tensor(getattr(self, name), device=device) for name in names}

    def to_picture(self, points: Any) -> Any:
        """Points (N, K, 2) px of the crops as px of their pictures, left hands unmirrored: `affine.crop_to_picture`."""
        return affine.crop_to_picture(points, self.box_center, self.box_size, self.right, self._size, self.rotation)

    def to_crop(self, points: Any) -> Any:
        """Points (N, K, 2) px of the pictures as px of the crops; mirrored for left hands."""
        return affine.picture_to_crop(points, self.box_center, self.box_size, self.right, self._size, self.rotation)

    @property
    def _size(self) -> int:
        return int(self.img.shape[-1])


def place_in_picture(picture_index: np.ndarray) -> np.ndarray:
    """For each hand its running number among the hands of its picture, (N,) int64."""
    seen: dict[int, int] = {}
    places = np.zeros(len(picture_index), np.int64)
    for row, picture in enumerate(picture_index.tolist()):
        places[row] = seen.get(picture, 0)
        seen[picture] = int(places[row]) + 1
    return places


def check_picture_index(picture_index: Any, count: int, pictures: int) -> np.ndarray:
    """Which picture each box belongs to as (N,) int64, or a ValueError."""
    index = np.asarray(picture_index, dtype=np.int64)
    if index.shape != (count,):
        raise ValueError(f"picture_index must have shape ({count},), one value a box, got {index.shape}")
    if count and (index.min() < 0 or index.max() >= pictures):
        raise ValueError(f"picture_index must be in 0..{pictures - 1} ({pictures} pictures), got {index.tolist()}")
    return index
