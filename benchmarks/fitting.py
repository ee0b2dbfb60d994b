"""Fitting hands to keypoints: time per hand, what second-order steps and exact derivatives are worth, and accuracy.

    python benchmarks/fitting.py [--threads 1] [--repeat 3]

Made hands (random poses of the open hand within anatomical ranges, noisy keypoints and a noisy 3D guess, fixed seed).
Prints ms a hand for batches of 1, 8 and 64 (medians over repeats; CPU time and wall time, which agree on an idle
machine): from a guess, refining given parameters, from pixels alone; errors against the truth; and two baselines in the
same run: first-order descent (Adam) on the same cost, and the Jacobian by automatic differentiation.

What bounds it: at batch 1 the launch of some 400 small torch operations a step, nearly independent of the batch; at
batch 64 the products that form the normal equations (105 residuals times 46 unknowns a hand) and the Cholesky
factorisation, in double precision on one thread.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hamer.checkpoints.hand_files import load_open_hand
from hamer.fitting import FitOptions, HandPose, fit_hands
from hamer.fitting.anatomy import Anatomy
from hamer.fitting.fit import _Inputs, _problem
from hamer.fitting.kinematics import Skeleton, joints_jacobian, pose_skeleton
from hamer.fitting.objective import Objective
from hamer.fitting.solver import minimise
from hamer.fitting.starts import start_from_guess
from hamer.geometry.rotations import aa_to_rotmat
from hamer.geometry.similarity import align
from hamer.hand_models import HandModel

BATCHES = (1, 8, 64)
ADAM_STEPS = 200
CLOCKS = (time.process_time, time.perf_counter)


@dataclass
class Made:
    """Hands with known truth, and what is observed of them."""

    pose: HandPose
    angles: Tensor
    joints: Tensor
    keypoints: Tensor
    guess: Tensor
    camera: Tensor
    size_px: Tensor


def make_hands(model: HandModel, n: int) -> Made:
    """Keypoints off by 1.5 % of the hand's size, the guess by 6 mm across and 12 mm along the line of sight."""
    rng = torch.Generator().manual_seed(0)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=rng, dtype=torch.float64)

    anatomy = Anatomy.from_skeleton(Skeleton.from_hand_model(model))
    angles = (anatomy.mean + anatomy.spread * normal(n, len(anatomy.mean))).clamp(anatomy.low, anatomy.high)
    rotations = anatomy.rotations(anatomy.full_angles(angles, torch.zeros(n, 15, 3, dtype=torch.float64)))
    depth = 0.3 + 0.6 * torch.rand(n, generator=rng, dtype=torch.float64)
    translation = torch.stack([0.2 * depth * normal(n), 0.2 * depth * normal(n), depth], dim=1)
    pose = HandPose(aa_to_rotmat(normal(n, 3)), rotations, 0.7 * normal(n, 10), translation)
    joints = model.joints(pose.global_orient, pose.hand_pose, pose.betas, translation)
    camera = torch.tensor([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]], dtype=torch.float64)
    pixels = (joints / joints[..., 2:] @ camera.T)[..., :2]
    size = (pixels.amax(1) - pixels.amin(1)).amax(1)
    noisy = pixels + 0.015 * size[:, None, None] * normal(n, 21, 2)
    guess = joints + normal(n, 21, 3) * torch.tensor([0.006, 0.006, 0.012], dtype=torch.float64)
    keypoints = torch.cat([noisy, torch.ones_like(noisy[..., :1])], dim=-1)
    return Made(pose, angles, joints, keypoints, guess, camera, size)


def median_seconds(task: Callable[[], object], repeat: int, clock: Callable[[], float] = time.process_time) -> float:
    """The middle of `repeat` runs after one that is not counted, by default in CPU time: other programs hardly disturb it."""
    task()
    times = []
    for _ in range(repeat):
        start = clock()
        task()
        times.append(clock() - start)
    return statistics.median(times)


def first(made: Made, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor, HandPose]:
    """The inputs of `fit_hands` for the first n hands, and their true parameters a little off."""
    off = HandPose(made.pose.global_orient[:n], made.pose.hand_pose[:n], 0 * made.pose.betas[:n])
    right = torch.ones(n, dtype=torch.bool)
    return made.keypoints[:n], right, made.camera.expand(n, 3, 3), made.guess[:n], off


def table_of_speed(model: HandModel, made: Made, repeat: int) -> None:
    """ms a hand by batch and by what is given."""
    print(f"\n{'ms a hand: CPU (wall)':<28}" + "".join(f"{f'batch {n}':>18}" for n in BATCHES))
    for name in ("from a guess", "refining parameters", "from pixels alone"):
        line = f"{name:<28}"
        for n in BATCHES:
            keypoints, right, camera, guess, off = first(made, n)
            given = None if name == "from pixels alone" else guess
            initial = off if name == "refining parameters" else None

            def task(args: tuple = (keypoints, right, camera, given, initial)) -> object:
                return fit_hands(model, *args)

            cpu, wall = (1000 * median_seconds(task, repeat, clock) / n for clock in CLOCKS)
            line += f"{cpu:>9.2f} ({wall:>6.2f})"
        print(line)


