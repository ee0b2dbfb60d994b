"""Claim: the 3,960 meshes of FreiHAND's evaluation are scored in seconds, an order of magnitude faster than hand by hand.

    python benchmarks/scoring.py                    # all hands; the baseline on 100 of them, its time scaled up
    python benchmarks/scoring.py --hands 200 --baseline 20 --threads 1

The baseline is the public programs' recipe written plainly: hand by hand, a singular value decomposition for each
alignment, a tree (SciPy's, or every pair where SciPy is not installed) for the nearest neighbours, distances below a
threshold counted one by one, and a curve of 100 thresholds for each point at the end. Hands are the open hand in random
poses, 778 of its vertices, predictions a few millimetres off. Prints times, the ratio, and how far the figures of both lie
apart; reading the files is measured by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from hamer.checkpoints.hand_files import load_open_hand
from hamer.evaluation import freihand_scores
from hamer.evaluation.alignment import procrustes_reflecting
from hamer.evaluation.auc import area
from hamer.evaluation.fscore import f_score
from hamer.evaluation.metrics import point_errors
from hamer.evaluation.score_files import read_predictions
from hamer.hand_models import HandModel

try:
    from scipy.spatial import cKDTree
except ImportError:
    cKDTree = None

FREIHAND = 3960
THRESHOLDS = np.linspace(0, 0.05, 100)


def made_up_hands(n_hands: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(predicted joints, true joints, predicted vertices, true vertices), metres, camera frame."""
    rng = torch.Generator().manual_seed(0)
    hand = HandModel(load_open_hand())
    kept = torch.randperm(hand.n_vertices, generator=rng)[:778]
    joints, vertices = [], []
    for count in [256] * (n_hands // 256) + [n_hands % 256]:
        poses = 0.35 * torch.randn(count, 45, generator=rng)
        wrist, betas = torch.randn(count, 3, generator=rng), torch.randn(count, 10, generator=rng)
        for pose in (poses + 0.12 * torch.randn(poses.shape, generator=rng), poses):
            turned = wrist if pose is poses else wrist + 0.08 * torch.randn(wrist.shape, generator=rng)
            shift = 0.0 if pose is poses else 0.02 * torch.randn(count, 1, 3, generator=rng)
            posed = hand.forward_axis_angle(turned, pose, betas)
            joints.append(posed.joints + shift)
            vertices.append(posed.vertices[:, kept] + shift)
    return tuple(torch.cat(part[i::2]).double().numpy() for part in (joints, vertices) for i in (0, 1))  # type: ignore[return-value]


def aligned(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """One hand's prediction on its truth: rotation or reflection, scale, translation."""
    truth_mean, prediction_mean = truth.mean(0), prediction.mean(0)
    centred_truth, centred = truth - truth_mean, prediction - prediction_mean
    truth_size, size = np.linalg.norm(centred_truth), np.linalg.norm(centred)
    u, singular, vh = np.linalg.svd((centred_truth / truth_size).T @ (centred / size))
    return (centred / size) @ (u @ vh).T * singular.sum() * truth_size + truth_mean


def nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance of each point to the nearest of the others."""
    if cKDTree is not None:
        return cKDTree(others).query(points)[0]
    return np.sqrt(np.square(points[:, None] - others[None]).sum(-1).min(1))


def f_of_one(prediction: np.ndarray, truth: np.ndarray, threshold: float) -> float:
    """The F-score of one hand at one threshold."""
    to_truth, to_prediction = nearest(prediction, truth), nearest(truth, prediction)
    precision = sum(float(d) < threshold for d in to_truth) / len(to_truth)
    recall = sum(float(d) < threshold for d in to_prediction) / len(to_prediction)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def mean_and_area(errors: list[np.ndarray]) -> tuple[float, float]:
    """In centimetres and of 1: each point by itself, then the mean over points."""
    means, areas = [], []
    for column in np.array(errors).T:
        curve = np.array([(column <= t).mean() for t in THRESHOLDS])
        areas.append(((curve[1:] + curve[:-1]) / 2 * np.diff(THRESHOLDS)).sum() / THRESHOLDS[-1])
        means.append(column.mean())
    return 100 * float(np.mean(means)), float(np.mean(areas))


def hand_by_hand(
    joints: np.ndarray, true_joints: np.ndarray, vertices: np.ndarray, true_vertices: np.ndarray
) -> dict[str, float]:
    """The baseline."""
    errors: dict[str, list[np.ndarray]] = {"xyz": [], "xyz_al": [], "mesh": [], "mesh_al": []}
    shares: dict[str, list[float]] = {"f_score_5": [], "f_al_score_5": [], "f_score_15": [], "f_al_score_15": []}
    for i in range(len(joints)):
        moved = aligned(true_vertices[i], vertices[i])
        errors["xyz"].append(np.linalg.norm(joints[i] - true_joints[i], axis=1))
        errors["xyz_al"].append(np.linalg.norm(aligned(true_joints[i], joints[i]) - true_joints[i], axis=1))
        errors["mesh"].append(np.linalg.norm(vertices[i] - true_vertices[i], axis=1))
        errors["mesh_al"].append(np.linalg.norm(moved - true_vertices[i], axis=1))
        for millimetres in (5, 15):
            shares[f"f_score_{millimetres}"].append(f_of_one(vertices[i], true_vertices[i], millimetres / 1000))
            shares[f"f_al_score_{millimetres}"].append(f_of_one(moved, true_vertices[i], millimetres / 1000))
    figures = {name: float(np.mean(values)) for name, values in shares.items()}
    for name, values in errors.items():
        figures[f"{name}_mean3d"], figures[f"{name}_auc3d"] = mean_and_area(values)
    return figures


def seconds(call: Callable[[], object]) -> tuple[float, float, object]:
    """(wall, CPU, result) of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def machine(threads: int) -> str:
    """The machine and the libraries in a line."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    tree = "SciPy's tree" if cKDTree is not None else "every pair (SciPy is not installed)"
    return (
        f"{model}, {os.cpu_count()} CPUs, {threads} threads{load}; Python {platform.python_version()}, NumPy {np.__version__}, "
        f"torch {torch.__version__}; the baseline's neighbours by {tree}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hands", type=int, default=FREIHAND)
    parser.add_argument("--baseline", type=int, default=100, help="hands that the baseline scores (default: 100)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(machine(options.threads))
    points = made_up_hands(options.hands)
    few = tuple(p[: options.baseline] for p in points)
    freihand_scores(*(p[:2] for p in points))  # compiles once, kept on disk
    rows = {
        "all scores": lambda: freihand_scores(*points, threads=options.threads),
        "alignment of vertices": lambda: procrustes_reflecting(
            torch.from_numpy(points[2]), torch.from_numpy(points[3])
        ),
        "errors and areas of vertices": lambda: area(
            point_errors(torch.from_numpy(points[2]), torch.from_numpy(points[3]))
        ),
        "F-scores, once": lambda: f_score(points[2], points[3], threads=options.threads),
    }
    print(f"\n| {options.hands} hands | s | CPU s | ms a hand |\n| --- | ---: | ---: | ---: |")
    measured = {}
    for name, call in rows.items():
        wall, cpu, _ = measured[name] = seconds(call)
        print(f"| {name} | {wall:.2f} | {cpu:.2f} | {1e3 * wall / options.hands:.2f} |")
    wall, cpu, expected = seconds(lambda: hand_by_hand(*few))
    scale = options.hands / len(few[0])
    print(
        f"| hand by hand ({len(few[0])} hands, scaled) | {wall * scale:.1f} | {cpu * scale:.1f} | {1e3 * wall / len(few[0]):.2f} |"
    )
    ours = freihand_scores(*few)
    apart = max(abs(ours[name] - value) for name, value in expected.items())  # type: ignore[attr-defined]
    whole_wall, whole_cpu, _ = measured["all scores"]
    print(f"\nratio: {wall * scale / whole_wall:.0f} by the clock, {cpu * scale / whole_cpu:.0f} of CPU time")
    print(f"largest difference of the {len(ours)} figures on the same hands: {apart:.1e} (cm, shares of 1)")
    reading(points[0][:500], points[2][:500], options.hands)


def reading(joints: np.ndarray, vertices: np.ndarray, n_hands: int) -> None:
    """How long a predictions file takes to read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pred.json"
        path.write_text(json.dumps([joints.tolist(), vertices.tolist()]))
        size = path.stat().st_size
        wall, _, _ = seconds(lambda: read_predictions(path))
    scale = n_hands / len(joints)
    print(f"reading predictions: {wall * scale:.1f} s for {n_hands} hands ({size * scale / 1e6:.0f} MB of json)")


if __name__ == "__main__":
    main()
