"""sRGB's curve between light and the levels of a picture (IEC 61966-2-1)."""

from __future__ import annotations

from functools import cache

import numpy as np


def light_of(level: np.ndarray) -> np.ndarray:
    """Linear light 0..1 of sRGB levels 0..1, any shape."""
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


def level_of(light: np.ndarray) -> np.ndarray:
    """Levels 0..1 of linear light 0..1, any shape."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@cache
def light_of_bytes() -> np.ndarray:
    """(256,) float32, read-only: light of the levels 0 to 255."""
    table = light_of(np.arange(256) / 255).astype(np.float32)
    table.setflags(write=False)
    return table
