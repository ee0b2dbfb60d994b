"""ViTDet's backbone: a plain vision transformer whose last map becomes a feature pyramid (Li et al. 2022, "Exploring
Plain Vision Transformer Backbones for Object Detection").

Most blocks attend within windows, a few over the whole picture. Letters: N pictures, S, T rows and columns of tokens (64
of 16 px), C channels (1280), P side of a window (14), W windows of all pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hamer.detectors.rcnn.layers import ChannelNorm, Conv2d, ConvTranspose2d, Linear, NormedConv
from hamer.detectors.rcnn.relative_attention import attend

_EPS = 1e-6
_PYRAMID_CHANNELS = 256


@dataclass(frozen=True)
class ViTDetConfig:
    """Sizes of the backbone; the defaults are ViTDet-H.

    Args:
        width, depth, heads: of the transformer.
        image_size: side of the padded square that the network gets, px.
        global_blocks: blocks that attend over the whole picture.
        window: side of the windows of the others, tokens.
        patch_size: px of a token.
        pretrained_grid: side of the grid of stored position embeddings.
    """

    width: int = 1280
    depth: int = 32
    heads: int = 16
    image_size: int = 1024
    global_blocks: tuple[int, ...] = (7, 15, 23, 31)
    window: int = 14
    patch_size: int = 16
    pretrained_grid: int = 14

    @property
    def grid(self) -> int:
        """Tokens along a side."""
        return self.image_size // self.patch_size

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> ViTDetConfig:
        """The sizes that a file's tensors tell: ViTDet-B and -L differ from -H in these alone.

        The defaults where the tensors tell of no such network: comparing them then says what is wrong.
        """
        tables = [v for n, v in sorted(tensors.items(), key=_block) if n.endswith(".attn.rel_pos_h") and v.ndim == 2]
        positions, patches = (tensors.get(f"backbone.net.{n}") for n in ("pos_embed", "patch_embed.proj.weight"))
        if not tables or positions is None or patches is None or positions.ndim != 3 or patches.ndim != 4:
            return cls()
        width, head = positions.shape[-1], tables[0].shape[1]
        everywhere = [index for index, table in enumerate(tables) if len(table) != 2 * cls.window - 1]
        if not everywhere or not head or width % head:
            return cls()
        return cls(
            width,
            len(tables),
            width // head,
            image_size=(len(tables[everywhere[0]]) + 1) // 2 * patches.shape[-1],
            global_blocks=tuple(everywhere),
            patch_size=patches.shape[-1],
            pretrained_grid=round((positions.shape[1] - 1) ** 0.5),
        )


def _block(item: tuple[str, Tensor]) -> tuple[int, str]:
    """Order of blocks by number, for names such as backbone.net.blocks.10.attn.rel_pos_h."""
    name = item[0]
    numbers = [int(part) for part in name.split(".") if part.isdecimal()]
    return (numbers[0] if numbers else -1, name)


class Attention(nn.Module):
    """Multi-head attention with relative positions, over a grid of `size` tokens a side."""

    def __init__(self, config: ViTDetConfig, size: int) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = Linear(config.width, 3 * config.width)
        self.proj = Linear(config.width, config.width)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * size - 1, config.width // config.heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * size - 1, config.width // config.heads))

    def mix(self, qkv: Tensor) -> Tensor:
        """Queries, keys and values (W, S, T, 3 C) to mixed values (W, S, T, C), not projected yet."""
        windows, rows, columns = qkv.shape[:3]
        split = qkv.view(windows, rows * columns, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (3, W, heads, S T, D)
        q, k, v = split.flatten(1, 2)
        mixed = attend(q, k, v, self.rel_pos_h, self.rel_pos_w, (rows, columns))
        return mixed.unflatten(0, (windows, self.heads)).transpose(1, 2).reshape(windows, rows, columns, -1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, S, T, C) to the same, every token with every other."""
        return self.proj(self.mix(self.qkv(x)))

    def windowed(self, x: Tensor, window: int) -> Tensor:
        """(N, S, T, C) to the same, within windows of `window` tokens a side.

        The original pads the tokens with zeros to whole windows and lets the padding be attended to. A zero's queries,
        keys and values are the bias, so we pad with that, after the product, and project only what stays.
        """
        padded = pad_to_windows(self.qkv(x), window, self.qkv.bias)
        mixed = join_windows(self.mix(split_windows(padded, window)), padded.shape[1:3])
        # contiguous: torch multiplies a view of this kind row by row, with a copy of the weights for each
        return self.proj(mixed[:, : x.shape[1], : x.shape[2]].contiguous())


