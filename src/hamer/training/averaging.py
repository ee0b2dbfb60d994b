"""A moving average of the weights, which is what a training validates and hands out: it is steadier than its last step.

Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging" (1992), exponentially weighted. Averaged are
trained parameters and the statistics that normalisations keep; all else (the hand, the adversary) is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

NOT_AVERAGED = ("mano.", "discriminator.")


class WeightAverage:
    """average <- average + (1 - d) (weights - average) after every update; d = min(decay, (1 + n) / (10 + n)) at update n.

    The smaller d of the beginning lets go of the first, random weights.

    Attributes:
        decay: `TRAIN.EMA`.
        updates: n, how many there were.
        tensors: name -> average; empty before the first update.
    """

    def __init__(self, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.tensors: dict[str, Tensor] = {}
        self._is_shown = False

    def begin(self, network: nn.Module) -> None:
        """Start from the network's weights, but for those of which a checkpoint has brought an average."""
        self._pairs(network)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Follow the network after one of its updates."""
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        averages, values = self._pairs(network)
        torch._foreach_lerp_(averages, values, weight)
        self.updates += 1

    @contextmanager
    def shown(self, network: nn.Module) -> Iterator[None]:
        """The network has its average's weights within, and its own afterwards."""
        self.show(network)
        try:
            yield
        finally:
            self.hide(network)

    def show(self, network: nn.Module) -> None:
        """Give the network the average's weights; `hide` gives its own back."""
        if self.tensors and not self._is_shown:
            self._exchange(network)

    def hide(self, network: nn.Module) -> None:
        """Undo `show`."""
        if self._is_shown:
            self._exchange(network)

    def split(self, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The network's state dict with the averages in their places, and the weights that these are the averages of."""
        own = {name: tensors[name] for name in self.tensors}
        kept = {name: value.to(tensors[name].device) for name, value in self.tensors.items()}
        averages, weights = (own, kept) if self._is_shown else (kept, own)
        return {**tensors, **averages}, weights

    def load(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Take the average of a checkpoint."""
        self.tensors = {name: value.detach().clone() for name, value in tensors.items()}
        self.updates, self._is_shown = updates, False

    @torch.no_grad()
    def _exchange(self, network: nn.Module) -> None:
        averages, values = self._pairs(network)
        own = [value.clone() for value in values]
        torch._foreach_copy_(values, averages)
        torch._foreach_copy_(averages, own)
        self._is_shown = not self._is_shown

    def _pairs(self, network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
        """Averages and the tensors that they follow; what has none yet, in a resumed run too, begins as it is."""
        values = dict(averaged_tensors(network))
        for name, value in values.items():
            if name not in self.tensors:
                self.tensors[name] = value.detach().clone()
            elif self.tensors[name].device != value.device:
                self.tensors[name] = self.tensors[name].to(value.device)
        return [self.tensors[name] for name in values], list(values.values())


def averaged_tensors(network: nn.Module) -> Iterator[tuple[str, Any]]:
    """Name and tensor of all that is averaged: trained parameters, and floating buffers beside them."""
    for name, parameter in network.named_parameters():
        if parameter.requires_grad and not name.startswith(NOT_AVERAGED):
            yield name, parameter.data
    for name, buffer in network.named_buffers():
        if buffer.is_floating_point() and not name.startswith(NOT_AVERAGED):
            yield name, buffer
