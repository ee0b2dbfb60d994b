"""The mean pose of MANO, which releases leave out of their finger angles and training wants in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hamer.checkpoints.hand_files import read_mano
from hamer.datasets.packing.sources import SourceOptions
from hamer.geometry.mirroring import mirror_axis_angle


def mean_pose(options: SourceOptions, release: str) -> np.ndarray | None:
    """(45,) to be added to a right hand's finger angles; None, and a note, without a MANO file.

    Angles relative to a mean that is not known cannot be made absolute, so that such poses are left out.
    """
    if options.mano is None:
        options.notes.append(
            f"{release}'s finger angles are relative to MANO's mean pose: without a MANO file (--mano) they are left out, "
            "and joints, boxes and betas alone are packed"
        )
        return None
    return read_mano(Path(options.mano)).hands_mean


def absolute_pose(pose: np.ndarray, mean: np.ndarray | None, *, is_right: bool) -> np.ndarray | None:
    """`pose` (48,), global orientation first, with the mean added to its fingers; None where the mean is not known."""
    if mean is None:
        return None
    side = mean if is_right else mirror_axis_angle(mean.reshape(15, 3)).reshape(45)
    return np.concatenate([pose[:3], pose[3:] + side]).astype(np.float32)
