"""RegNetY (Radosavovic et al. 2020, "Designing Network Design Spaces") and its feature pyramid (Lin et al. 2017).

Letters used in shapes: N pictures, C channels, H and W of the map at hand. Module names are those of the weights file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from hamer.detectors.rcnn.layers import BatchNorm, Conv2d, NormedConv


@dataclass(frozen=True)
class RegNetConfig:
    """Sizes of a RegNetY: the default is RegNetY-4GF as the zoo's detector has it."""

    stem_width: int = 32
    depths: tuple[int, ...] = (2, 6, 12, 2)
    widths: tuple[int, ...] = (128, 192, 512, 1088)
    group_width: int = 64
    squeeze: float = 0.25
    pyramid_width: int = 256


class Stem(nn.Module):
    """3x3 convolution of stride 2, norm, ReLU."""

    folds: ClassVar[dict[str, str]] = {"conv": "bn"}

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = Conv2d(3, width, 3, stride=2, padding=1, bias=False)
        self.bn = BatchNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, width, H / 2, W / 2)."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class SqueezeExcitation(nn.Module):
    """Each channel times a gate in 0..1 that is computed from the means of all (Hu et al. 2018)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.f_ex = nn.Sequential(
            nn.Conv2d(width, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, width, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        # The gate's layers stay float32 in every precision: a mean over 60,000 pixels needs the digits.
        mean = x.mean((2, 3), keepdim=True, dtype=next(self.f_ex.parameters()).dtype)
        return x * self.f_ex(mean).to(x.dtype)


class Bottleneck(nn.Module):
    """The residual branch: 1x1, grouped 3x3 (with the stride), squeeze and excitation, 1x1."""

    folds: ClassVar[dict[str, str]] = {"a": "a_bn", "b": "b_bn", "c": "c_bn"}

    def __init__(self, inputs: int, width: int, stride: int, config: RegNetConfig) -> None:
        super().__init__()
        groups = width // config.group_width
        self.a = Conv2d(inputs, width, 1, bias=False)
        self.a_bn = BatchNorm(width)
        self.b = Conv2d(width, width, 3, stride=stride, padding=1, groups=groups, bias=False)
        self.b_bn = BatchNorm(width)
        self.se = SqueezeExcitation(width, round(config.squeeze * inputs))
        self.c = Conv2d(width, width, 1, bias=False)
        self.c_bn = BatchNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, width, H / stride, W / stride)."""
        x = F.relu(self.a_bn(self.a(x)), inplace=True)
        x = F.relu(self.b_bn(self.b(x)), inplace=True)
        return self.c_bn(self.c(self.se(x)))


class ResidualBlock(nn.Module):
    """ReLU of the branch plus the input, which is projected where its shape changes."""

    folds: ClassVar[dict[str, str]] = {"proj": "bn"}

    def __init__(self, inputs: int, width: int, stride: int, config: RegNetConfig) -> None:
        super().__init__()
        self.changes = inputs != width or stride != 1
        if self.changes:
            self.proj = Conv2d(inputs, width, 1, stride=stride, bias=False)
            self.bn = BatchNorm(width)
        self.f = Bottleneck(inputs, width, stride, config)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, width, H / stride, W / stride)."""
        shortcut = self.bn(self.proj(x)) if self.changes else x
        return F.relu(self.f(x).add_(shortcut), inplace=True)


class Stage(nn.Module):
    """Blocks b1, b2, ... of one width; the first halves the map."""

    def __init__(self, inputs: int, width: int, depth: int, config: RegNetConfig) -> None:
        super().__init__()
        for index in range(depth):
            block = ResidualBlock(inputs if index == 0 else width, width, 2 if index == 0 else 1, config)
            self.add_module(f"b{index + 1}", block)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, width, H / 2, W / 2)."""
        for block in self.children():
            x = block(x)
        return x


class RegNet(nn.Module):
    """Stem and stages s1, s2, ...; `forward` yields each stage's map, of strides 4, 8, 16, 32."""

    def __init__(self, config: RegNetConfig) -> None:
        super().__init__()
        self.stem = Stem(config.stem_width)
        inputs = config.stem_width
        self._stages = [f"s{index + 1}" for index in range(len(config.widths))]
        for name, width, depth in zip(self._stages, config.widths, config.depths, strict=True):
            self.add_module(name, Stage(inputs, width, depth, config))
            inputs = width

    def forward(self, x: Tensor) -> Iterator[Tensor]:
        """(N, 3, H, W) to maps (N, width, H / stride, W / stride)."""
        x = self.stem(x)
        for name in self._stages:
            x = getattr(self, name)(x)
            yield x


class RegNetPyramid(nn.Module):
    """RegNetY below, a feature pyramid of one width above: p2 to p6, strides 4 to 64."""

    def __init__(self, config: RegNetConfig) -> None:
        super().__init__()
        self.bottom_up = RegNet(config)
        self._levels = [index + 2 for index in range(len(config.widths))]
        for level, width in zip(self._levels, config.widths, strict=True):
            self.add_module(f"fpn_lateral{level}", NormedConv(width, config.pyramid_width, 1, BatchNorm))
            self.add_module(f"fpn_output{level}", NormedConv(config.pyramid_width, config.pyramid_width, 3, BatchNorm))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps p2 to p6, (N, pyramid_width, H / stride, W / stride); H and W of `x` (N, 3, H, W) are multiples of 32."""
        maps = list(self.bottom_up(x))
        merged = None
        pyramid: list[Tensor] = []
        for level in reversed(self._levels):
            lateral = getattr(self, f"fpn_lateral{level}")(maps.pop())
            # the result may be a map that is still needed: no sum in place
            merged = lateral if merged is None else lateral + F.interpolate(merged, scale_factor=2.0, mode="nearest")
            pyramid.insert(0, getattr(self, f"fpn_output{level}")(merged))
        return [*pyramid, pyramid[-1][:, :, ::2, ::2]]  # p6: every second pixel of p5
