"""The original's person detectors in every precision against plain float32: seconds a picture, memory, deviations.

    python benchmarks/person_detectors.py                        # ViTDet-H and RegNetY-4GF, made-up weights
    python benchmarks/person_detectors.py --detector regnety --threads 1
    python benchmarks/person_detectors.py --detector vitdet --weights model_final_f05665.pkl --picture photo.jpg
    python benchmarks/person_detectors.py --small                # tiny networks: only shows that it runs

Each precision runs in a process of its own, whose peak of memory is its own; the best round counts. CPU time is that of
all threads and tells more than the clock on a busy machine (take --threads 1 there). The work is counted as the float32
network runs. Deviations are those of what the heads say of 64 fixed boxes, and of the detections that both find (same
class, IoU over 0.7). Made-up weights give a thousand boxes of nearly equal scores, so that rounding changes which are
suppressed much more often than with a trained network.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from hamer.detectors.rcnn.detector import TwoStageDetector
from hamer.detectors.rcnn.network import TwoStageNetwork
from hamer.detectors.rcnn.pictures import prepare
from hamer.detectors.rcnn.regnet_backbone import RegNetConfig
from hamer.detectors.rcnn.selection import Selected
from hamer.detectors.rcnn.vit_backbone import ViTDetConfig
from hamer.detectors.regnety import RegNetY, regnety_network
from hamer.detectors.vitdet import VitDet, vitdet_network
from hamer.geometry.boxes import iou_matrix

#: IoU from which two boxes of a class count as the same detection.
_SAME = 0.7
DETECTORS: dict[str, type[TwoStageDetector]] = {"vitdet": VitDet, "regnety": RegNetY}
SMALL: dict[str, Callable[[], TwoStageNetwork]] = {
    "vitdet": lambda: vitdet_network(ViTDetConfig(width=160, depth=2, heads=2, global_blocks=(1,))),
    "regnety": lambda: regnety_network(RegNetConfig(8, (1, 1, 1, 1), (64, 64, 64, 64))),
}


def made_up(network: TwoStageNetwork) -> TwoStageNetwork:
    """Weights with which activations neither fade nor grow, and persons are found; the same in every process."""
    generator = torch.Generator().manual_seed(0)
    for name, value in network.state_dict().items():
        numbers = torch.empty(value.shape).normal_(generator=generator)
        leaf = name.rpartition(".")[2]
        if "pos" in leaf or leaf in ("bias", "running_mean"):
            numbers.mul_(0.02)
        elif value.ndim <= 1:
            numbers.abs_().mul_(0.1).add_(1)
        else:
            numbers.div_(value[0].numel() ** 0.5)
        if "cls_score" in name:
            numbers *= 6
        owner = network.get_submodule(name.rpartition(".")[0])
        if leaf in dict(owner.named_buffers(recurse=False)):
            owner.register_buffer(leaf, numbers)
        else:
            setattr(owner, leaf, nn.Parameter(numbers, requires_grad=False))
    for predictor in network.modules():
        if hasattr(predictor, "cls_score"):
            predictor.cls_score.bias[0] += 6
    return network.eval()


def picture(path: Path | None) -> np.ndarray:
    """RGB uint8: a photo, or smooth noise of 640 x 480, since neighbouring pixels of pictures are alike."""
    if path is None:
        coarse = np.random.default_rng(0).integers(0, 256, (15, 20, 3), dtype=np.uint8)
        return cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
    image = cv2.imread(str(path))
    if image is None:
        raise SystemExit(f"{path} cannot be read as a picture")
    return np.ascontiguousarray(image[..., ::-1])


def best_rate(precision: str, clock: Callable[[], float]) -> float:
    """GFLOP/s of one product of the size of ViTDet-H's MLP, alone."""
    x, w = (torch.randn(shape).to(getattr(torch, precision)) for shape in ((4096, 1280), (5120, 1280)))
    return 2 * x.numel() * len(w) / 1e9 / min(timed(lambda: F.linear(x, w), clock) for _ in range(4))


def read_rate(clock: Callable[[], float]) -> float:
    """GB/s at which numbers come from memory."""
    numbers = torch.ones(1 << 27)
    return numbers.numel() * 4 / 1e9 / min(timed(numbers.sum, clock) for _ in range(3))


