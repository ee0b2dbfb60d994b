"""Hair, and what is worn on it: a shell over the scalp that may hang down to the shoulders, or a cap or scarf.

Frame and units: see `parts.py`. Letters: R rings, K columns around, S x S texture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from hamer.datasets.synthetic.persons import fabrics, heads
from hamer.datasets.synthetic.persons.parts import Painted, Part
from hamer.datasets.synthetic.skin.tones import log_srgb
from hamer.datasets.synthetic.things.shapes import loft

SIZE = 192
_RINGS, _AROUND = 22, 56
_BALD, _CAPPED, _SCARVED = 0.12, 0.07, 0.07  # shares of men, of all, of women
_COLORS = (
    (0.34, (24, 20, 20)), (0.16, (52, 34, 24)), (0.16, (92, 62, 40)), (0.12, (172, 134, 86)), (0.05, (206, 176, 130)),
    (0.05, (128, 58, 32)), (0.08, (150, 148, 146)), (0.02, (214, 212, 208)), (0.02, (60, 90, 170)),
)  # fmt: skip


@dataclass(frozen=True)
class _Cut:
    """A cut: `long` m from the crown to the ends (0 for short hair), `volume` m above the scalp, `fringe` m of y at the
    forehead, `opening` rad from the middle of the face to where long hair falls, `curl` 0..1.
    """

    long: float
    volume: float
    fringe: float
    opening: float
    curl: float


def draw_color(rng: np.random.Generator) -> np.ndarray:
    """Log colour (3,) of a person's hair: a natural one, mostly dark, seldom dyed."""
    shares = np.array([share for share, _ in _COLORS])
    level = np.array(_COLORS[int(rng.choice(len(_COLORS), p=shares / shares.sum()))][1], float)
    if rng.random() < 0.03:
        level = rng.uniform(20, 230, 3)
    return log_srgb(np.clip(level * rng.uniform(0.8, 1.2), 8, 245))


def hair(face: heads.Face, color: np.ndarray, is_man: bool, rng: np.random.Generator) -> Part | None:
    """What is on the head: hair, a woollen cap, a scarf around head and neck; None on a bald one."""
    kind = rng.random()
    if is_man and kind < _BALD:
        return None
    if kind > 1 - _CAPPED:
        return _worn(face, _Cut(0.0, rng.uniform(0.008, 0.02), 0.062, 0.0, 0.0), 0.10, rng)
    if not is_man and kind > 1 - _CAPPED - _SCARVED:
        return _worn(face, _Cut(rng.uniform(0.32, 0.45), 0.014, 0.05, rng.uniform(0.8, 1.0), 0.0), None, rng)
    cut, texture = _draw_cut(is_man, rng), rng.spawn(1)[0]
    gloss = float(rng.uniform(0.05, 0.4)) * (1 - 0.8 * cut.curl)
    return Part(loft(_shell(face, cut, None, rng), _heights()), lambda: _strands(color, cut, texture), gloss, 0.3)


def _draw_cut(is_man: bool, rng: np.random.Generator) -> _Cut:
    curl = float(rng.beta(0.6, 1.2))
    is_long = rng.random() < (0.12 if is_man else 0.75)
    volume = rng.uniform(0.006, 0.022) + (rng.uniform(0, 0.05) * curl if rng.random() < 0.5 else 0)
    fringe = rng.uniform(0.075, 0.1) if rng.random() < 0.25 else rng.uniform(0.03, 0.058)
    return _Cut(rng.uniform(0.2, 0.5) if is_long else 0.0, volume, fringe, rng.uniform(0.75, 1.3), curl)


def _worn(face: heads.Face, cut: _Cut, hem: float | None, rng: np.random.Generator) -> Part:
    texture = rng.spawn(1)[0]
    return Part(loft(_shell(face, cut, hem, rng), _heights()), lambda: fabrics.cloth(texture), 0.05, 0.1)


def _heights() -> np.ndarray:
    return np.linspace(0, 1, _RINGS)


def _hems(cut: _Cut) -> np.ndarray:
    """How far down (K,) m the hair of each column reaches."""
    away = np.abs(heads.angles(np.arange(_AROUND) / _AROUND) - np.pi)  # 0 at the face, pi at the back
    short = np.interp(away, (0, 0.6, 0.95, 1.25, 1.45, 1.6, 2.0, np.pi),
                      (cut.fringe, cut.fringe + 0.008, 0.09, 0.135, 0.14, 0.105, 0.16, 0.185))  # fmt: skip
    falling = np.clip((away - cut.opening) / 0.12, 0, 1)
    return short + falling * (cut.long - short) if cut.long else short


