"""Anchors: the boxes that proposals are changes of. One size for each level of the pyramid, three shapes (Lin et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

#: Levels p2 to p6 of the pyramid: pixels of the input for one of the map, and the side of a square anchor.
STRIDES = (4, 8, 16, 32, 64)
SIZES = (32, 64, 128, 256, 512)
#: Height over width.
ASPECTS = (0.5, 1.0, 2.0)


def cell_anchors(size: float, aspects: Sequence[float] = ASPECTS) -> Tensor:
    """Anchors around the origin, (A, 4) xyxy: all of area size x size."""
    widths = [math.sqrt(size * size / aspect) for aspect in aspects]
    halves = [(width / 2, aspect * width / 2) for width, aspect in zip(widths, aspects, strict=True)]
    return torch.tensor([(-x, -y, x, y) for x, y in halves])


def grid_anchors(shape: tuple[int, int], stride: int, size: float, device: torch.device | str = "cpu") -> Tensor:
    """Anchors of a map of `shape` (H, W), (H W A, 4) xyxy px: row by row, in a row pixel by pixel, at a pixel by shape."""
    height, width = shape
    y = torch.arange(height, device=device, dtype=torch.float32) * stride
    x = torch.arange(width, device=device, dtype=torch.float32) * stride
    shifts = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)] * 2, -1)  # (H, W, 4)
    return (shifts[:, :, None] + cell_anchors(size).to(device)).reshape(-1, 4)