def timed(function: Callable[[], object], clock: Callable[[], float]) -> float:
    """Seconds of one call."""
    start = clock()
    function()
    return clock() - start


class Parts:
    """Seconds of a network's three parts, added up as it runs."""

    def __init__(self, network: TwoStageNetwork, clock: Callable[[], float]) -> None:
        self.seconds = dict.fromkeys(("backbone", "proposals", "heads"), 0.0)
        modules = (network.backbone, network.proposal_generator, network.roi_heads)
        for name, module in zip(self.seconds, modules, strict=True):
            module.register_forward_pre_hook(lambda *_, name=name: self._add(name, -clock()))
            module.register_forward_hook(lambda *_, name=name: self._add(name, clock()))

    def _add(self, name: str, seconds: float) -> None:
        self.seconds[name] += seconds


def measure(args: argparse.Namespace) -> None:
    """One detector in one precision: figures as JSON on the last line of output, arrays into a file."""
    torch.set_num_threads(args.threads)
    clock = time.process_time if args.threads == 1 else time.perf_counter
    detector = DETECTORS[args.detector](args.weights, device="cpu", precision=args.precision, score_threshold=0.25)
    if args.weights is None:
        with torch.device("meta"):
            network = SMALL[args.detector]() if args.small else detector.build({})
        network = detector.settle(made_up(network), args.precision)
    else:
        network = detector.load()
    batch, sizes = prepare([picture(args.picture)], detector.pictures)
    counter, work = FlopCounterMode(display=False), 0.0
    with counter if args.precision == "float32" else torch.no_grad():  # this round warms up
        network(batch, sizes, detector.rule)
    if args.precision == "float32":
        work = counter.get_total_flops() / 1e9
    best: dict[str, float] = {}
    for _ in range(args.rounds):
        parts = Parts(network, clock)
        total = timed(lambda: network(batch, sizes, detector.rule), clock)
        if not best or total < best["total"]:
            best = {"total": total, **parts.seconds}
    save_results(args.output, network, detector, batch, sizes)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform != "darwin" else 1 << 30)
    weights = sum(p.numel() * p.element_size() for p in network.parameters()) / 1e9
    rate = best_rate(args.precision, clock)
    figures = {"seconds": best, "memory": memory, "weights": weights, "work": work, "rate": rate}
    print(json.dumps(figures | {"bandwidth": read_rate(clock)}))


def save_results(
    path: Path, network: TwoStageNetwork, detector: TwoStageDetector, batch: Tensor, sizes: list[tuple[int, int]]
) -> None:
    """What the heads say of fixed boxes, and the detections."""
    height, width = sizes[0]
    generator = torch.Generator().manual_seed(1)
    corner = torch.rand(64, 2, generator=generator) * torch.tensor([width, height]) * 0.7
    fixed = torch.cat([corner, corner + 8 + torch.rand(64, 2, generator=generator) * 0.3 * min(width, height)], 1)
    with torch.inference_mode():
        features = network.backbone(batch)
        (judged,) = network.roi_heads(features, [fixed], sizes)
        (proposals,) = network.proposal_generator(features, sizes)
        (found,) = network.judge(features, [proposals.boxes], sizes, detector.rule)
    arrays: dict[str, Any] = {"judged_boxes": judged.boxes, "judged_scores": judged.scores, **found._asdict()}
    np.savez(path, **{name: value.numpy() for name, value in arrays.items()})


def run_all(args: argparse.Namespace, name: str, folder: Path) -> None:
    """Measure every precision in its own process, and print the table."""
    precisions = ["float32", *(p for p in args.precisions if p != "float32")]
    results: dict[str, dict[str, Any]] = {}
    for precision in precisions:
        command = [sys.executable, __file__, "--detector", name, "--precision", precision]
        command += ["--output", str(folder / f"{precision}.npz"), "--rounds", str(args.rounds)]
        command += ["--threads", str(args.threads)] + ["--small"] * args.small
        for option in ("weights", "picture"):
            if getattr(args, option):
                command += [f"--{option}", str(getattr(args, option))]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        results[precision] = json.loads(lines[-1])
    report(name, results, {p: dict(np.load(folder / f"{p}.npz")) for p in precisions})


