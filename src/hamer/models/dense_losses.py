"""Losses of the maps that a network may learn beside the hand (`hamer.models.dense_head`).

Letters: B hands, J joints, P part labels, R and C rows and columns of a map, which covers the square crop: cell (r, c) lies
at ((c + 0.5) / C - 0.5, (r + 0.5) / R - 0.5) crop widths from the crop's centre, as keypoints do. Sums over the batch, as
all losses here.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

SIGMA = 1.5
"""Cells: standard deviation of a joint's target."""

UNKNOWN_PART = 255
DECIMETRES = 10.0  # in a metre


def heatmap_loss(
    logits: Float[Tensor, "B J R C"], keypoints: Float[Tensor, "B J 3"], sigma: float = SIGMA
) -> Float[Tensor, ""]:
    """Kullback-Leibler divergence of each joint's map, a softmax over its cells, from a Gaussian around the joint.

    Only joints inside the crop count, weighted by their confidence. The target is a product of a row and a column that
    each sum to 1, so that no map of targets is made: sum(t log t) - sum(t x) + log sum exp(x).

    Args:
        logits: of cells.
        keypoints: crop widths from the crop's centre, and confidence.
        sigma: cells.
    """
    logits = logits.float()
    columns = _gaussians(keypoints[..., 0], logits.shape[-1], sigma)
    rows = _gaussians(keypoints[..., 1], logits.shape[-2], sigma)
    expected = ((logits @ columns[..., None])[..., 0] * rows).sum(-1)
    # Through log softmax, whose first cell says the same: half the time of torch.logsumexp, forwards and backwards.
    first = F.log_softmax(logits.flatten(2), dim=-1)[..., 0]
    log_total = logits[..., 0, 0] - first
    inside = (keypoints[..., :2].abs() <= 0.5).all(-1)
    per_joint = log_total - expected + _negative_entropy(rows) + _negative_entropy(columns)
    return (keypoints[..., 2] * inside * per_joint).sum()


def part_loss(logits: Float[Tensor, "B P R C"], parts: UInt8[Tensor, "B R C"]) -> Float[Tensor, ""]:
    """Cross-entropy of cells' labels, a mean over all cells of a hand; unknown cells (255) add nothing."""
    cells = logits.shape[-1] * logits.shape[-2]
    total = F.cross_entropy(logits.float(), parts.long(), ignore_index=UNKNOWN_PART, reduction="sum")
    return total / cells


def point_loss(
    points: Float[Tensor, "B J 4"],
    keypoints_2d: Float[Tensor, "B J 3"],
    keypoints_3d: Float[Tensor, "B J 4"],
    root: int = 0,
) -> Float[Tensor, ""]:
    """Distance of a network's own points from the truth, in the crop and in depth, summed over joints.

    Places in the crop count where the joint is in it; depth, relative to joint `root`, wherever it is known.

    Args:
        points: x, y in crop widths; sureness; depth in decimetres (`hamer.models.dense_head.points`).
        keypoints_2d: crop widths, and confidence.
        keypoints_3d: metres, and confidence.
        root: the joint that depths are relative to.
    """
    inside = (keypoints_2d[..., :2].abs() <= 0.5).all(-1) * keypoints_2d[..., 2]
    in_crop = (inside[..., None] * (points[..., :2] - keypoints_2d[..., :2]).abs()).sum()
    depth = DECIMETRES * (keypoints_3d[..., 2] - keypoints_3d[..., root : root + 1, 2])
    own_depth = points[..., 3] - points[..., root : root + 1, 3]
    return in_crop + (keypoints_3d[..., 3] * (own_depth - depth).abs()).sum()


def _gaussians(position: Tensor, cells: int, sigma: float) -> Tensor:
    """(..., cells) from positions (...) in crop widths: samples of a Gaussian at the cells' centres, which sum to 1."""
    centres = torch.arange(cells, device=position.device, dtype=torch.float32) + 0.5
    distance = centres - (position.float()[..., None] + 0.5) * cells
    return F.softmax(-0.5 * (distance / sigma).square(), dim=-1)


def _negative_entropy(probability: Tensor) -> Tensor:
    return torch.special.entr(probability).sum(-1).neg()
