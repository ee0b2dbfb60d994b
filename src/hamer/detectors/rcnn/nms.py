"""Non-maximum suppression: of boxes that overlap, only the one with the highest score stays.

A box goes if its IoU (area in common over area of both together) with a kept box of higher score is *above* the
threshold. Letters: N boxes, K kept.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hamer.detectors.rcnn.operators import torchvision_ops

#: Boxes compared with each other at once: 16 MB for each intermediate matrix. A GPU would rather have fewer, larger steps.
_BLOCK, _BLOCK_ON_GPU = 2048, 4096


def nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Indices of the boxes that stay, (K,) int64, scores descending (the first of equal ones first).

    Args:
        boxes: (N, 4) xyxy; scores: (N,).
        threshold: IoU above which the lower scored box goes.
    """
    ops = torchvision_ops(boxes.device.type)
    if ops is not None:
        return ops.nms(boxes.float(), scores.float(), threshold)
    return plain_nms(boxes, scores, threshold)


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float) -> Tensor:
    """Like `nms`, but boxes (N, 4) suppress each other only within their group: `groups` (N,) integers."""
    ops = torchvision_ops(boxes.device.type)
    if ops is not None:
        return ops.batched_nms(boxes.float(), scores.float(), groups, threshold)
    return plain_batched_nms(boxes, scores, groups, threshold)


def plain_nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """`nms` in plain torch."""
    return _suppress(boxes, scores, None, threshold)


def plain_batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float) -> Tensor:
    """`batched_nms` in plain torch: all groups in one go if they are small, else one after the other."""
    if len(boxes) <= _block(boxes):
        return _suppress(boxes, scores, groups, threshold)
    kept = []
    for group in groups.unique():
        members = (groups == group).nonzero()[:, 0]
        kept.append(members[plain_nms(boxes[members], scores[members], threshold)])
    chosen = torch.cat(kept).sort().values  # so that the stable sort below puts the first of equal scores first
    return chosen[scores[chosen].argsort(descending=True, stable=True)]


def _block(boxes: Tensor) -> int:
    return _BLOCK_ON_GPU if boxes.is_cuda else _BLOCK


def _suppress(boxes: Tensor, scores: Tensor, groups: Tensor | None, threshold: float) -> Tensor:
    """Greedy suppression, block by block in the order of the scores.

    The boxes of a block are first compared with all that were kept so far, then, those that are left, with each other.
    """
    order = scores.argsort(descending=True, stable=True)
    kept = order[:0]
    for block in order.split(_block(boxes)):
        if len(kept):
            block = block[~_overlaps(boxes, groups, kept, block, threshold).any(0)]
        within = _overlaps(boxes, groups, block, block, threshold).triu_(1)
        kept = torch.cat([kept, block[_greedy(within)]])
    return kept


def _greedy(suppresses: Tensor) -> Tensor:
    """Which of N boxes stay, (N,) bool, given who suppresses whom: (N, N) bool, above the diagonal only.

    A box stays if none that stays suppresses it. Starting from all, each round settles at least the first box that was
    not settled before, whatever it was, so that what no longer changes is the greedy answer. Rounds are as many as the
    longest chain of suppressions: under ten in a crowd of 2000 boxes, where a loop takes 2000 steps.
    """
    weights = suppresses.to(torch.float32)  # a product of matrix and vector is the fastest "any of those that stay"
    stays = weights.new_ones(len(weights))
    while True:
        now = (stays @ weights == 0).to(weights.dtype)
        if torch.equal(now, stays):
            return now.bool()
        stays = now


def _overlaps(boxes: Tensor, groups: Tensor | None, first: Tensor, second: Tensor, threshold: float) -> Tensor:
    """(A, B) bool: which pairs of boxes, given by their indices, are of one group and overlap by more than `threshold`."""
    a, b = boxes[first].float(), boxes[second].float()
    result = _iou(a, b) > _floor_to_float32(threshold)
    if groups is not None:
        result &= groups[first][:, None] == groups[second][None]
    return result


def _iou(a: Tensor, b: Tensor) -> Tensor:
    """(A, 4), (B, 4) to (A, B); NaN for two boxes without area."""
    width = torch.minimum(a[:, None, 2], b[None, :, 2]).sub_(torch.maximum(a[:, None, 0], b[None, :, 0])).clamp_min_(0)
    height = torch.minimum(a[:, None, 3], b[None, :, 3]).sub_(torch.maximum(a[:, None, 1], b[None, :, 1])).clamp_min_(0)
    common = width.mul_(height)
    area_a, area_b = ((x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1]) for x in (a, b))
    return common / (area_a[:, None] + area_b[None]).sub_(common)


def _floor_to_float32(threshold: float) -> float:
    """The largest float32 that is not above `threshold`: comparing float32 numbers with it is as exact as with doubles."""
    rounded = torch.tensor(threshold, dtype=torch.float32)
    if rounded.item() > threshold:
        rounded = torch.nextafter(rounded, torch.tensor(-float("inf")))
    return rounded.item()
