"""A relaxed hand and principal components of plausible poses, sampled from ranges of motion."""

from __future__ import annotations

import numpy as np

FINGERS = ("index", "middle", "little", "ring", "thumb")
RELAXED_FLEXION = {  # degrees of the three joints
    "index": (18.0, 26.0, 14.0),
    "middle": (24.0, 30.0, 16.0),
    "ring": (27.0, 32.0, 17.0),
    "little": (28.0, 30.0, 16.0),
    "thumb": (6.0, 8.0, 12.0),
}


def joint_axes(joints: np.ndarray) -> np.ndarray:
    """Flexion, abduction and twist axes of the 15 joints at rest (15, 3 axes, 3), in the model's frame.

    Twist is about the bone. Positive flexion bends to the palm (for the fingers about +z); positive abduction turns
    about +y, towards the thumb's side.
    """
    axes = np.zeros((15, 3, 3))
    for joint in range(1, 16):
        start, end = (joint, joint + 1) if joint % 3 else (joint - 1, joint)
        bone = joints[end] - joints[start]
        bone /= np.linalg.norm(bone)
        up = np.array([0.0, 1.0, 0.0])
        if joint >= 13:  # the thumb bends across the palm: its nail looks to the thumb's side and upwards
            up = np.array([1.0, 1.0, 1.0])
        flexion = np.cross(up, bone)
        flexion /= np.linalg.norm(flexion)
        axes[joint - 1] = flexion, np.cross(bone, flexion), bone
    return axes


def relaxed_pose(axes: np.ndarray) -> np.ndarray:
    """The mean hand pose (45,), axis-angle, relative to the flat rest pose."""
    angles = np.radians([RELAXED_FLEXION[finger] for finger in FINGERS]).reshape(15)
    return (angles[:, None] * axes[:, 0]).reshape(45)


def sample_poses(axes: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Plausible hand poses (count, 45): fingers that close together and apart, with thumb and spread."""
    rng = np.random.default_rng(seed)
    close = rng.beta(0.8, 1.2, (count, 1))
    own = np.clip(close + rng.normal(0, 0.22, (count, 4)), -0.1, 1.0)
    poses = np.zeros((count, 15, 3))
    spread = rng.normal(0, 1.0, (count, 1)) * (1.05 - close)
    for f in range(4):
        curl = own[:, f]
        mcp = np.radians(85) * np.clip(curl + rng.normal(0, 0.15, count), -0.3, 1.05)
        pip = np.radians(100) * np.clip(curl + rng.normal(0, 0.18, count), 0, 1.1)
        dip = 0.6 * pip + rng.normal(0, 0.08, count)
        side = np.radians((6.0, 0.0, -9.0, -4.0)[f]) * spread[:, 0] + rng.normal(0, np.radians(3), count)
        flexions = (mcp, pip, dip)
        for k in range(3):
            poses[:, 3 * f + k] += flexions[k][:, None] * axes[3 * f + k, 0]
        poses[:, 3 * f] += side[:, None] * axes[3 * f, 1]
    deviations = np.radians([[16, 16, 10], [18, 6, 4], [22, 3, 3]])
    means = np.radians([[10, 0, 0], [14, 0, 0], [18, 0, 0]])
    for k in range(3):
        angles = means[k] + deviations[k] * rng.standard_normal((count, 3)) + close * np.radians([12, 0, 0])
        poses[:, 12 + k] = angles @ axes[12 + k]
    return poses.reshape(count, 45)


def pose_components(poses: np.ndarray) -> np.ndarray:
    """Orthonormal principal components (45, 45) of poses, strongest first, one a row."""
    offsets = poses - poses.mean(0)
    rows = np.linalg.eigh(offsets.T @ offsets)[1].T[::-1]
    strongest = rows[np.arange(len(rows)), np.abs(rows).argmax(1)]
    return rows * np.sign(strongest)[:, None]  # an eigenvector's sign is arbitrary: fix it
