"""A convolutional stem: picture to tokens by halving it step by step, for backbones that learn from few pictures.

Xiao et al., "Early Convolutions Help Transformers See Better" (2021), with a residual block (He et al., 2016) at the
scales between the first and the last, where a kilobyte of weights sees most of the picture.
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
    """

    def __init__(self, widths: Sequence[int], width: int) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        before = 3
        for number, channels in enumerate(widths):
            stage = [_convolution(before, channels, stride=2), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            if 0 < number < len(widths) - 1:
                stage.append(ResidualBlock(channels))
            stages.append(nn.Sequential(*stage))
            before = channels
        self.stages = nn.Sequential(*stages)
        self.proj = nn.Conv2d(before, width, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, height, width) to (B, N, C), row by row, as `PatchEmbed`."""
        return self.proj(self.stages(image)).flatten(2).transpose(1, 2)


def _convolution(before: int, after: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel_size=3, stride=stride, padding=1, bias=False)
