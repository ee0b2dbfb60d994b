"""ViTPose on whole bodies: precisions against plain float32, persons in batches against one by one, the flip test's cost.

    python benchmarks/whole_body_keypoints.py                        # huge, made-up weights, 4 persons: some minutes on 2 cores
    python benchmarks/whole_body_keypoints.py --weights wholebody.pth
    python benchmarks/whole_body_keypoints.py --small                # two narrow blocks: seconds; says that it runs, not how fast

Everything is timed from pictures and boxes to keypoints. Every variant runs in each round, so that what else the
machine does hits all alike; the best round counts. CPU time (all threads) is given with --threads 1, on the CPU.
Deviations are those from float32 with the same weights. Maps of made-up weights are noise with many near ties, so a
keypoint's place says little there: its deviation is given where the two highest cells differ by a tenth or more of the
highest; heights of maps tell the arithmetic's error.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hamer.checkpoints.weights import write_safetensors
from hamer.detectors.vitpose import ViTPose
from hamer.detectors.wholebody.decoding import unmirrored
from hamer.detectors.wholebody.network import WholeBodyNetwork
from hamer.models.config import ViTConfig
from hamer.models.devices import pick_device
from hamer.models.precision import Precision, recommended_precision

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CLEAR = 0.1


def made_up_weights(config: ViTConfig, path: Path) -> Path:
    """A file of weights whose activations neither fade nor grow: normal over sqrt(fan-in)."""
    with torch.device("meta"):
        expected = WholeBodyNetwork(config).state_dict()
    generator = torch.Generator().manual_seed(0)
    return write_safetensors(path, {name: _made_up(name, value, generator) for name, value in expected.items()})


def _made_up(name: str, like: Tensor, generator: torch.Generator) -> Tensor:
    if not like.is_floating_point():
        return torch.zeros(like.shape, dtype=like.dtype)
    values = torch.empty(like.shape).normal_(generator=generator)
    if name.endswith("running_var"):
        return values.abs_().mul_(0.1).add_(1)
    if name.endswith(("bias", "pos_embed", "running_mean")):
        return values.mul_(0.02)
    return values.mul_(0.1).add_(1) if like.ndim == 1 else values.div_(like[0].numel() ** 0.5)


def pictures(number: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """So many persons in pictures of two: smooth noise, and boxes of several sizes."""
    rng = np.random.default_rng(0)
    rough = rng.integers(0, 256, (number, 40, 60, 3), dtype=np.uint8)
    images = [cv2.resize(image, (960, 640), interpolation=cv2.INTER_CUBIC) for image in rough[: (number + 1) // 2]]
    corners = rng.uniform((0, 0), (500, 200), (number, 2))
    boxes = np.concatenate([corners, corners + rng.uniform((120, 200), (400, 430), (number, 2))], 1)
    return images, np.split(boxes.astype(np.float32), range(2, number, 2))


def gflop_per_crop(config: ViTConfig) -> tuple[float, float]:
    """Multiplications and additions of the backbone's matrices and attention, and of the head."""
    tokens = config.grid[0] * config.grid[1]
    linear = config.depth * config.width**2 * (4 + 2 * config.mlp_ratio) + 3 * config.patch_size**2 * config.width
    attention = config.depth * 2 * tokens * config.width
    head = 16 * 256 * (config.width + 4 * 256) + 16 * 256 * 133
    return 2 * tokens * (linear + attention) / 1e9, 2 * tokens * head / 1e9


def best_rate(precision: str, rows: int, width: int, device: torch.device, timed: Callable) -> float | None:
    """GFLOP/s of one product of the size of the MLP's first layer, alone."""
    if precision not in DTYPES:
        return None
    x, w = (torch.randn(shape, device=device).to(DTYPES[precision]) for shape in ((rows, width), (4 * width, width)))
    return 8 * rows * width**2 / 1e9 / min(timed(lambda: F.linear(x, w)) for _ in range(8))


def timer(device: torch.device, threads: int) -> Callable[[Callable[[], object]], float]:
    """A function that gives the seconds of one call."""
    clock = time.process_time if threads == 1 and device.type == "cpu" else time.perf_counter

    def timed(function: Callable[[], object]) -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = clock()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return clock() - start

    return timed


def machine(device: torch.device) -> str:
    """What the figures belong to."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":")[1].strip() if lines else model
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    gpu = f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    return f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}{gpu}{load}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a trained network instead of a made-up one")
    parser.add_argument("--small", action="store_true", help="a network of two narrow blocks")
    parser.add_argument("--persons", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--precisions", nargs="*", help="beside float32; default what suits the machine, and int8 on CPUs"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    config = ViTConfig(192, 2, 3, drop_path_rate=0.0) if args.small else ViTConfig.of_size("H", drop_path_rate=0.0)
    default = ["int8"] if device.type == "cpu" else ["float16"]
    chosen = args.precisions if args.precisions is not None else [recommended_precision(device), *default]
    precisions: list[Precision] = ["float32", *(name for name in dict.fromkeys(chosen) if name != "float32")]
    with tempfile.TemporaryDirectory() as folder:
        path = args.weights or made_up_weights(config, Path(folder) / "made_up.safetensors")
        report(args, device, measure(args, path, None if args.weights else config, device, precisions))


@dataclass
class Figures:
    """What was measured: seconds a person by precision and variant, results and products' rates by precision."""

    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    points: dict[str, np.ndarray] = field(default_factory=dict)
    rates: dict[str, float | None] = field(default_factory=dict)
    clear: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    head: float = 0.0
    config: ViTConfig = field(default_factory=ViTConfig)


