"""Where MANO's joints lie between the landmark model's points: the steps in `hamer.detectors.joints_of_landmarks`.

python tools/measure_landmarks.py made/train [--count 12000]

Reads made pictures of `hamer data synthesize`, whose joints are known exactly, and fits each joint as its own point plus
parts of the way to a few others, by absolute distances (iteratively reweighted least squares). Every other hand is fitted;
the rest is what the printed distances are of. Parts below 0.06 are left out. Hands whose points are farther from the truth
than 0.1 of their size on average are left out too: what the model takes for another hand says nothing about its joints.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from hamer.checkpoints.unpickling import load_pickle
from hamer.datasets.skipping import SkipCounts
from hamer.datasets.tar_reading import read_tar
from hamer.detectors.joints_of_landmarks import MATRIX, matrix_of
from hamer.detectors.skeleton import PALM, WRIST

KNUCKLES = [joint for joint in PALM if joint != WRIST]
LEAST_PART = 0.06
RIDGE = 0.0067  # against large parts of opposite signs, towards points that move together
WORST_HAND, NEAR = 0.1, 0.01  # of the hand's size; errors below the latter count by their squares


def neighbours(joint: int) -> list[int]:
    """The points that a joint may lie towards: those before and after it; for the palm's, the others of the palm."""
    if joint == 0:
        return KNUCKLES.copy()
    if joint == 1:
        return [0, 2, *KNUCKLES]
    if joint in KNUCKLES:
        return [0, 1, *(other for other in KNUCKLES if other != joint), joint + 1]
    return [joint - 2, joint - 1] if joint % 4 == 0 else [joint - 1, joint + 1]


def hands_of(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The landmark model's own points (21, 2) and the joints (21, 2) of each hand that it saw, in sizes of the hand."""
    skipped = SkipCounts()
    for tar in sorted(folder.rglob("*.tar")):
        for sample in read_tar(str(tar), skipped):
            (annotation,) = load_pickle(sample.members["data.pyd"])
            if annotation.get("landmarks_2d") is None:
                continue
            joints = np.asarray(annotation["keypoints_2d"], np.float64)[:, :2]
            points = np.linalg.solve(MATRIX, np.asarray(annotation["landmarks_2d"], np.float64)[:, :2])
            size = np.ptp(joints, axis=0).max()
            if np.linalg.norm(points - joints, axis=-1).mean() < WORST_HAND * size:
                yield points / size, joints / size


def steps_of(joint: int, points: np.ndarray, joints: np.ndarray) -> dict[int, float]:
    """Parts of the way from the point `joint` to others, of hands (N, 21, 2); the smallest is left out until none is small."""
    others = neighbours(joint)
    wanted = (joints[:, joint] - points[:, joint]).reshape(-1)
    while others:
        ways = (points[:, others] - points[:, [joint]]).transpose(0, 2, 1).reshape(-1, len(others))
        weights = np.ones(len(wanted))
        for _ in range(15):
            weighted = (ways * weights[:, None]).T
            parts = np.linalg.solve(weighted @ ways + RIDGE * len(wanted) * np.eye(len(others)), weighted @ wanted)
            missed = np.linalg.norm((wanted - ways @ parts).reshape(-1, 2), axis=-1)
            weights = np.repeat(1 / np.maximum(missed, NEAR), 2)
        smallest = int(np.abs(parts).argmin())
        if abs(parts[smallest]) >= LEAST_PART:
            return {other: round(float(part), 2) for other, part in zip(others, parts, strict=True)}
        others.pop(smallest)
    return {}


def main() -> None:
    """Print the steps, and how near points and joints are without and with them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="made pictures")
    parser.add_argument("--count", type=int, default=12_000, help="hands to read (default: %(default)s)")
    args = parser.parse_args()
    pairs = list(islice(hands_of(args.folder), args.count))
    if len(pairs) < 1000:
        parser.error(f"{args.folder} must hold 1,000 hands with landmarks or more, got {len(pairs)}")
    points, joints = (np.stack(part) for part in zip(*pairs, strict=True))
    steps = {joint: steps_of(joint, points[::2], joints[::2]) for joint in range(21)}
    for joint, parts in steps.items():
        print(f"    {joint}: {parts},")
    print("hands | mean distance | PCK@0.05 | PCK@0.1, of the hands that were not fitted")
    for name, given in (("points", points[1::2]), ("with these steps", matrix_of(steps) @ points[1::2]),
                        ("with those in use", MATRIX @ points[1::2])):  # fmt: skip
        distance = np.linalg.norm(given - joints[1::2], axis=-1)
        print(
            f"{name}: {len(given)} | {distance.mean():.4f} | {(distance < 0.05).mean():.3f} | {(distance < 0.1).mean():.3f}"
        )


if __name__ == "__main__":
    main()
