"""The head: feature map to MANO parameters and camera (Pavlakos et al., "Reconstructing Hands in 3D with
Transformers", 2024).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hamer.geometry.rotations import rot6d_to_rotmat
from hamer.models.config import DecoderConfig
from hamer.models.transformer_decoder import TransformerDecoder

N_ROTATIONS, N_BETAS = 16, 10
MEAN_BOX_SIDE = 0.12  # metres: longer side of the box around a hand as it is seen, on average over poses and views


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


def neutral_mean_params(rescale_factor: float = 2.0) -> dict[str, np.ndarray]:
    """A start for training without the original's file: flat pose, mean shape, an ordinary hand's size in the crop.

    `rescale_factor`: side of the crop over that of the box tight around the hand. The scale of the camera is 2 over the
    crop's width in metres at the hand; from far off, as 0.9 would be, a network first learns about that width alone.
    """
    flat = np.tile(np.array([1, 0, 0, 0, 1, 0], np.float32), N_ROTATIONS)
    scale = 2 / (rescale_factor * MEAN_BOX_SIDE)
    return {"pose": flat, "shape": np.zeros(N_BETAS, np.float32), "cam": np.array([scale, 0, 0], np.float32)}


class MANOTransformerDecoderHead(nn.Module):
    """One query token reads the features; three linear layers give changes to the mean pose, shape and camera."""

    init_hand_pose: Tensor
    init_betas: Tensor
    init_cam: Tensor

    def __init__(self, config: DecoderConfig, mean_params: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.ief_iters = config.ief_iters
        self.gradient_limit: float | None = None  # see `limited`; training sets it
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
        if self.gradient_limit is not None and pose.requires_grad:
            for estimate in (pose, betas, camera):
                estimate.register_hook(partial(limited, limit=self.gradient_limit))
        rotations = rot6d_to_rotmat(pose.unflatten(-1, (N_ROTATIONS, 6)))
        parameters = {"global_orient": rotations[:, :1], "hand_pose": rotations[:, 1:], "betas": betas}
        return parameters, camera


def limited(gradient: Tensor, limit: float) -> Tensor:
    """The gradient (B, n) of a loss that is a sum over hands, each hand's part no longer than `limit`.

    A rotation of six numbers (Zhou et al., 2019) is divided by their length: where the network has no idea which way a
    hand is turned, the numbers tend to 0 and the gradient of that one hand to infinity, and would outweigh the batch.
    """
    length = gradient.norm(dim=-1, keepdim=True)
    return gradient * (limit / length.clamp_min(limit))
