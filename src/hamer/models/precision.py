"""The arithmetic of the backbone: plain float32, bfloat16, or int8 with scales found as it runs.

Only the linear layers of the blocks change, where 97 % of the work is; normalisation, the sum that runs through the
blocks, the head and the hand stay float32. `benchmarks/network_precision.py` measures speed and the deviation in
millimetres.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from hamer.models.hamer import HAMER

Precision = Literal["float32", "bfloat16", "float16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16", "int8")


class LowPrecisionLinear(nn.Linear):
    """A linear layer in the dtype of its weight, whatever comes in."""

    @classmethod
    def of(cls, layer: nn.Linear, dtype: torch.dtype) -> LowPrecisionLinear:
        """`layer` with its numbers rounded to `dtype`."""
        low = cls(layer.in_features, layer.out_features, layer.bias is not None, device="meta", dtype=dtype)
        low.weight = nn.Parameter(layer.weight.detach().to(dtype), requires_grad=False)
        if layer.bias is not None:
            low.bias = nn.Parameter(layer.bias.detach().to(dtype), requires_grad=False)
        return low

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out) in the layer's dtype."""
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)


class Int8Linear(nn.Module):
    """A linear layer whose product runs on 8-bit integers; one scale per output channel, one per token as it comes."""

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach().float()
        scale = weight.abs().amax(dim=1).clamp_min(1e-12) / 127
        self.register_buffer("weight", (weight / scale[:, None]).round_().to(torch.int8).t().contiguous())  # (in, out)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().float())

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out), float32."""
        rows = x.reshape(-1, x.shape[-1]).float()
        step = rows.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
        product = torch._int_mm((rows / step).round_().to(torch.int8), self.weight)
        result = product * step * self.scale
        if self.bias is not None:
            result = result + self.bias
        return result.unflatten(0, x.shape[:-1])


def is_lowered(name: str) -> bool:
    """Whether `set_precision` rounds the tensor called `name` in HAMER's state dict."""
    return name.startswith("backbone.blocks.") and (".attn." in name or ".mlp." in name)


def set_precision(model: HAMER, precision: Precision) -> HAMER:
    """Change the arithmetic of `model`'s backbone, in place, for inference; float32 leaves it as it is.

    Each layer's float32 numbers are released as it is replaced, so that memory only shrinks.

    Raises:
        ValueError: an unknown precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision == "float32":
        return model
    for block in model.backbone.blocks:
        for parent, name in ((block.attn, "qkv"), (block.attn, "proj"), (block.mlp, "fc1"), (block.mlp, "fc2")):
            layer = getattr(parent, name)
            low = Int8Linear(layer) if precision == "int8" else LowPrecisionLinear.of(layer, getattr(torch, precision))
            setattr(parent, name, low)
    return model
