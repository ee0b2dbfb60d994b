"""Images per second of a whole training step (both updates), ours against the original's recipe, in one run.

    python benchmarks/training_step.py                          # small network and ViT-B, float32 and bfloat16
    python benchmarks/training_step.py --size H --tuning all lora frozen --batch 2 --apart
    python benchmarks/training_step.py --device cuda --size B H --batch 32 --compile

Small is the network of the golden step: two blocks of width 192, two decoder layers. The baseline in every row is the
original's recipe for the same network and batch: full precision, AdamW parameter by parameter, attention as softmax of a
product written out, keys and values of the head projected token by token, the discriminator's parameters given gradients
in the generator's pass. Rounds alternate, so that what else the machine does hits all alike, and the best one counts.
The share is that of the machine's own best rate for a large matrix product in the same precision; a step is counted as
three forward passes of the backbone (two where it is not trained below the adapters, one where it is frozen), which is where the
arithmetic is.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional as F

from hamer.checkpoints.hand_files import load_open_hand
from hamer.configs.node import ConfigNode
from hamer.models import MANO, HamerConfig, ViTConfig
from hamer.models.config import DecoderConfig
from hamer.models.losses import generator_loss
from hamer.models.mano_head import neutral_mean_params
from hamer.models.transformer_decoder import CrossAttention
from hamer.training import adversary
from hamer.training.module import HamerModule

WEIGHTS = {"KEYPOINTS_3D": 0.05, "KEYPOINTS_2D": 0.01, "GLOBAL_ORIENT": 0.001, "HAND_POSE": 0.001, "BETAS": 0.0005}
PARAMETERS = ("global_orient", "hand_pose", "betas")
PASSES = {"all": 3, "lora": 2, "frozen": 1}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def make_module(size: str, train: Mapping[str, Any] | None = None, *, checkpointing: bool = False) -> HamerModule:
    """A module around the open hand with fresh weights; `train` are keys of TRAIN."""
    if size == "small":
        config = HamerConfig(ViTConfig(192, 2, 3), DecoderConfig(depth=2, context_dim=192), with_discriminator=True)
    else:
        config = HamerConfig.of_size(size, with_discriminator=True)
    cfg = ConfigNode(config.to_cfg().to_dict())
    cfg.merge({"LOSS_WEIGHTS": WEIGHTS, "TRAIN": dict(train or {})})
    cfg.MODEL.BACKBONE.GRADIENT_CHECKPOINTING = checkpointing
    torch.manual_seed(0)
    return HamerModule(cfg, mano=MANO(load_open_hand()), mean_params=neutral_mean_params())


def made_up_batch(hands: int, device: str | torch.device = "cpu") -> dict[str, Any]:
    """A joint batch of noise."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return (0.3 * torch.randn(*shape, generator=generator)).to(device)

    ones = torch.ones(hands, device=device)
    batch = {
        "img": noise(hands, 3, 256, 256),
        "keypoints_2d": torch.cat([noise(hands, 21, 2), torch.ones(hands, 21, 1, device=device)], -1),
        "keypoints_3d": torch.cat([noise(hands, 21, 3), torch.ones(hands, 21, 1, device=device)], -1),
        "mano_params": {"global_orient": noise(hands, 3), "hand_pose": noise(hands, 45), "betas": noise(hands, 10)},
        "has_mano_params": dict.fromkeys(PARAMETERS, ones),
        "mano_params_is_axis_angle": {name: ones.bool() & (name != "betas") for name in PARAMETERS},
    }
    return {"img": batch, "mocap": {"hand_pose": noise(2 * hands, 45), "betas": noise(2 * hands, 10)}}


# ------------------------------------------------------------------------------------------------------- one step


def our_step(module: HamerModule, optimisers: list[Any], batch: Mapping[str, Any], precision: str) -> None:
    """As `HamerModule.training_step`, without Lightning around it."""
    device = module.device.type
    for optimiser in optimisers:
        optimiser.zero_grad()
    with torch.autocast(device, torch.bfloat16) if precision == "bfloat16" else nullcontext():
        output = module(batch["img"])
    loss, _ = module.compute_loss(batch["img"], output)
    loss = loss + module.options.adversarial * adversary.judged(module.discriminator, output["pred_mano_params"])
    assert bool(loss.isfinite())
    loss.backward()
    optimisers[0].step()
    loss = adversary.adversary_loss(module.discriminator, output["pred_mano_params"], batch["mocap"])
    (module.options.adversarial * loss).backward()
    optimisers[1].step()


def their_step(module: HamerModule, optimisers: list[Any], batch: Mapping[str, Any], _precision: str) -> None:
    """The original's recipe on the same network."""
    with (
        mock.patch.object(F, "scaled_dot_product_attention", plain_attention),
        mock.patch.object(CrossAttention, "forward", projected_cross_attention),
    ):
        output = module(batch["img"])
        loss, _ = module.compute_loss(batch["img"], output)
        pose = output["pred_mano_params"]
        scores = module.discriminator(pose["hand_pose"], pose["betas"])
        loss = loss + module.options.adversarial * generator_loss(scores)
        assert not bool(loss.isnan())
        optimisers[0].zero_grad()
        loss.backward()
        optimisers[0].step()
    loss = adversary.adversary_loss(module.discriminator, pose, batch["mocap"])
    optimisers[1].zero_grad()
    (module.options.adversarial * loss).backward()
    optimisers[1].step()


