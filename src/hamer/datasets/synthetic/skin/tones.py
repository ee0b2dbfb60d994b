"""Colours of human skin: a tone measured in CIELAB, and how pigment and blood change it.

The back of the hand is drawn over the whole range of the individual typology angle, ITA = atan((L* - 50) / b*)
(Chardon et al., 1991): above 55 degrees very light, below -30 dark. Lightness follows from ITA and b*; a* and b* keep
to what spectrophotometers find on people of all continents (Xiao et al., "Characterising the variations in ethnic
skin colours", Skin Research and Technology 23, 2017; Chardon et al.).

Colours are kept as natural logarithms of linear RGB, in which pigment and blood subtract (Beer-Lambert; Tsumura et
al., "Image-based skin color and texture analysis/synthesis by extracting hemoglobin and melanin", SIGGRAPH 2003).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hamer.datasets.synthetic.srgb import level_of, light_of

MELANIN = np.array([-0.62, -0.95, -1.25])
"""Change of log RGB by one unit of pigment (a strong freckle)."""
BLOOD = np.array([-0.10, -0.62, -0.48])
"""Change of log RGB by one unit of blood (a flushed fingertip)."""
SHADE = np.array([-0.75, -1.10, -1.20])
"""Change of log RGB in the depth of a crease: dark and warm, for light that gets there has passed through skin."""
VEIN = np.array([-0.50, -0.16, -0.08])
"""Change of log RGB over a vein: less red comes back, so it looks bluish or greenish against the skin."""

LOG_LOW, LOG_STEPS = -7.0, 512
"""Range of the table from log RGB to bytes: from here to above 0, with so many steps per unit."""

ITA_RANGE = (-62.0, 66.0)


@dataclass(frozen=True)
class Tone:
    """One person's colours: log RGB (3,) of the back, of the palm, of nail beds, and how dark the person is, 0..1."""

    back: np.ndarray
    palm: np.ndarray
    nail: np.ndarray
    darkness: float


def draw_tone(rng: np.random.Generator) -> Tone:
    """A tone from the whole human range, light and dark equally likely in ITA."""
    ita = rng.uniform(*ITA_RANGE)
    darkness = (ITA_RANGE[1] - ita) / (ITA_RANGE[1] - ITA_RANGE[0])
    b = float(np.interp(ita, [-60, -25, 15, 45, 66], [11.5, 18.5, 20.5, 17.0, 14.0])) + rng.normal(0, 1.3)
    a = float(np.interp(ita, [-60, -25, 15, 45, 66], [9.0, 13.0, 13.5, 12.0, 10.5])) + rng.normal(0, 1.4)
    lightness = 50 + np.tan(np.deg2rad(ita)) * b
    lightness = float(np.clip(lightness, 27, 77))
    back = np.array([lightness, max(a, 6.5), max(b, 8.0)])
    palm = _palm(back, darkness, rng)
    # Through a nail one sees its bed: a little lighter, pinker and less yellow than the skin around.
    nail = 0.7 * back + 0.3 * palm + rng.normal([1.0, 3.0, -3.5], [1.5, 1.2, 1.0])
    return Tone(log_rgb(back), log_rgb(palm), log_rgb(nail), float(darkness))


def _palm(back: np.ndarray, darkness: float, rng: np.random.Generator) -> np.ndarray:
    """Palms carry little pigment whatever the rest: lighter than a dark back, redder than a light one."""
    gain = rng.uniform(0.5, 0.72) * darkness**0.5
    lightness = back[0] + gain * max(67.0 - back[0], 0.0)
    redder = rng.uniform(2.0, 5.5)
    yellow = back[2] + (16.5 - back[2]) * 0.6 + rng.normal(0, 1.0)
    return np.array([lightness, back[1] + redder * (1 - 0.3 * darkness), yellow])


def lab_to_linear(lab: np.ndarray) -> np.ndarray:
    """CIELAB (..., 3), D65, to linear sRGB (..., 3), not clipped (CIE 15:2004; IEC 61966-2-1)."""
    lab = np.asarray(lab, np.float64)
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.95047, 1.0, 1.08883]
    return xyz @ np.linalg.inv(_RGB_TO_XYZ).T


def srgb_to_linear(srgb: np.ndarray) -> np.ndarray:
    """Bytes (..., 3) of sRGB to linear RGB in 0..1."""
    return light_of(np.asarray(srgb, np.float64) / 255)


def log_rgb(lab: np.ndarray) -> np.ndarray:
    """CIELAB (..., 3) to log linear RGB (..., 3)."""
    return np.log(np.clip(lab_to_linear(lab), 1e-3, 1.0))


def log_srgb(srgb: np.ndarray | tuple[int, int, int]) -> np.ndarray:
    """Bytes (..., 3) of sRGB to log linear RGB (..., 3)."""
    return np.log(np.maximum(srgb_to_linear(np.asarray(srgb)), 1e-3))


def to_srgb(log_colors: np.ndarray) -> np.ndarray:
    """Log linear RGB of any shape to bytes of sRGB, by a table: what a draw spends its time on."""
    place = (log_colors - np.float32(LOG_LOW)) * np.float32(LOG_STEPS)
    return _TABLE.take(place.astype(np.int16), mode="clip")


def _encoding_table() -> np.ndarray:
    linear = np.exp(LOG_LOW + (np.arange(int(-LOG_LOW * LOG_STEPS) + 1) + 0.5) / LOG_STEPS).clip(0, 1)
    return np.round(level_of(linear) * 255).astype(np.uint8)


_RGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_TABLE = _encoding_table()
