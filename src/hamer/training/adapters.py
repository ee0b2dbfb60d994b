"""Parts of the backbone that training leaves alone, low-rank adapters, and compilation.

LoRA (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2022) keeps a layer's names: `LoRALinear` is a
linear layer with two small matrices more, and `merge_lora` turns it back into a plain one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from hamer.models.hamer import HAMER
from hamer.models.vit import Block, ViT
from hamer.training.options import LoRAOptions, TrainingOptions

logger = logging.getLogger(__name__)

LORA_NAMES = ("lora_a", "lora_b")


class LoRALinear(nn.Linear):
    """W x + bias + scale B (A x), W frozen; B starts at zero, so that nothing changes at first.

    Attributes:
        lora_a: (rank, in_features).
        lora_b: (out_features, rank).
    """

    def __init__(self, layer: nn.Linear, options: LoRAOptions) -> None:
        super().__init__(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        self.requires_grad_(False)
        self.scale = options.scale
        like = layer.weight
        self.lora_a = nn.Parameter(like.new_empty(options.rank, layer.in_features))
        self.lora_b = nn.Parameter(like.new_zeros(layer.out_features, options.rank))
        nn.init.kaiming_uniform_(self.lora_a, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        return super().forward(x) + self.scale * F.linear(F.linear(x, self.lora_a), self.lora_b)

    def merged_weight(self) -> Tensor:
        """(out, in): the weight of the plain layer that computes the same."""
        return merged(self.weight, self.lora_a, self.lora_b, self.scale)

    def plain(self) -> nn.Linear:
        """That layer."""
        layer = nn.Linear(self.in_features, self.out_features, self.bias is not None, device="meta")
        layer.weight = nn.Parameter(self.merged_weight())
        if self.bias is not None:
            layer.bias = nn.Parameter(self.bias.detach())
        return layer


def merged(weight: Tensor, lora_a: Tensor, lora_b: Tensor, scale: float) -> Tensor:
    """weight + scale B A, multiplied in float64, so that rounding happens once."""
    product = lora_b.detach().double() @ lora_a.detach().double()
    return (weight.detach().double() + scale * product).to(weight.dtype)


def add_lora(backbone: ViT, options: LoRAOptions) -> None:
    """Freeze `backbone` and give the named layers of every block an adapter, in place."""
    backbone.requires_grad_(False)
    for parent, name in _linears(backbone):
        if name in options.layers:
            setattr(parent, name, LoRALinear(getattr(parent, name), options))


def merge_lora(network: HAMER) -> HAMER:
    """Turn every adapted layer of `network` into the plain one that computes the same, in place.

    The result has the names of a network that never had adapters: save it, convert it, load it anywhere.
    """
    for parent, name in _linears(network.backbone):
        layer = getattr(parent, name)
        if isinstance(layer, LoRALinear):
            setattr(parent, name, layer.plain())
    return network


def lora_layers(network: nn.Module) -> dict[str, LoRALinear]:
    """Adapted layers by their names in `network`."""
    return {name: module for name, module in network.named_modules() if isinstance(module, LoRALinear)}


def _linears(backbone: ViT) -> Iterator[tuple[nn.Module, str]]:
    for block in backbone.blocks:
        assert isinstance(block, Block)
        yield from ((block.attn, "qkv"), (block.attn, "proj"), (block.mlp, "fc1"), (block.mlp, "fc2"))


def prepare_backbone(backbone: ViT, options: TrainingOptions) -> None:
    """Freeze, partly freeze, or adapt `backbone` as the options say.

    Raises:
        ValueError: more frozen blocks than there are.
    """
    if options.backbone == "lora":
        add_lora(backbone, options.lora)
    elif options.backbone == "frozen":
        backbone.requires_grad_(False)
    elif options.frozen_blocks:
        if options.frozen_blocks > len(backbone.blocks):
            raise ValueError(
                f"TRAIN.FROZEN_BLOCKS must be at most the backbone's {len(backbone.blocks)} blocks, got "
                f"{options.frozen_blocks}; TRAIN.BACKBONE: frozen leaves the whole backbone alone"
            )
        backbone.patch_embed.requires_grad_(False)
        backbone.pos_embed.requires_grad_(False)
        for block in backbone.blocks[: options.frozen_blocks]:
            block.requires_grad_(False)


def rest_frozen_parts(backbone: ViT) -> None:
    """Put parts without any trained parameter into evaluation mode: drop path in blocks would only add noise, and the
    statistics of a stem's normalisations would move.
    """
    for part in (backbone.patch_embed, *backbone.blocks):
        if not any(p.requires_grad for p in part.parameters()):
            part.eval()


def compile_backbone(backbone: ViT, options: TrainingOptions) -> None:
    """torch.compile in place, which changes no name; once."""
    if options.compiled and backbone._compiled_call_impl is None:
        backbone.compile(mode=options.compiled if isinstance(options.compiled, str) else None)


def merge_into(tensors: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """`tensors`, a state dict of `network`, with plain names only: adapters multiplied into their layers' weights."""
    plain = {name: value for name, value in tensors.items() if not name.endswith(LORA_NAMES)}
    for name, layer in lora_layers(network).items():
        lora_a, lora_b = (tensors[f"{name}.{part}"] for part in LORA_NAMES)
        plain[f"{name}.weight"] = merged(tensors[f"{name}.weight"], lora_a, lora_b, layer.scale)
    return plain
