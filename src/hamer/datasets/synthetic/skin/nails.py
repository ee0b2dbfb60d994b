"""Fingernails: where they lie on the last phalanges' backs, and how they look bare or lacquered.

Letters: M used texels of the hand's texture, P texels of nails and their rims (P << M).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hamer.datasets.synthetic.skin.curves import bell, smoothstep
from hamer.datasets.synthetic.skin.texels import Texels
from hamer.datasets.synthetic.skin.tones import Tone, log_srgb

LACQUERED = 0.14
"""Share of hands with painted nails."""

_FREE_EDGE = log_srgb((238, 226, 204))
_LACQUERS = ((166, 18, 34), (120, 10, 40), (214, 60, 70), (232, 160, 160), (240, 214, 205), (30, 26, 30), (240, 240, 236),
             (60, 80, 150), (40, 110, 95), (150, 90, 160), (222, 140, 60), (90, 60, 50))  # fmt: skip


@dataclass(frozen=True)
class Nails:
    """Nails of one hand model: the P texels (numbers into the M) with a share in a nail.

    texel (P,); finger (P,); plate (P,) 0..1 how much of the texel is nail; side (P,) -1..1 over the nail's width;
    toward_tip (P,) -1 at the root, 1 at the free edge; rim (P,) 0..1 the fold of skin around.
    """

    texel: np.ndarray
    finger: np.ndarray
    plate: np.ndarray
    side: np.ndarray
    toward_tip: np.ndarray
    rim: np.ndarray

    @classmethod
    def of(cls, texels: Texels) -> Nails:
        """Lay a rounded plate on the back of each last phalanx, sized by the finger's own width."""
        finger = texels.finger
        side, toward_tip = np.full(len(finger), 9.0), np.full(len(finger), 9.0)
        for f in range(5):
            own = finger == f
            from_tip = texels.anatomy.reach[f, 3] - texels.along[own]
            wide = np.percentile(np.abs(texels.across[own][np.abs(from_tip - 0.008) < 0.004]), 97)
            half_width, half_length = 0.70 * wide, 0.80 * wide
            side[own] = texels.across[own] / half_width
            toward_tip[own] = (half_length + 0.0008 - from_tip) / half_length
        # Rounder at the root than at the free edge.
        power = np.where(toward_tip < 0, 2.2, 2.5)
        radius = (np.abs(side) ** power + np.abs(toward_tip) ** power) ** (1 / power)
        up = smoothstep(0.05, 0.3, texels.dorsal)
        plate, rim = smoothstep(1.06, 0.94, radius) * up, bell(radius - 1.06, 0.13) * up
        rim = rim * smoothstep(0.9, 0.3, toward_tip)
        chosen = np.flatnonzero((plate > 0.01) | (rim > 0.05))
        return cls(chosen, finger[chosen], plate[chosen], side[chosen], toward_tip[chosen], rim[chosen])

    def paint(self, colors: np.ndarray, relief: np.ndarray, tone: Tone, rng: np.random.Generator, blood: float) -> bool:
        """Paint the nails into log colours (3, M) and relief (M,), in place; True if they are lacquered."""
        lacquered = bool(rng.random() < LACQUERED)
        nail = self._lacquer(rng) if lacquered else self._natural(tone, rng, blood)
        t = self.texel
        rim_color = (colors[:, t] + np.array([[-0.16], [-0.30], [-0.32]]) * self.rim).astype(np.float32)
        colors[:, t] = rim_color + self.plate * (nail - rim_color)
        relief[t] += 2.2e-4 * self.plate - 1.2e-4 * self.rim
        return lacquered

    def _natural(self, tone: Tone, rng: np.random.Generator, blood: float) -> np.ndarray:
        """Log colours (3, P): pink bed, pale half moon at the root, whitish free edge, a paler ridge of light."""
        bed = tone.nail[:, None] - np.array([[0.02], [0.16], [0.12]]) * blood
        moon_size = rng.uniform(0.0, 0.5) * np.where(self.finger == 4, 1.3, 1.0)
        moon = smoothstep(0.12, -0.08, self.toward_tip + 1.0 - moon_size - 0.25 * (1 - self.side**2))
        edge_at = rng.uniform(0.6, 1.15)
        edge = smoothstep(-0.06, 0.06, self.toward_tip - edge_at - 0.12 * self.side**2)
        bed = bed + np.array([[0.05], [0.14], [0.12]]) * moon
        edge_color = (_FREE_EDGE - rng.uniform(0.05, 0.4) - 0.25 * tone.darkness)[:, None]
        return bed + 0.85 * edge * (edge_color - bed)

    def _lacquer(self, rng: np.random.Generator) -> np.ndarray:
        """Log colours (3, P) of one varnish on all nails; some have a pale tip."""
        color = log_srgb(_LACQUERS[rng.integers(len(_LACQUERS))]) + rng.normal(0, 0.08, 3)
        result = np.repeat(color[:, None], len(self.texel), axis=1)
        if rng.random() < 0.15:
            result += 0.8 * smoothstep(0.45, 0.55, self.toward_tip) * (_FREE_EDGE[:, None] - result)
        return result
