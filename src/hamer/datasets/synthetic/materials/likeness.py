"""Things in a hand's own colours: wood, leather, cardboard, faces, other arms, warm light on a wall."""

from __future__ import annotations

import cv2
import numpy as np

_LIGHTER = 12.0  # L* by which what is behind or held differs from the hand, one standard deviation
_KEPT = (0.2, 0.8)  # of a picture's own spread of colours
_CONTRAST = (0.5, 1.1)  # of its own spread of lightness


def colored_like(picture: np.ndarray, rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A picture moved in CIELAB so that its mean colour is `rgb` and its mean lightness near it.

    Args:
        picture: (H, W, 3) uint8 sRGB.
        rgb: (3,) sRGB, 0..255.
        rng: draws how much of the picture's own colours and contrast stays.

    Returns:
        (H, W, 3) uint8 sRGB.
    """
    lab = _lab(picture)
    target = _lab(np.asarray(rgb, np.float32).reshape(1, 1, 3))[0, 0]
    target[0] = np.clip(target[0] + rng.normal(0, _LIGHTER), 8, 92)
    kept = np.array([rng.uniform(*_CONTRAST), *[rng.uniform(*_KEPT)] * 2], np.float32)
    moved = (lab - lab.mean((0, 1))) * kept + target
    back = cv2.cvtColor(moved, cv2.COLOR_LAB2RGB)
    return np.clip(255 * back + 0.5, 0, 255).astype(np.uint8)


def _lab(rgb: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
