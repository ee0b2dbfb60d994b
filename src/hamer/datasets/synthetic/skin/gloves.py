"""Gloves of made hands: thin rubber, wool, leather, coated work gloves, padded ones, with or without fingers.

Letters: M used texels of the hand's texture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hamer.datasets.synthetic.skin.curves import bell, smoothstep
from hamer.datasets.synthetic.skin.texels import Texels
from hamer.datasets.synthetic.skin.tones import log_srgb
from hamer.fitting.anatomy import THUMB

Material = Literal["rubber", "wool", "leather", "work", "padded"]

MATERIALS: tuple[Material, ...] = ("rubber", "wool", "leather", "work", "padded")
"""Of gloves with fingers."""

_COLORS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "rubber": ((62, 98, 186), (96, 140, 214), (34, 34, 38), (226, 228, 228), (112, 84, 170), (214, 196, 160), (70, 150, 110)),
    "wool": ((40, 42, 50), (130, 34, 40), (120, 122, 126), (214, 206, 190), (36, 60, 100), (60, 84, 60), (180, 120, 60)),
    "leather": ((94, 60, 38), (40, 34, 32), (156, 104, 58), (200, 170, 120), (110, 30, 30)),
    "padded": ((24, 24, 28), (38, 40, 46), (230, 232, 236), (190, 30, 36), (30, 70, 160), (196, 220, 40), (120, 122, 128)),
    "work": ((150, 152, 156), (60, 64, 70), (214, 190, 60), (220, 110, 40), (232, 230, 224)),
}  # fmt: skip
THICKNESS: dict[str, tuple[float, float]] = {
    "rubber": (0.0, 4e-4), "wool": (8e-4, 2.5e-3), "leather": (6e-4, 2e-3), "work": (8e-4, 2.5e-3), "padded": (2.5e-3, 7e-3),
}  # fmt: skip
"""How far each stands off the skin, metres."""
_COATINGS = ((40, 42, 46), (40, 70, 150), (196, 60, 40), (90, 92, 96), (60, 120, 70))


@dataclass(frozen=True)
class Glove:
    """A glove laid over a hand: log colours (3, M), relief (M,) metres, cover (M,) 0..1, gloss 0..1, cuff sRGB (3,).

    `thickness` metres by which it stands off the skin; 0 without fingers, whose ends would be steps.
    """

    colors: np.ndarray
    relief: np.ndarray
    cover: np.ndarray
    gloss: float
    cuff: np.ndarray
    thickness: float


def draw_glove(texels: Texels, noise: np.ndarray, rng: np.random.Generator, *, fingerless: bool) -> Glove:
    """A glove of a random material; `noise` (2, M) is a variant of the bank's mottle (coarse, fine; deviation 1)."""
    material: Material = rng.choice(["wool", "leather", "work"] if fingerless else MATERIALS)
    srgb = np.array(_COLORS[material][rng.integers(len(_COLORS[material]))], float) + rng.normal(0, 8, 3)
    srgb = np.clip(srgb, 10, 245)
    colors = np.repeat(log_srgb(srgb)[:, None], len(texels.index), axis=1).astype(np.float32)
    relief = np.zeros(len(texels.index), np.float32)
    gloss = _MAKERS[material](colors, relief, texels, noise, rng)
    cover = np.ones(len(texels.index), np.float32)
    if fingerless:
        cover = _without_fingers(texels, rng)
        hem = bell(cover - 0.5, 0.35)
        colors -= (0.25 * hem).astype(np.float32)
        relief += (4e-4 * cover).astype(np.float32)
    thickness = 0.0 if fingerless else float(rng.uniform(*THICKNESS[material]))
    return Glove(colors, relief, cover, gloss, srgb, thickness)


def _without_fingers(texels: Texels, rng: np.random.Generator) -> np.ndarray:
    """1 where the glove reaches (M,): up to the first phalanges' middle, a little further or less."""
    reach = texels.anatomy.reach
    base = np.where(np.arange(5) == THUMB, reach[:, 1] + 0.3 * (reach[:, 2] - reach[:, 1]), 0.6 * reach[:, 1])
    cut = (base + rng.uniform(-0.004, 0.006))[texels.nearest]
    inside = smoothstep(0.0006, -0.0006, texels.along - cut)
    return np.where(texels.finger >= 0, inside, 1.0).astype(np.float32)


