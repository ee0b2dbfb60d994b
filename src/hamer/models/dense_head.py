"""Maps that a network learns beside the hand: where each joint is, and which part of the hand each cell shows.

Made pictures give them for free, and they teach the backbone where to look long before pose errors do. The head is there
in training only; weights for inference leave it out.
"""

from __future__ import annotations

from torch import Tensor, nn

from hamer.models.config import DenseConfig

N_JOINTS = 21
N_PARTS = 19  # 0 no hand, 1..16 MANO's joints, 17 forearm or sleeve, 18 another hand


class DenseHead(nn.Module):
    """Feature map to logits on a grid of the crop.

    Args:
        channels: of the feature map.
        rows: of the feature map, which is square.
        config: the maps' side and the channels before the last layer.
    """

    def __init__(self, channels: int, rows: int, config: DenseConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        while rows < config.side:
            layers += [nn.ConvTranspose2d(channels, config.width, 4, stride=2, padding=1), nn.ReLU(inplace=True)]
            channels, rows = config.width, 2 * rows
        if rows != config.side:
            raise ValueError(
                f"MODEL.DENSE_HEAD.SIDE must be the feature map's rows times a power of 2, got {config.side}"
            )
        self.upsampling = nn.Sequential(*layers)
        self.maps = nn.Conv2d(channels, N_JOINTS + N_PARTS, kernel_size=1)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Logits of features (B, C, rows, rows): `pred_heatmaps` (B, 21, side, side), `pred_parts` (B, 19, side, side)."""
        maps = self.maps(self.upsampling(features))
        return {"pred_heatmaps": maps[:, :N_JOINTS], "pred_parts": maps[:, N_JOINTS:]}