def pad_to_windows(x: Tensor, window: int, value: Tensor | float = 0.0) -> Tensor:
    """(N, S, T, C) with rows and columns of `value` at the bottom and right, up to whole windows."""
    pictures, rows, columns, channels = x.shape
    padded_rows, padded_columns = (-(-size // window) * window for size in (rows, columns))
    if (padded_rows, padded_columns) == (rows, columns):
        return x
    result = x.new_empty(pictures, padded_rows, padded_columns, channels)
    result[:, :rows, :columns] = x
    result[:, rows:] = value
    result[:, :rows, columns:] = value
    return result


def split_windows(x: Tensor, window: int) -> Tensor:
    """(N, S, T, C) of whole windows to (W, P, P, C), row by row."""
    grid = x.unflatten(1, (-1, window)).unflatten(3, (-1, window))  # (N, rows, P, columns, P, C)
    return grid.transpose(2, 3).flatten(0, 2)


def join_windows(x: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """(W, P, P, C) to (N, S, T, C), `size` S and T: the reverse of `split_windows`."""
    window = x.shape[1]
    grid = x.unflatten(0, (-1, size[0] // window, size[1] // window))
    return grid.transpose(2, 3).flatten(3, 4).flatten(1, 2)


class MLP(nn.Module):
    """Two layers with an exact GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(width, hidden)
        self.fc2 = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., C)."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Attention and MLP, each normalised before and added to what came in; the sum stays float32."""

    def __init__(self, config: ViTDetConfig, index: int) -> None:
        super().__init__()
        self.window = 0 if index in config.global_blocks else config.window
        self.norm1 = nn.LayerNorm(config.width, eps=_EPS)
        self.attn = Attention(config, self.window or config.grid)
        self.norm2 = nn.LayerNorm(config.width, eps=_EPS)
        self.mlp = MLP(config.width, 4 * config.width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, S, T, C) to the same."""
        normed = self.norm1(x)
        x = x + (self.attn.windowed(normed, self.window) if self.window else self.attn(normed))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """A picture cut into patches, each mapped to a token."""

    def __init__(self, config: ViTDetConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch_size, config.patch_size)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, S, T, C)."""
        return self.proj(pictures).permute(0, 2, 3, 1).contiguous()


class PlainViT(nn.Module):
    """Pictures to one map of tokens; no token for the class, no norm at the end."""

    def __init__(self, config: ViTDetConfig) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(config)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.pretrained_grid**2 + 1, config.width))
        self.blocks = nn.ModuleList(Block(config, index) for index in range(config.depth))

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, S, T, C)."""
        x = self.patch_embed(pictures)
        x = x + grid_positions(self.pos_embed, x.shape[1:3])
        for block in self.blocks:
            x = block(x)
        return x


def grid_positions(embedding: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Stored position embeddings (1, 1 + G G, C), the class token's first, for a grid of `size` S, T: (1, S, T, C)."""
    side = round((embedding.shape[1] - 1) ** 0.5)
    square = embedding[:, 1:].unflatten(1, (side, side))
    if tuple(size) == (side, side):
        return square
    resized = F.interpolate(square.permute(0, 3, 1, 2), size=tuple(size), mode="bicubic", align_corners=False)
    return resized.permute(0, 2, 3, 1)


class SimpleFeaturePyramid(nn.Module):
    """The transformer and the pyramid: every level is made from the last map alone (Li et al. 2022, section 3)."""

    def __init__(self, config: ViTDetConfig) -> None:
        super().__init__()
        width = config.width
        self.net = PlainViT(config)
        self.simfp_2 = nn.Sequential(
            ConvTranspose2d(width, width // 2, 2, stride=2),
            ChannelNorm(width // 2),
            nn.GELU(),
            ConvTranspose2d(width // 2, width // 4, 2, stride=2),
            *_outputs(width // 4),
        )
        self.simfp_3 = nn.Sequential(ConvTranspose2d(width, width // 2, 2, stride=2), *_outputs(width // 2))
        self.simfp_4 = nn.Sequential(*_outputs(width))
        self.simfp_5 = nn.Sequential(nn.MaxPool2d(2), *_outputs(width))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Pictures (N, 3, H, W) to maps (N, 256, H / s, W / s) of p2 to p6, strides s of 4, 8, 16, 32, 64."""
        return self.pyramid(self.net(pictures))

    def pyramid(self, tokens: Tensor) -> list[Tensor]:
        """Tokens (N, S, T, C) to the maps p2 to p6, float32, channels last in memory."""
        last = tokens.permute(0, 3, 1, 2)
        levels = [stage(last) for stage in (self.simfp_2, self.simfp_3, self.simfp_4, self.simfp_5)]
        return [*levels, levels[-1][:, :, ::2, ::2]]


def _outputs(inputs: int) -> tuple[Conv2d, Conv2d]:
    """The two convolutions that end every level."""
    return (
        NormedConv(inputs, _PYRAMID_CHANNELS, 1, ChannelNorm),
        NormedConv(_PYRAMID_CHANNELS, _PYRAMID_CHANNELS, 3, ChannelNorm),
    )
