"""Backgrounds that need no files: a painted place or material under random light, contrast, colour and focus."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from hamer.datasets.synthetic.backgrounds import scenes
from hamer.datasets.synthetic.materials import fields, textures

Painter = Callable[[int, int, np.random.Generator], np.ndarray]
PAINTERS: tuple[Painter, ...] = (*scenes.SCENES, *textures.TEXTURES)
_SHARES = np.array([1.5 if painter in scenes.SCENES else 0.7 for painter in PAINTERS])


def paint(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """A made background (height, width, 3) uint8 RGB."""
    painter = PAINTERS[int(rng.choice(len(PAINTERS), p=_SHARES / _SHARES.sum()))]
    return finish(painter(width, height, rng), rng)


def finish(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Uneven light, shadows of things outside the picture, contrast, focus."""
    if rng.random() < 0.5:
        picture = cv2.flip(picture, 1)
    if rng.random() < 0.6:
        picture = lit(picture, rng)
    if rng.random() < 0.15:
        picture = textures.shaded(picture, _blinds(picture.shape[1], picture.shape[0], rng), rng.uniform(0.2, 0.7))
    if rng.random() < 0.3:
        grain = fields.window("plaster", picture.shape[1], picture.shape[0], rng, (0.7, 1.5))
        picture = textures.shaded(picture, grain, rng.uniform(0.05, 0.4))
    return graded(focused(picture, rng), rng)


def graded(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another brightness, contrast and colour balance, as one curve a channel.

    The mean brightness is drawn anew: pictures keep their own only in part, else most painted ones would be dark.
    """
    mean = float(np.clip(picture[::8, ::8].mean() / 255, 0.02, 0.98))
    wanted = rng.uniform(0.1, 0.9) if rng.random() < 0.92 else rng.uniform(0.03, 0.95)
    gamma = np.clip(np.log(wanted) / np.log(mean), 0.3, 3.0) ** rng.uniform(0.6, 1.0) * np.exp(rng.normal(0, 0.1, 3))
    levels = np.arange(256, dtype=np.float64) / 255
    contrast = np.exp(rng.normal(-0.05, 0.3))
    curves = (levels[:, None] ** gamma - wanted) * contrast + wanted
    table = np.clip(255 * curves, 0, 255).astype(np.uint8)
    return cv2.LUT(picture, table[None])


def focused(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sharp, or blurred as what lies behind the hand often is."""
    if rng.random() < 0.55:
        return picture
    side = max(picture.shape[:2])
    size = 2 * int(rng.exponential(0.012) * side) + 1
    return cv2.blur(cv2.blur(picture, (size, size)), (size, size)) if size > 1 else picture


def lit(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light that changes smoothly over the picture, in brightness and a little in colour."""
    height, width = picture.shape[:2]
    small = np.exp(rng.normal(0, 0.35, (3, 3, 1)) + rng.normal(0, 0.06, (3, 3, 3)))
    light = cv2.resize(
        np.clip(small / small.max() * 255, 0, 255).astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    return cv2.multiply(picture, light, scale=rng.uniform(0.9, 1.6) / 255)


def _blinds(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Shadows of slats, leaves or a window's bars: a grey field (H, W)."""
    if rng.random() < 0.5:
        shadow = fields.window("leaves", width, height, rng, (2.0, 6.0))
        return cv2.blur(cv2.threshold(shadow, 110, 255, cv2.THRESH_BINARY)[1], (9, 9))
    angle, pitch = rng.uniform(0, np.pi), rng.uniform(0.06, 0.3) * width
    x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * np.float32(2 * np.pi / pitch))
    return cv2.convertScaleAbs(np.clip(wave * 4 + 0.5, 0, 1), alpha=255)
