"""Grey fields that textures are made of, drawn once per process from fixed seeds, and colours to map them with.

A picture takes a turned, zoomed part of a field (a third of a millisecond) instead of computing noise of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np

SIDE = 512  # pixels; fields repeat, so that a window may lie anywhere
SMOOTH, ROUGH, CELLS = ("clouds", "folds", "fibres"), ("plaster", "ridges", "weave"), ("cells", "stones", "leaves")
NAMES = (*SMOOTH, *ROUGH, *CELLS, "rings", "writing")


def window(
    name: str,
    width: int,
    height: int,
    rng: np.random.Generator,
    zoom: tuple[float, float] = (0.3, 3.0),
    turn: float = np.pi,
) -> np.ndarray:
    """A random part (height, width) uint8 of the field `name`.

    `zoom`: range (log-uniform) of output pixels per field pixel, for outputs 256 wide and in proportion; `turn`: largest
    angle either way, radians.
    """
    low, high = np.log(zoom[0]), np.log(zoom[1])
    scale = float(np.exp(rng.uniform(low, high))) * max(width, height) / 256
    small = scale < 0.7  # a smaller copy stands for the smoothing that reduction needs
    field, scale = (_halves()[name], scale * 2) if small else (_repeated()[name], scale)
    angle, stretch = rng.uniform(-turn, turn), np.exp(rng.uniform(-0.25, 0.25))
    turned = np.array(
        [[np.cos(angle) * stretch, -np.sin(angle) / stretch], [np.sin(angle) * stretch, np.cos(angle) / stretch]]
    )
    # About the middle of the repeated field: OpenCV is several times slower where it has to wrap.
    centre = len(field) * rng.uniform(0.25, 0.75, 2)
    matrix = np.column_stack([turned / scale, centre - turned / scale @ (width / 2, height / 2)])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(field, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_WRAP)


@functools.cache
def fields() -> dict[str, np.ndarray]:
    """Every field (512, 512) uint8, by name."""
    makers: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
        "clouds": lambda rng: _spectrum(rng, 1.9),
        "plaster": lambda rng: _spectrum(rng, 1.0),
        "ridges": lambda rng: 1 - np.abs(2 * _spectrum(rng, 1.5) - 1),
        "fibres": lambda rng: _spectrum(rng, 1.2, stretch=12.0),
        "folds": _folds,
        "weave": _weave,
        "cells": lambda rng: _cells(rng, 220)[0],
        "stones": lambda rng: _cells(rng, 90)[1],
        "leaves": _leaves,
        "rings": _rings,
        "writing": _writing,
    }
    made = {name: maker(np.random.default_rng([41, i])) for i, (name, maker) in enumerate(makers.items())}
    return {name: cv2.convertScaleAbs(field, alpha=255.0) for name, field in made.items()}


@functools.cache
def _repeated() -> dict[str, np.ndarray]:
    """The fields twice each way, (1024, 1024) uint8."""
    return {name: np.tile(field, (2, 2)) for name, field in fields().items()}


@functools.cache
def _halves() -> dict[str, np.ndarray]:
    """The fields at half the size, four times each way, (1024, 1024) uint8."""
    small = {k: cv2.resize(f, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for k, f in fields().items()}
    return {name: np.tile(field, (4, 4)) for name, field in small.items()}


def _spectrum(rng: np.random.Generator, slope: float, stretch: float = 1.0) -> np.ndarray:
    """Noise whose amplitude falls as frequency ** -slope, 0..1, the middle most common; `stretch` makes it run along x."""
    fy, fx = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij")
    frequency = np.maximum(np.hypot(fx * stretch, fy), 1 / SIDE)
    spectrum = np.fft.fft2(rng.standard_normal((SIDE, SIDE))) * frequency**-slope
    spectrum[0, 0] = 0
    noise = np.fft.ifft2(spectrum).real
    return np.clip(0.5 + noise / noise.std() / 5, 0, 1)


def _folds(rng: np.random.Generator) -> np.ndarray:
    """Cloth hanging in folds: waves across x, bent by slow noise, lit from a side."""
    bend = _spectrum(rng, 2.0)
    x = np.linspace(0, 2 * np.pi, SIDE, endpoint=False)[None]
    phase = 5 * x + 9 * bend
    height = np.sin(phase) + 0.5 * np.sin(2 * phase + 5 * _spectrum(rng, 2.2))
    lit = height + 1.2 * (np.roll(height, 4, 1) - np.roll(height, -4, 1)) * 4
    return (lit - lit.min()) / np.ptp(lit)


def _weave(rng: np.random.Generator) -> np.ndarray:
    """Threads over and under one another."""
    y, x = np.mgrid[:SIDE, :SIDE] * (2 * np.pi * 64 / SIDE)
    over = np.sign(np.sin(x / 2) * np.sin(y / 2))
    thread = np.where(over > 0, np.abs(np.cos(x / 2)), np.abs(np.cos(y / 2)))
    return np.clip(0.25 + 0.5 * thread + 0.5 * (_spectrum(rng, 1.0) - 0.5), 0, 1)


def _cells(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Fields of the nearest of `count` random points (Worley 1996): how far it is, and stones with joints between."""
    side = SIDE // 2  # cells are smooth: half the points take a quarter of the time
    points = rng.uniform(0, side, (count, 2))
    nearest = np.full((side, side), np.inf, np.float32)
    second, tone = nearest.copy(), nearest.copy()
    grid = np.arange(side, dtype=np.float32)
    for point, shade in zip(points, rng.random(count), strict=True):
        dy, dx = (np.abs((grid - p + side / 2) % side - side / 2) for p in point.astype(np.float32))
        distance = np.sqrt(dy[:, None] ** 2 + dx[None] ** 2)
        closer = distance < nearest
        second = np.where(closer, nearest, np.minimum(second, distance))
        tone[closer] = shade
        nearest = np.minimum(nearest, distance)
    reach = side / np.sqrt(count)
    joint = np.clip((second - nearest) / reach * 6, 0, 1)
    distance, stones = np.clip(nearest / reach, 0, 1), np.clip(joint * (0.3 + 0.7 * tone), 0, 1)
    return cv2.resize(distance, (SIDE, SIDE)), cv2.resize(stones, (SIDE, SIDE))


