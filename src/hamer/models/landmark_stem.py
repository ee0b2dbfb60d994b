"""A stem that has seen photos: the convolutions of a published hand landmark model, before a transformer of our own.

Made pictures look unlike photos, and a network that learned from nothing else reads photos half as well as made ones. The
landmark model of MediaPipe Hands (Zhang et al. 2020, arXiv:2006.10214; Apache-2.0) learned from photos of hands. Its
convolutions (an EfficientNet-Lite: Tan and Le, 2019, of inverted residuals: Sandler et al., 2018) stay as they are; what is
learned on made pictures reads their maps.

Letters: B hands, N tokens, C channels, R rows and columns of a map, S px of a crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hamer.checkpoints.litert_files import convolutions
from hamer.checkpoints.weights import check_fit, read_weights
from hamer.errors import WeightsError
from hamer.models.config import IMAGE_MEAN, IMAGE_STD
from hamer.models.devices import no_autocast
from hamer.models.stem import ResidualBlock

#: A crop of 128 px shows a hand of 80 px, the landmark model knows hands of 110 to 130 px: crops are enlarged so many times.
#: 1.5 would be nearer, and takes 1.4 times as long.
ZOOM = 1.25
_FIRST = 24
#: Crops that go through the trunk together on a processor: the maps of more do not fit its caches (1.6 times as fast as 32).
_AT_ONCE = 8


@dataclass(frozen=True)
class InvertedResidual:
    """One block of the trunk: 1 x 1 to `hidden` channels, depthwise `kernel` x `kernel`, 1 x 1 to `width`."""

    kernel: int
    stride: int
    width: int
    hidden: int


TRUNK = (
    InvertedResidual(3, 1, 16, 24),
    InvertedResidual(3, 2, 24, 64),
    InvertedResidual(3, 1, 24, 144),
    InvertedResidual(5, 2, 40, 144),
    InvertedResidual(5, 1, 40, 240),
    InvertedResidual(3, 2, 80, 240),
    InvertedResidual(3, 1, 80, 480),
    InvertedResidual(3, 1, 80, 480),
    InvertedResidual(5, 1, 112, 480),
    InvertedResidual(5, 1, 112, 672),
    InvertedResidual(5, 1, 112, 672),
    InvertedResidual(5, 2, 192, 672),
    InvertedResidual(5, 1, 192, 1152),
    InvertedResidual(5, 1, 192, 1152),
    InvertedResidual(5, 1, 192, 1152),
)
#: Channels of the trunk's maps at 1/4, 1/8, 1/16 and 1/32 of its picture.
TRUNK_MAPS = (24, 40, 112, 192)
IN_NETWORK = "backbone.patch_embed.trunk."
"""How names of the trunk's tensors begin in a network's file."""


class LandmarkStem(nn.Module):
    """Picture to tokens through the frozen trunk, with the interface of `hamer.models.stem.ConvolutionalStem`.

    Args:
        widths: channels of the three maps that are made of the trunk's, at 1/4, 1/8 and 1/16 of the crop.
        width: channels of the tokens.
    """

    def __init__(self, widths: Sequence[int], width: int) -> None:
        super().__init__()
        self.trunk = Trunk().requires_grad_(False)
        before = (TRUNK_MAPS[0], TRUNK_MAPS[1], TRUNK_MAPS[2] + TRUNK_MAPS[3])
        self.stages = nn.ModuleList(_reading(b, w) for b, w in zip(before, widths, strict=True))
        self.proj = nn.Conv2d(widths[-1], width, kernel_size=1)

    def forward(self, image: Tensor, stages: list[Tensor] | None = None) -> Tensor:
        """(B, 3, S, S) to (B, N, C), row by row; each stage's map is appended to `stages`, the finest first."""
        # In training a frozen trunk may run in the run's half precision: twice as fast, maps are off by 3 to 5 % of their spread.
        precision = nullcontext() if self.training else no_autocast(image.device)
        with torch.no_grad(), precision:
            maps = self._maps(image.to(self.trunk.first.weight.dtype))
        for stage, map_ in zip(self.stages, maps, strict=True):
            x = stage(map_)
            if stages is not None:
                stages.append(x)
        return self.proj(x).flatten(2).transpose(1, 2)

    def _maps(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of crops (B, 3, S, S) the trunk's maps, brought to S / 4, S / 8 and S / 16 rows; the last holds the two coarsest."""
        mean, std = (image.new_tensor(v).reshape(1, 3, 1, 1) for v in (IMAGE_MEAN, IMAGE_STD))
        picture = image * std + mean  # 0 to 1, as the trunk knows pictures
        picture = F.interpolate(picture, scale_factor=ZOOM, mode="bilinear", align_corners=False)
        picture = picture.contiguous(memory_format=torch.channels_last)  # a processor is a quarter quicker so
        groups = picture.split(_AT_ONCE if image.device.type == "cpu" else len(picture))
        maps = [torch.cat(parts) for parts in zip(*(self.trunk(group) for group in groups), strict=True)]
        side = image.shape[-1]
        fine, middle, coarse, coarsest = (_resized(m, side // n) for m, n in zip(maps, (4, 8, 16, 16), strict=True))
        return fine, middle, torch.cat([coarse, coarsest], dim=1)


class Trunk(nn.Module):
    """The landmark model's convolutions: pictures (B, 3, S, S), RGB from 0 to 1, to maps of `TRUNK_MAPS` channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = SameConvolution(3, _FIRST, 3, stride=2)
        widths = [_FIRST, *(block.width for block in TRUNK)]
        self.blocks = nn.ModuleList(TrunkBlock(before, block) for before, block in zip(widths, TRUNK, strict=False))

    def forward(self, picture: Tensor) -> list[Tensor]:
        """The last map of each resolution but the finest."""
        x = F.relu6(self.first(picture), inplace=True)
        maps = []
        for block, shape in zip(self.blocks, TRUNK, strict=True):
            if shape.stride == 2:
                maps.append(x)
            x = block(x)
        return [*maps[1:], x]

    def load(self, path: str | Path) -> None:
        """Take the published weights, of the landmark model's own file or of a network that has this trunk.

        Args:
            path: `hamer.assets.landmark_models().landmark` (.tflite), or a network's file.

        Raises:
            WeightsError: another model.
        """
        if Path(path).suffix != ".tflite":
            tensors = read_weights(path).tensors
            own = {n.removeprefix(IN_NETWORK): v for n, v in tensors.items() if n.startswith(IN_NETWORK)}
            check_fit(self.state_dict(), own, source=str(path), advice="It must be a network with this trunk")
            self.load_state_dict(own)
            return
        layers = [module for module in self.modules() if isinstance(module, SameConvolution)]
        found = convolutions(path)[:-2]  # the last two lead to the landmark model's own answers
        shapes = [tuple(weight.shape) for weight, _ in found]
        if shapes != [tuple(layer.weight.shape) for layer in layers]:
            raise WeightsError(
                f"{path} must be MediaPipe's hand_landmark_full.tflite, another file has other "
                f"convolutions, the first ones here {shapes[:3]}. Get it with: hamer fetch hand_landmarker"
            )
        with torch.no_grad():
            for layer, (weight, bias) in zip(layers, found, strict=True):
                layer.weight.copy_(torch.from_numpy(weight))
                layer.bias.copy_(torch.from_numpy(bias))


class TrunkBlock(nn.Module):
    """See `InvertedResidual`; what came in is added where shapes allow it."""

    def __init__(self, before: int, shape: InvertedResidual) -> None:
        super().__init__()
        self.is_residual = shape.stride == 1 and before == shape.width
        self.expand = SameConvolution(before, shape.hidden, 1) if shape.hidden != before else None
        self.depthwise = SameConvolution(
            shape.hidden, shape.hidden, shape.kernel, stride=shape.stride, groups=shape.hidden
        )
        self.project = SameConvolution(shape.hidden, shape.width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, R, R) to (B, width, R / stride, R / stride)."""
        inner = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        inner = self.project(F.relu6(self.depthwise(inner), inplace=True))
        return x + inner if self.is_residual else inner


class SameConvolution(nn.Conv2d):
    """A convolution with TensorFlow's padding, which with stride 2 puts less before an even picture than behind it."""

    bias: nn.Parameter

    def __init__(self, before: int, after: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(before, after, kernel, stride, padding=kernel // 2 if stride == 1 else 0, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, R, R) to (B, after, ceil(R / stride), ceil(R / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            more = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in (x.shape[-1], x.shape[-2]))
            x = F.pad(x, [part for n in more for part in (n // 2, n - n // 2)])
        return super().forward(x)


def _reading(before: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, width, kernel_size=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        ResidualBlock(width),
    )


def _resized(map_: Tensor, rows: int) -> Tensor:
    """(B, C, R, R) to (B, C, rows, rows); as products, since older versions of torch cannot do it on Apple's GPUs.

    Cells are taken to cover the picture evenly. TensorFlow's padding shifts those of coarse maps by up to half a cell, always
    alike: the layers above learn it.
    """
    weights = map_.new_tensor(_resizing(map_.shape[-1], rows))
    return weights @ map_ @ weights.T


@lru_cache
def _resizing(before: int, after: int) -> list[list[float]]:
    """The matrix (after, before) of bilinear resizing, smoothed where it makes smaller: triangles as wide as a cell of either."""
    scale = before / after
    at = (np.arange(after)[:, None] + 0.5) * scale - 0.5
    weights = np.maximum(1 - np.abs(np.arange(before) - at) / max(scale, 1.0), 0)
    rows: list[list[float]] = (weights / weights.sum(1, keepdims=True)).tolist()
    return rows
