"""Flat materials that fill a picture: walls, cloth, wood, tiles, printed pages, keys. Each is (width, height, rng) -> RGB."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import cv2
import numpy as np

from hamer.datasets.synthetic.materials import fields
from hamer.datasets.synthetic.materials.palettes import color, colored, ramp

Generator = np.random.Generator
Choice = TypeVar("Choice")
Texture = Callable[[int, int, Generator], np.ndarray]


def plain(width: int, height: int, rng: Generator) -> np.ndarray:
    """One colour that changes slowly: paper, a studio's backdrop, a painted wall."""
    corners = np.array(
        [color(rng, m) for m in rng.choice(("wall", "stone", "cloth", "light", "dark", "paint"), 1).repeat(4)]
    )
    corners = corners.mean(0) + rng.uniform(0, 0.5) * (corners - corners.mean(0))
    small = corners.reshape(2, 2, 3).astype(np.float32)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def field(width: int, height: int, rng: Generator) -> np.ndarray:
    """Any of the fields in any colours."""
    return colored(fields.window(any_of(rng, fields.NAMES), width, height, rng), ramp(rng))


def mixture(width: int, height: int, rng: Generator) -> np.ndarray:
    """Two materials, a third field deciding which is where: lichen on rock, worn paint, marble."""
    first, second = field(width, height, rng), field(width, height, rng)
    mask = fields.window(any_of(rng, (*fields.SMOOTH, "plaster", "stones")), width, height, rng, (0.6, 4.0))
    sharp = float(np.exp(rng.uniform(0, 3)))
    mask = np.clip((mask.astype(np.float32) - rng.uniform(90, 165)) * sharp / 255 + 0.5, 0, 1)
    return cv2.blendLinear(first, second, mask, 1 - mask)


