"""HAMER's forward pass in every precision against plain float32: time a hand, share of the machine's own best rate,
millimetres.

    python benchmarks/network_precision.py                      # ViT-H, made-up weights, 4 hands a batch
    python benchmarks/network_precision.py --checkpoint hamer.ckpt --hands 8

Every precision runs in each round, so that what else the machine does hits all alike; the best round counts. CPU time
is that of all threads, and tells more than the clock on a busy machine (take --threads 1 there). Deviations are those
of vertices and 2D keypoints against the float32 result of the same weights. Made-up weights show the arithmetic's error
for activations without outliers; a trained checkpoint shows the real one.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from hamer.checkpoints.hand_files import load_open_hand
from hamer.models import HAMER, MANO, HamerConfig, load_hamer, set_precision
from hamer.models.mano_head import neutral_mean_params

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
CROP_PIXELS = 256


def made_up_network(size: str) -> HAMER:
    """A network around the open hand whose activations neither fade nor grow: weights are normal over sqrt(fan-in)."""
    mano = MANO(load_open_hand())
    with torch.device("meta"):
        model = HAMER(HamerConfig.of_size(size).to_cfg(), mano=mano, mean_params=neutral_mean_params())
    generator = torch.Generator().manual_seed(0)
    state = {name: _made_up(name, value, generator) for name, value in model.named_parameters()}
    mean = neutral_mean_params()
    for name, key in (("init_hand_pose", "pose"), ("init_betas", "shape"), ("init_cam", "cam")):
        state[f"mano_head.{name}"] = torch.from_numpy(mean[key])[None]
    state["initialized"] = torch.tensor(False)
    model.load_state_dict(state, strict=False, assign=True)
    return model.eval()


def _made_up(name: str, like: Tensor, generator: torch.Generator) -> Tensor:
    values = torch.empty(like.shape).normal_(generator=generator)
    if name.endswith("bias") or "pos_embed" in name:
        return values.mul_(0.02)
    if like.ndim == 1:
        return values.mul_(0.1).add_(1)
    gain = 0.05 if name.startswith("mano_head.dec") else 1.0  # read-outs: hands stay near the mean pose
    return values.mul_(gain / like[0].numel() ** 0.5)


def variant(model: HAMER, precision: str) -> HAMER:
    """`model` in another precision; what does not change is shared."""
    with torch.device("meta"):
        twin = HAMER(model.cfg, mano=model.mano, mean_params=neutral_mean_params())
    twin.load_state_dict(
        {k: v for k, v in model.state_dict().items() if not k.startswith("mano.")}, strict=False, assign=True
    )
    return set_precision(twin, precision).eval()


def gflop_per_hand(model: HAMER) -> float:
    """Multiplications and additions of the backbone's matrices and attention."""
    config = model.config.backbone
    tokens = config.grid[0] * config.grid[1]
    linear = config.depth * config.width**2 * (4 + 2 * config.mlp_ratio) + 3 * config.patch_size**2 * config.width
    attention = config.depth * 2 * tokens * config.width
    return 2 * tokens * (linear + attention) / 1e9


def best_rate(precision: str, rows: int, width: int, clock: Callable[[], float]) -> float:
    """GFLOP/s of one product of the size of the MLP's first layer, alone."""
    if precision == "int8":
        a, b = (torch.randint(-127, 128, shape, dtype=torch.int8) for shape in ((rows, width), (width, 4 * width)))
        product: Callable[[], Tensor] = lambda: torch._int_mm(a, b)  # noqa: E731
    else:
        x, w = (torch.randn(shape).to(DTYPES[precision]) for shape in ((rows, width), (4 * width, width)))
        product = lambda: F.linear(x, w)  # noqa: E731
    return 8 * rows * width**2 / 1e9 / min(timed(product, clock) for _ in range(6))


def timed(function: Callable[[], object], clock: Callable[[], float]) -> float:
    """Seconds of one call."""
    start = clock()
    function()
    return clock() - start


def machine() -> str:
    """What the figures belong to."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":")[1].strip() if lines else model
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}{load}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("S", "B", "L", "H"), default="H", help="backbone of the made-up network")
    parser.add_argument("--checkpoint", type=Path, help="a trained network instead of a made-up one")
    parser.add_argument("--hands", type=int, default=4, help="crops a batch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    clock = time.process_time if args.threads == 1 else time.perf_counter

    reference = load_hamer(args.checkpoint)[0] if args.checkpoint else made_up_network(args.size)
    models = {"float32": reference} | {name: variant(reference, name) for name in ("bfloat16", "int8")}
    # smooth noise, as pictures are: neighbouring patches look alike
    crops = F.interpolate(
        torch.randn(args.hands, 3, 16, 16, generator=torch.Generator().manual_seed(1)), size=256, mode="bicubic"
    )
    seconds: dict[str, list[float]] = {name: [] for name in models}
    outputs = {}
    with torch.inference_mode():
        for _ in range(args.rounds + 1):  # the first warms up
            for name, model in models.items():
                start = clock()
                outputs[name] = model({"img": crops})
                seconds[name].append(clock() - start)
        rates = {name: best_rate(name, 192 * args.hands, reference.config.backbone.width, clock) for name in models}
    report(args, reference, seconds, rates, outputs)


def report(args: argparse.Namespace, reference: HAMER, seconds: dict, rates: dict, outputs: dict) -> None:
    """Print the table and what bounds the figures."""
    work = gflop_per_hand(reference)
    exact = outputs["float32"]
    best = {name: min(values[1:]) / args.hands for name, values in seconds.items()}
    kind = "CPU time" if args.threads == 1 else "clock"
    print(
        f"{machine()}\n{args.hands} hands a batch, {work:.1f} GFLOP a hand in the backbone, best of {args.rounds} rounds, {kind}\n"
    )
    print("precision   ms/hand   ratio   GFLOP/s   of its best product   vertices mm mean / max   keypoints px max")
    for name, value in best.items():
        vertices = (outputs[name]["pred_vertices"] - exact["pred_vertices"]).norm(dim=-1) * 1e3
        points = (outputs[name]["pred_keypoints_2d"] - exact["pred_keypoints_2d"]).norm(dim=-1) * CROP_PIXELS
        rate = work / value
        print(
            f"{name:9s} {value * 1e3:9.0f} {best['float32'] / value:7.2f} {rate:9.0f} {rate / rates[name]:13.0%} of "
            f"{rates[name]:<5.0f} {vertices.mean():11.4f} / {vertices.max():.4f} {points.max():18.3f}"
        )
    shares = {name: work / value / rates[name] for name, value in best.items()}
    bound = [name for name, share in shares.items() if share > 0.6]
    print(
        f"\nBound by the processor's matrix products: {', '.join(bound) or 'none'}. The rest is attention's softmax, GELU, "
        "normalisation, rounding to the lower precision, and memory for what lies between."
    )


if __name__ == "__main__":
    main()
