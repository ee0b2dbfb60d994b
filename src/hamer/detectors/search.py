"""Where to look for palms: a pyramid of overlapping square tiles, so that small hands are seen large enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hamer.detectors.regions import Regions


@dataclass(frozen=True)
class Effort:
    """How hard to look.

    `finest`: the smallest tile as a part of the picture's longer side; `least_tile`: and in px, since enlarging a tile
    further shows nothing new; `overlap`: of neighbouring tiles; `views`: ways (mirrored, turned in degrees) in which
    the tiles of the coarse levels are looked at; `agreement`: other ways to look at a hand to see whether its joints
    stay in place.
    """

    finest: float
    least_tile: float
    overlap: float
    views: tuple[tuple[bool, float], ...]
    agreement: tuple[tuple[bool, float, float], ...]


EFFORTS = {
    "fast": Effort(0.5, 128, 0.25, ((False, 0.0),), ((True, 0.0, 1.0),)),
    "normal": Effort(
        0.1,
        80,
        0.35,
        ((False, 0.0), (True, 0.0)),
        ((True, 0.0, 1.0), (False, 20.0, 1.0), (False, -20.0, 1.0), (True, 0.0, 1.2)),
    ),
    "thorough": Effort(
        0.066,
        64,
        0.5,
        ((False, 0.0), (True, 0.0), (False, 90.0), (False, -90.0), (False, 180.0)),
        (
            (True, 0.0, 1.0),
            (False, 25.0, 1.0),
            (False, -25.0, 1.0),
            (True, 12.0, 1.2),
            (True, -12.0, 1.2),
            (False, 0.0, 0.87),
        ),
    ),
}

#: Ratio of tile sizes from one level of the pyramid to the next: the palm detector is at ease over a range of sizes of
#: about three.
_RATIO = 1.8


def tile_sizes(width: int, height: int, effort: Effort) -> list[float]:
    """Sides of the tiles in px, from the whole picture downwards."""
    longest = float(max(width, height))
    least = max(effort.least_tile, longest * effort.finest)
    steps = max(0, round(np.log(longest / least) / np.log(_RATIO))) if longest > least else 0
    return [longest * (least / longest) ** (step / steps) if steps else longest for step in range(steps + 1)]


def _stops(length: int, side: float, overlap: float) -> np.ndarray:
    """Centres of tiles of `side` px that cover `length` px with at least `overlap`."""
    if length <= side:
        return np.array([length / 2])
    count = int(np.ceil((length - side) / (side * (1 - overlap)))) + 1
    return np.linspace(side / 2, length - side / 2, count)


def tiles(width: int, height: int, effort: Effort) -> Regions:
    """All tiles of a picture, in all the ways in which they are looked at."""
    parts = []
    for level, side in enumerate(tile_sizes(width, height, effort)):
        x, y = np.meshgrid(_stops(width, side, effort.overlap), _stops(height, side, effort.overlap))
        plain = Regions.of(np.stack([x.ravel(), y.ravel()], -1), np.full(x.size, side))
        views = effort.views if level < 2 else effort.views[:1]
        parts += [plain.changed(mirror=mirror, turn=np.deg2rad(turn)) for mirror, turn in views]
    return Regions.concatenate(parts)
