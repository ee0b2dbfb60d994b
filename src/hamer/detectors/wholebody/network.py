"""The network: ViTPose's backbone, which is also HaMeR's, and two deconvolutions that lead to one map a keypoint.

Letters: P persons, C channels of the backbone (1280). Tensor names are those of the original's checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hamer.detectors.wholebody.keypoints import N_KEYPOINTS
from hamer.models.config import ViTConfig
from hamer.models.vit import ViT

_WIDTH = 256


class HeatmapHead(nn.Module):
    """Feature map to heatmaps at four times its resolution (simple baselines, Xiao et al. 2018)."""

    def __init__(self, in_channels: int, keypoints: int = N_KEYPOINTS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (in_channels, _WIDTH):
            deconvolution = nn.ConvTranspose2d(channels, _WIDTH, kernel_size=4, stride=2, padding=1, bias=False)
            layers += [deconvolution, nn.BatchNorm2d(_WIDTH), nn.ReLU(inplace=True)]
        self.deconv_layers = nn.Sequential(*layers)
        self.final_layer = nn.Conv2d(_WIDTH, keypoints, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        """(P, C, 16, 12) to (P, 133, 64, 48), any real numbers; a keypoint's map is trained to peak at 1."""
        return self.final_layer(self.deconv_layers(features))


class WholeBodyNetwork(nn.Module):
    """Normalised crops of persons to heatmaps of the 133 keypoints."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.backbone = ViT(config)
        self.keypoint_head = HeatmapHead(config.width)

    def forward(self, image: Tensor) -> Tensor:
        """(P, 3, 256, 192) to (P, 133, 64, 48)."""
        return self.keypoint_head(self.backbone(image))

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.backbone.pos_embed.device