def _leaves(rng: np.random.Generator) -> np.ndarray:
    """Leaf upon leaf, the upper ones lighter, each with a rib and a lit half."""
    canvas = np.full((SIDE, SIDE), 20, np.uint8)
    for i in range(1100):
        length, angle = rng.uniform(14, 42), rng.uniform(0, 2 * np.pi)
        centre, tone = rng.uniform(0, SIDE, 2), 30 + 190 * (i / 1100) ** 1.5 * rng.uniform(0.5, 1)
        axis, side = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        t = np.linspace(0, 1, 9)
        bulge = 0.3 * length * np.sin(np.pi * t) ** 0.8
        rib = centre + np.outer((t - 0.5) * length, axis)
        for wrap in np.stack(np.meshgrid([-SIDE, 0, SIDE], [-SIDE, 0, SIDE]), -1).reshape(-1, 2):
            if not ((centre + wrap > -length) & (centre + wrap < SIDE + length)).all():
                continue
            for sign, shade in ((1, 1.0), (-1, 0.75)):
                outline = np.concatenate([rib, (rib + sign * bulge[:, None] * side)[::-1]]) + wrap
                cv2.fillPoly(canvas, [np.round(outline * 16).astype(np.int32)], tone * shade, cv2.LINE_AA, shift=4)
    return canvas / 255


def _rings(rng: np.random.Generator) -> np.ndarray:
    """Sawn wood: rings of a trunk cut lengthwise, with pores."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE * 2 * np.pi
    height = 2.2 * np.sin(y) + 0.4 * np.sin(2 * y + x) + 5 * (_spectrum(rng, 2.2, stretch=5.0) - 0.5)
    ring = (height * 3) % 1
    return np.clip(0.25 + 0.5 * ring**2 + 0.6 * (_spectrum(rng, 1.0, stretch=14.0) - 0.5), 0, 1)


def _writing(rng: np.random.Generator) -> np.ndarray:
    """Lines of dark marks on white, in words and paragraphs: text that says nothing."""
    page = np.full((SIDE, SIDE), 245, np.uint8)
    y = 10
    while y < SIDE - 14:
        size = int(rng.choice((5, 6, 6, 7, 12)))
        if rng.random() < 0.12:
            y += size * 2
            continue
        x, end = int(rng.integers(6, 40)), SIDE - int(rng.integers(6, 200))
        while x < end:
            for _ in range(int(rng.integers(2, 10))):
                _letter(page, x, y, size, rng)
                x += int(size * 0.75)
            x += size
        y += size * 2
    return page / 255


def _letter(page: np.ndarray, x: int, y: int, size: int, rng: np.random.Generator) -> None:
    points = np.stack([x + rng.integers(0, max(2, size * 2 // 3), 4), y + rng.integers(0, size + 1, 4)], 1)
    cv2.polylines(page, [points.astype(np.int32)], False, 40, 1 + size // 8, cv2.LINE_AA)
