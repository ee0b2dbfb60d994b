"""Which parameters are trained, in the original's order, and by what: AdamW twice.

Optimiser 0 has the head's parameters and then the backbone's (and those that only a training has, such as a projection
for distillation), optimiser 1 the discriminator's; a checkpoint stores their states by these positions. What is frozen
is left out.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from hamer.models.hamer import HAMER
from hamer.training.options import TrainingOptions

MACHINE_CHOICES = ("fused", "foreach", "capturable")
"""How AdamW computes is chosen on each machine; no checkpoint carries it to another."""


def generator_parameters(network: HAMER) -> dict[str, nn.Parameter]:
    """Trained parameters of the head, then the backbone, then any others, by their names in the network."""
    others = [name for name, _ in network.named_children() if name not in ("mano_head", "backbone", "discriminator")]
    named: dict[str, nn.Parameter] = {}
    for part in ("mano_head", "backbone", *others):
        named |= _trained(network, part)
    return named


def discriminator_parameters(network: HAMER) -> dict[str, nn.Parameter]:
    """Those of the adversary; empty without one."""
    return _trained(network, "discriminator") if hasattr(network, "discriminator") else {}


def optimised_names(network: HAMER) -> list[list[str]]:
    """Names of the parameters of each optimiser, in the order of their states in a checkpoint."""
    groups = [list(generator_parameters(network)), list(discriminator_parameters(network))]
    return [names for names in groups if names]


def build_optimisers(network: HAMER, options: TrainingOptions, *, fused: bool | None = None) -> list[AdamW]:
    """AdamW for the network and, where there is one, for its discriminator.

    Args:
        network: parameters that do not require a gradient are left out.
        options: learning rate and weight decay, the same for both.
        fused: one kernel for all parameters (`choose_fused`); None is torch's default.

    Raises:
        ValueError: nothing left to train.
    """
    groups = [generator_parameters(network), discriminator_parameters(network)]
    if not groups[0]:
        raise ValueError("no parameter of head or backbone requires a gradient: nothing would be trained")
    optimisers = [
        AdamW(list(group.values()), lr=options.lr, weight_decay=options.weight_decay, fused=fused)
        for group in groups
        if group
    ]
    for optimiser in optimisers:
        optimiser.register_load_state_dict_pre_hook(_with_own_machine_choices)
    return optimisers


def _with_own_machine_choices(optimiser: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """A state that is about to be loaded, computed on as this optimiser was made to: torch would take the file's way."""
    own = {key: optimiser.defaults[key] for key in MACHINE_CHOICES}
    return {**state, "param_groups": [{**group, **own} for group in state["param_groups"]]}


def own_states(optimiser: Optimizer) -> None:
    """Copy the state's tensors in main memory, one after the other: read from a checkpoint, they are a mapping of its file.

    A mapped file cannot be replaced on Windows, and a replaced one keeps its space on any disk until nothing maps it.
    """
    for state in optimiser.state.values():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.device.type == "cpu":
                state[name] = value.clone()


def choose_fused(options: TrainingOptions, device: torch.device, *, scaled: bool) -> bool | None:
    """What to give AdamW as `fused`: the option, else True on CUDA.

    Args:
        scaled: gradients are scaled for float16. The fused step takes the scale out by itself, after the place where
            gradients are clipped, so that it cannot be had together with clipping.
    """
    clipped_and_scaled = scaled and options.grad_clip_val > 0
    if options.fused is None:
        return True if device.type == "cuda" and not clipped_and_scaled else None
    if options.fused and clipped_and_scaled:
        raise ValueError(
            "TRAIN.FUSED must be false (or left out) with TRAIN.GRAD_CLIP_VAL > 0 and precision 16; bf16-mixed takes both"
        )
    return options.fused


def _trained(network: HAMER, part: str) -> dict[str, nn.Parameter]:
    named = getattr(network, part).named_parameters(prefix=part)
    return {name: parameter for name, parameter in named if parameter.requires_grad}
