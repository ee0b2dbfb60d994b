"""Triangles to z-buffers in torch, all pictures of a batch at once: what `numba_zbuffer.fill` does, as whole arrays.

1. A triangle covers, in each row of samples between its top and bottom, the samples from its left to its right edge.
2. w is a plane over the picture; the largest value at a sample is the nearest surface. w and the face's number are one
   integer, so a maximum, which does not depend on any order, finds both.

Letters: T triangles, R rows of triangles, K covered samples, B pictures.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LAST = 2**31 - 1


def fill(
    corners: Tensor, w: Tensor, picture: Tensor, faces: Tensor, pictures: int, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """The nearest triangle at every sample.

    Args:
        corners: (T, 3, 2) columns and rows in samples (sample k lies at k). w: (T, 3), positive where seen. picture: (T,)
        which picture's buffer. faces: (T,) numbers to store. pictures, height, width: the buffers, in samples.

    Returns:
        `nearest` (B, height, width) float32, 0 where nothing is, and `index` (B, height, width) int64, -1 there.
    """
    triangle, row, column_from, column_to = _spans(corners, height, width)
    lengths = column_to - column_from
    right, down = _gradient(corners, w)
    w_row = w[triangle, 0] + (row - corners[triangle, 0, 1]) * down[triangle]
    start = (picture[triangle] * height + row) * width
    span, offset = _enumerate(lengths)
    column = column_from[span] + offset
    triangle = triangle[span]
    depth = w_row[span] + (column - corners[triangle, 0, 0]) * right[triangle]
    # Positive floats are ordered as their bits are; of two equally near faces the first one stays, as in `numba_zbuffer.py`.
    key = (depth.clamp_min(0).float().view(torch.int32).long() << 32) | (_LAST - faces[triangle])
    place = (start[span] + column)[depth > 0]
    buffer = torch.zeros(pictures * height * width, dtype=torch.int64, device=corners.device)
    buffer.scatter_reduce_(0, place, key[depth > 0], "amax")
    nearest = (buffer >> 32).int().view(torch.float32)
    index = torch.where(buffer > 0, _LAST - (buffer & _LAST), -1)
    return nearest.view(pictures, height, width), index.view(pictures, height, width)


def _enumerate(lengths: Tensor) -> tuple[Tensor, Tensor]:
    """For each span of `lengths`, its number and 0, 1, 2, ... within it."""
    span = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
    before = torch.cumsum(lengths, 0) - lengths
    return span, torch.arange(len(span), device=lengths.device) - before[span]


def _spans(corners: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Per triangle and sample row that it crosses: triangle, row, first column, column after the last; each (R,)."""
    order = corners[:, :, 1].argsort(dim=1, stable=True)
    u, v = corners[:, :, 0].gather(1, order), corners[:, :, 1].gather(1, order)
    row_from = v[:, 0].ceil().clamp(0, height).long()
    row_to = v[:, 2].ceil().clamp(0, height).long()
    flat = (_cross(corners).abs() < 1e-9) | (v[:, 2] <= v[:, 0])
    counts = torch.where(flat, 0, (row_to - row_from).clamp_min(0))
    triangle, offset = _enumerate(counts)
    row = row_from[triangle] + offset
    u, v = u[triangle], v[triangle]
    along = u[:, 0] + (row - v[:, 0]) * _slope(u, v, 0, 2)
    upper = u[:, 0] + (row - v[:, 0]) * _slope(u, v, 0, 1)
    lower = u[:, 1] + (row - v[:, 1]) * _slope(u, v, 1, 2)
    across = torch.where(row < v[:, 1], upper, lower)
    column_from = torch.minimum(along, across).ceil().clamp(0, width).long()
    column_to = torch.maximum(along, across).ceil().clamp(0, width).long()
    filled = column_to > column_from
    return triangle[filled], row[filled], column_from[filled], column_to[filled]


def _slope(u: Tensor, v: Tensor, start: int, end: int) -> Tensor:
    """Columns per row along an edge; 0 for a horizontal one, which bounds no row."""
    rise = v[:, end] - v[:, start]
    return torch.where(rise > 0, (u[:, end] - u[:, start]) / torch.where(rise > 0, rise, 1), 0)


def _cross(corners: Tensor) -> Tensor:
    ab, ac = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return ab[:, 0] * ac[:, 1] - ac[:, 0] * ab[:, 1]


def _gradient(corners: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """How w changes per sample to the right and downwards, each (T,)."""
    ab, ac = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    wb, wc = w[:, 1] - w[:, 0], w[:, 2] - w[:, 0]
    area = _cross(corners)
    area = torch.where(area.abs() < 1e-9, 1, area)
    return (wb * ac[:, 1] - wc * ab[:, 1]) / area, (wc * ab[:, 0] - wb * ac[:, 0]) / area
