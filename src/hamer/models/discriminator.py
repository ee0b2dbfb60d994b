"""The training's adversary: tells estimated hand parameters from captured ones (after Kanazawa et al., HMR, 2018).

Tensor names are those of the original's checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

N_JOINTS = 15
_CHANNELS, _HIDDEN = 32, 1024


class Discriminator(nn.Module):
    """Scores each joint's rotation, the shape, and all rotations together: 17 numbers, near 1 for real hands."""

    def __init__(self) -> None:
        super().__init__()
        self.D_conv1 = nn.Conv2d(9, _CHANNELS, kernel_size=1)
        self.D_conv2 = nn.Conv2d(_CHANNELS, _CHANNELS, kernel_size=1)
        self.pose_out = nn.ModuleList(nn.Linear(_CHANNELS, 1) for _ in range(N_JOINTS))
        self.betas_fc1 = nn.Linear(10, 10)
        self.betas_fc2 = nn.Linear(10, 5)
        self.betas_out = nn.Linear(5, 1)
        self.D_alljoints_fc1 = nn.Linear(_CHANNELS * N_JOINTS, _HIDDEN)
        self.D_alljoints_fc2 = nn.Linear(_HIDDEN, _HIDDEN)
        self.D_alljoints_out = nn.Linear(_HIDDEN, 1)

    def forward(self, poses: Tensor, betas: Tensor) -> Tensor:
        """Scores of hands.

        Args:
            poses: (B, 15, 3, 3) rotation matrices, or anything with 15 * 9 numbers a hand in this order.
            betas: (B, 10).

        Returns:
            (B, 17): joints, shape, all joints together.
        """
        matrices = poses.reshape(-1, N_JOINTS, 1, 9).permute(0, 3, 1, 2)  # (B, 9, 15, 1): joints as a picture's column
        joints = F.relu(self.D_conv2(F.relu(self.D_conv1(matrices))))  # (B, 32, 15, 1)
        per_joint = torch.cat([out(joints[:, :, i, 0]) for i, out in enumerate(self.pose_out)], dim=1)
        shape = self.betas_out(F.relu(self.betas_fc2(F.relu(self.betas_fc1(betas)))))
        together = F.relu(self.D_alljoints_fc1(joints.flatten(1)))
        together = self.D_alljoints_out(F.relu(self.D_alljoints_fc2(together)))
        return torch.cat([per_joint, shape, together], dim=1)
