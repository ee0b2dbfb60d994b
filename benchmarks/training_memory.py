"""Memory of one training step of every setting that saves some: weights, gradients, optimiser, activations.

    python benchmarks/training_memory.py                      # ViT-H, 1 and 8 hands a batch, estimated
    python benchmarks/training_memory.py --size B --measure   # and the real thing on this machine, by the process' peak

The estimate runs the step on tensors without content (torch's fake tensors) and counts what is alive, so that it needs
neither the memory nor a GPU; backbone, head and their optimiser are counted, the hand, the losses and the discriminator
(about 0.1 GB) are not. A GPU adds its context and the libraries' work space, 0.6 to 1 GB. `--measure` trains in a process of
its own and reports how far its memory rose over that of a bare start; on a GPU what torch's allocator had at most.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import weakref
from contextlib import nullcontext
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from training_step import machine, made_up_batch, make_module

from hamer.models import HamerConfig
from hamer.models.mano_head import MANOTransformerDecoderHead, neutral_mean_params
from hamer.models.vit import ViT
from hamer.training.adapters import prepare_backbone, rest_frozen_parts
from hamer.training.optimisers import build_optimisers, generator_parameters
from hamer.training.options import TrainingOptions

GB = 1e9
LIMIT_GB = 12.0
LIBRARIES_GB = 1.2  # CUDA context, work space, the discriminator, the hand, what the allocator cannot use
# name: changes of TRAIN, activation checkpointing, bfloat16
SETTINGS: dict[str, tuple[dict[str, Any], bool, bool]] = {
    "all, float32 (original's weights)": ({}, False, False),
    "all, bf16-mixed": ({}, False, True),
    "all, bf16-mixed, checkpointing": ({}, True, True),
    "last 8 blocks, bf16-mixed": ({"frozen_blocks": -8}, False, True),
    "LoRA, bf16-mixed": ({"backbone": "lora"}, False, True),
    "LoRA, bf16-mixed, checkpointing": ({"backbone": "lora"}, True, True),
    "frozen, bf16-mixed": ({"backbone": "frozen"}, False, True),
}


class Network(nn.Module):
    """What takes the memory of a HAMER."""

    def __init__(self, config: HamerConfig, options: TrainingOptions) -> None:
        super().__init__()
        self.backbone = ViT(config.backbone)
        self.mano_head = MANOTransformerDecoderHead(config.head, neutral_mean_params())
        prepare_backbone(self.backbone, options)


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that operations make, while they are alive; `peak` is the most there was."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.add(*(leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)))
        return result

    def add(self, *tensors: torch.Tensor) -> None:
        """Count these, each storage once."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            key = storage._cdata
            if key not in self._known:
                self._known.add(key)
                self.live += storage.nbytes()
                weakref.finalize(storage, self._gone, key, storage.nbytes())
        self.peak = max(self.peak, self.live)

    def _gone(self, key: int, n_bytes: int) -> None:
        self._known.discard(key)
        self.live -= n_bytes


def options_of(train: dict[str, Any], depth: int) -> TrainingOptions:
    """The setting for a backbone of `depth` blocks; a negative number of frozen ones counts from the end."""
    train = dict(train)
    if train.get("frozen_blocks", 0) < 0:
        train["frozen_blocks"] = max(depth + train["frozen_blocks"], 0)
    return TrainingOptions(**train)


def estimate(size: str, name: str, hands: int) -> dict[str, float]:
    """GB of the parts of one setting at the moment when most is alive, and the number of trained parameters."""
    train, checkpointing, is_low = SETTINGS[name]
    config = HamerConfig.of_size(size)  # type: ignore[arg-type]
    object.__setattr__(config.backbone, "gradient_checkpointing", checkpointing)
    options = options_of(train, config.backbone.depth)
    # This initialisation looks at numbers, which fake tensors do not have.
    with mock.patch.object(nn.init, "trunc_normal_"), FakeTensorMode():
        network = Network(config, options).train()
        rest_frozen_parts(network.backbone)
        (optimiser,) = build_optimisers(network, options, fused=True)  # type: ignore[arg-type]
        crops = torch.empty(hands, 3, 256, 192)
        with LiveBytes() as tracker:
            tracker.add(*network.parameters(), *network.buffers(), crops)
            for _ in range(2):  # moments come to life in the first step
                with torch.autocast("cpu", torch.bfloat16, cache_enabled=False) if is_low else nullcontext():
                    features = network.backbone(crops)
                parameters, camera = network.mano_head(features.float())
                loss = camera.square().sum() + sum(value.square().sum() for value in parameters.values())
                loss.backward()
                optimiser.step()
                optimiser.zero_grad()
    trained = sum(p.numel() for p in generator_parameters(network).values())  # type: ignore[arg-type]
    weights = sum(p.numel() for p in network.parameters()) * 4 / GB
    total = tracker.peak / GB
    states = 12 * trained / GB
    return {
        "trained": trained / 1e6,
        "weights": weights,
        "states": states,
        "rest": total - weights - states,
        "total": total,
    }


def measure(size: str, name: str, hands: int) -> float:
    """GB that a real step needs, in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--child", json.dumps([size, name, hands])]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(run.stdout.strip().splitlines()[-1])


def child(size: str, name: str, hands: int) -> None:
    """Train two steps and print the GB that they took."""
    train, checkpointing, is_low = SETTINGS[name]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    before = _resident()
    options = options_of(train, HamerConfig.of_size(size).backbone.depth)  # type: ignore[arg-type]
    keys = {"BACKBONE": options.backbone, "FROZEN_BLOCKS": options.frozen_blocks}
    module = make_module(size, keys, checkpointing=checkpointing).to(device).train()
    optimisers = module.configure_optimizers()
    batch = made_up_batch(hands, device)["img"]
    for _ in range(2):
        with torch.autocast(device, torch.bfloat16) if is_low else nullcontext():
            output = module(batch)
        loss, _ = module.compute_loss(batch, output)
        loss.backward()
        optimisers[0].step()
        optimisers[0].zero_grad()
        del output, loss
    print(torch.cuda.max_memory_allocated() / GB if device == "cuda" else _resident() - before)


def _resident() -> float:
    """The process' largest resident memory so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("S", "B", "L", "H"), default="H", help="backbone")
    parser.add_argument("--hands", type=int, nargs="+", default=[1, 8], help="hands a batch")
    parser.add_argument("--measure", action="store_true", help="train for real too; ViT-H needs up to 14 GB")
    parser.add_argument("--only", nargs="+", choices=list(SETTINGS), help="these settings only")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(*json.loads(args.child))
        return
    print(f"{machine()}\nViT-{args.size}; GB = 10^9 bytes; states: gradients and AdamW's moments of what is trained\n")
    print(
        f"{'setting':36s} hands  trained M  weights  states  activations, rest  total  + libraries in {LIMIT_GB:.0f} GB  measured"
    )
    for hands in args.hands:
        for name in args.only or SETTINGS:
            row = estimate(args.size, name, hands)
            fits = "yes" if row["total"] + LIBRARIES_GB < LIMIT_GB else "no"
            measured = f"{measure(args.size, name, hands):8.2f}" if args.measure else "       -"
            print(
                f"{name:36s} {hands:5d} {row['trained']:10.1f} {row['weights']:8.2f} {row['states']:7.2f} {row['rest']:18.2f} "
                f"{row['total']:6.2f} {fits:>20s} {measured}",
                flush=True,
            )


if __name__ == "__main__":
    main()
