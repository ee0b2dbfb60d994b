"""Textures of made arms: skin that continues the hand's, cloth, straps.

Letters: S x S texture (rows along the arm, columns around it), L vertices of the wrist's loop.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from hamer.datasets.synthetic.arms.dress import Band, Dress, Profile, Sleeve
from hamer.datasets.synthetic.arms.wrists import Wrist
from hamer.datasets.synthetic.skin.bank import Skin
from hamer.datasets.synthetic.skin.tones import BLOOD, MELANIN, SHADE, log_srgb, to_srgb

SIZE = 128
_VARIANTS = 4


def arm_texture(
    skin: Skin, wrist: Wrist, profile: Profile, dress: Dress, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The arm's albedo (S, S, 3) uint8 sRGB and relief (S, S) float32 metres along a profile."""
    rows = (np.arange(SIZE) + 0.5) / SIZE
    s = np.interp(rows, profile.v, profile.s)
    kind = profile.kind[np.minimum(np.searchsorted(profile.v, rows), len(profile.v) - 1)]
    noise = _noises()[rng.integers(_VARIANTS)]
    noise = np.roll(noise, tuple(rng.integers(SIZE, size=2)), axis=(1, 2))
    colors, relief = _skin(skin, wrist, s, noise, rng)
    if dress.band is not None:
        _wear_band(colors, relief, dress.band, s, kind == 1, wrist)
    if dress.sleeve is not None:
        _wear_sleeve(colors, relief, dress.sleeve, s, kind == 2, noise, rng)
    albedo = np.moveaxis(to_srgb(colors), 0, -1)
    return np.ascontiguousarray(albedo), relief


