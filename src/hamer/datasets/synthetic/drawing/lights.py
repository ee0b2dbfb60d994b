"""Light of made pictures: sky and ground, and one to three directional lights; rooms, sun, lamp, flash, dim, coloured.

Colours are linear RGB. A white, matt surface that faces a light of colour c comes out as c.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MOST_LIGHTS = 3


@dataclass
class Lights:
    """What illuminates a scene, camera frame (x right, y down, z forward). L = 1 to 3 directional lights.

    `sky` and `ground` (3,) ambient light of surfaces that face `up` (3,), a unit vector, or away from it; `directions` (L, 3) unit
    vectors towards the lights; `colors` (L, 3); `casts` (L,) bool, whether a light's shadows are drawn; `softness`
    (L,) half the width of a shadow's edge, metres; `environment` what this is meant to be.
    """

    sky: np.ndarray
    ground: np.ndarray
    up: np.ndarray
    directions: np.ndarray
    colors: np.ndarray
    casts: np.ndarray
    softness: np.ndarray
    environment: str = "custom"

    def __post_init__(self) -> None:
        count = len(self.directions)
        if not 1 <= count <= MOST_LIGHTS:
            raise ValueError(f"Lights.directions must hold 1 to {MOST_LIGHTS} lights, got {count}")
        for name, shape in (
            ("sky", (3,)), ("ground", (3,)), ("up", (3,)), ("directions", (count, 3)), ("colors", (count, 3)),
            ("softness", (count,)),
        ):  # fmt: skip
            array = np.ascontiguousarray(getattr(self, name), np.float32)
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"Lights.{name} must be finite and of shape {shape}, got shape {array.shape}")
            setattr(self, name, array)
        self.casts = np.ascontiguousarray(self.casts, bool)
        if self.casts.shape != (count,):
            raise ValueError(f"Lights.casts must have shape ({count},), got {self.casts.shape}")
        self.up = _unit(self.up)
        self.directions = _unit(self.directions)


def draw_lights(rng: np.random.Generator) -> Lights:
    """Random light: an environment, then its directions, colours and strengths."""
    names = list(_ENVIRONMENTS)
    shares = np.array([_ENVIRONMENTS[name][0] for name in names])
    name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
    lights = _ENVIRONMENTS[name][1](rng)
    lights.environment = name
    return lights


def warmth(value: float) -> np.ndarray:
    """Linear RGB (3,) of light from candle-like (-1) over white (0) to shaded daylight (1); green stays at 0.95 to 1."""
    if value < 0:
        return np.array([1.0 - 0.65 * value, 1.0 + 0.05 * value, 1.0 + 0.72 * value], np.float32)
    return np.array([1.0 - 0.22 * value, 1.0, 1.0 + 0.38 * value], np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (length > 0).all():
        raise ValueError("Lights.up and Lights.directions must not be zero vectors")
    return (vectors / length).astype(np.float32)


def _up(rng: np.random.Generator) -> np.ndarray:
    """The world's up in the camera frame: cameras look level, down on a desk, or a little up; and roll a little."""
    pitch = rng.normal(0.35, 0.45)
    roll = rng.normal(0.0, 0.2) if rng.random() < 0.85 else rng.uniform(-np.pi, np.pi)
    level = np.array([0.0, -np.cos(pitch), -np.sin(pitch)])
    cos, sin = np.cos(roll), np.sin(roll)
    return np.array([cos * level[0] - sin * level[1], sin * level[0] + cos * level[1], level[2]])


def _above(rng: np.random.Generator, up: np.ndarray, low: float, high: float) -> np.ndarray:
    """A direction at `low`..`high` (sine of its height) above the horizon of `up`, all round."""
    side = np.cross(up, rng.normal(size=3))
    side /= np.linalg.norm(side)
    height = rng.uniform(low, high)
    return height * up + np.sqrt(1.0 - height * height) * side


def _seen_side(rng: np.random.Generator, direction: np.ndarray, share: float) -> np.ndarray:
    """The direction, brought to the camera's side with probability `share`: photographers avoid light from behind."""
    if direction[2] > 0 and rng.random() < share:
        direction = direction * np.array([1.0, 1.0, -1.0])
    return direction


def _lights(
    rng: np.random.Generator,
    up: np.ndarray,
    sky: np.ndarray,
    ground: np.ndarray,
    sources: list[tuple[np.ndarray, np.ndarray, float]],
    level: float,
) -> Lights:
    """Sources (direction, colour, softness), the first one casts shadows; all strengths scaled to about `level`."""
    total = float(np.mean(sky) + np.mean(ground)) / 2 + 0.55 * sum(float(np.mean(color)) for _, color, _ in sources)
    scale = level * np.exp(rng.normal(0.0, 0.15)) / max(total, 1e-6)
    return Lights(
        sky=sky * scale,
        ground=ground * scale,
        up=up,
        directions=np.stack([direction for direction, _, _ in sources]),
        colors=np.stack([color for _, color, _ in sources]) * scale,
        casts=np.array([True] + [False] * (len(sources) - 1)),
        softness=np.array([softness for _, _, softness in sources]),
    )


