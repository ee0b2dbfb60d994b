"""A convolutional stem: picture to tokens by halving it step by step, for backbones that learn from few pictures.

Xiao et al., "Early Convolutions Help Transformers See Better" (2021), with residual blocks (He et al., 2016), which see
most of the picture for few weights.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _convolution(width, width), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = _convolution(width, width), nn.BatchNorm2d(width)
        self.activation = nn.ReLU(inplace=True)
        nn.init.zeros_(self.norm2.weight)  # a block begins as the identity (Goyal et al., 2017)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same shape."""
        inner = self.activation(self.norm1(self.conv1(x)))
        return self.activation(x + self.norm2(self.conv2(inner)))


class ConvolutionalStem(nn.Module):
    """Stages that halve the picture, and a projection to the transformer's width.

    Args:
        widths: channels of each stage; len(widths) halvings.
        width: channels of the tokens.
        blocks: residual blocks of each stage; None: one in each but the first and the last.
    """

    def __init__(self, widths: Sequence[int], width: int, blocks: Sequence[int] | None = None) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        before = 3
        for number, channels in enumerate(widths):
            stage = [_convolution(before, channels, stride=2), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            among = int(0 < number < len(widths) - 1) if blocks is None else blocks[number]
            stage += [ResidualBlock(channels) for _ in range(among)]
            stages.append(nn.Sequential(*stage))
            before = channels
        self.stages = nn.Sequential(*stages)
        self.proj = nn.Conv2d(before, width, kernel_size=1)

    def forward(self, image: Tensor, stages: list[Tensor] | None = None) -> Tensor:
        """(B, 3, height, width) to (B, N, C), row by row, as `PatchEmbed`; each stage's map is appended to `stages`."""
        x = image
        for stage in self.stages:
            x = stage(x)
            if stages is not None:
                stages.append(x)
        return self.proj(x).flatten(2).transpose(1, 2)


def _convolution(before: int, after: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel_size=3, stride=stride, padding=1, bias=False)