def _shell(face: heads.Face, cut: _Cut, hem: float | None, rng: np.random.Generator) -> np.ndarray:
    """Rings (R, K, 3) of the shell, from the crown to the hem; `hem` m, the same all around, for a cap."""
    column = np.arange(_AROUND) / _AROUND
    hems = np.where(np.cos(heads.angles(column)) < 0, cut.fringe, hem) if hem is not None else _hems(cut)
    if hem is None:
        hems = hems * (1 + rng.normal(0, 0.05, _AROUND))
    down = (np.linspace(0.0, 1.0, _RINGS)[:, None] ** 1.3) * hems
    theta = heads.angles(column)
    outward = np.stack([np.sin(theta), np.cos(theta)], -1)
    locks = sum(np.sin(k * theta + rng.uniform(0, 7) + rng.uniform(-30, 30) * down) / k for k in (3, 5, 8))
    ends = np.linspace(0, 1, _RINGS)[:, None]
    taper = 1 - (0.5 * ends if cut.long else 0.75 * ends**3)
    lift = cut.volume * taper * (1 + 0.22 * np.asarray(locks)) + 0.003
    crown = np.clip(down / 0.05, 0, 1)  # above, hair rises upwards, beside it outwards
    flat = _scalp(down, cut.long > 0) + (lift * (0.25 + 0.75 * crown))[..., None] * outward
    return np.stack([flat[..., 0], down - lift * (1 - crown), flat[..., 1]], -1) * face.size


def _scalp(down: np.ndarray, falls: bool) -> np.ndarray:
    """x and z (R, K, 2) m of the head at heights `down` (R, K) below the crown.

    Hair that `falls` does not come much closer to the axis again than the head is wide above it.
    """
    flat = np.empty((*down.shape, 2))
    for column, (heights, place) in enumerate(_outline()):
        flat[:, column] = np.stack([np.interp(down[:, column], heights, place[:, axis]) for axis in (0, 1)], -1)
    if falls:
        radius = np.linalg.norm(flat, axis=-1)
        widest = np.maximum.accumulate(radius, axis=0) - 0.035 * np.clip((down - 0.12) / 0.2, 0, 1)
        flat *= (np.maximum(widest, radius) / np.maximum(radius, 1e-4))[..., None]
    return flat


@cache
def _outline() -> list[tuple[np.ndarray, np.ndarray]]:
    """For each column heights (N,) that rise, and x and z there (N, 2), metres."""
    place = heads.points(np.linspace(0, 1, 120)[:, None], np.arange(_AROUND)[None] / _AROUND)
    heights = np.maximum.accumulate(place[..., 1], axis=0) + 1e-6 * np.arange(120)[:, None]
    return [(heights[:, column], place[:, column, ::2]) for column in range(_AROUND)]


def _strands(color: np.ndarray, cut: _Cut, rng: np.random.Generator) -> Painted:
    """Strands that run down the texture, wavy as the cut is curled; each a little lighter or darker."""
    fields = _strand_fields()
    field = np.roll(fields[rng.integers(len(fields))], int(rng.integers(SIZE)), axis=1)
    if cut.curl > 0.15:
        rows = np.arange(SIZE, dtype=np.float32)[:, None]
        columns = np.arange(SIZE, dtype=np.float32)[None]
        bend = 6 * cut.curl * np.sin(rows / rng.uniform(5, 12) + 3 * np.sin(columns / 9))
        across, down = columns + bend, rows + 2 * cut.curl * bend
        field = cv2.remap(field, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    contrast = rng.uniform(0.12, 0.3)
    roots = rng.uniform(-0.4, 0.1) * np.exp(-np.arange(SIZE) / 25)[:, None]
    light = (contrast * field + roots).astype(np.float32)
    colors = color.astype(np.float32)[:, None, None] + light * np.array([1.0, 1.05, 1.15], np.float32)[:, None, None]
    return fabrics.image_of(colors), (8e-4 * field).astype(np.float32)


@cache
def _strand_fields() -> tuple[np.ndarray, ...]:
    """Noise (S, S) float32 of deviation 1 that changes fast across and slowly along the hair; repeats across."""
    made = []
    for rng in np.random.default_rng(23).spawn(4):
        total = np.zeros((SIZE, SIZE), np.float32)
        for across, along, weight in ((0.6, 30, 1.0), (1.6, 45, 1.0), (5.0, 60, 0.8)):
            white = rng.standard_normal((SIZE, SIZE)).astype(np.float32)
            smooth = cv2.GaussianBlur(np.tile(white, (1, 3)), (0, 0), across, sigmaY=along)[:, SIZE : 2 * SIZE]
            total += weight * smooth / smooth.std()
        made.append(total / total.std())
    return tuple(made)
