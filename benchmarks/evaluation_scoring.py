"""Claim: once a network has predicted, a thousand hands are scored in a few seconds, with every figure of the report.

    python benchmarks/evaluation_scoring.py                 # 2,000 hands of 778 vertices
    python benchmarks/evaluation_scoring.py --hands 200 --threads 1

Measured are the figures alone, as `hamer eval` computes them from saved predictions: the original's Evaluator (the
baseline: it gives joints and keypoints only), ours on joints and keypoints, ours with meshes (aligned both ways, areas,
F-scores), the json for the public programs, and the bootstrap of a comparison. Points are made up.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from hamer.evaluation import compare, network_run
from hamer.evaluation.protocols import protocol_of
from hamer.evaluation.regression_csv import write_predictions

VERTICES = 778


def made_up_rows(hands: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What a run over a set keeps, and the true vertices."""
    rng = np.random.default_rng(0)
    joints = 0.05 * rng.normal(0, 1, (hands, 21, 3)).astype(np.float32)
    vertices = 0.05 * rng.normal(0, 1, (hands, VERTICES, 3)).astype(np.float32)
    ones = np.ones((hands, 21, 1), np.float32)
    points = 0.2 * rng.normal(0, 1, (hands, 21, 2)).astype(np.float32)
    size = np.full(hands, 200.0)
    rows = {
        "idx": np.arange(hands),
        "pred_keypoints_3d": joints + 0.005 * rng.normal(0, 1, joints.shape).astype(np.float32),
        "pred_vertices": vertices + 0.005 * rng.normal(0, 1, vertices.shape).astype(np.float32),
        "pred_keypoints_2d": points + 0.02 * rng.normal(0, 1, points.shape).astype(np.float32),
        "keypoints_3d": np.concatenate([joints, ones], -1),
        "keypoints_2d": np.concatenate([points, ones], -1),
        "orig_keypoints_2d": np.concatenate([200 * points + 320, ones], -1).astype(np.float64),
        "box_center": np.full((hands, 2), 320.0),
        "box_size": size,
        "bbox_expand_factor": np.full(hands, 2.0),
        "img_size": np.full((hands, 2), 640.0),
        "right": np.ones(hands, np.float32),
    }
    return rows, vertices


def timed(what: str, hands: int, work: Callable[[], object], baseline: float | None = None) -> float:
    """Run, print, return the seconds a thousand hands take."""
    started = time.perf_counter()
    work()
    seconds = 1000 * (time.perf_counter() - started) / hands
    ratio = "" if baseline is None else f"   {seconds / baseline:6.2f} x the baseline"
    print(f"{what:58s} {seconds:8.2f} s a thousand hands{ratio}")
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hands", type=int, default=2000)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {args.hands} hands"
    )
    rows, vertices = made_up_rows(args.hands)
    ids = np.array([str(i) for i in range(args.hands)])
    hint = protocol_of("NEWDAYS-TEST-ALL")
    network_run.score({n: v[:8] for n, v in rows.items()}, ids, vertices, args.threads)  # compiles
    count = args.hands
    base = timed(
        "baseline: the original's Evaluator, kpl2 and PCK",
        count,
        lambda: network_run.original_figures("X", hint, rows, [0]),
    )
    timed(
        "joints and keypoints, four alignments", count, lambda: network_run.score(rows, ids, None, args.threads), base
    )
    timed("the same with meshes", count, lambda: network_run.score(rows, ids, vertices, args.threads), base)
    result = network_run.score(rows, ids, vertices, args.threads)
    timed("comparison of two results, 2,000 draws", count, lambda: compare(result, result))
    with tempfile.TemporaryDirectory() as folder:
        json = lambda: write_predictions(Path(folder), "X", rows["pred_keypoints_3d"], rows["pred_vertices"])  # noqa: E731
        timed("json for the public programs", count, json)


if __name__ == "__main__":
    main()
