"""The arithmetic of the backbone: plain float32, bfloat16, or int8 with scales found as it runs.

Only the linear layers of the blocks change, where 97 % of the work is; normalisation, the sum that runs through the
blocks, the head and the hand stay float32. `benchmarks/network_precision.py` measures speed and the deviation in
millimetres.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hamer.models.vit import ViT

Precision = Literal["auto", "float32", "bfloat16", "float16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16", "int8")


class WithBackbone(Protocol):
    """A network whose work is done by a ViT: HaMeR's, ViTPose's."""

    backbone: ViT


Network = TypeVar("Network", bound=WithBackbone)


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
    # Rows a product: their 32-bit sums then stay in the cache while they are scaled, which else takes as long as the
    # product.
    rows_at_once = 256

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
        result = rows.new_empty(len(rows), len(self.scale))
        for part, out in zip(rows.split(self.rows_at_once), result.split(self.rows_at_once), strict=True):
            step = part.abs().amax(dim=1, keepdim=True).clamp_min_(1e-12).div_(127)
            product = torch._int_mm((part / step).round_().to(torch.int8), self.weight)
            torch.mul(product, step, out=out).mul_(self.scale)
            if self.bias is not None:
                out += self.bias
        return result.unflatten(0, x.shape[:-1])


def is_lowered(name: str) -> bool:
    """Whether `set_precision` rounds the tensor called `name` in HAMER's state dict."""
    return name.startswith("backbone.blocks.") and (".attn." in name or ".mlp." in name)


def set_precision(model: Network, precision: Precision) -> Network:
    """Change the arithmetic of `model`'s backbone, in place, for inference; float32 leaves it as it is.

    Each layer's float32 numbers are released as it is replaced, so that memory only shrinks.

    Args:
        model: its weights must be float32, or already rounded to `precision`.
        precision: "auto" asks `recommended_precision` for the backbone's device.

    Raises:
        ValueError: an unknown precision, or int8 where this torch has no product for it.
    """
    if precision == "auto":
        precision = recommended_precision(model.backbone.pos_embed.device)
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of auto, {', '.join(PRECISIONS)}, got {precision!r}")
    if precision == "float32":
        return model
    if precision == "int8":
        _require_int8()
    for block in model.backbone.blocks:
        for parent, name in ((block.attn, "qkv"), (block.attn, "proj"), (block.mlp, "fc1"), (block.mlp, "fc2")):
            layer = getattr(parent, name)
            low = Int8Linear(layer) if precision == "int8" else LowPrecisionLinear.of(layer, getattr(torch, precision))
            setattr(parent, name, low)
    return model


def recommended_precision(device: str | torch.device) -> Precision:
    """bfloat16 where `device` multiplies it in hardware, else float32.

    float16 is as exact as needed on GPUs before Ampere, and slow on every CPU; int8 is fastest on CPUs with VNNI, and
    trained networks may lose more in it than made-up weights do: both are for callers who have looked at their results.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if device.type != "cpu":
        return "float32"
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return "bfloat16" if any(check is not None and check() for check in checks) else "float32"


def _require_int8() -> None:
    try:
        torch._int_mm(torch.zeros(32, 32, dtype=torch.int8), torch.zeros(32, 32, dtype=torch.int8))
    except (AttributeError, NotImplementedError, RuntimeError) as error:
        raise ValueError(
            f"precision 'int8' needs a torch whose _int_mm runs on this processor, got torch {torch.__version__} ({error}); "
            "take 'bfloat16'"
        ) from error
