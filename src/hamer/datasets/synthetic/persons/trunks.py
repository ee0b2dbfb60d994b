"""Trunks with arms, and pairs of legs, dressed or bare.

Frame and units: see `parts.py`. Letters: R rings, K points around a ring.
"""

from __future__ import annotations

import numpy as np

from hamer.datasets.synthetic.persons import fabrics
from hamer.datasets.synthetic.persons.parts import Painted, Part
from hamer.datasets.synthetic.skin.tones import Tone
from hamer.datasets.synthetic.things.shapes import Shape, loft, tube

Generator = np.random.Generator
Fabric = tuple[np.ndarray, np.ndarray]
_AROUND = 40
_BARE, _BARE_LEGS = 0.12, 0.4  # shares of trunks and of legs without clothes, shorts apart

# y, half width, half depth of a trunk, metres; rings from the neck downwards.
_TABLE = np.array([
    (0.272, 0.048, 0.050), (0.290, 0.066, 0.058), (0.308, 0.100, 0.068), (0.322, 0.140, 0.078), (0.338, 0.168, 0.086),
    (0.362, 0.182, 0.094), (0.400, 0.184, 0.104), (0.460, 0.178, 0.114), (0.540, 0.165, 0.114), (0.620, 0.152, 0.110),
    (0.700, 0.152, 0.110), (0.780, 0.166, 0.116), (0.860, 0.178, 0.120), (0.950, 0.182, 0.120),
    (1.050, 0.180, 0.120), (1.150, 0.174, 0.115), (1.300, 0.165, 0.110),
])  # fmt: skip


def trunk(tone: Tone, size: float, rng: Generator) -> list[Part]:
    """A trunk and its arms, `size` times the common one; clothes, seldom bare skin."""
    broad, deep = rng.uniform(0.88, 1.15), rng.uniform(0.85, 1.35)
    rings, v = _trunk_rings(size, broad, deep, rng)
    body_rng, *arm_rngs = rng.spawn(3)
    bare = rng.random() < _BARE
    neckline = rng.uniform(0.275, 0.31) if rng.random() < 0.6 else rng.uniform(0.31, 0.42)
    sleeves = 0.0 if bare else float(rng.choice((0.0, rng.uniform(0.2, 0.6), 1.0), p=(0.2, 0.3, 0.5)))
    fabric = None if bare else fabrics.cloth(body_rng)
    waist = rng.uniform(0.78, 0.98) if bare or rng.random() < 0.7 else np.inf

    def painted() -> Painted:
        skin, heights = fabrics.skin(tone, body_rng), _row_heights(v, rings[:, 0, 1]) / size
        upper = skin if fabric is None else _with_neckline(fabric, skin, heights, neckline)
        lower = heights > waist
        if lower.any():
            for above, below in zip(upper, fabrics.cloth(body_rng), strict=True):
                above[lower] = below[lower]
        return upper

    parts = [Part(loft(rings, v), painted, 0.15 if bare else 0.03, 1.0 if bare else 0.1)]
    for side, arm_rng in zip((-1, 1), arm_rngs, strict=True):
        parts.append(_arm(side, size * broad, size, tone, fabric, sleeves, arm_rng))
    return parts


def legs(tone: Tone, rng: Generator) -> list[Part]:
    """Two thighs with knees and shins, along y, in trousers or bare; for a lap and for somebody who stands."""
    parts = []
    bare, short = rng.random() < _BARE_LEGS, rng.uniform(0.0, 0.6)
    fabric = fabrics.cloth(rng)
    radii = np.array([0.09, 0.095, 0.09, 0.080, 0.068, 0.060, 0.059, 0.055, 0.050, 0.042, 0.04])
    radii *= rng.uniform(0.85, 1.2)
    apart, bend = rng.uniform(0.085, 0.16), rng.uniform(0, 0.15)
    for side, leg_rng in zip((-1, 1), rng.spawn(2), strict=True):
        t = np.linspace(0, 1, len(radii))
        x = side * apart * (1 + leg_rng.uniform(-0.3, 0.5) * t)
        path = np.stack([x, 1.2 * t - 0.05, bend * ((2 * t - 1) ** 2 - 1)], 1)
        parts.append(_limb(path, radii * (1.0 if bare else 1.08), tone, fabric, short if bare else 1.0, leg_rng))
    return parts


