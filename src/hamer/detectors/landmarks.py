"""The hand landmark model: 21 joints of one hand in a crop of 224x224, in the picture and in metres.

Network of MediaPipe Hands (Zhang et al. 2020). Beside the joints it gives the probability that the crop shows a hand
at all and that it is a right hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hamer.detectors.litert import LiteRTNetwork
from hamer.detectors.regions import Pyramid, Regions
from hamer.detectors.rows import Rows

SIDE = 224


@dataclass
class Guesses(Rows):
    """What the landmark model says of N regions.

    `points` (N, 21, 2) picture px; `world` (N, 21, 3) metres, axes of the camera frame (x right, y down, z forward),
    origin near the hand's middle, a left hand as a left hand; `presence` (N,) and `right` (N,) probabilities;
    `regions`: where it looked.
    """

    points: np.ndarray
    world: np.ndarray
    presence: np.ndarray
    right: np.ndarray
    regions: Regions

    def exchanged(self, rows: np.ndarray, others: Guesses) -> Guesses:
        """A copy whose `rows` (K,) are those of the K `others`."""
        order = np.arange(len(self))
        order[rows] = len(self) + np.arange(len(others))
        return self.followed_by(others)[order]

    def followed_by(self, others: Guesses) -> Guesses:
        """These guesses, then the `others`."""
        return Guesses(
            np.concatenate([self.points, others.points]),
            np.concatenate([self.world, others.world]),
            np.concatenate([self.presence, others.presence]),
            np.concatenate([self.right, others.right]),
            Regions.concatenate([self.regions, others.regions]),
        )

    def sizes(self) -> np.ndarray:
        """Longer sides (N,) px of the joints' boxes."""
        return np.ptp(self.points, axis=1).max(-1)

    def boxes(self) -> np.ndarray:
        """Tight boxes (N, 4) xyxy px around the joints."""
        return np.concatenate([self.points.min(1), self.points.max(1)], -1)


class LandmarkModel:
    """Joints of the hand in each region of a picture; see `Guesses`."""

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        self._network = LiteRTNetwork(path, threads=threads)

    def __call__(self, picture: Pyramid, regions: Regions) -> Guesses:
        """One guess a region, regions without a hand included (their presence is low)."""
        crops = [lambda i=i: picture.cut(regions, i, SIDE, cv2.BORDER_REPLICATE) for i in range(len(regions))]
        points, presence, handedness, world = self._network.run(crops)
        points = points.reshape(-1, 21, 3)[..., :2] / SIDE
        # The published label map calls this output "left" because it assumes a mirrored selfie; in a picture as the
        # camera saw it the number is the probability of a right hand.
        right = handedness[:, 0].astype(np.float64)
        right = np.where(regions.mirrored, 1 - right, right)
        world = regions.directions_to_picture(world.reshape(-1, 21, 3).astype(np.float64))
        return Guesses(regions.to_picture(points), world, presence[:, 0].astype(np.float64), right, regions)