def report(name: str, results: dict[str, dict[str, Any]], arrays: dict[str, dict[str, np.ndarray]]) -> None:
    """Print the table and what bounds the figures."""
    exact, work = results["float32"]["seconds"]["total"], results["float32"]["work"]
    print(f"\n{name}: {work / 1e3:.2f} TFLOP a picture")
    print(
        "precision  s/picture  ratio  backbone/proposals/heads s   GFLOP/s  of its best product  peak GB  weights GB   "
        "fixed boxes: px mean/max, score mean/max   both find   px mean/max  score max"
    )
    for precision, result in results.items():
        seconds, rate = result["seconds"], work / result["seconds"]["total"]
        ours, reference = arrays[precision], arrays["float32"]
        px, scores = (np.abs(ours[f"judged_{x}"] - reference[f"judged_{x}"]) for x in ("boxes", "scores"))
        both, found_px, found_scores = found_by_both(Selected(*ours_of(reference)), Selected(*ours_of(ours)))
        parts = " / ".join(f"{seconds[part]:.2f}" for part in ("backbone", "proposals", "heads"))
        deviation = f"{px.mean():.4f} / {px.max():.3f}, {scores.mean():.1e} / {scores.max():.4f}"
        print(
            f"{precision:9s} {seconds['total']:10.2f} {exact / seconds['total']:6.2f}  {parts:>27s} {rate:9.0f} "
            f"{rate / result['rate']:10.0%} of {result['rate']:<6.0f} {result['memory']:7.2f} {result['weights']:10.2f}   "
            f"{deviation}        {both:>9s}   {found_px}  {found_scores}"
        )
    for precision, result in results.items():
        reading, seconds = result["weights"] / result["bandwidth"], result["seconds"]["total"]
        print(
            f"{precision}: all work at the rate of the best product would take {work / result['rate'] / seconds:.0%} of the "
            f"time, reading the weights once ({result['bandwidth']:.0f} GB/s) {reading / seconds:.1%}"
        )
    print(
        "So products bound it, not memory, the nearer to 100 % the more (convolutions of 3 x 3 may exceed the product's rate). "
        "The rest is softmax, norms, GELU, RoIAlign, sorting, rounding to the lower precision, and what lies between layers."
    )


def ours_of(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """The detections among saved arrays."""
    return tuple(arrays[name] for name in Selected._fields)


def found_by_both(reference: Selected, ours: Selected) -> tuple[str, str, str]:
    """How many of the reference's detections are there, and how far they are off."""
    if not len(reference.boxes) or not len(ours.boxes):
        return f"0 of {len(reference.boxes)}", "-", "-"
    overlap = iou_matrix(reference.boxes, ours.boxes) * (reference.classes[:, None] == ours.classes)
    partner, there = overlap.argmax(1), overlap.max(1) > _SAME
    px = np.abs(reference.boxes - ours.boxes[partner])[there]
    scores = np.abs(reference.scores - ours.scores[partner])[there]
    count = f"{there.sum()} of {len(there)}"
    return (count, f"{px.mean():.3f} / {px.max():.2f}", f"{scores.max():.4f}") if there.any() else (count, "-", "-")


def machine(threads: int) -> str:
    """What the figures belong to."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":")[1].strip() if lines else model
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{model}, {os.cpu_count()} cores, {threads} threads, torch {torch.__version__}{load}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", choices=("vitdet", "regnety", "both"), default="both")
    parser.add_argument("--precisions", nargs="+", default=["bfloat16"], help="besides float32: bfloat16, float16")
    parser.add_argument("--weights", type=Path, help="a trained network instead of a made-up one (with one --detector)")
    parser.add_argument("--picture", type=Path, help="a photo instead of smooth noise")
    parser.add_argument("--small", action="store_true", help="tiny networks")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", help=argparse.SUPPRESS)  # these two make it the process of one precision
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.precision:
        measure(args)
        return
    if args.weights and args.detector == "both":
        parser.error("--weights belong to one detector: say which by --detector")
    print(f"{machine(args.threads)}, {'CPU time' if args.threads == 1 else 'clock'}, best of {args.rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        for name in DETECTORS if args.detector == "both" else (args.detector,):
            run_all(args, name, Path(folder))


if __name__ == "__main__":
    main()
