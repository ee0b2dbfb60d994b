"""Landmarks made worse, or better, while a network learns to read them, so that it trusts them as much as they deserve.

A detector's landmarks on made pictures may be better or worse than on photos; and where there is none, the network must
manage with the picture. Random numbers are torch's own, on the batch's device, whose state checkpoints keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class LandmarkNoise:
    """Shares are of 0..1; at their defaults nothing changes.

    Attributes:
        dropout: `TRAIN.LANDMARK_DROPOUT`, share of hands whose landmarks are all taken away.
        joint_dropout: `TRAIN.LANDMARK_NOISE.JOINT_DROPOUT`, share of joints taken away, in each other hand.
        guess_dropout: `TRAIN.LANDMARK_NOISE.GUESS_DROPOUT`, share of hands whose 3D guess is taken away (zeros).
        sigma: `TRAIN.LANDMARK_NOISE.SIGMA`, crop widths: standard deviation of what each point is moved by.
        shift: `TRAIN.LANDMARK_NOISE.SHIFT`, crop widths: the same of a whole hand.
        guess_sigma: `TRAIN.LANDMARK_NOISE.GUESS_SIGMA`, metres: of what each joint of the 3D guess is moved by.
        mend: `TRAIN.LANDMARK_NOISE.MEND`, largest share of their errors that a hand's points and 3D guess lose: each hand's
            is drawn from 0 to this. A landmark model that learned from photos errs more on made pictures.
    """

    dropout: float = 0.0
    joint_dropout: float = 0.0
    guess_dropout: float = 0.0
    sigma: float = 0.0
    shift: float = 0.0
    guess_sigma: float = 0.0
    mend: float = 0.0

    def __post_init__(self) -> None:
        for name in ("dropout", "joint_dropout", "guess_dropout", "mend"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{_key(name)} must be in [0, 1], got {getattr(self, name)}")
        for name in ("sigma", "shift", "guess_sigma"):
            if getattr(self, name) < 0:
                raise ValueError(f"{_key(name)} must not be negative, got {getattr(self, name)}")

    @classmethod
    def from_cfg(cls, train: Mapping[str, Any]) -> LandmarkNoise:
        """Read the keys of a configuration's TRAIN.

        Raises:
            ValueError: a key of LANDMARK_NOISE that is not known, or a value out of range.
        """
        given = {key.lower(): float(value) for key, value in (train.get("LANDMARK_NOISE") or {}).items()}
        known = [field.name for field in fields(cls) if field.name != "dropout"]
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise ValueError(
                f"TRAIN.LANDMARK_NOISE.{unknown[0].upper()} is not known; known are {', '.join(known).upper()}"
            )
        return cls(dropout=float(train.get("LANDMARK_DROPOUT") or 0.0), **given)

    @property
    def is_none(self) -> bool:
        """Whether landmarks stay as they are."""
        return not any(getattr(self, field.name) for field in fields(self))

    def __call__(
        self, landmarks: Tensor, keypoints_2d: Tensor | None = None, keypoints_3d: Tensor | None = None
    ) -> Tensor:
        """Landmarks (B, 21, 7) of `hamer.datasets.extra_labels`, changed copies; unknown ones stay all zero.

        Args:
            landmarks: of a batch.
            keypoints_2d: (B, 21, 3) the truth, crop widths and confidence; without it nothing is mended.
            keypoints_3d: (B, 21, 4) the truth, metres and confidence, for the 3D guess.
        """
        hands, joints = landmarks.shape[:2]
        changed = landmarks.clone()
        if self.mend:
            share = self.mend * torch.rand(hands, 1, 1, device=landmarks.device)
            changed = _mended(changed, share.to(changed.dtype), keypoints_2d, keypoints_3d)
        if self.sigma or self.shift:
            moved = self.sigma * torch.randn_like(changed[..., :2]) + self.shift * torch.randn_like(changed[:, :1, :2])
            changed[..., :2] += moved
        if self.guess_sigma:
            guess = changed[..., 3:6]
            noise = self.guess_sigma * torch.randn_like(guess)
            noise[:, 0] = 0  # the wrist is the origin
            guess += noise * (guess != 0).any(dim=(1, 2), keepdim=True)
        changed[..., 3:6] *= self._kept(changed, hands, 1, self.guess_dropout)
        kept = self._kept(changed, hands, 1, self.dropout) * self._kept(changed, hands, joints, self.joint_dropout)
        return changed * (kept * (landmarks[..., 6:] > 0))

    @staticmethod
    def _kept(like: Tensor, hands: int, joints: int, dropout: float) -> Tensor:
        """(B, joints, 1) ones, and zeros for a share."""
        if not dropout:
            return like.new_ones(hands, joints, 1)
        return (torch.rand(hands, joints, 1, device=like.device) >= dropout).to(like.dtype)


def _mended(landmarks: Tensor, share: Tensor, keypoints_2d: Tensor | None, keypoints_3d: Tensor | None) -> Tensor:
    """Landmarks (B, 21, 7) moved by `share` (B, 1, 1) of the way to the truth, where it is known."""
    x_y, confidence, guess, known = landmarks.split([2, 1, 3, 1], dim=-1)
    if keypoints_2d is not None:
        x_y = x_y + share * (keypoints_2d[..., 2:] > 0) * (keypoints_2d[..., :2] - x_y)
    if keypoints_3d is not None:
        true = keypoints_3d[..., :3] - keypoints_3d[:, :1, :3]
        is_known = (keypoints_3d[..., 3:] > 0) & (guess != 0).any(dim=(1, 2), keepdim=True)
        guess = guess + share * is_known * (true - guess)
    return torch.cat([x_y, confidence, guess, known], dim=-1)


def _key(name: str) -> str:
    return "TRAIN.LANDMARK_DROPOUT" if name == "dropout" else f"TRAIN.LANDMARK_NOISE.{name.upper()}"