def cloth(width: int, height: int, rng: Generator) -> np.ndarray:
    """Woven cloth, striped, checked, printed or plain, in folds."""
    pattern = any_of(rng, (_stripes, _checks, _dots, field, plain, plain))(width, height, rng)
    folds = fields.window("folds" if rng.random() < 0.7 else "clouds", width, height, rng, (0.5, 4.0))
    push = rng.uniform(0, 0.12) * max(width, height) / 255
    soft = folds.astype(np.float32)
    x = np.arange(width, dtype=np.float32)[None] + push * soft
    y = np.arange(height, dtype=np.float32)[:, None] + push * 0.6 * soft
    pattern = cv2.remap(pattern, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    if rng.random() < 0.4:
        pattern = shaded(pattern, fields.window("weave", width, height, rng, (0.7, 3.0)), rng.uniform(0.2, 0.8))
    return shaded(pattern, folds, rng.uniform(0.3, 1.0))


def planks(width: int, height: int, rng: Generator) -> np.ndarray:
    """Wooden boards side by side, each a little different."""
    grain = fields.window("rings" if rng.random() < 0.7 else "fibres", width, height, rng, (0.8, 4.0), turn=0.03)
    wood = colored(grain, ramp(rng, "earth" if rng.random() < 0.7 else None, rng.uniform(0.1, 0.7)))
    rows = int(rng.integers(1, 9))
    tone = rng.uniform(0.65, 1.0, (rows, 3)) if rng.random() < 0.5 else rng.uniform(0.65, 1.0, (rows, 1)).repeat(3, 1)
    return turned(_grid(wood, tone[:, None], rng, joint=rng.uniform(0.2, 0.9)), rng, 0.5)


def bricks(width: int, height: int, rng: Generator) -> np.ndarray:
    """Bricks, tiles, paving or parquet: a grid of differing cells with joints, seen at an angle."""
    base = colored(
        fields.window(any_of(rng, ("plaster", "clouds", "stones")), width, height, rng), ramp(rng, spread=0.3)
    )
    rows, columns = int(rng.integers(2, 14)), int(rng.integers(2, 10))
    tone = rng.uniform(rng.uniform(0.3, 0.9), 1.0, (rows, columns, 1)).repeat(3, 2)
    if rng.random() < 0.4:
        tone = tone * (0.4 + 0.6 * rng.random((rows, columns, 3)))
    if rng.random() < 0.25:
        tone *= 1 - 0.7 * ((np.arange(rows)[:, None] + np.arange(columns)) % 2)[..., None]
    return turned(_grid(base, tone, rng, joint=rng.uniform(-1.2, 0.8), offset=rng.random() < 0.5), rng, 1.0)


def page(width: int, height: int, rng: Generator) -> np.ndarray:
    """Print: a page, a newspaper, a screen of text, light on dark or dark on light."""
    ink = colored(fields.window("writing", width, height, rng, (0.6, 2.5), turn=0.05), _two_tone(rng))
    for _ in range(int(rng.integers(0, 4))):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        w, h = int(rng.uniform(0.1, 0.5) * width), int(rng.uniform(0.05, 0.4) * height)
        cv2.rectangle(ink, (x, y), (x + w, y + h), color(rng), -1)
    return turned(ink, rng, 1.0)


def keys(width: int, height: int, rng: Generator) -> np.ndarray:
    """Keyboards, control panels, calendars: rows of small fields with marks on them."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = color(rng, any_of(rng, ("dark", "stone", "light", "cloth")))
    face, mark = color(rng, any_of(rng, ("dark", "light", "stone"))), color(rng)
    pitch = max(6, int(rng.uniform(0.08, 0.2) * max(width, height)))
    gap = max(1, int(pitch * rng.uniform(0.08, 0.3)))
    count = (height // pitch + 1) * (width // pitch + 2)
    wide, arcs = rng.random(count) < 0.14, rng.integers(120, 360, count).tolist()
    key = 0
    for row, y in enumerate(range(0, height, pitch)):
        x = -int(pitch * (row % 3) * 0.35)
        while x < width:
            w = pitch * (2 if wide[key] else 1)
            cv2.rectangle(picture, (x, y), (x + w - gap, y + pitch - gap), face, -1)
            centre = (x + (w - gap) // 2, y + (pitch - gap) // 2)
            cv2.ellipse(picture, centre, (pitch // 6, pitch // 5), 0, 0, arcs[key], mark, 1, cv2.LINE_AA)
            x, key = x + w, key + 1
    return turned(picture, rng, 1.2)


def shaded(picture: np.ndarray, field: np.ndarray, strength: float) -> np.ndarray:
    """The picture darkened where the grey field is dark; `strength` 0..1."""
    light = cv2.convertScaleAbs(field, alpha=strength, beta=255 * (1 - strength))
    return cv2.multiply(picture, cv2.merge((light, light, light)), scale=1 / 255)


def turned(picture: np.ndarray, rng: Generator, amount: float) -> np.ndarray:
    """The plane seen obliquely: a random quadrangle of the picture, as large as fits into it, stretched over all of it."""
    height, width = picture.shape[:2]
    angle, tilt = rng.uniform(-0.6, 0.6) * amount, rng.uniform(-0.35, 0.35, 2) * amount
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width, height)
    corners = corners * np.exp(corners / (width, height) * tilt).prod(1, keepdims=True)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    quadrangle = corners @ turn.T
    low, high = quadrangle.min(0), quadrangle.max(0)
    zoom = ((width - 1, height - 1) / (high - low)).min() * rng.uniform(0.6, 1.0)
    room = (width - 1, height - 1) - zoom * (high - low)
    quadrangle = (quadrangle - low) * zoom + rng.random(2) * room
    output = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float32)
    matrix = cv2.getPerspectiveTransform(output, quadrangle.astype(np.float32))
    return cv2.warpPerspective(picture, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def _grid(base: np.ndarray, tone: np.ndarray, rng: Generator, joint: float, offset: bool = False) -> np.ndarray:
    """Cells of `tone` (rows, columns, 3) over `base`, with lines between them: darker, or lighter if `joint` < 0."""
    height, width = base.shape[:2]
    rows, columns = tone.shape[:2]
    cells = cv2.resize(tone.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)
    lines = np.ones((height, width), np.float32)
    thick = max(1, round(rng.uniform(0.003, 0.012) * width))
    shade = 1 - joint
    for row in range(rows):
        y0, y1 = row * height // rows, (row + 1) * height // rows
        shift = width // (2 * columns) if offset and row % 2 else 0
        if shift:
            cells[y0:y1] = np.roll(cells[y0:y1], shift, axis=1)
        lines[y0 : y0 + thick] = shade
        if columns > 1:
            for column in range(columns):
                x = (column * width // columns + shift) % width
                lines[y0:y1, x : x + thick] = shade
    return cv2.convertScaleAbs(base * cells * lines[..., None])


def _stripes(width: int, height: int, rng: Generator) -> np.ndarray:
    row = np.array([color(rng) for _ in range(int(rng.integers(2, 6)))], np.uint8)
    repeated = np.tile(row.repeat(rng.integers(1, 5, len(row)), 0), (int(rng.integers(2, 9)), 1))[None]
    picture = cv2.resize(repeated, (width, height), interpolation=cv2.INTER_NEAREST)
    return picture if rng.random() < 0.5 else cv2.flip(picture, 1)


def _checks(width: int, height: int, rng: Generator) -> np.ndarray:
    upright, across = _stripes(width, height, rng), cv2.transpose(_stripes(height, width, rng))
    return cv2.addWeighted(upright, 0.5, across, 0.5, 0)


def _dots(width: int, height: int, rng: Generator) -> np.ndarray:
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = color(rng)
    dot, pitch = color(rng), max(8, int(rng.uniform(0.05, 0.25) * width))
    radius = max(2, int(pitch * rng.uniform(0.12, 0.4)))
    for row, y in enumerate(range(0, height + pitch, pitch)):
        for x in range((row % 2) * pitch // 2, width + pitch, pitch):
            cv2.circle(picture, (x, y), radius, dot, -1, cv2.LINE_AA)
    return picture


def _two_tone(rng: Generator) -> np.ndarray:
    ends = np.array(
        [color(rng, "dark" if rng.random() < 0.8 else None), color(rng, "light" if rng.random() < 0.8 else None)]
    )
    if rng.random() < 0.25:
        ends = ends[::-1]
    return np.linspace(ends[0], ends[1], 256).astype(np.uint8)


def any_of(rng: Generator, choices: Sequence[Choice]) -> Choice:
    return choices[int(rng.integers(len(choices)))]


TEXTURES: tuple[Texture, ...] = (plain, field, mixture, cloth, planks, bricks, page, keys)
