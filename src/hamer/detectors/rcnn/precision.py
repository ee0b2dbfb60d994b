"""Lower precisions for the large layers of a two-stage detector.

What is chosen by comparing numbers (proposals, suppression, thresholds) is computed in float32 from float32 logits
whatever the layers below run in.
"""

from __future__ import annotations

import torch
from torch import nn

from hamer.detectors.rcnn.layers import Conv2d, ConvTranspose2d, Linear


def round_layers(network: nn.Module, dtype: torch.dtype) -> None:
    """Change, in place, the convolutions and linear layers of `layers` to `dtype`; torch's own stay as they are.

    Each layer's float32 numbers are released as it is replaced, so that memory only shrinks.
    """
    for layer in network.modules():
        if isinstance(layer, (Conv2d, ConvTranspose2d, Linear)):
            for name, value in list(layer.named_parameters(recurse=False)):
                setattr(layer, name, nn.Parameter(value.detach().to(dtype), requires_grad=False))


def set_precision(network: nn.Module, precision: str) -> None:
    """`round_layers` by name: "float32" changes nothing, "bfloat16" and "float16" do."""
    if precision != "float32":
        round_layers(network, getattr(torch, precision))
