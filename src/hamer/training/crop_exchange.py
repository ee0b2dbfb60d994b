"""Crops of other hands, while a network learns to read landmarks beside the picture, so that it can doubt the picture too.

A network that learned from made pictures misreads photos more often than those, and surely: where its picture and a
detector's landmarks tell of different hands, the landmarks are right more often than in training. So some hands keep
their landmarks and labels, and the crop shows another hand, as the misread one seems to. Random numbers are torch's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

SHOWN = "shown"
"""Key of an exchanged batch: labels of what its crops show, for losses of maps (`keypoints_2d`, `keypoints_3d`, `parts`)."""

_LABELS = ("keypoints_2d", "keypoints_3d", "parts")
_ALIKE = 0.5  # of the exchanged hands that get the most alike of some, the others any: one of nearly the same place and
_AMONG = 0.5  # other fingers is what a misread hand looks like; the share of the batch that it is sought in


@dataclass(frozen=True)
class CropExchange:
    """`rate`: `TRAIN.CROP_EXCHANGE`, share of hands with landmarks whose crops show another hand of the batch."""

    rate: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"TRAIN.CROP_EXCHANGE must be in [0, 1], got {self.rate}")

    def __call__(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        """The batch with exchanged `img` (B, 3, S, S), and the labels of these under `SHOWN`; what it was is not changed.

        Args:
            batch: of training, after its landmarks (B, 21, 7) were changed: hands without any keep their crops, which
                are all that they have.
        """
        hands = len(batch["img"])
        if not self.rate or hands < 2 or "landmarks" not in batch:
            return batch
        device = batch["img"].device
        chosen = (torch.rand(hands, device=device) < self.rate) & (batch["landmarks"][..., 6] > 0).any(1)
        source = torch.where(chosen, _partners(batch["keypoints_2d"]), torch.arange(hands, device=device))
        shown = {name: batch[name][source] for name in _LABELS if name in batch}
        return {**batch, "img": batch["img"][source], SHOWN: shown}


def _partners(keypoints_2d: Tensor) -> Tensor:
    """For each hand with joints (B, 21, 3) in crop widths another of the batch (B,): a random one, or one that looks alike."""
    hands = len(keypoints_2d)
    points = keypoints_2d[..., :2].flatten(1).float()
    far = torch.cdist(points, points, p=1)
    far += torch.where(torch.rand_like(far) < _AMONG, 0.0, 1e6)
    far.fill_diagonal_(torch.inf)
    device = points.device
    other = (torch.arange(hands, device=device) + torch.randint(1, hands, (hands,), device=device)) % hands
    return torch.where(torch.rand(hands, device=device) < _ALIKE, far.argmin(1), other)
