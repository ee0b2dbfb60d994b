"""Boxes as changes of other boxes (Girshick et al. 2014): shift by parts of the size, change of the size's logarithm."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

#: Boxes grow by this factor at most, so that no exponential overflows. There is no limit to shrinking.
_MOST_GROWTH = math.log(1000 / 16)


def decode_boxes(boxes: Tensor, deltas: Tensor, weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """Boxes moved by `deltas`.

    Args:
        boxes: (..., 4) xyxy.
        deltas: (..., 4 D): D changes of each box, one after the other, each x, y, width, height.
        weights: what the four numbers were multiplied with in training.

    Returns:
        (..., 4 D) xyxy, float32.
    """
    boxes, changes = boxes.float(), deltas.float().unflatten(-1, (-1, 4))
    size = boxes[..., 2:] - boxes[..., :2]
    centre = boxes[..., :2] + 0.5 * size
    shift = changes[..., :2] / changes.new_tensor(weights[:2])
    growth = (changes[..., 2:] / changes.new_tensor(weights[2:])).clamp_max(_MOST_GROWTH)
    new_centre = centre[..., None, :] + shift * size[..., None, :]
    half = 0.5 * size[..., None, :] * growth.exp()
    return torch.cat([new_centre - half, new_centre + half], -1).flatten(-2)


def clip_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) cut off at the edges of a picture of `size` (height, width)."""
    height, width = size
    return torch.minimum(boxes.clamp_min(0), boxes.new_tensor([width, height, width, height]))


def has_area(boxes: Tensor) -> Tensor:
    """(..., 4) to (...) bool."""
    return (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])
