"""The palm detector: finds palms in square pictures of 192x192, whatever the fingers do.

Single-shot detector of MediaPipe Hands (Zhang et al. 2020): every anchor gives a score, a box and seven keypoints
(wrist, bases of index, middle, ring and little finger, two joints of the thumb).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from hamer.detectors.litert import LiteRTNetwork
from hamer.detectors.regions import Pyramid, Regions
from hamer.detectors.rows import Rows
from hamer.detectors.ssd_anchors import anchor_centres, probabilities

SIDE = 192
#: Strides of the detector's output layers and how many anchors each cell carries.
_LAYERS = ((8, 2), (16, 6))
_KEYPOINTS = 7


@dataclass
class Palms(Rows):
    """N palms in picture pixels: `boxes` (N, 4) xyxy, `keypoints` (N, 7, 2), `scores` (N,) in 0..1."""

    boxes: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray


@lru_cache(maxsize=1)
def anchors() -> np.ndarray:
    """Anchor centres (2016, 2), x and y in 0..1."""
    return anchor_centres(SIDE, _LAYERS)


def decode(raw: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres and sizes (..., A, 4), keypoints (..., A, 7, 2), both in 0..1 of the input, and scores (..., A).

    `raw` (..., A, 18): centre x, y, width, height and seven keypoints as offsets from the anchor in input pixels;
    `logits` (..., A) or (..., A, 1).
    """
    scores = probabilities(logits.reshape(raw.shape[:-1]))
    values = raw / SIDE
    centers = values[..., :2] + anchors()
    keypoints = values[..., 4:].reshape(*raw.shape[:-1], _KEYPOINTS, 2) + anchors()[:, None]
    return np.concatenate([centers, values[..., 2:4]], -1), keypoints, scores


def encode(boxes: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """The inverse of `decode`: boxes (A, 4) as centre and size, keypoints (A, 7, 2), one for each anchor: (A, 18)."""
    centers = boxes[:, :2] - anchors()
    points = (keypoints - anchors()[:, None]).reshape(len(boxes), -1)
    return np.concatenate([centers, boxes[:, 2:], points], -1) * SIDE


class PalmDetector:
    """Palms in regions of a picture; see `Palms`."""

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        self._network = LiteRTNetwork(path, threads=threads)

    def __call__(self, picture: Pyramid, regions: Regions, min_score: float) -> tuple[Palms, np.ndarray]:
        """All palms above `min_score`, not yet merged, and the index (N,) of the region that each came from."""
        # A lambda in a loop must bind its index; outside the picture is black, as the detector was trained.
        crops = [lambda i=i: picture.cut(regions, i, SIDE, cv2.BORDER_CONSTANT) for i in range(len(regions))]
        raw, logits = self._network.run(crops)
        least = np.log(min_score / (1 - min_score))
        which, anchor = np.nonzero(logits[..., 0] > least)
        boxes, keypoints, scores = decode(raw, logits)
        boxes, keypoints, scores = boxes[which, anchor], keypoints[which, anchor], scores[which, anchor]
        seen = regions[which]
        points = seen.to_picture(np.concatenate([boxes[:, None, :2], keypoints], 1))
        half = boxes[:, 2:] * seen.sizes[:, None] / 2
        corners = np.concatenate([points[:, 0] - half, points[:, 0] + half], -1)
        return Palms(corners, points[:, 1:], scores), which
