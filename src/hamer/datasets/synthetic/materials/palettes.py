"""Colours of made things: single ones, and ramps that turn a grey field into a picture. RGB, sRGB, uint8."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

# Hue in degrees, saturation, value: ranges that materials keep to.
_MATERIALS = {
    "earth": ((15, 45), (0.2, 0.7), (0.1, 0.8)),
    "plants": ((55, 140), (0.2, 0.8), (0.05, 0.8)),
    "sky": ((190, 230), (0.1, 0.8), (0.3, 1.0)),
    "stone": ((0, 360), (0.0, 0.12), (0.1, 0.95)),
    "cloth": ((0, 360), (0.1, 0.8), (0.05, 0.9)),
    "paint": ((0, 360), (0.5, 1.0), (0.3, 1.0)),
    "wall": ((20, 60), (0.0, 0.25), (0.5, 1.0)),
    "skin": ((8, 32), (0.2, 0.65), (0.2, 1.0)),
    "dark": ((0, 360), (0.0, 0.5), (0.0, 0.2)),
    "light": ((0, 360), (0.0, 0.15), (0.8, 1.0)),
}
MATERIALS = tuple(_MATERIALS)


def color(rng: np.random.Generator, material: str | None = None) -> tuple[int, int, int]:
    """A colour of a material, or of any."""
    name = material or MATERIALS[int(rng.integers(len(MATERIALS)))]
    draws = rng.random(3)
    hue, saturation, value = (
        low + (high - low) * float(t) for (low, high), t in zip(_MATERIALS[name], draws, strict=True)
    )
    r, g, b = colorsys.hsv_to_rgb(hue / 360, saturation, value)
    return round(255 * r), round(255 * g), round(255 * b)


def ramp(rng: np.random.Generator, material: str | None = None, spread: float | None = None) -> np.ndarray:
    """Colours (256, 3) from dark to light values of a field, through 2 to 4 colours of one or more materials.

    `spread` 0..1 limits how far apart they are; None draws it.
    """
    spread = 0.2 + 0.8 * float(rng.beta(1.2, 1.0)) if spread is None else spread
    free = material is None and rng.random() < 0.4  # colours that have nothing to do with one another
    name = material or MATERIALS[int(rng.integers(len(MATERIALS)))]
    stops = np.array([color(rng, None if free else name) for _ in range(int(rng.integers(2, 5)))], np.float64)
    if not free or rng.random() < 0.5:
        stops = stops[np.argsort(stops.sum(1))]
    if rng.random() < 0.15:
        stops = stops[::-1]
    stops = stops.mean(0) + spread * (stops - stops.mean(0))
    at = np.sort(np.concatenate([[0, 255], rng.uniform(20, 235, len(stops) - 2)]))
    return np.stack([np.interp(np.arange(256), at, stops[:, c]) for c in range(3)], 1).astype(np.uint8)


def colored(field: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """A grey field (H, W) uint8 through a ramp (256, 3), giving (H, W, 3) uint8."""
    return cv2.applyColorMap(field, np.ascontiguousarray(colors[:, None]))
