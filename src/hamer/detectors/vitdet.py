"""Backend `vitdet`: persons and COCO's other things, by ViTDet-H, the detector that the original takes by default.

A plain vision transformer with a simple feature pyramid (Li et al. 2022, "Exploring Plain Vision Transformer Backbones
for Object Detection"), region proposals (Ren et al. 2015) and a cascade of three box heads (Cai & Vasconcelos 2018);
weights of detectron2's ViTDet project. Its masks (He et al. 2017) are not computed: boxes do not depend on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from hamer.detectors.rcnn.box_heads import CascadeHeads
from hamer.detectors.rcnn.detector import TwoStageDetector
from hamer.detectors.rcnn.layers import ChannelNorm
from hamer.detectors.rcnn.network import TwoStageNetwork
from hamer.detectors.rcnn.pictures import VITDET_PICTURES, PictureRule
from hamer.detectors.rcnn.precision import set_precision
from hamer.detectors.rcnn.selection import SelectionRule
from hamer.detectors.rcnn.vit_backbone import SimpleFeaturePyramid, ViTDetConfig
from hamer.detectors.rcnn.weights import DetectorName
from hamer.models.precision import Precision


def vitdet_network(config: ViTDetConfig | None = None) -> TwoStageNetwork:
    """The network with made-up weights; names and shapes are those of the zoo's file, without the mask branch."""
    return TwoStageNetwork(SimpleFeaturePyramid(config or ViTDetConfig()), CascadeHeads(ChannelNorm))


class VitDet(TwoStageDetector):
    __doc__ = TwoStageDetector.__doc__

    name: ClassVar[DetectorName] = "vitdet"
    pictures: PictureRule = VITDET_PICTURES
    selection: ClassVar[SelectionRule] = SelectionRule(score_threshold=0.25, overlap=0.5)
    precisions: ClassVar[tuple[Precision, ...]] = ("float32", "bfloat16", "float16")

    def build(self, tensors: Mapping[str, Tensor]) -> TwoStageNetwork:
        """The network that the file's tensors are of: ViTDet-H, or the zoo's smaller ones, B and L."""
        config = ViTDetConfig.of(tensors)
        side = config.image_size
        self.pictures = replace(VITDET_PICTURES, short_side=side, longest=side, square=side)
        return vitdet_network(config)

    def settle(self, network: TwoStageNetwork, precision: Precision) -> TwoStageNetwork:
        """Convolutions channels last in memory; the large layers in `precision`."""
        set_precision(network, precision)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network
