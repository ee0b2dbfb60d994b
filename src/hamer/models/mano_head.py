"""The head: feature map to MANO parameters and camera (Pavlakos et al., "Reconstructing Hands in 3D with
Transformers", 2024).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hamer.geometry.rotations import rot6d_to_rotmat
from hamer.models.config import DecoderConfig
from hamer.models.transformer_decoder import TransformerDecoder

N_ROTATIONS, N_BETAS = 16, 10


def read_mean_params(path: str | Path) -> dict[str, np.ndarray]:
    """Read `mano_mean_params.npz`: pose (96,) 16 rotations in 6D, shape (10,), cam (3,).

    Raises:
        ValueError: not such a file.
    """
    with np.load(path, allow_pickle=False) as file:
        missing = {"pose", "shape", "cam"} - set(file.files)
        if missing:
            raise ValueError(
                f"{path} must hold pose, shape and cam; {', '.join(sorted(missing))} missing, got {file.files}"
            )
        return {name: np.asarray(file[name], np.float32) for name in ("pose", "shape", "cam")}


def neutral_mean_params() -> dict[str, np.ndarray]:
    """Flat pose, mean shape, a camera that fills 90 % of the crop: a start for training without the original's file."""
    flat = np.tile(np.array([1, 0, 0, 0, 1, 0], np.float32), N_ROTATIONS)
    return {"pose": flat, "shape": np.zeros(N_BETAS, np.float32), "cam": np.array([0.9, 0, 0], np.float32)}


class MANOTransformerDecoderHead(nn.Module):
    """One query token reads the features; three linear layers give changes to the mean pose, shape and camera."""

    init_hand_pose: Tensor
    init_betas: Tensor
    init_cam: Tensor

    def __init__(self, config: DecoderConfig, mean_params: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.ief_iters = config.ief_iters
        self.transformer = TransformerDecoder(config)
        self.decpose = nn.Linear(config.width, 6 * N_ROTATIONS)
        self.decshape = nn.Linear(config.width, N_BETAS)
        self.deccam = nn.Linear(config.width, 3)
        for layer in (self.decpose, self.decshape, self.deccam):  # training starts near the mean hand
            nn.init.xavier_uniform_(layer.weight, gain=0.01)
            nn.init.zeros_(layer.bias)
        for name, key, n in (
            ("init_hand_pose", "pose", 6 * N_ROTATIONS),
            ("init_betas", "shape", N_BETAS),
            ("init_cam", "cam", 3),
        ):
            values = torch.as_tensor(np.asarray(mean_params[key], np.float32))
            if tuple(values.shape) != (n,):
                raise ValueError(f"mean parameter {key!r} must have shape ({n},), got {tuple(values.shape)}")
            self.register_buffer(name, values[None])

    def forward(
        self, features: Tensor, more: Tensor | None = None, start: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Parameters of hands, right-hand convention.

        Args:
            features: (B, C, rows, columns).
            more: (B, M, C) further tokens to read beside them.
            start: (B, width) added to the query before it reads anything.

        Returns:
            parameters as rotation matrices, `global_orient` (B, 1, 3, 3), `hand_pose` (B, 15, 3, 3), `betas` (B, 10),
            and the camera (B, 3): scale and translation of the weak perspective in the crop.
        """
        batch = features.shape[0]
        context = features.flatten(2).transpose(1, 2)
        if more is not None:
            context = torch.cat([context, more], dim=1)
        pose, betas, camera = (
            buffer.expand(batch, -1) for buffer in (self.init_hand_pose, self.init_betas, self.init_cam)
        )
        for _ in range(self.ief_iters):  # the query never sees the estimate: every pass adds the same change
            token = self.transformer(context, start)
            pose = self.decpose(token) + pose
            betas = self.decshape(token) + betas
            camera = self.deccam(token) + camera
        rotations = rot6d_to_rotmat(pose.unflatten(-1, (N_ROTATIONS, 6)))
        parameters = {"global_orient": rotations[:, :1], "hand_pose": rotations[:, 1:], "betas": betas}
        return parameters, camera
