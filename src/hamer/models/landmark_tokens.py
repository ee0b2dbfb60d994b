"""Tokens of 21 points: what the head may read beside the picture's features.

The points are those of a landmark model, and those that the network reads off its own maps (`hamer.models.dense_head`).
Made pictures look unlike photos; keypoints do not. A network that learns from made pictures therefore leans on the points
that a landmark model found, while the picture tells where they are wrong. Letters: B hands, C channels.
The hand as a whole is told apart from its joints: one layer sees all numbers at once, and the head's query starts from it.
Through attention alone the query learns only after thousands of steps which token is which joint.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hamer.models.config import LandmarkConfig, ViTConfig
from hamer.models.vit import Block

N_LANDMARKS, N_NUMBERS, N_OWN_NUMBERS = 21, 7, 4
GUESS_SCALE = 10.0  # metres to decimetres: the numbers of the 3D guess become as large as those in the crop


class LandmarkTokens(nn.Module):
    """Points, their confidences and 3D guess, with the picture's features at each point, mixed by transformer blocks.

    Args:
        width: channels, those of the backbone.
        config: depth and heads of the blocks.
        query_width: channels of the head's query.
        fine_width: channels of the map that the network's own points were read off; None: it has none, and features are
            those of the backbone.
    """

    def __init__(self, width: int, config: LandmarkConfig, query_width: int, fine_width: int | None = None) -> None:
        super().__init__()
        self.has_own = fine_width is not None
        self.numbers = nn.Linear(N_NUMBERS, width)
        self.seen = nn.Linear(fine_width or width, width)
        self.joint = nn.Parameter(torch.randn(1, N_LANDMARKS, width) * 0.5)  # as large as what the numbers become
        self.absent = nn.Parameter(torch.zeros(1, 1, width))
        if fine_width is not None:
            self.own_numbers, self.own_seen = nn.Linear(N_OWN_NUMBERS, width), nn.Linear(fine_width, width)
        block = ViTConfig(width=width, depth=config.depth, heads=config.heads, drop_path_rate=0.0)
        self.blocks = nn.ModuleList(Block(block, 0.0) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width)
        n_numbers = N_NUMBERS + N_OWN_NUMBERS * self.has_own
        self.whole = nn.Sequential(
            nn.Linear(N_LANDMARKS * n_numbers, 2 * query_width), nn.GELU(), nn.Linear(2 * query_width, query_width)
        )

    def forward(self, features: Tensor, landmarks: Tensor | None, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Tokens (B, 21, C) of points, and what is added to the head's query (B, query width).

        Args:
            features: (B, C, rows, columns) of the square crop; (B, fine width, rows, columns) beside own points.
            landmarks: (B, 21, 7): x, y in crop widths from the crop's centre; confidence 0..1; the 3D guess relative to its
                wrist, metres, axes of the crop; 1 where the point is known, else 0. None: no point is known.
            own: (B, 21, 4), the network's own points (`hamer.models.dense_head.points`).

        Raises:
            ValueError: another shape.
        """
        if landmarks is None:
            landmarks = features.new_zeros(len(features), N_LANDMARKS, N_NUMBERS)
        if tuple(landmarks.shape) != (len(features), N_LANDMARKS, N_NUMBERS):
            raise ValueError(
                f"batch['landmarks'] must have shape ({len(features)}, {N_LANDMARKS}, {N_NUMBERS}), got "
                f"{tuple(landmarks.shape)}"
            )
        landmarks = landmarks.to(features.dtype)
        known = landmarks[..., 6:] > 0
        scale = landmarks.new_tensor([1, 1, 1, GUESS_SCALE, GUESS_SCALE, GUESS_SCALE, 1])
        numbers = landmarks * scale * known
        told = self.numbers(numbers) + self.seen(_at(features, landmarks))
        tokens = torch.where(known, told, self.absent.to(told.dtype)) + self.joint
        if own is not None:
            own = own.to(features.dtype)
            tokens = tokens + self.own_numbers(own) + self.own_seen(_at(features, own))
            numbers = torch.cat([numbers, own], dim=-1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens), self.whole(numbers.flatten(1))


def _at(features: Tensor, points: Tensor) -> Tensor:
    """The features (B, 21, C) at points, whose first two numbers are x and y in crop widths from the crop's centre."""
    return F.grid_sample(features, 2 * points[:, :, None, :2], align_corners=False)[..., 0].transpose(1, 2)
