"""Skins of made hands: anatomy prepared once for a hand model, persons drawn cheaply from it.

Letters: M used texels of the texture, S x S texture, N variants of each prepared layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hamer.datasets.synthetic.skin import creases, places, veins
from hamer.datasets.synthetic.skin.adornments import Adornments
from hamer.datasets.synthetic.skin.curves import bell
from hamer.datasets.synthetic.skin.gloves import draw_glove
from hamer.datasets.synthetic.skin.nails import Nails
from hamer.datasets.synthetic.skin.noise import fractal
from hamer.datasets.synthetic.skin.texels import Texels
from hamer.datasets.synthetic.skin.tones import BLOOD, MELANIN, SHADE, VEIN, Tone, draw_tone, to_srgb
from hamer.hand_models.arrays import HandModelArrays

Cover = Literal["bare", "fingerless", "glove"]
GLOVED, FINGERLESS = 0.1, 0.012
"""Shares of hands in gloves, and in gloves without fingers."""


@dataclass(frozen=True)
class Skin:
    """The outside of one hand.

    `albedo` (S, S, 3) uint8 sRGB and `relief` (S, S) float32 metres fit `hand_uv`; `gloss` 0..1. `tone` continues on
    the forearm, with `hair` 0..1 of it; `cover` says what the hand wears, `cuff` is a glove's sRGB colour (3,) at the
    wrist, None where skin reaches it; `thickness` metres by which a glove stands off the skin.
    """

    albedo: np.ndarray
    relief: np.ndarray
    gloss: float
    tone: Tone
    hair: float
    cover: Cover = "bare"
    cuff: np.ndarray | None = None
    thickness: float = 0.0


class SkinBank:
    """Layers of one hand model's skin in several variants, from which `draw` composes persons.

    Args:
        arrays: the hand model; its rest pose must have MANO's axes.
        size: texels along the texture's sides.
        count: variants of each independent layer (lines, veins, mottle, spots); they combine freely, so that a dozen
            gives thousands of different hands.
        seed: of the variants.
    """

    def __init__(self, arrays: HandModelArrays, size: int = 256, count: int = 16, seed: int = 0) -> None:
        if size < 32 or count < 1:
            raise ValueError(f"SkinBank needs size >= 32 and count >= 1, got size {size} and count {count}")
        rngs = np.random.default_rng([seed, 7]).spawn(count)
        self.texels = Texels.of(arrays, size)
        self.places = places.places(self.texels)
        self.nails = Nails.of(self.texels)
        self.adornments = Adornments(self.texels)
        self._fixed = np.stack([self.places.palm, self.places.knuckles, self.places.pads, self.places.tips])
        lines = [creases.lines(self.texels, self.places, rng) for rng in rngs]
        self._lines = [np.stack([entry.palmar, entry.dorsal]) for entry in lines]
        self._line_relief = [entry.relief for entry in lines]
        self._veins = [veins.veins(self.texels, self.places, rng) for rng in rngs]
        self._mottle = [_mottle(self.texels, rng) for rng in rngs]
        self._spots = [_spots(self.texels, self.places, rng) for rng in rngs]

    def draw(self, rng: np.random.Generator) -> Skin:
        """One person's skin; the same generator state gives the same skin."""
        tone = draw_tone(rng)
        blood = float(rng.normal(0, 0.25))
        hair = float(rng.beta(0.8, 2.5))
        colors, relief = self._bare(tone, blood, rng)
        lacquered = self.nails.paint(colors, relief, tone, rng, blood)
        noise = self._mottle[rng.integers(len(self._mottle))]
        self.adornments.put_on(colors, relief, noise, rng)
        gloss = float(np.clip(rng.beta(2, 6) + (0.05 if lacquered else 0.0), 0, 1))
        kind, cuff, thickness = rng.random(), None, 0.0
        cover: Cover = "glove" if kind < GLOVED else "fingerless" if kind < GLOVED + FINGERLESS else "bare"
        if cover != "bare":
            glove = draw_glove(self.texels, noise, rng, fingerless=cover == "fingerless")
            colors += glove.cover * (glove.colors - colors)
            relief += glove.cover * (glove.relief - relief)
            gloss, cuff, thickness = glove.gloss, glove.cuff, glove.thickness
        albedo = self.texels.image(to_srgb(colors).T)
        return Skin(albedo, self.texels.image(relief), gloss, tone, hair, cover, cuff, thickness)

    def _bare(self, tone: Tone, blood: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Log colours (3, M) and relief (M,) of bare skin without nails."""
        lines, vein, first, second, spots = rng.integers(len(self._lines), size=5)
        age = rng.beta(1.2, 2.0)
        depth = 0.35 + 0.9 * age
        vein_shade, vein_relief = self._veins[vein]
        # One row a layer, one column of colour change a layer: the sum over layers is a small matrix product.
        layers = np.concatenate([
            self._fixed, self._lines[lines], vein_shade[None], self._mottle[first], self._mottle[second][:1], self._spots[spots]
        ])  # fmt: skip
        dark = tone.darkness
        red = rng.uniform(0.1, 0.55)
        changes = np.stack([
            tone.palm - tone.back,
            MELANIN * rng.uniform(0.05, 0.35) * (0.3 + dark) + BLOOD * red * (1.0 - 0.6 * dark),
            BLOOD * rng.uniform(0.0, 0.40),
            BLOOD * rng.uniform(0.0, 0.45) * (1.0 - 0.4 * dark),
            SHADE * depth * (0.40 + 0.5 * dark),
            SHADE * depth * 0.45,
            VEIN * rng.uniform(0.0, 0.45) * (1.1 - dark),
            BLOOD * rng.normal(0, 0.06),
            MELANIN * rng.normal(0, 0.025),
            BLOOD * rng.normal(0, 0.05),
            MELANIN * rng.choice([0.0, 0.1, 0.35, 0.8], p=[0.35, 0.3, 0.25, 0.1]) * (1.0 - 0.5 * dark),
            MELANIN * rng.choice([0.0, 0.5], p=[0.75, 0.25]) * age,
        ])  # fmt: skip
        colors = changes.T.astype(np.float32) @ layers
        colors += (tone.back + BLOOD * blood * 0.4).astype(np.float32)[:, None]
        relief = np.float32(depth) * self._line_relief[lines] + np.float32(rng.uniform(0, 1.2)) * vein_relief
        return colors, relief


def _mottle(texels: Texels, rng: np.random.Generator) -> np.ndarray:
    """Blotches of blood and, finer, of pigment (2, M), deviation about 1."""
    coarse = fractal(texels.position, rng, scale=0.016, octaves=4)
    fine = fractal(texels.position, rng, scale=0.004, octaves=2)
    return np.stack([coarse, fine]).astype(np.float32)


def _spots(texels: Texels, masks: places.Places, rng: np.random.Generator) -> np.ndarray:
    """Freckles (small, many) and age spots (large, few) on the back (2, M), 0..1."""
    back = np.flatnonzero(masks.back > 0.2)
    position = texels.position[back]
    result = []
    for count, radius in ((int(rng.integers(60, 260)), 0.0008), (int(rng.integers(4, 22)), 0.0024)):
        layer = np.zeros(len(texels.index), np.float32)
        for centre in position[rng.choice(len(back), count)]:
            near = np.flatnonzero(np.abs(position[:, 0] - centre[0]) < 4 * radius)
            near = near[np.abs(position[near, 2] - centre[2]) < 4 * radius]
            gap = np.linalg.norm(position[near] - centre, axis=1)
            spot = rng.uniform(0.3, 1.0) * bell(gap, radius * rng.uniform(0.6, 1.6))
            layer[back[near]] = np.maximum(layer[back[near]], spot)
        result.append(layer)
    return np.stack(result)
