"""Heatmaps to keypoints: the highest cell, moved a quarter of a cell towards its higher neighbour (Xiao et al. 2018).

Letters: P persons, K keypoints, H rows (64), W columns (48). Works on the device of the maps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hamer.detectors.wholebody.keypoints import MIRRORED


def unmirrored(heatmaps: Tensor) -> Tensor:
    """Maps (P, 133, H, W) of mirrored crops as maps of the crops: sides swapped, columns reversed, moved one to the right.

    The move makes up for a grid whose cells do not lie symmetrically in the crop; the first column keeps its value and
    the last falls out.
    """
    order = torch.tensor(MIRRORED, device=heatmaps.device)
    back = heatmaps[:, order].flip(-1)
    return torch.cat([back[..., :1], back[..., :-1]], dim=-1)


def decode(heatmaps: Tensor, centers: Tensor, scales: Tensor) -> Tensor:
    """Keypoints (P, K, 3): x, y px of the picture and the maximum of the map, float32.

    Args:
        heatmaps: (P, K, H, W) float32.
        centers, scales: (P, 2) each, of `crops.centers_and_scales`.

    The maximum is the first in reading order and is given as it is: it may be above 1. A map without a positive value
    puts its keypoint one cell left of and above the crop.
    """
    rows, columns = heatmaps.shape[-2:]
    flat = heatmaps.flatten(2)
    scores, places = flat.max(-1)  # of equal values the first, as torch promises
    x, y = places % columns, places.div(columns, rounding_mode="floor")
    points = torch.stack([x, y], -1).float()
    points[scores <= 0] = -1
    inside = (scores > 0) & (x > 1) & (x < columns - 1) & (y > 1) & (y < rows - 1)
    slopes = _uphill(flat, places.clamp(columns, rows * columns - columns - 1), columns)
    points += 0.25 * inside[..., None] * slopes
    cells = torch.tensor([columns, rows], device=scales.device, dtype=torch.float32)
    sides = (scales * 200)[:, None]
    return torch.cat([points * (sides / cells) + centers[:, None] - sides * 0.5, scores[..., None]], -1)


def _uphill(flat: Tensor, places: Tensor, columns: int) -> Tensor:
    """Sign (P, K, 2) of the slope along x and y at `places` (P, K), which have a row above and below."""

    def value(offset: int) -> Tensor:
        return flat.gather(-1, (places + offset)[..., None])[..., 0]

    return torch.stack([value(1) - value(-1), value(columns) - value(-columns)], -1).sign()
