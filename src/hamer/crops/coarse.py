"""Crops as they are of small hands: few pixels enlarged, with the camera's noise and the file's blocks.

A hand of 20 px in a picture fills its crop like a large one, but the crop holds no more than those pixels. A network that
was trained on large hands alone reads nothing there.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

MOST_NOISE = 10.0
"""Standard deviation in grey levels."""

QUALITIES = (40, 95)
"""Of JPEG."""

_RAW_RATE = 0.3  # of coarse crops that no JPEG touched


@dataclass(frozen=True)
class Coarseness:
    """One draw: the crop holds `side` x `side` px, with `noise` grey levels of noise and JPEG of `quality`, None for none.

    `seed` decides the noise.
    """

    side: int
    noise: float
    quality: int | None
    seed: int

    @classmethod
    def sample(cls, config: Any, rng: random.Random | None = None) -> Coarseness | None:
        """A random draw, None for a crop that stays as it is; draws nothing where the rate is absent or 0.

        Training from tars draws it (`hamer.datasets.hands`); the original's functions and data sets do not know it.

        Args:
            config: DATASETS.CONFIG of the configuration: COARSE_RATE, and COARSE_SIDES, the least and the most px that a
                coarse crop's side holds; in between all octaves are as likely.

        Raises:
            ValueError: the sides are not two numbers, 2 at least, in rising order.
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
        return cls(side, noise, None if raw else draw.randint(*QUALITIES), draw.getrandbits(32))

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