def table_of_errors(model: HandModel, made: Made) -> None:
    """Against the truth, all hands."""
    keypoints, right, camera, guess, off = first(made, len(made.joints))
    print(f"\n{'error against the truth':<28}{'PA mm':>10}{'2D %':>10}{'steps':>10}{'ended':>10}")
    print(f"{'the guess itself':<28}{aligned_mm(guess, made.joints):>10.2f}{'':>10}{'':>10}{'':>10}")
    for name, given, initial in (
        ("from a guess", guess, None),
        ("refining parameters", guess, off),
        ("from pixels alone", None, None),
    ):
        fit = fit_hands(model, keypoints, right, camera, given, initial)
        pixels = (fit.joints / fit.joints[..., 2:] @ made.camera.T)[..., :2]
        truth = (made.joints / made.joints[..., 2:] @ made.camera.T)[..., :2]
        share = ((pixels - truth).norm(dim=-1) / made.size_px[:, None]).mean()
        steps, ended = fit.iterations.double().mean(), fit.converged.double().mean()
        print(f"{name:<28}{aligned_mm(fit.joints, made.joints):>10.2f}{100 * share:>10.2f}{steps:>10.1f}{ended:>10.0%}")


def aligned_mm(source: Tensor, target: Tensor) -> float:
    """Mean joint error after similarity alignment."""
    scale, rotation, shift = align(source, target)
    moved = scale[:, None, None] * source @ rotation.transpose(1, 2) + shift[:, None]
    return 1000 * float((moved - target).norm(dim=-1).mean())


def table_of_baselines(model: HandModel, made: Made, n: int, repeat: int) -> None:
    """Adam on the same cost from the same start, and the Jacobian by automatic differentiation."""
    options = FitOptions()
    keypoints, right, camera, guess, _ = first(made, n)
    inputs = _Inputs.of(keypoints, right, camera, guess, options)
    skeleton = Skeleton.from_hand_model(model)
    objective = Objective(skeleton, Anatomy.from_skeleton(skeleton), options)
    problem = _problem(objective, inputs, torch.arange(n))
    start = start_from_guess(skeleton, objective.anatomy, problem)

    def newton() -> Tensor:
        return minimise(objective, problem, start, iterations=options.iterations, tolerance=options.tolerance).cost

    def adam() -> Tensor:
        step = torch.zeros(n, objective.n_unknowns, dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.Adam([step], lr=0.02)
        for _ in range(ADAM_STEPS):
            optimiser.zero_grad()
            cost = objective.linearise(problem, start.moved(step)).cost
            cost.sum().backward()
            optimiser.step()
        return cost.detach()

    ours, theirs = median_seconds(newton, repeat), median_seconds(adam, 1)
    print(f"\n{f'search, batch of {n}':<28}{'ms a hand':>10}{'ratio':>10}{'cost':>10}")
    print(f"{'Levenberg-Marquardt':<28}{1000 * ours / n:>10.2f}{1:>10}{float(newton().mean()):>10.2f}")
    name, cost = f"Adam, {ADAM_STEPS} steps", float(adam().mean())
    print(f"{name:<28}{1000 * theirs / n:>10.2f}{theirs / ours:>10.1f}{cost:>10.2f}")
    compare_jacobians(objective, made, n, repeat)


def compare_jacobians(objective: Objective, made: Made, n: int, repeat: int) -> None:
    """Analytic derivatives of the 21 joints against forward-mode automatic differentiation."""
    skeleton, anatomy = objective.skeleton, objective.anatomy
    orient, betas = made.pose.global_orient[:n], made.pose.betas[:n]
    angles = anatomy.full_angles(made.angles[:n], torch.zeros(n, 15, 3, dtype=torch.float64))

    def analytic() -> Tensor:
        posed = pose_skeleton(skeleton, orient, anatomy.rotations(angles), betas)
        return joints_jacobian(skeleton, posed, anatomy.joint_of, anatomy.axes_parent(angles))

    def points(unknowns: Tensor) -> Tensor:
        full = anatomy.full_angles(unknowns[:, 3:-10], angles)
        turned = aa_to_rotmat(unknowns[:, :3]) @ orient
        return pose_skeleton(skeleton, turned, anatomy.rotations(full), unknowns[:, -10:]).points

    zero = torch.zeros(n, 3, dtype=torch.float64)
    unknowns = torch.cat([zero, made.angles[:n], betas], dim=1)

    def traced() -> Tensor:
        block = torch.autograd.functional.jacobian(lambda x: points(x).sum(0), unknowns, vectorize=True)
        return block.permute(2, 0, 1, 3)

    ours, theirs = median_seconds(analytic, repeat), median_seconds(traced, repeat)
    apart = float((analytic() - traced()).abs().max())
    print(f"\n{f'Jacobian, batch of {n}':<28}{'ms':>10}{'ratio':>10}")
    print(f"{'exact, by hand':<28}{1000 * ours:>10.2f}{1:>10}")
    print(f"{'autograd, vectorised':<28}{1000 * theirs:>10.2f}{theirs / ours:>10.1f}   largest difference {apart:.1e}")


def describe_machine() -> str:
    """CPU, threads and versions, in one line."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return f"{model}, {os.cpu_count()} cores, load {load}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Time and accuracy of fitting hands to keypoints.")
    parser.add_argument("--threads", type=int, default=1, help="of the baselines; the fit itself uses one")
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(describe_machine())
    model = HandModel(load_open_hand(), dtype=torch.float64)
    made = make_hands(model, max(BATCHES))
    table_of_speed(model, made, args.repeat)
    table_of_errors(model, made)
    table_of_baselines(model, made, 8, args.repeat)


if __name__ == "__main__":
    main()
