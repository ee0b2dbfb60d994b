"""Maps that a network learns beside the hand: where each joint is, and which part of the hand each cell shows.

Made pictures give them for free, and they teach the backbone where to look long before pose errors do. A network may read
its own points off them, as a landmark model would have found them (integral regression: Sun et al., "Integral Human Pose
Regression", 2018; depth from maps beside them: Iqbal et al., "Hand Pose Estimation via Latent 2.5D Heatmap Regression",
2018); it then has points for every crop. Without that, the head is there in training only.

Letters: B hands, C channels, R rows and columns of a map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hamer.models.config import DenseConfig

N_JOINTS = 21
N_PARTS = 19  # 0 no hand, 1..16 MANO's joints, 17 forearm or sleeve, 18 another hand


class DenseHead(nn.Module):
    """Feature map to logits on a grid of the crop.

    Args:
        channels: of the feature map.
        rows: of the feature map, which is square.
        config: the maps' side, the channels before the last layer, and whether finer maps and points are wanted.
        finer: channels of the stem's stages, the finest first; the last is as coarse as the feature map.
    """

    def __init__(self, channels: int, rows: int, config: DenseConfig, finer: Sequence[int] = ()) -> None:
        super().__init__()
        self.has_points = config.points
        self.upsampling: nn.Sequential | nn.ModuleList
        steps = max(config.side // rows, 1).bit_length() - 1
        if rows << steps != config.side or (config.skips and steps >= len(finer)):
            raise ValueError(
                f"MODEL.DENSE_HEAD.SIDE must be the feature map's rows times a power of 2, got {config.side}"
            )
        if config.skips:
            self.upsampling = nn.ModuleList(Upsampling(config.width, skip) for skip in finer[::-1][1 : steps + 1])
            self.start: nn.Module = nn.Conv2d(channels, config.width, kernel_size=1)
            channels = config.width
        else:
            layers: list[nn.Module] = []
            for _ in range(steps):
                layers += [nn.ConvTranspose2d(channels, config.width, 4, stride=2, padding=1), nn.ReLU(inplace=True)]
                channels = config.width
            self.upsampling = nn.Sequential(*layers)
        self.maps = nn.Conv2d(channels, (2 if config.points else 1) * N_JOINTS + N_PARTS, kernel_size=1)

    def forward(self, features: Tensor, stages: Sequence[Tensor] = ()) -> dict[str, Tensor]:
        """Maps of a feature map (B, C, rows, rows) and of the stem's stages.

        Returns:
            logits `pred_heatmaps` (B, 21, R, R) and `pred_parts` (B, 19, R, R); with points, also `pred_points` (B, 21, 4)
            as `points` makes them and the map before the last layer, `fine` (B, width, R, R).
        """
        if isinstance(self.upsampling, nn.ModuleList):
            fine = self.start(features)
            for layer, stage in zip(self.upsampling, stages[::-1][1:], strict=False):
                fine = layer(fine, stage)
        else:
            fine = self.upsampling(features)
        maps = self.maps(fine)
        logits = {"pred_heatmaps": maps[:, :N_JOINTS], "pred_parts": maps[:, N_JOINTS : N_JOINTS + N_PARTS]}
        if not self.has_points:
            return logits
        return logits | {"pred_points": points(maps[:, :N_JOINTS], maps[:, -N_JOINTS:]), "fine": fine}


class Upsampling(nn.Module):
    """Twice as many rows and columns, with a finer map of the stem added (Lin et al., "Feature Pyramid Networks", 2017)."""

    def __init__(self, width: int, skip: int) -> None:
        super().__init__()
        self.skip = nn.Conv2d(skip, width, kernel_size=1)
        self.conv = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor, finer: Tensor) -> Tensor:
        """(B, width, R / 2, R / 2) and (B, skip, R, R) to (B, width, R, R)."""
        both = self.skip(finer) + F.interpolate(x, scale_factor=2.0)
        return F.relu(self.norm(self.conv(both)), inplace=True)


def points(heatmaps: Tensor, depths: Tensor) -> Tensor:
    """Each joint's mean place under its map, how sure the map is, and its depth there, in float32.

    Args:
        heatmaps: (B, 21, R, R) logits; a softmax over a joint's cells is the chance that it is there.
        depths: (B, 21, R, R) decimetres behind the wrist.

    Returns:
        (B, 21, 4): x, y in crop widths from the crop's centre; sureness 0..1, 1 less the share of the entropy that a map
        without any peak has; depth in decimetres.
    """
    side = heatmaps.shape[-1]
    log_chance = F.log_softmax(heatmaps.flatten(2).float(), dim=-1)
    chance = log_chance.exp()
    at = (torch.arange(side, device=heatmaps.device, dtype=torch.float32) + 0.5) / side - 0.5
    grid = chance.unflatten(-1, (side, side))
    x, y = grid.sum(-2) @ at, grid.sum(-1) @ at
    sureness = 1 + (chance * log_chance).sum(-1) / torch.log(chance.new_tensor(side * side))
    return torch.stack([x, y, sureness, (chance * depths.flatten(2).float()).sum(-1)], dim=-1)