def _trunk_rings(size: float, broad: float, deep: float, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rings (R, K, 3) and their places in the texture (R,); folds of some millimetres."""
    heights = np.interp(np.linspace(0, 1, 34), np.linspace(0, 1, len(_TABLE)), np.arange(len(_TABLE)))
    y, width, depth = (np.interp(heights, np.arange(len(_TABLE)), column) for column in _TABLE.T)
    below = np.clip((y - 0.30) / 0.06, 0, 1)
    width, depth = width * (1 + (broad - 1) * below), depth * (1 + (deep - 1) * np.clip((y - 0.36) / 0.25, 0, 1))
    theta = 2 * np.pi * np.arange(_AROUND) / _AROUND
    waves = sum(np.sin(k * theta + rng.uniform(0, 7) + rng.uniform(-25, 25) * y[:, None]) for k in (2, 5, 9))
    swell = 1 + 0.012 * below[:, None] * np.asarray(waves)
    x = width[:, None] * np.sign(np.sin(theta)) * np.abs(np.sin(theta)) ** 0.8 * swell
    z = depth[:, None] * np.sign(np.cos(theta)) * np.abs(np.cos(theta)) ** 0.8 * swell + 0.012
    rings = np.stack([x, np.broadcast_to(y[:, None], x.shape), z], -1) * size
    return rings, np.linspace(0, 1, len(y))


def _row_heights(v: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y (S,) m of a texture's rows, from those of the rings (R,) at `v` (R,)."""
    return np.interp((np.arange(fabrics.TEXELS) + 0.5) / fabrics.TEXELS, v, y)


def _with_neckline(cloth: Fabric, skin: Fabric, heights: np.ndarray, low: float) -> Fabric:
    """Cloth, above its neckline skin; `heights` (S,) m are the y of its rows, `low` m the neckline's lowest point."""
    front = (np.arange(fabrics.TEXELS) + 0.5) / fabrics.TEXELS - 0.5
    edge = heights[0] + (low - heights[0]) * np.exp(-((front / 0.13) ** 2)) + 0.012
    bare = heights[:, None] < edge
    seam = ~bare & (heights[:, None] < edge + 0.012)
    albedo = np.where(bare[..., None], skin[0], cloth[0])
    albedo[seam] = (0.75 * albedo[seam]).astype(np.uint8)
    return albedo, np.where(bare, skin[1], cloth[1])


def _arm(
    side: int, broad: float, size: float, tone: Tone, fabric: Fabric | None, sleeve: float, rng: Generator
) -> Part:
    """An arm from the shoulder on a `side` (-1 right, 1 left) back into the trunk, with `sleeve` 0..1 of it dressed.

    Its hand is out of sight: a hand without a label would teach that hands are none.
    """
    course = np.array([[0.06, 0.335, 0.012], [0.12, 0.338, 0.012], [0.158, 0.352, 0.012], [0.178, 0.385, 0.012]])
    elbow = np.array([rng.uniform(0.20, 0.34), rng.uniform(0.58, 0.64), rng.uniform(-0.05, 0.10)])
    wrist = np.array([rng.uniform(0.05, 0.12), rng.uniform(0.62, 0.80), 0.02])  # behind the back, in a pocket
    upper = course[-1] + np.array([0.25, 0.55, 0.85])[:, None] * (elbow - course[-1])
    lower = elbow + np.array([0.2, 0.6, 1.0])[:, None] * (wrist - elbow)
    path = np.concatenate([course, upper, lower]) * (side * broad, 1, 1) * (1, size, size)
    radii = np.array([0.030, 0.042, 0.052, 0.055, 0.052, 0.048, 0.044, 0.043, 0.038, 0.030])
    return _limb(path, radii * size * rng.uniform(0.88, 1.12), tone, fabric, sleeve, rng)


def _limb(
    path: np.ndarray, radii: np.ndarray, tone: Tone, fabric: Fabric | None, dressed: float, rng: Generator
) -> Part:
    """A limb along `path` (N, 3), its first share `dressed` in cloth."""
    texture = rng.spawn(1)[0]

    def painted() -> Painted:
        if fabric is None or dressed <= 0:
            return fabrics.skin(tone, texture)
        if dressed >= 1:
            return fabric
        albedo, relief = fabrics.skin(tone, texture)
        rows = int(dressed * fabrics.TEXELS)
        albedo[:rows] = fabric[0][:rows]
        relief[:rows] = fabric[1][:rows]
        return albedo, relief

    skin = fabric is None or dressed < 0.5
    return Part(_downwards(tube(path, radii, 20)), painted, 0.15 if skin else 0.03, 1.0 if skin else 0.1)


def _downwards(shape: Shape) -> Shape:
    """A tube whose texture's first row is at its beginning: tubes begin at the last one."""
    return Shape(shape.vertices, shape.faces, shape.uv * (1, -1) + (0, 1), shape.uv_faces)
