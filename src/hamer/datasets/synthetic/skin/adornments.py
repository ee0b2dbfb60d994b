"""Small things on hands: rings, plasters, tattoos and ink, dirt.

Letters: M used texels of the hand's texture; colours are log RGB (3, M), relief (M,) metres, both changed in place.
"""

from __future__ import annotations

import numpy as np

from hamer.datasets.synthetic.skin.curves import bell, smoothstep, spline, to_curve
from hamer.datasets.synthetic.skin.texels import Texels
from hamer.datasets.synthetic.skin.tones import log_srgb

RINGED, PLASTERED, TATTOOED, DIRTY = 0.14, 0.02, 0.05, 0.05
"""Shares of bare hands with each."""

_METALS = ((212, 170, 90), (196, 198, 204), (206, 150, 130), (60, 60, 64))
_INKS = ((24, 30, 44), (30, 44, 40), (20, 20, 24), (36, 60, 150), (150, 30, 36))


class Adornments:
    """Puts small things on hands of one model; which texels belong to a finger is found once."""

    def __init__(self, texels: Texels) -> None:
        self.texels = texels
        self._of_finger = [np.flatnonzero(texels.finger == f) for f in range(5)]

    def put_on(self, colors: np.ndarray, relief: np.ndarray, noise: np.ndarray, rng: np.random.Generator) -> None:
        """Whatever this hand wears; `noise` (2, M) is a variant of the bank's mottle."""
        ringed, plastered, tattooed, dirty = rng.random(4) < (RINGED, PLASTERED, TATTOOED, DIRTY)
        if tattooed:
            self._tattoo(colors, rng)
        if dirty:
            self._dirt(colors, noise, rng)
        if ringed:
            for finger in rng.choice(5, size=rng.choice([1, 1, 1, 2, 3]), replace=False, p=[0.2, 0.2, 0.1, 0.45, 0.05]):
                self._ring(colors, relief, int(finger), rng)
        if plastered:
            self._plaster(colors, relief, int(rng.integers(5)), rng)

    def _ring(self, colors: np.ndarray, relief: np.ndarray, finger: int, rng: np.random.Generator) -> None:
        """A metal hoop between the knuckle and the web's end, sometimes with a stone on the back."""
        t = self._of_finger[finger]
        reach = self.texels.anatomy.reach[finger]
        low, high = (0.62 * reach[1], 0.85 * reach[1]) if finger != 4 else (reach[1] + 0.006, reach[1] + 0.012)
        half = rng.uniform(0.001, 0.0032)
        gap = self.texels.along[t] - rng.uniform(low, high)
        hoop = smoothstep(half + 0.0004, half - 0.0004, np.abs(gap))
        metal = log_srgb(_METALS[rng.integers(len(_METALS))])[:, None]
        # Metal mirrors its surroundings: light and dark stretches around the finger.
        angle = np.arctan2(self.texels.across[t], self.texels.height[t])
        shine = 0.35 * np.sin(2 * angle + rng.uniform(0, 6)) + 0.2 * np.sin(5 * angle + rng.uniform(0, 6))
        color = metal + shine
        if rng.random() < 0.35:
            size = rng.uniform(0.0018, 0.0042)
            stone = smoothstep(size, 0.8 * size, np.hypot(self.texels.across[t], gap)) * (self.texels.dorsal[t] > 0)
            jewel = log_srgb(rng.uniform(30, 240, 3))[:, None]
            color, hoop = color + stone * (jewel - color), np.maximum(hoop, stone)
        shadow = 0.35 * smoothstep(half + 0.0022, half, np.abs(gap)) * (1 - hoop)
        colors[:, t] = (1 - hoop) * (colors[:, t] - shadow) + hoop * color
        relief[t] = (1 - hoop) * relief[t] + hoop * 8e-4

    def _plaster(self, colors: np.ndarray, relief: np.ndarray, finger: int, rng: np.random.Generator) -> None:
        """A strip of plaster around one phalanx."""
        t = self._of_finger[finger]
        reach = self.texels.anatomy.reach[finger]
        gap = np.abs(self.texels.along[t] - rng.uniform(0.6 * reach[1] if finger < 4 else reach[1], reach[3] - 0.012))
        strip = smoothstep(0.0098, 0.0092, gap)
        color = log_srgb(((222, 184, 146), (236, 214, 188), (120, 84, 60), (90, 140, 210))[rng.integers(4)])[:, None]
        colors[:, t] += strip * (color - 0.25 * bell(gap - 0.0092, 0.0008) - colors[:, t])
        relief[t] = (1 - strip) * relief[t] + strip * 3e-4

    def _tattoo(self, colors: np.ndarray, rng: np.random.Generator) -> None:
        """Strokes of one ink around a place on the back of the hand, the wrist or a finger; pens write thinner."""
        position, radius = self.texels.position, rng.uniform(0.006, 0.022)
        backs = np.flatnonzero(self.texels.dorsal > (0.3 if rng.random() < 0.8 else -1.0))
        chosen = rng.choice(backs)
        centre, is_back = position[chosen], self.texels.dorsal > 0
        near = (np.abs(position - centre) < 1.2 * radius).all(axis=1)
        t = np.flatnonzero(near & (is_back == is_back[chosen]))  # not through the hand
        flat = (position[t] - centre)[:, [0, 2]]
        width = rng.choice([0.0005, 0.0009, 0.0016])
        ink = np.zeros(len(t))
        for _ in range(int(rng.integers(2, 7))):
            points = np.cumsum(rng.normal(0, 0.45 * radius, (int(rng.integers(3, 6)), 2)), axis=0)
            points += rng.normal(0, 0.3 * radius, 2) - points.mean(axis=0)
            distance, _ = to_curve(flat, spline(points, 14))
            ink = np.maximum(ink, smoothstep(width + 0.0005, width, distance))
        color = log_srgb(_INKS[rng.integers(len(_INKS))])[:, None]
        # Ink lies under the skin: it darkens what is above it, and dark skin hides it.
        under = np.minimum(colors[:, t], 0.55 * color + 0.45 * colors[:, t])
        colors[:, t] += rng.uniform(0.5, 0.95) * ink * (under - colors[:, t])

    def _dirt(self, colors: np.ndarray, noise: np.ndarray, rng: np.random.Generator) -> None:
        """Soil, paint or flour in patches."""
        dirt = smoothstep(rng.uniform(0.2, 1.2), 2.2, noise[0] + 0.4 * noise[1])
        color = log_srgb(((70, 56, 44), (40, 38, 36), (226, 220, 208), (150, 90, 60))[rng.integers(4)])[:, None]
        colors += (rng.uniform(0.3, 0.9) * dirt * (color - colors)).astype(np.float32)
