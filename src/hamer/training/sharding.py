"""FSDP2: parameters, gradients and optimiser states cut up between processes, checkpoints whole and of the usual form.

`trainer=fsdp` takes `ShardedStrategy`; Lightning's own numbers the optimisers' states by their place in the network, where
the original (and we) number them by their place in the optimiser, and reads files by unpickling them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer

from hamer.errors import require
from hamer.models.hamer import HAMER
from hamer.training.checkpointing import adopt, read_checkpoint
from hamer.training.optimisers import optimised_names

if TYPE_CHECKING:
    from lightning.pytorch.strategies import ModelParallelStrategy
else:
    ModelParallelStrategy = require(
        "lightning.pytorch.strategies", extra="train", purpose="training"
    ).ModelParallelStrategy


def shard(network: HAMER, device_mesh: Any) -> None:
    """Cut up `network` in place: each block, the rest of the backbone, the head, and whatever else a training adds.

    The discriminator and the hand's buffers stay whole everywhere (`hamer.training.adversary`).

    Args:
        network: on every process, with the same weights.
        device_mesh: what the strategy made, with a dimension `data_parallel`; None does nothing.
    """
    if device_mesh is None:
        return
    from torch.distributed.fsdp import FSDPModule, fully_shard

    if isinstance(network.backbone, FSDPModule):
        return
    mesh = device_mesh["data_parallel"]
    whole = (network.mano, getattr(network, "discriminator", None))
    parts = [part for part in network.children() if part not in whole]
    for part in (*network.backbone.blocks, *parts):  # a part's blocks before the part
        fully_shard(part, mesh=mesh)


class ShardedStrategy(ModelParallelStrategy):
    """Lightning's FSDP2 over all processes, with checkpoints in one file that every other strategy reads too.

    Args:
        others: `timeout` and `process_group_backend`, as Lightning's.
    """

    def __init__(self, **others: Any) -> None:
        super().__init__(save_distributed_checkpoint=False, **others)

    def setup_environment(self) -> None:
        """As Lightning's, with all processes in the data-parallel dimension (by default it has the nodes only)."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        self._tensor_parallel_size = 1
        super().setup_environment()

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The whole state of `optimizer`, by position; empty on all processes but the first."""
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict

        inner = getattr(optimizer, "_optimizer", optimizer)
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        state: dict[str, Any] = get_optimizer_state_dict(self._network, inner, options=options)
        if not state.get("param_groups"):
            return state
        names = optimised_names(self._network)[self._index(inner)]
        group = {key: value for key, value in state["param_groups"][0].items() if key != "params"}
        by_position = {i: state["state"][name] for i, name in enumerate(names) if name in state["state"]}
        return {"state": by_position, "param_groups": [{**group, "params": list(range(len(names)))}]}

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint of any strategy (`read_checkpoint`), and take its tensors and states over at once."""
        from torch.distributed.checkpoint.state_dict import (
            StateDictOptions,
            set_model_state_dict,
            set_optimizer_state_dict,
        )

        del weights_only
        checkpoint = read_checkpoint(self.broadcast(str(checkpoint_path)))
        adopt(checkpoint, self._network)
        options = StateDictOptions(full_state_dict=True)
        set_model_state_dict(self._network, checkpoint.pop("state_dict"), options=options)
        names = optimised_names(self._network)
        for index, state in enumerate(checkpoint.pop("optimizer_states", [])[: len(self.optimizers)]):
            optimizer = self.optimizers[index]
            by_name = _by_name(state, names[index], self._network)
            set_optimizer_state_dict(self._network, optimizer, optim_state_dict=by_name, options=options)
        return checkpoint

    @property
    def _network(self) -> Any:
        return self.lightning_module

    def _index(self, optimizer: Optimizer) -> int:
        return next(i for i, each in enumerate(self.optimizers) if getattr(each, "_optimizer", each) is optimizer)


def _by_name(state: Mapping[str, Any], names: list[str], network: nn.Module) -> dict[str, Any]:
    """A state by position turned into one by name; what is missing starts with zero moments."""
    shapes = {name: parameter.shape for name, parameter in network.named_parameters()}
    moments = {
        name: state["state"].get(i)
        or {"step": torch.tensor(0.0), "exp_avg": torch.zeros(shapes[name]), "exp_avg_sq": torch.zeros(shapes[name])}
        for i, name in enumerate(names)
    }
    return {"state": moments, "param_groups": [{**state["param_groups"][0], "params": names}]}
