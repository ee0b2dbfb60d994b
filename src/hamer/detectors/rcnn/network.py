"""The two stages put together: backbone, proposals, heads, selection."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hamer.detectors.rcnn.proposals import ProposalGenerator
from hamer.detectors.rcnn.selection import Selected, SelectionRule, select_detections


class TwoStageNetwork(nn.Module):
    """A detector; children and tensors are named as in the original's checkpoints, without the mask branch.

    Args:
        backbone: pictures (N, 3, H, W) to maps (N, 256, H / s, W / s) of p2 to p6, strides 4 to 64.
        roi_heads: `CascadeHeads` or `SingleHead`.
    """

    def __init__(self, backbone: nn.Module, roi_heads: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.proposal_generator = ProposalGenerator()
        self.roi_heads = roi_heads

    @torch.inference_mode()
    def forward(self, pictures: Tensor, sizes: Sequence[tuple[int, int]], rule: SelectionRule) -> list[Selected]:
        """Detections of normalised, padded pictures.

        Args:
            pictures: (N, 3, H, W).
            sizes: (height, width) of each without padding.
            rule: thresholds.
        """
        features = self.backbone(pictures)
        proposals = self.proposal_generator(features, sizes)
        return self.judge(features, [p.boxes for p in proposals], sizes, rule)

    def judge(
        self, features: Sequence[Tensor], boxes: Sequence[Tensor], sizes: Sequence[tuple[int, int]], rule: SelectionRule
    ) -> list[Selected]:
        """Detections from given boxes (K_n, 4) of each picture instead of proposals."""
        judged = self.roi_heads(features, boxes, sizes, rule.score_threshold)
        return [
            select_detections(found.boxes, found.scores, size, rule) for found, size in zip(judged, sizes, strict=True)
        ]
