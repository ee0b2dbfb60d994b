"""Crops turned so that the hand in them points up: how far a hand is turned, and the square around it then.

A network that always sees the wrist below the fingers need not learn every hand once for each direction, and convolutions of a
landmark model know no other hands: that model is shown turned crops, too (MediaPipe Hands, Zhang et al. 2020,
arXiv:2006.10214). Points are px of a picture; angles are degrees, clockwise as seen (y points down).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from hamer.crops.augmentation import clipped_normal
from hamer.geometry.directions import turns_about_view, upward_angle

WRIST, KNUCKLES = 0, (5, 9, 13, 17)
"""Of the 21 joints: a hand points from the one to the mean of the others."""

_LEAST_LENGTH = 1e-3  # between these, in the points' unit, below which a hand points nowhere


@dataclass(frozen=True)
class UprightView:
    """A rectangle that shows a hand upright: `center` (x, y), `width` and `height` px of the picture as it is (of an
    `Augmentation` it is the mirrored one's, for left hands), `rotation` degrees: what it is turned by about its centre.
    """

    center: tuple[float, float]
    width: float
    height: float
    rotation: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """xyxy px of the rectangle before it is turned."""
        (x, y), w, h = self.center, self.width / 2, self.height / 2
        return x - w, y - h, x + w, y + h


def hand_rotation(points: np.ndarray) -> np.ndarray:
    """How far hands are turned from pointing up, (...) degrees in (-180, 180]; NaN where that is not known.

    Args:
        points: (..., 21, 2) joints, px or any unit of the picture; NaN where unknown. The wrist and two knuckles must be known.
    """
    points = np.asarray(points, np.float64)
    knuckles, wrist = points[..., list(KNUCKLES), :], points[..., WRIST, :]
    known = np.asarray(np.isfinite(knuckles).all(-1))
    total = np.where(known[..., None], knuckles, 0.0).sum(-2)
    count = known.sum(-1)
    middle = total / np.maximum(count, 1)[..., None]
    with np.errstate(invalid="ignore"):
        length = np.linalg.norm(middle - wrist, axis=-1)
        usable = (count >= 2) & np.isfinite(length) & (length > _LEAST_LENGTH)
        return np.where(usable, np.degrees(upward_angle(wrist, middle)), np.nan)


def upright_view(points: np.ndarray, rotation: float, limits: tuple[int, int]) -> UprightView:
    """The rectangle, turned by `rotation`, that is tight around the points (21, 2) that are known.

    Args:
        limits: width and height of the picture, px: points outside count as points on its edge, since that is all that
            the picture shows.
    """
    known = np.asarray(points, np.float64)[np.isfinite(points).all(-1)]
    inside = np.clip(known, 0.0, np.asarray(limits, np.float64) - 1)
    turn = turns_about_view(rotation)[:2, :2]
    seen = inside @ turn  # the turned axes' coordinates: rows times the columns of the turn are its inverse's products
    low, high = seen.min(0), seen.max(0)
    x, y = turn @ ((low + high) / 2)
    width, height = high - low
    return UprightView((float(x), float(y)), float(width), float(height), rotation)


@dataclass(frozen=True)
class UprightDraw:
    """Whether a training crop is turned upright, and how far it misses that.

    `rate`: DATASETS.CONFIG.UPRIGHT_RATE, share of the hands, the others' crops are turned as they come; `jitter` degrees:
    UPRIGHT_JITTER, standard deviation, within two of them.
    """

    rate: float = 1.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"DATASETS.CONFIG.UPRIGHT_RATE must be in [0, 1], got {self.rate}")
        if not 0 <= self.jitter <= 90:
            raise ValueError(f"DATASETS.CONFIG.UPRIGHT_JITTER must be 0 to 90 degrees, got {self.jitter}")

    @classmethod
    def from_config(cls, config: Any) -> UprightDraw:
        """What DATASETS.CONFIG of a configuration says; None (no augmentation): always, exactly.

        Raises:
            ValueError: what is no number, or out of range.
        """
        found = {name: getattr(config, f"UPRIGHT_{name.upper()}", None) for name in ("rate", "jitter")}
        try:
            numbers = {name: float(value) for name, value in found.items() if value is not None}
        except (TypeError, ValueError):
            raise ValueError(f"DATASETS.CONFIG.UPRIGHT_RATE and UPRIGHT_JITTER must be numbers, got {found}") from None
        return cls(**numbers)

    def sample(self, rng: random.Random) -> float | None:
        """Degrees by which an upright crop is off; None for a crop that is not to be upright."""
        if rng.random() >= self.rate:
            return None
        return self.jitter * clipped_normal(rng, 2.0)
