"""The poses of a packed set as a mocap file: what the discriminator takes for real, for those without FreiHAND's."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hamer.checkpoints.unpickling import load_pickle
from hamer.datasets.skipping import SkipCounts
from hamer.datasets.tar_reading import ANNOTATION, read_tar
from hamer.datasets.tar_writing import PARTIAL
from hamer.geometry.mirroring import mirror_axis_angle

MOCAP_NAME = "mocap.npz"


def write_mocap(tars: Iterable[Path], path: Path) -> int:
    """Write `hand_pose` (N, 48) and `betas` (N, 10) of the hands that have a pose; returns N, and writes nothing for 0.

    All as right hands, left ones mirrored, as the network sees them; betas that are not known are those of the mean shape.
    """
    poses, betas = [], []
    for tar in tars:
        for sample in read_tar(str(tar), SkipCounts(tar.name)):
            for hand in load_pickle(sample.members[ANNOTATION]):
                if hand["has_hand_pose"]:
                    pose = np.asarray(hand["hand_pose"])
                    poses.append(pose if hand["right"] else mirror_axis_angle(pose.reshape(16, 3)).reshape(48))
                    betas.append(np.asarray(hand["betas"]))
    if poses:
        buffer = io.BytesIO()
        np.savez(buffer, hand_pose=np.stack(poses).astype(np.float32), betas=np.stack(betas).astype(np.float32))
        partial = path.with_name(path.name + PARTIAL)
        partial.write_bytes(buffer.getvalue())
        partial.replace(path)
    return len(poses)