def plain_attention(q: Tensor, k: Tensor, v: Tensor, **_: Any) -> Tensor:
    """Attention with its matrix of weights in memory."""
    weights = (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).softmax(-1)
    return weights @ v


def projected_cross_attention(self: CrossAttention, x: Tensor, context: Tensor) -> Tensor:
    """The head's attention with keys and values of all tokens computed."""
    k, v = self.to_kv(context).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
    q = self.to_q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
    return self.to_out(plain_attention(q, k, v).transpose(1, 2).flatten(2))


# ------------------------------------------------------------------------------------------------------- measuring


def gflop_per_hand(module: HamerModule) -> float:
    """Multiplications and additions of the backbone's matrices and attention, forward."""
    config = module.config.backbone
    tokens = config.grid[0] * config.grid[1]
    linear = config.depth * config.width**2 * (4 + 2 * config.mlp_ratio) + 3 * config.patch_size**2 * config.width
    return 2 * tokens * (linear + config.depth * 2 * tokens * config.width) / 1e9


def best_rate(precision: str, device: str) -> float:
    """GFLOP/s of a large matrix product alone, the best of a few."""
    n = 8192 if device == "cuda" else 2048
    a, b = (torch.randn(n, n, device=device, dtype=DTYPES[precision]) for _ in range(2))
    a @ b
    return 2 * n**3 / 1e9 / min(timed(lambda: a @ b, device) for _ in range(5))


def timed(function: Callable[[], object], device: str) -> float:
    """Seconds of one call."""
    _wait(device)
    start = time.perf_counter()
    function()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def machine(device: str = "cpu") -> str:
    """What the figures belong to."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":")[1].strip() if lines else model
    if device == "cuda":
        model = f"{torch.cuda.get_device_name()}, {model}"
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}{load}"


@dataclass
class Contestant:
    """A network with its optimisers, and how it steps."""

    module: HamerModule
    optimisers: list[Any]
    step: Callable[..., None]
    precision: str
    tuning: str


def contestants(size: str, tunings: list[str], device: str, compiled: bool) -> dict[str, Callable[[], Contestant]]:
    """Name -> what makes it."""

    def theirs() -> Contestant:
        module = make_module(size, {"FUSED": False}).to(device).train()
        return Contestant(module, list(module.configure_optimizers()), their_step, "float32", "all")

    def ours(tuning: str, precision: str) -> Contestant:
        module = make_module(size, {"BACKBONE": tuning, "FUSED": True, "COMPILE": compiled}).to(device).train()
        module.configure_model()
        return Contestant(module, list(module.configure_optimizers()), our_step, precision, tuning)

    result: dict[str, Callable[[], Contestant]] = {"original's recipe, float32": theirs}
    for tuning in tunings:
        for precision in DTYPES:
            result[f"{tuning}, {precision}"] = partial(ours, tuning, precision)
    return result


def compare(size: str, args: argparse.Namespace) -> None:
    """Print the rows of one size."""
    batch = made_up_batch(args.batch, args.device)
    rates = {precision: best_rate(precision, args.device) for precision in DTYPES}
    makers = contestants(size, args.tuning, args.device, args.compile)
    # Together, rounds alternate; apart, only one network and its optimisers are in memory.
    teams = [[name] for name in makers] if args.apart else [list(makers)]
    first = 0.0
    for team in teams:
        runs = {name: makers[name]() for name in team}
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(args.rounds + 1):  # the first warms up
            for name, run in runs.items():
                call = partial(run.step, run.module, run.optimisers, batch, run.precision)
                seconds[name].append(timed(call, args.device))
        for name, run in runs.items():
            best = min(seconds[name][1:])
            first = first or best
            print_row(size, name, run, best, first, args.batch, rates)
        runs.clear()
        del run
        gc.collect()


def print_row(
    size: str, name: str, run: Contestant, best: float, first: float, hands: int, rates: Mapping[str, float]
) -> None:
    """Seconds, rate, ratio and share of one contestant."""
    rate = PASSES[run.tuning] * gflop_per_hand(run.module) * hands / best
    print(
        f"{size:6s} {name:28s} {best:9.3f} {hands / best:10.2f} {first / best:7.2f} {rate:9.0f} "
        f"{rate / rates[run.precision]:7.0%} of {rates[run.precision]:.0f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", choices=("small", "S", "B", "L", "H"), default=["small", "B"])
    parser.add_argument(
        "--tuning", nargs="+", choices=tuple(PASSES), default=["all"], help="what of the backbone is trained"
    )
    parser.add_argument("--batch", type=int, default=8, help="hands a batch, the original's 8")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="torch.compile of the backbone")
    parser.add_argument("--apart", action="store_true", help="one network in memory at a time: ViT-H takes 11 GB each")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{machine(args.device)}\n{args.batch} hands a batch, best of {args.rounds} rounds\n")
    print("size   setting                     s a step   images/s   ratio   GFLOP/s   share of the best product")
    for size in args.size:
        compare(size, args)


if __name__ == "__main__":
    main()