def measure(
    args: argparse.Namespace, path: Path, config: ViTConfig | None, device: torch.device, precisions: list[Precision]
) -> Figures:
    """Time every variant, one precision after the other so that one network lies in memory at a time."""
    images, boxes = pictures(args.persons)
    timed = timer(device, args.threads)
    figures = Figures()
    for precision in precisions:
        detector = ViTPose(path, batch_size=args.persons, config=config, device=str(device), precision=precision)
        network = detector.load()
        variants = {"batched": {}, "no flip test": {"flip_test": False}, "one by one": {"batch_size": 1}}
        if precision != "float32":
            del variants["one by one"]
        times: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(args.rounds + 1):  # the first warms up
            for name, options in variants.items():
                times[name].append(timed(partial(run, detector, images, boxes, options)))
        figures.seconds |= {(precision, name): min(values[1:]) / args.persons for name, values in times.items()}
        figures.points[precision] = run(detector, images, boxes, {})
        figures.config = network.backbone.config
        figures.rates[precision] = best_rate(precision, 2 * 192 * args.persons, figures.config.width, device, timed)
        if precision == "float32":
            figures.clear = clear_points(network, partial(detector, images, boxes))
            figures.head = head_seconds(network, args.persons, device, timed)
        detector.release()
    return figures


def run(detector: ViTPose, images: list[np.ndarray], boxes: list[np.ndarray], options: dict) -> np.ndarray:
    """Keypoints (P, 133, 3) with some of the detector's options changed for this once."""
    before = {name: getattr(detector, name) for name in options}
    vars(detector).update(options)
    try:
        return np.concatenate(detector(images, boxes))
    finally:
        vars(detector).update(before)


def head_seconds(network: WholeBodyNetwork, persons: int, device: torch.device, timed: Callable) -> float:
    """Seconds a person that the deconvolutions take, flip test included."""
    features = torch.randn(2 * persons, network.backbone.config.width, 16, 12, device=device)
    with torch.inference_mode():
        return min(timed(lambda: network.keypoint_head(features)) for _ in range(3)) / persons


def clear_points(network: WholeBodyNetwork, look: Callable[[], object]) -> np.ndarray:
    """Which keypoints (P, 133) of one look have a cell clearly above all that do not touch it, after the flip test."""
    maps: list[Tensor] = []
    hook = network.register_forward_hook(lambda _module, _inputs, output: maps.append(output.float().cpu()))
    look()
    hook.remove()
    plain, mirrored = torch.cat(maps).chunk(2)
    mean = (plain + unmirrored(mirrored)) / 2
    top = mean.flatten(2).max(-1).values
    beside = F.max_pool2d((mean == top[..., None, None]).float(), 3, 1, 1) > 0
    second = mean.masked_fill(beside, -torch.inf).flatten(2).max(-1).values
    return ((top - second) > CLEAR * top).numpy()


def report(args: argparse.Namespace, device: torch.device, figures: Figures) -> None:
    """Print the tables, and what bounds the figures."""
    seconds, exact = figures.seconds, figures.points["float32"]
    backbone, head = gflop_per_crop(figures.config)
    work, base = 2 * (backbone + head), seconds["float32", "batched"]
    kind = "CPU time" if args.threads == 1 and device.type == "cpu" else "clock"
    print(
        f"{machine(device)}\n{args.persons} persons, {work:.0f} GFLOP a person with the flip test "
        f"({head / (backbone + head):.1%} in the head), best of {args.rounds} rounds, {kind}\n"
    )
    print(
        "precision   ms/person   ratio   GFLOP/s   of its best product   score mean / max      px median / max, clear points"
    )
    for precision, points in figures.points.items():
        value, rate = seconds[precision, "batched"], figures.rates[precision]
        score = np.abs(points[..., 2] - exact[..., 2])
        share = f"{work / value / rate:13.0%} of {rate:<6.0f}" if rate else " " * 22
        print(
            f"{precision:9s} {value * 1e3:11.0f} {base / value:7.2f} {work / value:9.0f} {share} {score.mean():9.5f} / "
            f"{score.max():.5f}   {moved(points, exact, figures.clear)}"
        )
    alone = seconds["float32", "one by one"]
    print(
        f"\nfloat32, one by one: {alone * 1e3:.0f} ms a person; in batches of {args.persons} {alone / base:.2f} times as fast"
    )
    for precision in figures.points:
        plain, both = seconds[precision, "no flip test"], seconds[precision, "batched"]
        print(f"{precision}, no flip test: {plain * 1e3:.0f} ms a person, {both / plain:.2f} times as fast")
    print(
        f"float32: {figures.head / base:.1%} of the time goes to the head, nearly all else to the backbone's products."
    )


def moved(points: np.ndarray, exact: np.ndarray, clear: np.ndarray) -> str:
    """How far clear keypoints are from float32's, px of the picture."""
    if not clear.any():
        return "no clear point"
    distance = np.linalg.norm(points[clear, :2] - exact[clear, :2], axis=-1)
    return f"{np.median(distance):.2f} / {distance.max():.2f} ({clear.sum()} of {clear.size})"


if __name__ == "__main__":
    main()