def _rubber(
    colors: np.ndarray, relief: np.ndarray, texels: Texels, noise: np.ndarray, rng: np.random.Generator
) -> float:
    """Smooth, shiny, with folds where it is loose."""
    fold = bell(noise[0], 0.22) - 0.3
    colors += np.float32(0.03) * noise[0]
    relief += np.float32(rng.uniform(1e-4, 5e-4)) * fold
    return float(rng.uniform(0.2, 0.6))


def _wool(colors: np.ndarray, relief: np.ndarray, texels: Texels, noise: np.ndarray, rng: np.random.Generator) -> float:
    """Rows of stitches along the fingers; sometimes stripes across."""
    around = np.arctan2(texels.across, texels.height) * (texels.finger >= 0) + texels.across / 0.008 * (
        texels.finger < 0
    )
    stitch = np.sin(around * 8) * np.sin(texels.along * 2 * np.pi / 0.0032)
    if rng.random() < 0.3:
        stripe = np.sin(texels.position[:, 0] * 2 * np.pi / rng.uniform(0.008, 0.03)) > rng.uniform(-0.2, 0.7)
        other = log_srgb(rng.uniform(20, 235, 3))
        colors += (other[:, None] - colors) * stripe
    colors += (0.10 * stitch + 0.07 * noise[1]).astype(np.float32)
    relief += (3e-4 * stitch).astype(np.float32)
    return 0.0


def _leather(
    colors: np.ndarray, relief: np.ndarray, texels: Texels, noise: np.ndarray, rng: np.random.Generator
) -> float:
    """Grained and worn, with seams along the fingers' sides."""
    seam = bell(texels.dorsal + 0.05, 0.10) * (texels.finger >= 0)
    grain = np.abs(noise[1])
    colors += (-0.30 * seam + 0.10 * noise[0] - 0.08 * grain).astype(np.float32)
    relief += (-2.5e-4 * seam + 0.8e-4 * grain).astype(np.float32)
    return float(rng.uniform(0.08, 0.3))


def _work(colors: np.ndarray, relief: np.ndarray, texels: Texels, noise: np.ndarray, rng: np.random.Generator) -> float:
    """A knitted back, and a rough coating on the palm and the fingertips."""
    _wool(colors, relief, texels, noise, rng)
    to_tip = texels.anatomy.reach[texels.nearest, 3] - texels.along
    dipped = smoothstep(0.1, -0.05, texels.dorsal + 0.08 * noise[0])
    dipped = np.maximum(dipped, smoothstep(0.028, 0.024, to_tip) * (texels.finger >= 0)).astype(np.float32)
    coating = log_srgb(_COATINGS[rng.integers(len(_COATINGS))])[:, None] + 0.05 * noise[1]
    colors += dipped * (coating - colors)
    relief += dipped * (np.float32(3e-4) + np.float32(1e-4) * noise[1])
    return 0.1


def _padded(
    colors: np.ndarray, relief: np.ndarray, texels: Texels, noise: np.ndarray, rng: np.random.Generator
) -> float:
    """For skis, motorcycles, gardens: panels of two or three colours, pads across the fingers' backs, a patch on the hand's."""
    on_finger, to_tip = texels.finger >= 0, texels.anatomy.reach[texels.nearest, 3] - texels.along
    panels = (
        texels.dorsal < rng.uniform(-0.5, 0.2),
        on_finger & (to_tip < rng.uniform(0.015, 0.05)),
        on_finger & np.isin(texels.finger, rng.choice(5, 2, replace=False)),
        np.abs(texels.position[:, 2] - texels.position[:, 2].mean()) < rng.uniform(0.006, 0.02),
        ~on_finger & (texels.dorsal > 0.3) & (np.abs(noise[0]) < rng.uniform(0.2, 1.0)),
    )
    for panel in panels:
        if rng.random() < 0.4:
            colors[:, panel] = log_srgb(_COLORS["padded"][rng.integers(len(_COLORS["padded"]))])[:, None]
    rows = np.sin(texels.along * 2 * np.pi / rng.uniform(0.012, 0.025)) * np.clip(texels.dorsal, 0, 1)
    seam = bell(texels.dorsal + 0.05, 0.10)
    colors += (-0.35 * seam + 0.05 * noise[1]).astype(np.float32)
    relief += (8e-4 * rows - 6e-4 * seam + 2e-4 * noise[0]).astype(np.float32)
    return float(rng.uniform(0.0, 0.35))


_MAKERS = {"rubber": _rubber, "wool": _wool, "leather": _leather, "work": _work, "padded": _padded}
