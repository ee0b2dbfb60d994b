"""The backbone: a plain vision transformer (Dosovitskiy et al. 2021) in the form that ViTPose pre-trains (Xu et al.
2022).

Letters: B hands, N tokens (192), C channels (1280), H heads. Tensor names are those of the original's checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from hamer.models.config import ViTConfig
from hamer.models.landmark_stem import LandmarkStem
from hamer.models.stem import ConvolutionalStem

_EPS = 1e-6


class Attention(nn.Module):
    """Multi-head self-attention; queries, keys and values come from one product."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C)."""
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # (B, N, 3, H, C / H)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, H, N, C / H) each
        mixed = _attended(q, k, v)
        return self.proj(mixed.transpose(1, 2).flatten(2))


def _attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scaled dot-product attention of (B, H, N, C / H) each.

    torch's backward pass of it in bfloat16 takes a processor three to five times as long as in float32.
    """
    if q.dtype is torch.bfloat16 and q.device.type == "cpu" and q.requires_grad:
        with torch.autocast("cpu", enabled=False):
            return F.scaled_dot_product_attention(q.float(), k.float(), v.float()).to(q.dtype)
    return F.scaled_dot_product_attention(q, k, v)


class MLP(nn.Module):
    """Two layers with an exact GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., C)."""
        return self.fc2(F.gelu(self.fc1(x)))


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): in training, a hand skips the branch with probability `rate`."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C); the expected value is unchanged."""
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        mask = x.new_empty(x.shape[0], 1, 1).bernoulli_(keep)
        return x * mask / keep


class Block(nn.Module):
    """Attention and MLP, each normalised before and added to what came in.

    The sum stays in the precision of `x`; the branches may compute in a lower one (`hamer.models.precision`).
    """

    def __init__(self, config: ViTConfig, drop_path_rate: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=_EPS)
        self.attn = Attention(config.width, config.heads)
        self.norm2 = nn.LayerNorm(config.width, eps=_EPS)
        self.mlp = MLP(config.width, int(config.width * config.mlp_ratio))
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C)."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """A picture cut into patches, each mapped to a token."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch_size, config.patch_size, padding=config.patch_padding)

    def forward(self, image: Tensor, stages: list[Tensor] | None = None) -> Tensor:
        """(B, 3, height, width) to (B, N, C), row by row; there are no stages before."""
        del stages
        return self.proj(image).flatten(2).transpose(1, 2)


class ViT(nn.Module):
    """Picture to feature map; see `ViTConfig` for its sizes."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        rows, columns = config.grid
        self.patch_embed = _patch_embed(config)
        self.pos_embed = nn.Parameter(torch.zeros(1, rows * columns + 1, config.width))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        rates = [config.drop_path_rate * i / max(config.depth - 1, 1) for i in range(config.depth)]
        self.blocks = nn.ModuleList(Block(config, rate) for rate in rates)
        self.last_norm = nn.LayerNorm(config.width, eps=_EPS)

    def forward(self, image: Tensor, stages: list[Tensor] | None = None) -> Tensor:
        """Feature map of normalised pictures.

        Args:
            image: (B, 3, 256, 192).
            stages: a list to which a convolutional stem's maps are appended, the finest first.

        Returns:
            (B, C, 16, 12).

        Raises:
            ValueError: pictures of another size.
        """
        if image.ndim != 4 or tuple(image.shape[-2:]) != self.config.image_size:
            height, width = self.config.image_size
            raise ValueError(f"image must have shape (B, 3, {height}, {width}), got {tuple(image.shape)}")
        # The first position is that of a class token, which is not there any more: its embedding is added to every
        # token.
        x = self.patch_embed(image, stages) + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        for block in self.blocks:
            if self.config.gradient_checkpointing and self.training and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return self.last_norm(x).transpose(1, 2).unflatten(-1, self.config.grid)


def _patch_embed(config: ViTConfig) -> PatchEmbed | ConvolutionalStem | LandmarkStem:
    if config.stem is None:
        return PatchEmbed(config)
    if config.trunk is not None:
        return LandmarkStem(config.stem, config.width)
    return ConvolutionalStem(config.stem, config.width, config.stem_blocks)
