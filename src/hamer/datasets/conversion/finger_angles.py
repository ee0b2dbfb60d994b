"""Whether a release's 45 finger angles are absolute, relative to MANO's mean, or coefficients of its components.

Releases seldom say. With a MANO file the joints tell: only the right reading puts them where the release has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hamer.checkpoints.hand_files import read_mano
from hamer.datasets.packing.annotations import Pictures
from hamer.hand_models.layer import HandModel

_ABSOLUTE, _RELATIVE, _COEFFICIENTS = "absolute", "relative to the mean", "coefficients of components"
SAMPLES = 64  # joints of a wrong reading are centimetres off: a few hands tell


@dataclass(frozen=True)
class AnglesFinding:
    """How the angles are to be read (`kind`), and the mean distance of joints under each reading, mm."""

    kind: str
    residuals: dict[str, float]

    def __str__(self) -> str:
        figures = ", ".join(f"{name} {value:.2f} mm" for name, value in self.residuals.items())
        return f"finger angles are {self.kind}: joints of MANO miss the release's by {figures}"


class FingerAngles:
    """The readings of finger angles under one MANO file.

    Args:
        mano: file or folder of a right hand.
    """

    def __init__(self, mano: str | Path) -> None:
        self._model = HandModel(read_mano(Path(mano)), dtype=torch.float64)

    @torch.no_grad()
    def find(
        self, poses: Sequence[np.ndarray], betas: Sequence[np.ndarray], joints: Sequence[np.ndarray]
    ) -> AnglesFinding:
        """The reading that fits best, of poses (48,), betas (10,) and joints (21, 3) m in the same frame."""
        pose, beta = (torch.as_tensor(np.stack(rows), dtype=torch.float64) for rows in (poses, betas))
        truth = torch.as_tensor(np.stack(joints), dtype=torch.float64)
        residuals = {}
        for kind in (_ABSOLUTE, _RELATIVE, _COEFFICIENTS):
            given = torch.as_tensor(self.absolute(pose.numpy(), kind))
            output = self._model.forward_axis_angle(given[:, :3], given[:, 3:], beta).joints
            apart = (output - output.mean(1, keepdim=True)) - (truth - truth.mean(1, keepdim=True))
            residuals[kind] = 1000 * float(apart.norm(dim=-1).mean())
        return AnglesFinding(min(residuals, key=lambda kind: residuals[kind]), residuals)

    def find_in(self, pictures: Pictures[Any], *, mean_is_added: bool) -> AnglesFinding | None:
        """The reading that fits the first hands with pose, betas and all 3D joints; None where there are none.

        Args:
            mean_is_added: the annotations' reader took the angles for relative and added the mean; undone here.
        """
        mean = self.absolute(np.zeros(48), _RELATIVE) if mean_is_added else np.zeros(48)
        poses, betas, joints = [], [], []
        for index in range(min(len(pictures), SAMPLES)):
            try:
                hands = pictures[index].hands
            except (ValueError, KeyError, TypeError, IndexError, OSError):
                continue  # named when it is converted
            for hand in hands:
                if hand.hand_pose is None or hand.betas is None or hand.keypoints_3d is None:
                    continue
                if hand.is_right and hand.keypoints_3d[:, 3].all():
                    poses.append(hand.hand_pose - mean)
                    betas.append(hand.betas)
                    joints.append(hand.keypoints_3d[:, :3])
        return self.find(poses, betas, joints) if poses else None

    def absolute(self, poses: np.ndarray, kind: str) -> np.ndarray:
        """(..., 48) poses of a `kind` that `find` gave, with absolute finger angles."""
        mean, components = self._model.hands_mean.numpy(), self._model.hands_components.numpy()
        fingers = poses[..., 3:]
        if kind == _COEFFICIENTS:
            fingers = fingers[..., : len(components)] @ components[:45] + mean
        elif kind == _RELATIVE:
            fingers = fingers + mean
        return np.concatenate([poses[..., :3], fingers], axis=-1)
