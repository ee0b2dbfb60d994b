"""Where to look for palms: a pyramid of overlapping square tiles, so that small hands are seen large enough."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hamer.detectors.regions import BRIGHT, COLOR, NEGATIVE, Regions


@dataclass(frozen=True)
class Effort:
    """How hard to look.

    `finest`: the smallest tile as a part of the picture's longer side; `least_tile`: and in px, since enlarging a tile
    further shows nothing new; `overlap`: of neighbouring tiles; `views`: ways (mirrored, turned in degrees, tone) in
    which the tiles of the two coarsest levels are looked at, `fine_views` those of the others; `least_palm`: score
    from which palms are followed, at most `most_palms` of them, the best, which bounds the time that a picture can
    cost; the best `color_palms` are followed with and without colours, the others only without, which shows gloves and
    skin; `agreement`: ways (mirrored, turned in degrees, enlarged) to look again at a hand to see whether its joints
    stay; `density`: how often a place is looked at on one level, in units of effort "normal"; `windows`: sides, as
    parts of the longer side, of the squares in which the landmark model looks for hands whose palm is not seen;
    `body_tiles`: likewise of the squares in which bodies are looked for.
    """

    finest: float
    least_tile: float
    overlap: float
    views: tuple[tuple[bool, float, int], ...]
    fine_views: tuple[tuple[bool, float, int], ...]
    least_palm: float
    most_palms: int
    color_palms: int
    agreement: tuple[tuple[bool, float, float], ...]
    density: float
    windows: tuple[float, ...]
    body_tiles: tuple[float, ...]


_PLAIN, _BRIGHTENED, _INVERTED = ((False, 0.0, tone) for tone in (COLOR, BRIGHT, NEGATIVE))
_TURNED = tuple((False, turn, COLOR) for turn in (90.0, -90.0, 180.0))
_MIRRORED = (True, 0.0, COLOR)

EFFORTS = {
    "fast": Effort(
        finest=0.5,
        least_tile=128,
        overlap=0.25,
        views=(_PLAIN, _MIRRORED),
        fine_views=(_PLAIN,),
        least_palm=0.15,
        most_palms=16,
        color_palms=16,
        agreement=((True, 0.0, 1.0),),
        density=0.5,
        windows=(),
        body_tiles=(),
    ),
    "normal": Effort(
        finest=0.1,
        least_tile=80,
        overlap=0.3,
        views=(_PLAIN, *_TURNED, _INVERTED, _BRIGHTENED, _MIRRORED),
        fine_views=(_PLAIN, _INVERTED, _BRIGHTENED),
        least_palm=0.1,
        most_palms=72,
        color_palms=16,
        agreement=((True, 0.0, 1.0), (False, 20.0, 1.0), (False, -20.0, 1.0), (True, 0.0, 1.2)),
        density=1.0,
        windows=(0.6, 0.42, 0.3),
        body_tiles=(1.0, 0.6, 0.36),
    ),
    "thorough": Effort(
        finest=0.066,
        least_tile=64,
        overlap=0.5,
        views=(_PLAIN, *_TURNED, _MIRRORED, _INVERTED, _BRIGHTENED),
        fine_views=(_PLAIN, _MIRRORED, _INVERTED, _BRIGHTENED),
        least_palm=0.06,
        most_palms=512,
        color_palms=64,
        agreement=(
            (True, 0.0, 1.0),
            (False, 25.0, 1.0),
            (False, -25.0, 1.0),
            (True, 12.0, 1.2),
            (True, -12.0, 1.2),
            (False, 0.0, 0.87),
        ),
        density=2.0,
        windows=(0.6, 0.42, 0.3, 0.21),
        body_tiles=(1.0, 0.6, 0.36, 0.22),
    ),
}

#: Levels of which every view is looked at: they have few tiles.
_COARSE_LEVELS = 2

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
        plain = _grid(width, height, side, effort.overlap)
        views = effort.views if level < _COARSE_LEVELS else effort.fine_views
        parts += [plain.changed(mirror=mirror, turn=np.deg2rad(turn), tone=tone) for mirror, turn, tone in views]
    return Regions.concatenate(parts)


#: Distance of neighbouring windows, as a part of their side: the landmark model is at ease with a hand off its middle by
#: half of that.
_WINDOW_STEP = 0.5


def windows(width: int, height: int, effort: Effort) -> Regions:
    """Squares in which the landmark model itself looks for hands, in four orientations."""
    parts = []
    for size in effort.windows:
        side = size * max(width, height)
        across, down = (max(1, int(np.ceil(length / (_WINDOW_STEP * side)))) for length in (width, height))
        x, y = np.meshgrid((np.arange(across) + 0.5) * width / across, (np.arange(down) + 0.5) * height / down)
        plain = Regions.of(np.stack([x.ravel(), y.ravel()], -1), np.full(x.size, side))
        parts += [plain.changed(turn=np.deg2rad(turn)) for turn in (0.0, 90.0, 180.0, 270.0)]
    return Regions.concatenate(parts)


#: Overlap of neighbouring tiles in which bodies are looked for: a body is longer than a palm.
_BODY_OVERLAP = 0.4


def body_tiles(width: int, height: int, effort: Effort) -> Regions:
    """Squares in which bodies are looked for, from the whole picture downwards."""
    return Regions.concatenate(
        [_grid(width, height, size * max(width, height), _BODY_OVERLAP) for size in effort.body_tiles]
    )


def _grid(width: int, height: int, side: float, overlap: float) -> Regions:
    x, y = np.meshgrid(_stops(width, side, overlap), _stops(height, side, overlap))
    return Regions.of(np.stack([x.ravel(), y.ravel()], -1), np.full(x.size, side))


#: A tile whose grey values (0..255) vary less than this shows sky, wall or floor.
_FLAT = 6.0
#: Stretching helps where the tile's mean grey value (0..255), or its standard deviation, is below.
_BRIGHT_ENOUGH, _RICH_ENOUGH = 70.0, 30.0


def worth_looking(image: np.ndarray, regions: Regions) -> np.ndarray:
    """Which (N,) of the tiles of a picture (H, W, 3) uint8 can show a palm that another tile does not.

    Flat tiles cannot, nor is a rich one worth stretching. From integral images, so the cost does not depend on N.
    """
    reduce = max(1.0, max(image.shape[:2]) / 640)
    size = (max(1, round(image.shape[1] / reduce)), max(1, round(image.shape[0] / reduce)))
    grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    total, squares = cv2.integral2(grey, sdepth=cv2.CV_64F, sqdepth=cv2.CV_64F)
    scale = np.array(size) / [image.shape[1], image.shape[0]]
    half = regions.sizes[:, None] / 2
    low = np.clip(np.floor((regions.centers - half) * scale), 0, size).astype(int)
    high = np.clip(np.ceil((regions.centers + half) * scale), 0, size).astype(int)

    def over_tile(integral: np.ndarray) -> np.ndarray:
        (x0, y0), (x1, y1) = low.T, high.T
        return integral[y1, x1] - integral[y0, x1] - integral[y1, x0] + integral[y0, x0]

    area = np.maximum((high - low).prod(-1), 1)
    mean = over_tile(total) / area
    deviation = np.sqrt(np.maximum(over_tile(squares) / area - mean**2, 0))
    dull = (mean < _BRIGHT_ENOUGH) | (deviation < _RICH_ENOUGH)
    return (deviation > _FLAT) & ((regions.tones != BRIGHT) | dull)
