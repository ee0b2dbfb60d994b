"""From light to a photograph: what lens, sensor, processing and file do to a picture, and never where things are.

Every filter here is symmetric about its pixel, so that annotated positions stay exact. The order is a camera's: blur of
the light, exposure and white balance, shading towards the corners, noise, tone curve, then the processing's habits.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from hamer.datasets.synthetic.camera.blurs import defocus, moved, resampled
from hamer.datasets.synthetic.srgb import level_of

_CODES = 4096  # entries of the tone curve; its input is the square root of light, which keeps steps in the dark small
_HEADROOM = 4.0  # light beyond this many times white is clipped before the curve
_NOISE_SIDE = 640
MAX_BLUR = 0.025  # of the picture's longer side: beyond, a hand is no longer one
GRAY = np.array([0.2126, 0.7152, 0.0722], np.float32)  # luminance of linear sRGB


@dataclass(frozen=True)
class _Chance:
    """Draws that fade with the level of effects: `level` 0 changes nothing, 1 everything that cameras do."""

    rng: np.random.Generator
    level: float

    def happens(self, probability: float) -> bool:
        return bool(self.rng.random() < probability * self.level)

    def around(self, spread: float) -> float:
        """A normal draw, cut at 2.5 spreads, scaled by the level."""
        return float(np.clip(self.rng.standard_normal(), -2.5, 2.5)) * spread * self.level

    def up_to(self, most: float) -> float:
        return float(self.rng.random()) * most * self.level


def photograph(linear: np.ndarray, rng: np.random.Generator, level: float = 1.0) -> np.ndarray:
    """A camera's picture of some light, without any geometric change.

    Args:
        linear: (H, W, 3) float32 RGB light, 1 = white; values may be beyond 1.
        level: 0 gives the plain sRGB picture, 1 all effects at full strength; for a curriculum.

    Returns:
        (H, W, 3) uint8 sRGB.

    Raises:
        ValueError: `linear` has another form, or `level` is outside 0..1.
    """
    linear = np.asarray(linear)
    if linear.ndim != 3 or linear.shape[2] != 3 or linear.dtype.kind != "f":
        raise ValueError(
            f"photograph: linear must be (H, W, 3) of floats, got {linear.shape} of {linear.dtype}; "
            "divide uint8 pictures by 255 and undo their sRGB curve first"
        )
    if not 0 <= level <= 1:
        raise ValueError(f"photograph: level must be in 0..1, got {level}")
    light = np.ascontiguousarray(linear, dtype=np.float32)
    if level == 0:
        return _rounded(_develop(light, tone_curve(1.0, 0.0, 0.0)))
    chance = _Chance(rng, level)
    light = _lens(light, chance)
    light = _sensor(light, chance)
    picture = _develop(light, _drawn_curve(chance))
    return _file(_processing(picture, chance), chance)


def _lens(light: np.ndarray, chance: _Chance) -> np.ndarray:
    """Defocus, motion of hand or camera, light scattered in the glass."""
    side = max(light.shape[:2])
    if chance.happens(0.35):
        light = defocus(light, chance.up_to(1.0) ** 2 * MAX_BLUR * side)
    if chance.happens(0.25):
        length = chance.up_to(1.0) ** 1.5 * 2 * MAX_BLUR * side
        light = moved(light, length, float(chance.rng.uniform(0, np.pi)))
    if chance.happens(0.15):  # haze: some of all the light lands everywhere
        share = chance.up_to(0.3)
        mean = np.asarray(cv2.mean(light)[:3], np.float32)
        light = light * np.float32(1 - share) + np.float32(share) * mean
    return light


def _sensor(light: np.ndarray, chance: _Chance) -> np.ndarray:
    """Exposure, white balance, shading over the picture, shot and read noise."""
    height, width = light.shape[:2]
    gains = _exposure(light, chance) * _white_balance(chance)
    light = light * gains.astype(np.float32)
    if chance.happens(0.5):
        light = cv2.multiply(light, _shading(height, width, chance))
    if chance.happens(0.7):
        light = _noisy(light, chance)
    return light


def _exposure(light: np.ndarray, chance: _Chance) -> float:
    """A gain: automatic exposure is followed in part, then missed by up to some stops."""
    mean = float(np.dot(cv2.mean(light)[:3], GRAY))
    metered = float(np.clip(0.18 / max(mean, 1e-3), 0.25, 6.0))
    return metered ** (chance.level * chance.rng.uniform(0.3, 1.0)) * 2 ** chance.around(0.55)


def _white_balance(chance: _Chance) -> np.ndarray:
    """Gains (3,) with a mean of about one: warm or cold, green or magenta; now and then a coloured lamp."""
    strong = 3.0 if chance.happens(0.08) else 1.0
    warmth, tint = chance.around(0.11) * strong, chance.around(0.05) * strong
    return np.exp(np.array([warmth + 0.5 * tint, -tint, -warmth + 0.5 * tint]))


def _shading(height: int, width: int, chance: _Chance) -> np.ndarray:
    """Factors (H, W, 3), alike in all channels: darker corners and a slow change across the picture."""
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    corner = np.float32(chance.up_to(0.3))
    slope = [np.float32(chance.around(0.15)) for _ in range(2)]
    factors = np.maximum(1 - corner * (x * x + y * y) / 2 + slope[0] * x + slope[1] * y, np.float32(0.05))
    return cv2.merge((factors, factors, factors))


def _noisy(light: np.ndarray, chance: _Chance) -> np.ndarray:
    """Shot noise grows with the root of the light, read noise is everywhere; both partly coloured and blotchy."""
    height, width = light.shape[:2]
    strength = chance.up_to(1.0) ** 2
    noise = _noise_window(noise_tiles()[0], height, width, chance.rng) * np.float32(1 - 0.5 * chance.rng.random())
    if chance.happens(0.5):  # processed in the camera: blotches of several pixels
        noise += _noise_window(noise_tiles()[1], height, width, chance.rng) * np.float32(0.8)
    shot: np.ndarray = np.sqrt(np.maximum(light, np.float32(0)))
    shot *= np.float32(0.06 * strength)
    shot += np.float32(0.025 * strength * chance.rng.random())
    shot *= noise
    shot += light
    return shot


@functools.cache
def noise_tiles() -> tuple[np.ndarray, np.ndarray]:
    """Two fixed fields (S, S, 3) float32 of unit variance, fine and blotchy; pictures take windows of them.

    Drawing normal numbers for every picture would cost as much as all other effects together.
    """
    rng = np.random.default_rng(20)
    own, common = (rng.standard_normal((_NOISE_SIDE, _NOISE_SIDE, n), np.float32) for n in (3, 1))
    fine = 0.6 * own + 0.8 * common
    coarse = cv2.GaussianBlur(own, (0, 0), 1.6, borderType=cv2.BORDER_REFLECT)
    return np.ascontiguousarray(fine), coarse / coarse.std()


def _noise_window(tile: np.ndarray, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A random part (height, width, 3) of `tile`, repeated where the picture is larger, maybe mirrored."""
    repeats = [-(-2 * n // _NOISE_SIDE) if 2 * n > _NOISE_SIDE else 1 for n in (height, width)]
    if repeats != [1, 1]:
        tile = np.tile(tile, (repeats[0], repeats[1], 1))
    y, x = (int(rng.integers(0, total - n + 1)) for total, n in zip(tile.shape, (height, width), strict=False))
    step_y, step_x = (int(rng.choice((-1, 1))) for _ in range(2))
    return tile[y : y + height, x : x + width][::step_y, ::step_x, :: int(rng.choice((-1, 1)))]


@functools.cache
def _srgb() -> np.ndarray:
    """Grey levels 0..255 (float) of the light that each code stands for."""
    light = np.linspace(0, 1, _CODES) ** 2 * _HEADROOM
    light = np.minimum(light, 1)
    return 255 * level_of(light)


def tone_curve(gamma: float, contrast: float, shoulder: float) -> np.ndarray:
    """Grey levels (4096,) float32 by code: sRGB bent by `gamma`, an S curve of `contrast`, and a soft `shoulder`.

    `contrast` -0.5..0.8, 0 none; `shoulder` 0..1 rolls bright light off instead of clipping it, as phones do.
    """
    level = _srgb() / 255
    if shoulder:
        light = np.linspace(0, 1, _CODES) ** 2 * _HEADROOM
        rolled = light * (1 + light / _HEADROOM**2) / (1 + light) * 1.15  # Reinhard et al. 2002, eq. 4
        rolled = np.minimum(rolled, 1)
        bent = level_of(rolled)
        level = (1 - shoulder) * level + shoulder * bent
    level = level**gamma
    if contrast:
        smooth = level * level * (3 - 2 * level)
        level = (1 - contrast) * level + contrast * smooth
    return (255 * np.clip(level, 0, 1)).astype(np.float32)


def _drawn_curve(chance: _Chance) -> np.ndarray:
    gamma = float(np.exp(chance.around(0.18)))
    contrast = float(np.clip(chance.around(0.35), -0.5, 0.8))
    shoulder = chance.up_to(1.0) if chance.happens(0.5) else 0.0
    curve = tone_curve(gamma, contrast, shoulder)
    if chance.happens(0.25):  # faded blacks and whites
        low, high = chance.up_to(45), 255 - chance.up_to(45)
        curve = curve * np.float32((high - low) / 255) + np.float32(low)
    return curve


def _develop(light: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Grey levels (H, W, 3) float32, 0..255, of light under a tone curve."""
    root: np.ndarray = np.sqrt(np.maximum(light, np.float32(0)))
    root *= np.float32((_CODES - 1) / np.sqrt(_HEADROOM))
    root += np.float32(0.5)
    return curve.take(np.minimum(root, np.float32(_CODES - 1), out=root).astype(np.uint16))


def _processing(picture: np.ndarray, chance: _Chance) -> np.ndarray:
    """Habits of cameras and programs: colour strength, resolution lost, sharpening."""
    if chance.happens(0.06):
        picture = _recolored(picture, 0.0, chance)
    elif chance.happens(0.7):
        picture = _recolored(picture, float(np.exp(chance.around(0.3))), chance)
    if chance.happens(0.3):
        picture = resampled(picture, 1 - chance.up_to(0.65))
    if chance.happens(0.3):
        amount = chance.up_to(1.2)
        soft = cv2.GaussianBlur(picture, (0, 0), float(chance.rng.uniform(0.7, 1.8)))
        picture = cv2.addWeighted(picture, 1 + amount, soft, -amount, 0)
    return picture


def _recolored(picture: np.ndarray, saturation: float, chance: _Chance) -> np.ndarray:
    """Colours pulled towards or away from grey; channels mixed a little, as profiles do; grey ones maybe toned."""
    weights = GRAY if chance.rng.random() < 0.8 else np.full(3, 1 / 3)
    matrix = saturation * np.eye(3) + (1 - saturation) * np.asarray(weights)[None]
    if saturation:
        turn = chance.around(0.04) * (np.eye(3)[[1, 2, 0]] - np.eye(3)[[2, 0, 1]])
        matrix = matrix @ (np.eye(3) + turn)
    elif chance.happens(0.3):
        matrix = matrix * np.exp(np.array([1.0, 0.2, -1.0]) * chance.around(0.12))[:, None]
    return cv2.transform(picture, matrix.astype(np.float32))


def _file(picture: np.ndarray, chance: _Chance) -> np.ndarray:
    """Eight bits a colour, and mostly JPEG, once or twice."""
    image = _rounded(picture)
    if chance.happens(0.06):
        image = cv2.medianBlur(image, 3)  # phones smooth noise away, and skin with it
    for probability in (0.7, 0.15):
        if chance.happens(probability):
            quality = 100 - round(chance.up_to(1.0) ** 2 * 75) - 2
            image = _jpeg(image, quality)
    return image


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """The RGB image after a JPEG file of `quality` 1..100."""
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None, "a JPEG file made here can be read"
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


def _rounded(picture: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
