"""Region proposals (Faster R-CNN, Ren et al. 2015): boxes that may hold something, found on every level of the pyramid.

Letters: N pictures, A anchors at a pixel (3), H, W map, K proposals.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hamer.detectors.rcnn.anchors import ASPECTS, SIZES, STRIDES, grid_anchors
from hamer.detectors.rcnn.box_coding import clip_boxes, decode_boxes, has_area
from hamer.detectors.rcnn.layers import Conv2d
from hamer.detectors.rcnn.nms import batched_nms

_LOG = logging.getLogger(__name__)

#: Proposals taken from each level, IoU over which the worse one of a level goes, proposals kept in all.
_BEST_OF_LEVEL, _OVERLAP, _KEPT = 1000, 0.7, 1000


class Proposals(NamedTuple):
    """Of one picture: boxes (K, 4) xyxy, and how sure each is to hold something, (K,) logits, descending."""

    boxes: Tensor
    logits: Tensor


class RPNHead(nn.Module):
    """Two convolutions, then for each anchor a logit and four numbers that change it; shared by all levels."""

    def __init__(self, channels: int = 256, anchors: int = len(ASPECTS)) -> None:
        super().__init__()
        self.conv = nn.ModuleDict({f"conv{index}": Conv2d(channels, channels, 3, padding=1) for index in range(2)})
        self.objectness_logits = nn.Conv2d(channels, anchors, 1)
        self.anchor_deltas = nn.Conv2d(channels, 4 * anchors, 1)

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Maps (N, C, H, W), p2 first, to logits (N, A, H, W) and deltas (N, 4 A, H, W) of each, float32."""
        hidden = [self._hidden(level).float() for level in features]
        return [self.objectness_logits(x) for x in hidden], [self.anchor_deltas(x) for x in hidden]

    def _hidden(self, x: Tensor) -> Tensor:
        for conv in self.conv.values():
            x = conv(x).relu_()
        return x


class ProposalGenerator(nn.Module):
    """The head, and the choice among all that it finds."""

    def __init__(self, channels: int = 256) -> None:
        super().__init__()
        self.rpn_head = RPNHead(channels)

    def forward(self, features: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> list[Proposals]:
        """Maps (N, C, H, W) of p2 to p6 to the proposals of each picture; `sizes` (height, width) without padding."""
        logits, deltas = self.rpn_head(features)
        return propose(logits, deltas, sizes)


def propose(logits: Sequence[Tensor], deltas: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> list[Proposals]:
    """The best boxes of each picture.

    Args:
        logits: (N, A, H, W) of each level, p2 first.
        deltas: (N, 4 A, H, W), the four numbers of an anchor together.
        sizes: (height, width) of each picture without padding, to which boxes are clipped.

    Returns:
        For each picture at most 1000: the best of each level, without those that a better one of the level covers.
    """
    levels = [_best_of_level(*level) for level in zip(logits, deltas, STRIDES, SIZES, strict=True)]
    boxes = torch.cat([level[0] for level in levels], 1)  # (N, K, 4)
    scores = torch.cat([level[1] for level in levels], 1)  # (N, K)
    index = torch.cat([torch.full_like(level[1][0], n, dtype=torch.long) for n, level in enumerate(levels)])
    return [
        _choose(*picture, index, size) for picture, size in zip(zip(boxes, scores, strict=True), sizes, strict=True)
    ]


def _best_of_level(logits: Tensor, deltas: Tensor, stride: int, size: int) -> tuple[Tensor, Tensor]:
    """Boxes (N, k, 4) and logits (N, k) of the k highest logits of a level."""
    anchors, height, width = logits.shape[1:]
    flat = logits.float().permute(0, 2, 3, 1).flatten(1)
    best, index = flat.topk(min(_BEST_OF_LEVEL, flat.shape[1]), dim=1)
    changes = deltas.unflatten(1, (anchors, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3)
    chosen = changes.gather(1, index[..., None].expand(-1, -1, 4))
    return decode_boxes(grid_anchors((height, width), stride, size, logits.device)[index], chosen), best


def _choose(boxes: Tensor, logits: Tensor, level: Tensor, size: tuple[int, int]) -> Proposals:
    """Of one picture: clipped, without empty or non-finite ones, suppressed level by level, the best of all levels."""
    finite = boxes.isfinite().all(-1) & logits.isfinite()
    if not bool(finite.all()):
        _LOG.warning(
            "%d of %d proposals have numbers that are not finite and are dropped: weights are damaged or the precision is too low",
            int((~finite).sum()),
            len(finite),
        )
    boxes = clip_boxes(boxes, size)
    valid = finite & has_area(boxes)
    boxes, logits, level = boxes[valid], logits[valid], level[valid]
    kept = batched_nms(boxes, logits, level, _OVERLAP)[:_KEPT]
    return Proposals(boxes[kept], logits[kept])
