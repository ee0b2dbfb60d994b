"""Crops as they are of small hands: few pixels enlarged, with the camera's noise and the file's blocks, and often off.

A hand of 20 px in a picture fills its crop like a large one, but the crop holds no more than those pixels. A network that
was trained on large hands alone reads nothing there. Where such a hand lies is less sure, too: what its arm tells is off
by 0.15 of the hand (standard deviation, measured on photos of raised hands).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from hamer.crops.augmentation import Augmentation, clipped_normal

MOST_NOISE = 10.0
"""Standard deviation in grey levels."""

QUALITIES = (40, 95)
"""Of JPEG."""

_RAW_RATE = 0.3  # of coarse crops that no JPEG touched


@dataclass(frozen=True)
class Coarseness:
    """One draw: the crop holds `side` x `side` px, with `noise` grey levels of noise and JPEG of `quality`, None for none.

    `seed` decides the noise; `shift` (x, y) in sides of the crop: how far its centre is off.
    """

    side: int
    noise: float
    quality: int | None
    seed: int
    shift: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def sample(cls, config: Any, rng: random.Random | None = None) -> Coarseness | None:
        """A random draw, None for a crop that stays as it is; draws nothing where the rate is absent or 0.

        Training from tars draws it (`hamer.datasets.hands`); the original's functions and data sets do not know it.

        Args:
            config: DATASETS.CONFIG of the configuration: COARSE_RATE; COARSE_SIDES, the least and the most px that a
                coarse crop's side holds, in between all octaves are as likely; COARSE_SHIFT (0 where it is absent),
                standard deviation of the shift along either axis, which stays within two of them.

        Raises:
            ValueError: the sides are not two numbers, 2 at least, in rising order, or the shift is negative.
        """
        rate = float(getattr(config, "COARSE_RATE", 0.0) or 0.0)
        if rate <= 0:
            return None
        low, high = _sides(getattr(config, "COARSE_SIDES", None))
        draw = rng if rng is not None else random
        if draw.random() > rate:
            return None
        side = round(math.exp(draw.uniform(math.log(low), math.log(high))))
        noise, raw = draw.uniform(0.0, MOST_NOISE), draw.random() < _RAW_RATE
        quality, seed = None if raw else draw.randint(*QUALITIES), draw.getrandbits(32)
        sigma = float(getattr(config, "COARSE_SHIFT", 0.0) or 0.0)
        if not 0 <= sigma < math.inf:
            raise ValueError(f"DATASETS.CONFIG.COARSE_SHIFT must be 0 or more sides of a crop, got {sigma}")
        shift = (sigma * clipped_normal(draw, 2.0), sigma * clipped_normal(draw, 2.0)) if sigma else (0.0, 0.0)
        return cls(side, noise, quality, seed, shift)

    def moved(self, change: Augmentation) -> Augmentation:
        """The change of a crop with this draw's shift added to its own."""
        x, y = self.shift
        return replace(change, shift_x=change.shift_x + x, shift_y=change.shift_y + y)

    def __call__(self, patch: np.ndarray) -> np.ndarray:
        """The patch (S, S, C) in grey levels with its first three channels made coarse; as it was where it holds fewer px."""
        size = patch.shape[0]
        if self.side >= size:
            return patch
        colors = np.clip(patch[:, :, :3], 0, 255).astype(np.uint8)
        small = cv2.resize(colors, (self.side, self.side), interpolation=cv2.INTER_AREA)
        noise = np.random.default_rng(self.seed).standard_normal(small.shape, np.float32)
        small = np.clip(small + self.noise * noise, 0, 255).astype(np.uint8)
        if self.quality is not None:
            encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1]
            small = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
        large = cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)
        coarse = patch.copy()
        coarse[:, :, :3] = large
        return coarse


def _sides(given: Any) -> tuple[float, float]:
    try:
        low, high = (float(value) for value in given)
    except (TypeError, ValueError):
        low = high = math.nan
    if not 2 <= low <= high < math.inf:
        raise ValueError(
            "DATASETS.CONFIG.COARSE_SIDES must be the least and the most px of a coarse crop's side, as [16, 96], "
            f"because COARSE_RATE is not 0; got {given!r}"
        )
    return low, high
