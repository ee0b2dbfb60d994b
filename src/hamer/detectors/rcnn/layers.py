"""Convolution and normalisation as the two-stage detectors join them, and how a batch norm melts into its convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BatchNorm(nn.Module):
    """Batch normalisation with the statistics of training, (N, C, H, W); names as `nn.BatchNorm2d` has them."""

    running_mean: Tensor
    running_var: Tensor
    eps = 1e-5

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


class ChannelNorm(nn.Module):
    """Normalisation over the channels at each pixel, (N, C, H, W)."""

    eps = 1e-6

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same, float32 whatever comes in (sums of squares need it), channels last in memory."""
        rows = F.layer_norm(x.permute(0, 2, 3, 1).float(), self.weight.shape, self.weight, self.bias, self.eps)
        return rows.permute(0, 3, 1, 2)


class Conv2d(nn.Conv2d):
    """A convolution in the dtype of its weight, whatever comes in."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H', W')."""
        return super().forward(x.to(self.weight.dtype))


class ConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution in the dtype of its weight, whatever comes in."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H', W')."""
        return super().forward(x.to(self.weight.dtype), output_size)


class Linear(nn.Linear):
    """A linear layer in the dtype of its weight, whatever comes in."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        return super().forward(x.to(self.weight.dtype))


class NormedConv(Conv2d):
    """A convolution without bias, followed by its `norm`; the size is kept where the stride is 1."""

    def __init__(self, inputs: int, outputs: int, kernel: int, norm: type[nn.Module]) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm = norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        return self.norm(super().forward(x))


def fold(conv: nn.Conv2d, norm: BatchNorm) -> None:
    """Give `conv` the weights and the bias with which it does the work of `norm` too, in place.

    norm(w * x) = (s w) * x + (b - s m), with s = weight / sqrt(var + eps); computed in float64 and rounded once.
    """
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = norm.bias.double() - scale * norm.running_mean.double()
    if conv.bias is not None:
        bias = bias + scale * conv.bias.double()
    dtype = conv.weight.dtype
    conv.weight = nn.Parameter((conv.weight.double() * scale[:, None, None, None]).to(dtype), requires_grad=False)
    conv.bias = nn.Parameter(bias.to(dtype), requires_grad=False)


def fold_batch_norms(network: nn.Module) -> None:
    """Fold each batch norm of `network` into the convolution before it, in place; the norms become identities.

    A norm belongs to the convolution that holds it as `norm`, or to the one that its module names in `folds`
    (convolution's attribute to norm's attribute).
    """
    for module in list(network.modules()):
        pairs = {"": "norm"} if isinstance(module, NormedConv) else getattr(module, "folds", {})
        for conv_name, norm_name in pairs.items():
            conv = getattr(module, conv_name, None) if conv_name else module
            norm = getattr(module, norm_name, None)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, BatchNorm):
                fold(conv, norm)
                setattr(module, norm_name, nn.Identity())
