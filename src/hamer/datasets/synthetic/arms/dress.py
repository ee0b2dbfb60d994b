"""What an arm wears: nothing, a sleeve, a watch, a bracelet; and the outline that follows from it.

Letters: R rings along the arm. Lengths in metres, `s` counted from the wrist's loop toward the elbow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hamer.datasets.synthetic.skin.bank import Skin

SLEEVED, BANDED = 0.42, 0.22
"""Shares of arms with a sleeve, and of the others with a watch or bracelet."""

_STEPS = (0.002, 0.006, 0.012, 0.02, 0.03, 0.042, 0.056, 0.075, 0.1, 0.13, 0.165, 0.2, 0.24, 0.27, 0.3, 0.33, 0.36, 0.4)
"""Rings of bare skin, metres from the wrist: closer where it is seen from near."""


@dataclass(frozen=True)
class Sleeve:
    """Cloth from `start` on: `thickness` above the skin at the cuff, `looseness` further out, fold heights, fabric."""

    start: float
    cuff: float
    thickness: float
    looseness: float
    fold: float
    fabric: str
    colors: np.ndarray
    phases: np.ndarray


@dataclass(frozen=True)
class Band:
    """A watch or bracelet between `start` and `end`, `thickness` above the skin, sRGB colours of strap and face."""

    start: float
    end: float
    thickness: float
    strap: np.ndarray
    face: np.ndarray | None
    beads: int = 0


@dataclass(frozen=True)
class Profile:
    """Rings of the tube: s (R,) along the arm, lift (R,) above the skin, v (R,) 0..1 texture coordinate.

    kind (R,) of the stretch that ends at a ring: 0 skin, 1 band, 2 sleeve.
    """

    s: np.ndarray
    lift: np.ndarray
    v: np.ndarray
    kind: np.ndarray


@dataclass(frozen=True)
class Dress:
    """A sleeve, a band, or neither."""

    sleeve: Sleeve | None = None
    band: Band | None = None

    @property
    def shows_skin(self) -> bool:
        """Whether skin is seen between the hand and the sleeve."""
        return self.sleeve is None or self.sleeve.start > 0.002

    def profile(self, length: float) -> Profile:
        """Rings from the loop to the arm's end; a sleeve's or band's edge is a step outward."""
        rows: list[tuple[float, float, int]] = [(0.0, 0.0, 0)]
        end_of_skin = self.sleeve.start if self.sleeve else length
        stops = [x for x in _STEPS if x < end_of_skin - 0.004]
        if self.band is not None:
            stops = [x for x in stops if not self.band.start - 0.003 < x < self.band.end + 0.003]
            stops = sorted([*stops, self.band.start])
        for s in stops:
            rows.append((s, 0.0, 0))
            if self.band is not None and s == self.band.start:
                top, edge = self.band.thickness, 0.25 * (self.band.end - self.band.start)
                rows += [(s, 0.8 * top, 1), (s + edge, top, 1), (self.band.end - edge, top, 1)]
                rows += [(self.band.end, 0.8 * top, 1), (self.band.end, 0.0, 1)]
        if self.sleeve is None:
            rows.append((length, 0.0, 0))
        else:
            rows += self._sleeve_rows(length)
        return _profile(rows)

    def _sleeve_rows(self, length: float) -> list[tuple[float, float, int]]:
        sleeve = self.sleeve
        assert sleeve is not None
        rows = [(sleeve.start, 0.0, 0)] if sleeve.start > 0 else []
        rows += [(sleeve.start, 0.7 * sleeve.thickness, 2), (sleeve.start + 0.001, sleeve.thickness, 2)]
        for s in np.linspace(sleeve.start + sleeve.cuff, length, 14):
            rows.append((float(s), sleeve.thickness + sleeve.looseness * min((s - sleeve.start) / 0.06, 1.5), 2))
        return rows

    def folds(self, theta: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Height (R, L) of the sleeve's folds at distances s (R,) and angles theta (L,) around the arm."""
        sleeve = self.sleeve
        if sleeve is None:
            return np.zeros((len(s), len(theta)))
        s = s[:, None]
        grow = np.clip((s - sleeve.start - 0.5 * sleeve.cuff) / 0.05, 0, 1)
        directions = zip((1, 2, 3), sleeve.phases, (1.5, -2.0, 1.0), strict=True)
        wave = sum(np.sin(k * theta + phase + 25 * s * direction) for k, phase, direction in directions)
        return sleeve.fold * grow * (0.5 * wave + 0.6 * np.sin(110 * s + sleeve.phases[0] + np.sin(theta)))


def _profile(rows: list[tuple[float, float, int]]) -> Profile:
    s, lift, kind = (np.array(column) for column in zip(*rows, strict=True))
    steps = np.hypot(np.diff(s), np.diff(lift)) + 1e-4
    v = np.concatenate([[0.0], np.cumsum(steps)])
    # More texture where the wrist is seen from near than toward the elbow.
    return Profile(s, lift, (v / v[-1]) ** 0.75, kind)


def draw_dress(skin: Skin, rng: np.random.Generator) -> Dress:
    """What this arm wears; a glove's cuff reaches past the wrist unless a sleeve covers it."""
    if rng.random() < SLEEVED:
        return Dress(sleeve=_draw_sleeve(rng))
    if skin.cuff is not None:
        return Dress(band=Band(0.0, float(rng.uniform(0.004, 0.06)), 0.002 + skin.thickness, skin.cuff, None))
    if rng.random() < BANDED:
        return Dress(band=_draw_band(rng))
    return Dress()


def _draw_sleeve(rng: np.random.Generator) -> Sleeve:
    start = float(rng.choice([-0.012, 0.004, 0.02, rng.uniform(0.03, 0.1)]))
    return Sleeve(
        start=start + rng.uniform(-0.003, 0.003),
        cuff=float(rng.choice([0.008, 0.02, 0.05])),
        thickness=float(rng.uniform(0.0035, 0.008)),
        looseness=float(rng.uniform(0.0, 0.016)),
        fold=float(rng.uniform(0.0005, 0.004)),
        fabric=str(rng.choice(["plain", "knit", "denim", "stripes", "checks"], p=[0.4, 0.2, 0.14, 0.14, 0.12])),
        colors=fabric_colors(rng),
        phases=rng.uniform(0, 2 * np.pi, 3),
    )


def fabric_colors(rng: np.random.Generator) -> np.ndarray:
    """Two sRGB colours (2, 3): half of all cloth is white, grey, black or navy."""
    if rng.random() < 0.5:
        first = np.array(
            [(235, 235, 232), (40, 40, 44), (120, 122, 126), (34, 42, 70), (70, 74, 82)][rng.integers(5)], float
        )
    else:
        first = rng.uniform(20, 235, 3)
    second = first + rng.choice([-1, 1]) * rng.uniform(40, 110) if rng.random() < 0.6 else rng.uniform(20, 240, 3)
    return np.clip(np.stack([first + rng.normal(0, 6, 3), second]), 8, 247)


def _draw_band(rng: np.random.Generator) -> Band:
    start = float(rng.uniform(0.004, 0.03))
    if rng.random() < 0.6:
        strap = np.array(
            [(30, 30, 32), (94, 58, 34), (150, 150, 152), (196, 168, 104), (60, 60, 66)][rng.integers(5)], float
        )
        face = np.array([(20, 22, 26), (232, 232, 228), (40, 50, 80)][rng.integers(3)], float)
        return Band(start, start + float(rng.uniform(0.016, 0.024)), 0.0025, strap, face)
    strap = np.array(
        [(212, 176, 96), (200, 200, 204), (120, 30, 30), (40, 40, 40), (150, 100, 60)][rng.integers(5)], float
    )
    return Band(start, start + float(rng.uniform(0.003, 0.009)), 0.0018, strap, None, int(rng.choice([0, 24])))
