"""What covers a body: bare skin of a tone, clothes in folds. (S, S, 3) uint8 sRGB and relief (S, S) float32 metres."""

from __future__ import annotations

import numpy as np

from hamer.datasets.synthetic.arms.dress import fabric_colors
from hamer.datasets.synthetic.materials import fields, textures
from hamer.datasets.synthetic.skin.tones import BLOOD, MELANIN, SHADE, Tone, to_srgb

Generator = np.random.Generator
TEXELS = 160
_PLAIN = 0.55  # share of clothes of one colour


def skin_layers(size: int, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Blotches (size, size) of blood and, finer, of pigment, float32 with mean about 0 and deviation about 1."""
    return _noise("clouds", size, rng, (0.8, 2.0)), _noise("plaster", size, rng, (0.6, 1.2))


def skin(tone: Tone, rng: Generator, size: int = TEXELS) -> tuple[np.ndarray, np.ndarray]:
    """Bare skin of a trunk or limb: blotchy, sometimes freckled or with moles."""
    blood, pigment = skin_layers(size, rng)
    colors = tone.back[:, None, None] + BLOOD[:, None, None] * (0.16 * blood + rng.normal(0, 0.12))
    colors += MELANIN[:, None, None] * (0.05 * pigment)
    if rng.random() < 0.4:
        for row, column in rng.integers(2, size - 2, (int(rng.integers(2, 9)), 2)):
            colors[:, row : row + 2, column : column + 2] += 0.6 * SHADE[:, None, None]
    return image_of(colors), (1.5e-4 * pigment).astype(np.float32)


def cloth(rng: Generator, size: int = TEXELS) -> tuple[np.ndarray, np.ndarray]:
    """Clothes: more often plain than patterned, with a weave and folds that light falls on."""
    folds = fields.window("folds", size, size, rng, (0.5, 1.6))
    if rng.random() < _PLAIN:
        albedo: np.ndarray = np.empty((size, size, 3), np.uint8)
        albedo[:] = np.round(fabric_colors(rng)[0])
        albedo = textures.shaded(albedo, fields.window("weave", size, size, rng, (0.5, 1.5)), rng.uniform(0.05, 0.35))
    else:
        albedo = textures.cloth(size, size, rng)
    albedo = textures.shaded(albedo, folds, rng.uniform(0.05, 0.35))
    relief = rng.uniform(0.002, 0.008) * (folds.astype(np.float32) / 255)
    return albedo, relief


def _noise(name: str, size: int, rng: Generator, zoom: tuple[float, float]) -> np.ndarray:
    """A window of a field (size, size) float32; a field's deviation is a fifth of its range."""
    return (fields.window(name, size, size, rng, zoom).astype(np.float32) - 127.5) / 51


def image_of(colors: np.ndarray) -> np.ndarray:
    """Log colours (3, S, S) to bytes (S, S, 3)."""
    return np.ascontiguousarray(np.moveaxis(to_srgb(colors), 0, -1))
