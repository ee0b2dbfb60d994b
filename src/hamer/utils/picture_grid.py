"""Pictures side by side, as the preview classes give them."""

from __future__ import annotations

import torch


def picture_grid(pictures: list[torch.Tensor], nrow: int, padding: int = 2) -> torch.Tensor:
    """(3, H, W) pictures of one size as one (3, rows * (H + padding) + padding, ...) picture, `nrow` in a row."""
    if not pictures:
        raise ValueError("a grid needs at least one picture, got none")
    _, height, width = pictures[0].shape
    columns = min(nrow, len(pictures))
    rows = -(-len(pictures) // columns)
    grid = torch.zeros(3, rows * (height + padding) + padding, columns * (width + padding) + padding)
    for number, picture in enumerate(pictures):
        top = (number // columns) * (height + padding) + padding
        left = (number % columns) * (width + padding) + padding
        grid[:, top : top + height, left : left + width] = picture
    return grid
