"""Photos as the two-stage detectors take them: Pillow's antialiased resize, normalisation, zeros at the right and bottom.

Letters used in shapes: N pictures, H and W the padded height and width, B boxes. The size of a picture "in network
pixels" is that of the resized picture without its padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class PictureRule:
    """How a detector wants its input.

    The shorter side becomes `short_side` unless the longer one would exceed `longest`, which it then equals. `mean` and `std`
    are in 0..255 and in the order of `channels`. Padding: `square` is the side of the padded square, or 0 for the next
    multiple of `multiple`.
    """

    short_side: int
    longest: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channels: Literal["RGB", "BGR"] = "RGB"
    square: int = 0
    multiple: int = 32

    def __post_init__(self) -> None:
        if self.square and self.square < self.longest:
            raise ValueError(
                f"PictureRule.square must hold the longest side, {self.longest}, got {self.square}; raise it, or take 0"
            )

    def resized(self, size: Size) -> Size:
        """Size in network pixels of a photo of `size`.

        Both sides stay real numbers until the end, as the original has them: rounding between the two scalings would
        give other sizes for some photos. A photo so thin that a side would vanish keeps one pixel there.
        """
        scale = self.short_side / min(size)
        height, width = (self.short_side, scale * size[1]) if size[0] < size[1] else (scale * size[0], self.short_side)
        if max(height, width) > self.longest:
            shrink = self.longest / max(height, width)
            height, width = height * shrink, width * shrink
        return max(1, int(height + 0.5)), max(1, int(width + 0.5))

    def padded(self, size: Size) -> Size:
        """Size of the network's input for a photo of `size`."""
        if self.square:
            return self.square, self.square
        height, width = (-(-side // self.multiple) * self.multiple for side in self.resized(size))
        return height, width


VITDET_PICTURES = PictureRule(1024, 1024, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), "RGB", square=1024)
REGNETY_PICTURES = PictureRule(800, 1333, (103.53, 116.28, 123.675), (57.375, 57.12, 58.395), "BGR")


def resize(picture: np.ndarray, rule: PictureRule) -> np.ndarray:
    """`picture` (h, w, 3) RGB uint8 at network size, in the rule's channel order, uint8.

    Pillow's bilinear filter widens when it shrinks and rounds to whole grey values; other libraries' do not.
    """
    height, width = rule.resized(picture.shape[:2])
    resized = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))
    return resized if rule.channels == "RGB" else resized[..., ::-1]


def prepare(
    pictures: Sequence[np.ndarray], rule: PictureRule, *, device: str | torch.device = "cpu"
) -> tuple[Tensor, list[Size]]:
    """A network's input.

    Args:
        pictures: RGB uint8 (h, w, 3), all of one padded size (`alike` sorts them).
        rule: the detector's.
        device: where the batch is made; pictures travel there as bytes.

    Returns:
        the batch (N, 3, H, W), float32, zero where padded, and the N sizes in network pixels.

    Raises:
        ValueError: no pictures, or pictures of different padded sizes. Padding one of them further would change its
            result: behind the first layer padding is no longer zero.
    """
    padded = {rule.padded(picture.shape[:2]) for picture in pictures}
    if len(padded) != 1:
        raise ValueError(f"pictures must share one padded size, got {sorted(padded) or 'no pictures'}; see alike()")
    ((height, width),) = padded
    batch = torch.zeros(len(pictures), 3, height, width, device=device)
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (rule.mean, rule.std))
    sizes = []
    for row, picture in zip(batch, pictures, strict=True):
        levels = torch.from_numpy(resize(picture, rule).copy()).to(device)  # Pillow's own memory is read-only
        h, w = levels.shape[:2]
        row[:, :h, :w] = (levels.permute(2, 0, 1).float() - mean) / std
        sizes.append((h, w))
    return batch, sizes


def alike(pictures: Sequence[np.ndarray], rule: PictureRule, batch_size: int) -> list[list[int]]:
    """Positions of `pictures` in batches of at most `batch_size` that share one padded size."""
    by_size: dict[Size, list[int]] = {}
    for index, picture in enumerate(pictures):
        by_size.setdefault(rule.padded(picture.shape[:2]), []).append(index)
    return [group[i : i + batch_size] for group in by_size.values() for i in range(0, len(group), batch_size)]


def to_photo(boxes: Tensor, network: Size, photo: Size) -> tuple[Tensor, Tensor]:
    """Boxes (B, 4) xyxy from network pixels to pixels of the photo, clipped to it.

    Args:
        boxes: in network pixels.
        network: the picture's size in network pixels.
        photo: the photo's.

    Returns:
        the boxes that are not empty, and a mask (B,) that says which of the given ones they are.
    """
    limit = boxes.new_tensor((photo[1], photo[0], photo[1], photo[0]))
    factor = boxes.new_tensor((photo[1] / network[1], photo[0] / network[0])).repeat(2)  # the two differ by rounding
    scaled = (boxes * factor).clamp_min(0).minimum(limit)
    kept = (scaled[:, 2] > scaled[:, 0]) & (scaled[:, 3] > scaled[:, 1])
    return scaled[kept], kept