def _skin(
    skin: Skin, wrist: Wrist, s: np.ndarray, noise: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Log colours (3, S, S) and relief (S, S): a lighter inner side, hair on the outer one, the hand's own at s = 0."""
    tone = skin.tone
    dorsal = _around(wrist.dorsal)
    inner = np.clip(0.5 - 0.7 * dorsal, 0, 1)
    coarse, fine, hair = noise
    colors = np.empty((3, SIZE, SIZE), np.float32)
    hairs = skin.hair * hair * np.clip(0.35 + 0.65 * dorsal, 0, 1) * np.clip(s[:, None] / 0.05, 0, 1)
    blood, melanin = 0.08 * coarse, 0.03 * fine
    for c in range(3):
        colors[c] = tone.back[c] + 0.25 * (tone.palm - tone.back)[c] * inner[None]
        colors[c] += BLOOD[c] * blood + MELANIN[c] * melanin + 0.8 * SHADE[c] * hairs
    if skin.cuff is not None:  # under a glove nothing of the hand's texture is skin
        return colors, (6e-5 * fine).astype(np.float32)
    at_loop = _hand_colors(skin, wrist)  # (L, 3)
    own = colors[:, :1].mean(axis=1)
    fade = np.exp(-((np.maximum(s, 0) / 0.04) ** 1.5))
    for c in range(3):
        colors[c] += fade[:, None] * (_around(at_loop[:, c]) - own[c])[None]
    return colors, (6e-5 * fine).astype(np.float32)


def _hand_colors(skin: Skin, wrist: Wrist) -> np.ndarray:
    """Log colours (L, 3) of the hand's texture at the loop."""
    size = len(skin.albedo)
    place = (wrist.uv * size - 0.5).astype(np.float32)
    sampled = cv2.remap(
        skin.albedo, place[None, :, 0], place[None, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return log_srgb(sampled[0])


def _around(values: np.ndarray) -> np.ndarray:
    """Values (L,) at the loop's vertices, at the texture's columns (S,)."""
    u = (np.arange(SIZE) + 0.5) / SIZE * len(values)
    return np.interp(u, np.arange(len(values) + 1), np.append(values, values[0]))


def _wear_band(
    colors: np.ndarray, relief: np.ndarray, band: Band, s: np.ndarray, rows: np.ndarray, wrist: Wrist
) -> None:
    colors[:, rows] = log_srgb(band.strap)[:, None, None]
    if band.beads:
        wave = np.cos(np.arange(SIZE) / SIZE * 2 * np.pi * band.beads)
        colors[:, rows] += 0.5 * wave.astype(np.float32)
    if band.face is not None:
        dorsal = _around(wrist.dorsal)
        mid = 0.5 * (band.start + band.end)
        across = np.arccos(np.clip(dorsal, -1, 1)) * 0.026
        disc = np.hypot(across[None], (s - mid)[:, None]) < 0.5 * (band.end - band.start)
        disc &= rows[:, None]
        colors[:, disc] = log_srgb(band.face)[:, None]
    relief[rows] = 0


def _wear_sleeve(
    colors: np.ndarray,
    relief: np.ndarray,
    sleeve: Sleeve,
    s: np.ndarray,
    rows: np.ndarray,
    noise: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Cloth over the rows of a sleeve, with its pattern, weave, worn patches and a seam at the cuff."""
    first, second = log_srgb(sleeve.colors)[..., None, None].astype(np.float32)
    pattern, weave = _fabric(sleeve.fabric, s, noise, rng)
    cloth = first + pattern * (second - first) + 0.06 * noise[1] + 0.05 * noise[0]
    hem = np.exp(-(((s - sleeve.start - sleeve.cuff) / 0.0012) ** 2))
    cloth = cloth - 0.35 * hem[None, :, None]
    past_cuff = s[:, None] > sleeve.start + sleeve.cuff
    colors[:, rows] = cloth[:, rows]
    relief[rows] = (weave + 8e-5 * noise[1] + 5e-4 * noise[0] * past_cuff)[rows]


def _fabric(name: str, s: np.ndarray, noise: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """How much of the second colour (S, S) a fabric shows, and the relief (S, S) of its threads, metres."""
    along, around = s[:, None] / 0.01, np.arange(SIZE)[None] / SIZE * 24
    flat = np.zeros((SIZE, SIZE))
    if name == "knit":
        ribs = np.sin(around * 2 * np.pi)
        return 0.15 + 0.15 * np.sin(along * 14) * ribs, flat + 4e-4 * ribs
    if name == "denim":
        return 0.25 + 0.2 * np.sin((along * 6 + around * 6) * 2) + 0.12 * noise[0], flat
    if name == "stripes":
        return (np.sin(along * 2 * np.pi / rng.uniform(0.6, 3)) > 0.2) + flat, flat
    if name == "checks":
        return 0.5 * (np.sin(along * 2 * np.pi / 1.5) > 0) + 0.5 * (np.sin(around * 2 * np.pi / 4) > 0), flat
    return flat, flat


@lru_cache(maxsize=1)
def _noises() -> tuple[np.ndarray, ...]:
    """A few stacks (3, S, S) float32 of noise that repeats at the edges: coarse, fine (deviation 1), hair 0..1."""
    stacks = []
    for rng in np.random.default_rng(5).spawn(_VARIANTS):
        coarse, fine = (_filtered(rng.normal(size=(SIZE, SIZE)), width) for width in ((4.0, 9.0), (0.7, 1.4)))
        stacks.append(np.stack([coarse, fine, _hairs(rng)]).astype(np.float32))
    return tuple(stacks)


def _filtered(white: np.ndarray, width: tuple[float, float]) -> np.ndarray:
    """White noise smoothed over so many texels down and across, around the torus, deviation 1.

    A texel is about twice as long along the arm as around it.
    """
    frequency = np.fft.fftfreq(SIZE)
    gain = np.exp(-2 * np.pi**2 * ((width[0] * frequency[:, None]) ** 2 + (width[1] * frequency[None]) ** 2))
    smooth = np.fft.ifft2(np.fft.fft2(white) * gain).real
    return smooth / smooth.std()


def _hairs(rng: np.random.Generator) -> np.ndarray:
    """Short thin hairs (S, S) 0..1, most of them pointing down the arm and a little aside, each as dark as it likes."""
    layer = np.zeros((SIZE, SIZE), np.float32)
    for row, column in rng.integers(SIZE, size=(700, 2)):
        length, lean, dark = rng.uniform(2, 6), rng.normal(0.3, 0.35), rng.uniform(0.1, 0.55)
        steps = np.arange(0, length, 0.5)
        rows, columns = (row - steps).astype(int) % SIZE, np.round(column + lean * steps).astype(int) % SIZE
        layer[rows, columns] = np.maximum(layer[rows, columns], dark)
    return layer
