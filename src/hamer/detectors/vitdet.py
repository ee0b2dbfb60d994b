"""Detector `vitdet`."""

from __future__ import annotations

from hamer.detectors.rcnn.box_heads import CascadeHeads
from hamer.detectors.rcnn.layers import ChannelNorm
from hamer.detectors.rcnn.network import TwoStageNetwork
from hamer.detectors.rcnn.vit_backbone import SimpleFeaturePyramid, ViTDetConfig


class ViTDetNetwork(TwoStageNetwork):
    """ViTDet: a plain ViT with a simple pyramid, proposals, a cascade of three heads.

    Args:
        config: its sizes; ViTDet-H by default.
    """

    def __init__(self, config: ViTDetConfig | None = None) -> None:
        self_config = config or ViTDetConfig()
        super().__init__(SimpleFeaturePyramid(self_config), CascadeHeads(ChannelNorm))
        self.config = self_config