def _room(rng: np.random.Generator) -> Lights:
    """A window or ceiling lamp: broad light with soft shadows, much of it back from the walls."""
    up, warm = _up(rng), rng.uniform(-0.45, 0.5)
    key = _seen_side(rng, _above(rng, up, 0.15, 0.95), 0.6)
    sources = [(key, warmth(warm) * rng.uniform(0.5, 1.4), rng.uniform(0.003, 0.010))]
    if rng.random() < 0.5:
        sources.append((_above(rng, up, 0.0, 0.9), warmth(rng.uniform(-0.6, 0.5)) * rng.uniform(0.1, 0.5), 0.01))
    sky = warmth(warm + rng.normal(0, 0.12)) * rng.uniform(0.35, 0.7)
    return _lights(rng, up, sky, sky * _bounce(rng), sources, 0.75)


def _sun(rng: np.random.Generator) -> Lights:
    """Outdoors in the sun: hard shadows, blue sky, light from the ground."""
    up = _up(rng)
    sun = _seen_side(rng, _above(rng, up, 0.2, 0.95), 0.7)
    color = warmth(rng.uniform(-0.35, -0.02)) * rng.uniform(1.2, 2.2)
    sky = warmth(rng.uniform(0.2, 0.8)) * rng.uniform(0.2, 0.45)
    return _lights(rng, up, sky, sky * _bounce(rng), [(sun, color, rng.uniform(0.0004, 0.0015))], 1.0)


def _overcast(rng: np.random.Generator) -> Lights:
    """Under clouds or in the shade: nearly all light from above, no edge to any shadow."""
    up = _up(rng)
    sky = warmth(rng.uniform(-0.05, 0.45)) * rng.uniform(0.7, 1.0)
    source = (_above(rng, up, 0.6, 0.99), sky * rng.uniform(0.15, 0.5), rng.uniform(0.008, 0.014))
    return _lights(rng, up, sky, sky * _bounce(rng), [source], 0.8)


def _lamp(rng: np.random.Generator) -> Lights:
    """One lamp in a darker room: warm, from above or the side, deep shadows."""
    up, warm = _up(rng), rng.uniform(-0.8, -0.1)
    lamp = _seen_side(rng, _above(rng, up, -0.1, 0.95), 0.75)
    sky = warmth(warm * 0.7) * rng.uniform(0.08, 0.25)
    sources = [(lamp, warmth(warm) * rng.uniform(0.9, 1.5), rng.uniform(0.001, 0.005))]
    if rng.random() < 0.4:  # a second lamp or a screen
        sources.append((_above(rng, up, -0.3, 0.7), warmth(rng.uniform(-0.5, 1.0)) * rng.uniform(0.05, 0.4), 0.01))
    return _lights(rng, up, sky, sky * _bounce(rng), sources, 0.7)


def _flash(rng: np.random.Generator) -> Lights:
    """The camera's own flash: light from beside the lens, flat and hard."""
    up = _up(rng)
    flash = np.array([rng.normal(0, 0.06), rng.normal(-0.05, 0.06), -1.0])
    sky = warmth(rng.uniform(-0.7, 0.1)) * rng.uniform(0.05, 0.25)
    source = (flash, warmth(rng.uniform(-0.05, 0.3)) * rng.uniform(0.9, 1.4), rng.uniform(0.0005, 0.002))
    return _lights(rng, up, sky, sky * _bounce(rng), [source], 0.9)


def _dim(rng: np.random.Generator) -> Lights:
    """A room of an environment above, with little light left."""
    make = (_room, _lamp, _overcast)[int(rng.integers(3))]
    lights = make(rng)
    share = rng.uniform(0.15, 0.5)
    lights.sky, lights.ground, lights.colors = lights.sky * share, lights.ground * share, lights.colors * share
    return lights


def _colored(rng: np.random.Generator) -> Lights:
    """Coloured lamps, screens, stages: one to three saturated lights over weak ambient light."""
    up = _up(rng)
    sources = [
        (
            _seen_side(rng, _above(rng, up, -0.4, 0.9), 0.6),
            _saturated(rng, rng.uniform(0.3, 0.95)) * rng.uniform(0.4, 1.3),
            rng.uniform(0.002, 0.008),
        )
        for _ in range(int(rng.integers(1, 4)))
    ]
    sky = _saturated(rng, rng.uniform(0.1, 0.6)) * rng.uniform(0.1, 0.35)
    return _lights(rng, up, sky, sky * _bounce(rng), sources, 0.65)


def _bounce(rng: np.random.Generator) -> np.ndarray:
    """Share of the ambient light that a table, floor or lawn sends back, (3,): wooden, grey, green."""
    return rng.uniform(0.2, 0.85) * np.clip(1.0 + rng.normal(0.0, 0.12, 3) * np.array([1.0, 0.7, 1.2]), 0.4, 1.5)


def _saturated(rng: np.random.Generator, saturation: float) -> np.ndarray:
    """A random hue at mean brightness 1, (3,)."""
    turns = rng.random() + np.array([0.0, 1 / 3, 2 / 3])
    color = 1.0 + saturation * np.cos(2 * np.pi * turns)
    return color / color.mean()


_ENVIRONMENTS: dict[str, tuple[float, Callable[[np.random.Generator], Lights]]] = {
    "room": (0.36, _room),
    "sun": (0.16, _sun),
    "overcast": (0.14, _overcast),
    "lamp": (0.14, _lamp),
    "flash": (0.07, _flash),
    "dim": (0.07, _dim),
    "colored": (0.06, _colored),
}
"""Name -> how often, and how it is drawn."""
