"""How a face is painted: tone, blush, lips, eyes, brows, beard, the shade below the chin.

Letters: S x S texture that fits `heads.head`, N layers of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from hamer.datasets.synthetic.persons import heads
from hamer.datasets.synthetic.persons.fabrics import image_of, skin_layers
from hamer.datasets.synthetic.skin.curves import smoothstep
from hamer.datasets.synthetic.skin.tones import BLOOD, MELANIN, SHADE, Tone, log_srgb

SIZE = 192
_BEARDED, _MADE_UP = 0.6, 0.5  # shares of men with a beard or stubble, of women with lipstick
_IRISES = ((70, 45, 28), (48, 30, 20), (96, 70, 40), (82, 98, 72), (84, 112, 138), (110, 120, 128))
_LIPSTICKS = ((150, 20, 40), (190, 70, 90), (120, 40, 50), (200, 110, 110))


@dataclass(frozen=True)
class _Layers:
    """Masks (S, S) float32 0..1 of a face; `skin` (N, S, S): blush, lips, socket, nostril, shade, fold."""

    skin: np.ndarray
    lips: np.ndarray
    brows: np.ndarray
    white: np.ndarray
    iris: np.ndarray
    dark: np.ndarray
    beard: np.ndarray
    moustache: np.ndarray


def paint(tone: Tone, hair: np.ndarray, is_man: bool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Albedo (S, S, 3) uint8 sRGB and relief (S, S) metres of a face; `hair` (3,) log colour of brows and beard."""
    layers = _layers()
    blood, pigment = skin_layers(SIZE, rng)
    flush = rng.uniform(0.2, 1.0) * (1 - 0.5 * tone.darkness)
    changes = np.stack([
        0.55 * flush * BLOOD, BLOOD * rng.uniform(0.5, 1.0) + MELANIN * (0.06 + 0.25 * tone.darkness),
        rng.uniform(0.15, 0.5) * SHADE, 1.1 * SHADE, rng.uniform(0.45, 0.8) * SHADE, rng.uniform(0.1, 0.45) * SHADE,
        0.10 * BLOOD, 0.04 * MELANIN,
    ]).astype(np.float32)  # fmt: skip
    stack = np.concatenate([layers.skin, blood[None], pigment[None]])
    base = tone.back + rng.normal(0, 0.06) * BLOOD
    colors = np.tensordot(changes.T, stack, 1) + base.astype(np.float32)[:, None, None]
    if is_man and rng.random() < _BEARDED:
        _grow_beard(colors, layers, hair, pigment, rng)
    elif not is_man and rng.random() < _MADE_UP:
        _blend(colors, rng.uniform(0.4, 0.9) * layers.lips, log_srgb(_LIPSTICKS[rng.integers(len(_LIPSTICKS))]))
    _blend(colors, rng.uniform(0.4, 0.95) * layers.brows, hair - 0.3)
    _blend(colors, layers.white, log_srgb((205, 194, 188)))
    _blend(colors, layers.iris, log_srgb(_IRISES[rng.integers(len(_IRISES))]))
    _blend(colors, layers.dark, log_srgb((26, 18, 16)))
    return image_of(colors), (2e-4 * pigment).astype(np.float32)


def _grow_beard(
    colors: np.ndarray, layers: _Layers, hair: np.ndarray, noise: np.ndarray, rng: np.random.Generator
) -> None:
    """Stubble, a beard or a moustache, into the log colours (3, S, S)."""
    kind = rng.random()
    place = layers.moustache if kind < 0.2 else layers.beard
    density = rng.uniform(0.15, 0.45) if kind < 0.6 else rng.uniform(0.65, 0.95)
    _blend(colors, place * np.clip(density + 0.15 * noise, 0, 1), hair - 0.2)


def _blend(colors: np.ndarray, mask: np.ndarray, color: np.ndarray) -> None:
    """Colours (3, S, S) towards a log colour (3,) where the mask (S, S) is; only its rows are touched."""
    rows = np.flatnonzero(mask.max(1) > 0)
    part = slice(int(rows[0]), int(rows[-1]) + 1)
    colors[:, part] += mask[part] * (np.asarray(color, np.float32)[:, None, None] - colors[:, part])


@cache
def _layers() -> _Layers:
    """The masks; prepared once a process."""
    at = (np.arange(SIZE) + 0.5) / SIZE
    place = heads.points(at[:, None], at[None])
    x, y, z = np.moveaxis(place, -1, 0)
    ahead = z < 0

    bell = partial(heads.bell, place, ahead)
    eye_x, eye_y = np.abs(x) - heads.EYES[0], y - heads.EYES[1]
    lid = np.maximum(1 - (eye_x / 0.0155) ** 2, 0)
    opened = ahead * _soft((0.0062 * lid - np.abs(eye_y + 0.0006)) / 0.0012) * (lid > 0)
    iris = opened * _soft((0.0060 - np.hypot(eye_x, eye_y)) / 0.001)
    pupil = opened * _soft((0.0028 - np.hypot(eye_x, eye_y)) / 0.001)
    lash = ahead * (lid > 0) * np.exp(-(((eye_y + 0.0066 * lid) / 0.0014) ** 2))
    dy = y - heads.MOUTH[1]
    smile = np.maximum(1 - (x / 0.026) ** 2, 0)
    lips = ahead * _soft((0.0085 * smile**0.8 - np.abs(dy - 0.001)) / 0.0015) * (smile > 0)
    line = ahead * (smile > 0) * np.exp(-((dy / 0.0015) ** 2))
    brow_line = 0.0975 + 0.006 * ((np.abs(x) - 0.036) / 0.02) ** 2
    brows = ahead * _soft((0.0035 - np.abs(y - brow_line)) / 0.0015) * (np.abs(np.abs(x) - 0.034) < 0.020)
    below = _soft((y - 0.224) / 0.004) * _soft((0.275 - y) / 0.03) * _soft(-(z - 0.01) / 0.03)
    blush = bell((0.042, 0.148), 0.020, 0.018) + bell((0.0, 0.158), 0.014, 0.010) + 0.5 * bell((0.0, 0.21), 0.02, 0.012)
    blush += np.exp(-(((z - 0.012) / 0.02) ** 2) - ((y - 0.13) / 0.03) ** 2)
    folds = line + 0.5 * bell((0.028, 0.172), 0.004, 0.014) + 0.4 * bell((0.016, 0.150), 0.004, 0.012)
    skin = [blush, lips, bell((0.031, 0.116), 0.021, 0.012), bell((0.0075, 0.1685), 0.0045, 0.003), below, folds]
    jaw_line = 0.168 - 0.05 * np.clip((z + 0.055) / 0.05, 0, 1)
    beard = _soft((y - jaw_line) / 0.006) * _soft((0.234 - y) / 0.006) * _soft(-z / 0.01)
    hole = np.maximum(lips, bell((0.0, 0.186), 0.026, 0.010))
    moustache = bell((0.012, 0.1755), 0.018, 0.0045) * (1 - lips)
    beard = np.maximum(beard * (1 - hole), moustache)
    masks = [lips, brows, opened, iris, np.maximum(pupil, 0.85 * lash), beard, moustache]
    return _Layers(np.stack(skin).astype(np.float32), *(mask.astype(np.float32) for mask in masks))


def _soft(value: np.ndarray) -> np.ndarray:
    """0 below -1, 1 above 1, a smooth step between."""
    return smoothstep(-1.0, 1.0, value)
