"""The head's transformer: a single query token that looks at the feature map, layer by layer.

Letters: B hands, Q query tokens (1), N context tokens (192), C context channels, H heads, D channels a head. Tensor
    names are
those of the original's checkpoints. Two identities make it cheap without changing a result beyond rounding:

* attention of one token to itself is its value (softmax over one entry is 1);
* with few queries, scores q (W_k c) = (W_k^T q) c and sums over W_v c = W_v (sum over c): the 192 context tokens are
  never projected, which for HaMeR is 48 times less arithmetic in the cross-attention.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hamer.models.config import DecoderConfig


class SelfAttention(nn.Module):
    """Attention among the query tokens."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        inner = config.heads * config.dim_head
        self.heads = config.heads
        self.dropout = config.dropout
        self.to_qkv = nn.Linear(config.width, 3 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, config.width), nn.Dropout(config.dropout))

    def forward(self, x: Tensor) -> Tensor:
        """(B, Q, width) to (B, Q, width)."""
        dropout = self.dropout if self.training else 0.0
        if x.shape[1] == 1 and dropout == 0.0:
            value_rows = self.to_qkv.weight.chunk(3)[2]
            return self.to_out(F.linear(x, value_rows))
        q, k, v = self.to_qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        return self.to_out(mixed.transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    """Attention of the query tokens to the context."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        inner = config.heads * config.dim_head
        self.heads = config.heads
        self.dropout = config.dropout
        self.to_kv = nn.Linear(config.context_dim, 2 * inner, bias=False)
        self.to_q = nn.Linear(config.width, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, config.width), nn.Dropout(config.dropout))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, Q, width) and the context (B, N, C) to (B, Q, width)."""
        key_rows, value_rows = self.to_kv.weight.unflatten(0, (2, self.heads, -1))  # (H, D, C) each
        q = self.to_q(x).unflatten(-1, (self.heads, -1))  # (B, Q, H, D)
        seen_as = torch.einsum("bqhd,hdc->bhqc", q, key_rows).flatten(1, 2)  # (B, H * Q, C)
        scores = seen_as @ context.transpose(1, 2) * q.shape[-1] ** -0.5
        weights = F.dropout(scores.softmax(-1), self.dropout, self.training)
        gathered = (weights @ context).unflatten(1, (self.heads, -1))  # (B, H, Q, C)
        return self.to_out(torch.einsum("bhqc,hdc->bqhd", gathered, value_rows).flatten(2))


class FeedForward(nn.Module):
    """Two layers with an exact GELU between."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(config.width, config.mlp_dim),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.mlp_dim, config.width),
            nn.Dropout(config.dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to (..., width)."""
        return self.net(x)


class PreNorm(nn.Module):
    """A layer that sees its input normalised."""

    def __init__(self, width: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fn = fn

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        """fn(norm(x), *context)."""
        return self.fn(self.norm(x), *context)


class CrossAttentionLayers(nn.Module):
    """`depth` times: self-attention, cross-attention, feed-forward, each added to what came in."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList(
                PreNorm(config.width, part)
                for part in (SelfAttention(config), CrossAttention(config), FeedForward(config))
            )
            for _ in range(config.depth)
        )

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, Q, width) and the context (B, N, C) to (B, Q, width)."""
        for layer in self.layers:
            self_attention, cross_attention, feed_forward = layer.children()
            x = x + self_attention(x)
            x = x + cross_attention(x, context)
            x = x + feed_forward(x)
        return x


class TransformerDecoder(nn.Module):
    """Token embedding, position and layers around a fixed input: a token holding the number zero.

    Its embedding is therefore the bias alone, and `to_token_embedding.weight` never learns; it is there for the
    checkpoints.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.to_token_embedding = nn.Linear(1, config.width)
        self.pos_embedding = nn.Parameter(torch.randn(1, 1, config.width))
        self.dropout = nn.Dropout(config.emb_dropout)
        self.transformer = CrossAttentionLayers(config)

    def forward(self, context: Tensor, start: Tensor | None = None) -> Tensor:
        """The query token (B, width), to which `start` (B, width) is added, after looking at the context (B, N, C)."""
        zero = context.new_zeros(context.shape[0], 1, 1)
        token = self.dropout(self.to_token_embedding(zero)) + self.pos_embedding
        if start is not None:
            token = token + start[:, None]
        return self.transformer(token, context).squeeze(1)
