"""Heads that judge boxes: what is in each, and where it really is.

One head (Faster R-CNN, Ren et al. 2015), or a cascade in which each head gets the boxes that the one before has moved
(Cai & Vasconcelos 2018). Letters: N pictures, K boxes of all pictures together, C classes (80; the background follows
them).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hamer.detectors.rcnn.box_coding import clip_boxes, decode_boxes
from hamer.detectors.rcnn.layers import BatchNorm, ChannelNorm, Linear, NormedConv
from hamer.detectors.rcnn.pooling import pool_boxes

CLASSES = 80
_BINS = 7
#: What the four numbers of a box's change were multiplied with in training, stage by stage.
STAGE_WEIGHTS = ((10.0, 10.0, 5.0, 5.0), (20.0, 20.0, 10.0, 10.0), (30.0, 30.0, 15.0, 15.0))


class Judged(NamedTuple):
    """Boxes of one picture: `boxes` (K, 4) or (K, 4 C) xyxy px, not clipped, `scores` (K, C + 1) probabilities."""

    boxes: Tensor
    scores: Tensor


class BoxHead(nn.Module):
    """Pooled features to one vector a box: four convolutions and a linear layer."""

    def __init__(self, norm: type[nn.Module], channels: int = 256, width: int = 1024) -> None:
        super().__init__()
        for index in range(1, 5):
            self.add_module(f"conv{index}", NormedConv(channels, channels, 3, norm))
        self.fc1 = Linear(channels * _BINS**2, width)

    def forward(self, pooled: Tensor) -> Tensor:
        """(K, channels, 7, 7) to (K, width)."""
        x = pooled
        for index in range(1, 5):
            x = self.get_submodule(f"conv{index}")(x).relu_()
        return self.fc1(x.flatten(1)).relu()


class FastRCNNPredictor(nn.Module):
    """A box's vector to logits of its class and changes of the box."""

    def __init__(self, boxes: int, width: int = 1024, classes: int = CLASSES) -> None:
        """`boxes`: changes for each input box, 1 or one for each class."""
        super().__init__()
        self.cls_score = nn.Linear(width, classes + 1)
        self.bbox_pred = nn.Linear(width, 4 * boxes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(K, width) to logits (K, C + 1) and deltas (K, 4 boxes), float32."""
        x = x.float()
        return self.cls_score(x), self.bbox_pred(x)


class SingleHead(nn.Module):
    """One head; its boxes are one for each class."""

    def __init__(self, norm: type[nn.Module] = BatchNorm) -> None:
        super().__init__()
        self.box_head = BoxHead(norm)
        self.box_predictor = FastRCNNPredictor(CLASSES)

    def forward(
        self,
        features: Sequence[Tensor],
        boxes: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        score_threshold: float = 0.0,
    ) -> list[Judged]:
        """Maps (N, C, H, W) of p2 to p5 and boxes (K_n, 4) of each picture to boxes (K_n, 4 C) and scores.

        `sizes` and `score_threshold` are those of `CascadeHeads`; a single head has no use for them.
        """
        logits, deltas = self.box_predictor(self.box_head(pool_boxes(features, boxes)))
        moved = decode_boxes(torch.cat(list(boxes)), deltas, STAGE_WEIGHTS[0])
        counts = [len(b) for b in boxes]
        return [Judged(*pair) for pair in zip(moved.split(counts), logits.softmax(-1).split(counts), strict=True)]


class CascadeHeads(nn.Module):
    """Three heads, one after the other; a box's scores are the mean of what they say, its place is the last one's."""

    def __init__(self, norm: type[nn.Module] = ChannelNorm) -> None:
        super().__init__()
        self.box_head = nn.ModuleList(BoxHead(norm) for _ in STAGE_WEIGHTS)
        self.box_predictor = nn.ModuleList(FastRCNNPredictor(1) for _ in STAGE_WEIGHTS)

    def stage(self, index: int, features: Sequence[Tensor], boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits (K, C + 1) and deltas (K, 4) that head `index` gives boxes (K_n, 4) of each picture."""
        return self.box_predictor[index](self.box_head[index](pool_boxes(features, boxes)))

    def forward(
        self,
        features: Sequence[Tensor],
        boxes: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        score_threshold: float = 0.0,
    ) -> list[Judged]:
        """What becomes of boxes.

        Args:
            features: maps (N, C, H, W) of p2 to p5.
            boxes: (K_n, 4) of each picture.
            sizes: (height, width) of each without padding; boxes are clipped to it between the heads. Those that become
                empty are kept.
            score_threshold: boxes that cannot score above it, whatever the heads to come say, may be left out: with
                0.5 those of which the first two heads together think less than a half.

        Returns:
            moved boxes (K_n or fewer, 4) and scores of each picture.
        """
        current = list(boxes)
        totals = [b.new_zeros(len(b), CLASSES + 1, dtype=torch.float32) for b in boxes]
        for index, weights in enumerate(STAGE_WEIGHTS):
            if index:
                current, totals = _still_possible(current, totals, len(STAGE_WEIGHTS) - index, score_threshold)
                current = [clip_boxes(b, size) for b, size in zip(current, sizes, strict=True)]
            counts = [len(b) for b in current]
            logits, deltas = self.stage(index, features, current)
            totals = [t + p for t, p in zip(totals, logits.softmax(-1).split(counts), strict=True)]
            current = list(decode_boxes(torch.cat(current), deltas, weights).split(counts))
        return [Judged(b, total / len(STAGE_WEIGHTS)) for b, total in zip(current, totals, strict=True)]


def _still_possible(
    boxes: list[Tensor], totals: list[Tensor], heads_left: int, score_threshold: float
) -> tuple[list[Tensor], list[Tensor]]:
    """The boxes (K_n, 4) of which some class can still reach the mean score, and their sums of scores (K_n, C + 1)."""
    needed = score_threshold * len(STAGE_WEIGHTS) - heads_left - 1e-4  # a rounding error on the safe side
    if needed <= 0:
        return boxes, totals
    # what is not finite is kept, for the selection to find and report
    chosen = [~(total[:, :-1].amax(1) <= needed) for total in totals]
    return [b[c] for b, c in zip(boxes, chosen, strict=True)], [t[c] for t, c in zip(totals, chosen, strict=True)]
