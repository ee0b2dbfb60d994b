"""Places that hands are photographed in, roughly painted: rooms, desks, shelves, gardens, crowds. (width, height, rng) -> RGB."""

from __future__ import annotations

import cv2
import numpy as np

from hamer.datasets.synthetic.materials import fields, textures
from hamer.datasets.synthetic.materials.palettes import color, colored, ramp
from hamer.datasets.synthetic.materials.textures import any_of

Generator = np.random.Generator


def room(width: int, height: int, rng: Generator) -> np.ndarray:
    """Walls that meet in a corner, a floor, furniture, maybe a window."""
    wall = any_of(rng, (textures.plain, textures.plain, textures.bricks, textures.field))(width, height, rng)
    corner = rng.uniform(-0.2, 1.2) * width
    side = cv2.convertScaleAbs(wall, alpha=rng.uniform(0.45, 0.95))
    horizon = rng.uniform(0.45, 1.1) * height
    slopes = rng.uniform(-0.35, 0.35, 2)
    _fill(wall, [(corner, -1), (width, -1), (width, height), (corner, height)], side)
    floor_line = [
        (-1, horizon - slopes[0] * corner),
        (corner, horizon),
        (width, horizon + slopes[1] * (width - corner)),
    ]
    if rng.random() < 0.4:
        window(wall, rng)
    floor = any_of(rng, (textures.planks, textures.bricks, textures.field, textures.plain, textures.cloth))(
        width, height, rng
    )
    _fill(wall, [*floor_line, (width, height), (-1, height)], floor)
    if rng.random() < 0.5:
        cv2.polylines(wall, [_points(floor_line)], False, color(rng, "wall"), max(1, width // 80), cv2.LINE_AA, 4)
    for _ in range(int(rng.integers(0, 6))):
        box(wall, rng, y=rng.uniform(0.3, 1.0))
    return wall


def window(picture: np.ndarray, rng: Generator) -> None:
    """A bright window (or lamp, or screen) with its frame, painted into the picture."""
    height, width = picture.shape[:2]
    x, y = rng.uniform(-0.1, 0.8) * width, rng.uniform(-0.2, 0.5) * height
    w, h = rng.uniform(0.15, 0.6) * width, rng.uniform(0.2, 0.7) * height
    slant = rng.uniform(-0.15, 0.15) * h
    view = sky(width, height, rng) if rng.random() < 0.5 else np.full_like(picture, 255) - np.uint8(rng.integers(0, 40))
    view = cv2.convertScaleAbs(view, alpha=0.6, beta=110)
    outline = [(x, y), (x + w, y + slant), (x + w, y + h - slant), (x, y + h)]
    _fill(picture, outline, view)
    frame, thick = color(rng, any_of(rng, ("light", "earth", "dark"))), max(1, width // int(rng.integers(30, 90)))
    cv2.polylines(picture, [_points(outline)], True, frame, thick, cv2.LINE_AA, 4)
    for share in np.linspace(0, 1, int(rng.integers(2, 5)))[1:-1]:
        top, bottom = (x + share * w, y + share * slant), (x + share * w, y + h - share * slant)
        cv2.polylines(picture, [_points([top, bottom])], False, frame, max(1, thick // 2), cv2.LINE_AA, 4)


def desk(width: int, height: int, rng: Generator) -> np.ndarray:
    """A table from above or obliquely, with papers, devices, cups and pens that cast shadows."""
    top = any_of(rng, (textures.planks, textures.plain, textures.cloth, textures.field))(width, height, rng)
    for _ in range(int(rng.integers(1, 12))):
        kind = rng.random()
        if kind < 0.45:
            _sheet(top, any_of(rng, (textures.page, textures.keys, textures.plain, textures.field)), rng)
        elif kind < 0.65:
            _saucer(top, rng)
        elif kind < 0.85:
            _stroke(top, rng, color(rng), rng.uniform(0.01, 0.04))
        else:
            box(top, rng, y=rng.uniform(0.2, 1.0))
    return textures.turned(top, rng, 0.8)


def shelves(width: int, height: int, rng: Generator) -> np.ndarray:
    """Rows of books, boxes and jars."""
    picture = textures.plain(width, height, rng)
    board, rows = color(rng), int(rng.integers(1, 5))
    step = height / rows
    for row in range(rows):
        x, floor = -rng.uniform(0, 20), (row + 1) * step
        while x < width:
            w, h = rng.uniform(0.02, 0.13) * width, step * rng.uniform(0.4, 0.95)
            tint = color(rng)
            corners = ((round(x), round(floor - h)), (round(x + w), round(floor)))
            cv2.rectangle(picture, *corners, tint, -1)
            band = (round(x), round(floor - h * rng.uniform(0.3, 0.9))), (round(x + w), round(floor - h * 0.25))
            cv2.rectangle(picture, *band, color(rng), -1)
            cv2.rectangle(
                picture, (corners[0][0], corners[0][1]), (round(x + w * 0.2), round(floor)), _darker(tint, 0.6), -1
            )
            x += w * (1 if rng.random() < 0.8 else 2)
        cv2.rectangle(picture, (0, round(floor - step * 0.06)), (width, round(floor)), board, -1)
    return textures.turned(picture, rng, 0.6)


def sky(width: int, height: int, rng: Generator) -> np.ndarray:
    """Sky with clouds over hills, water, or roofs."""
    clouds = fields.window("clouds", width, height, rng, (0.5, 3.0), turn=0.2)
    picture = cv2.addWeighted(_gradient(width, height, rng, "sky"), 1.0, colored(clouds, ramp(rng, "stone")), 0.4, -30)
    level = rng.uniform(0.3, 1.1)
    for _ in range(int(rng.integers(0, 4))):
        steps = int(rng.integers(3, 30))
        ridge = level + rng.uniform(0.01, 0.12) * rng.standard_normal(steps).cumsum() / np.sqrt(steps)
        x = np.linspace(-1, width, steps)
        if rng.random() < 0.3:  # roofs
            x, ridge = x.repeat(2)[1:], ridge.repeat(2)[:-1]
        ground = colored(
            fields.window("plaster", width, height, rng), ramp(rng, any_of(rng, ("plants", "earth", "stone", "dark")))
        )
        _fill(picture, [*zip(x, ridge * height, strict=True), (width, height), (-1, height)], ground)
        level += rng.uniform(0.05, 0.25)
    return picture


def foliage(width: int, height: int, rng: Generator) -> np.ndarray:
    """Leaves before leaves before light: layers of differing size and sharpness, and blades of grass."""
    material = "plants" if rng.random() < 0.75 else None
    far = colored(fields.window("leaves", width, height, rng, (0.4, 1.5)), ramp(rng, material))
    far = cv2.blur(far, (max(1, width // int(rng.integers(15, 80))),) * 2)
    near = colored(fields.window("leaves", width, height, rng, (0.8, 5.0)), ramp(rng, material))
    mask = np.clip((fields.window("clouds", width, height, rng, (0.6, 3.0)).astype(np.float32) - 110) / 40, 0, 1)
    picture = cv2.blendLinear(near, far, mask, 1 - mask)
    if rng.random() < 0.4:
        for _ in range(int(rng.integers(10, 60))):
            _stroke(picture, rng, color(rng, "plants"), rng.uniform(0.002, 0.012))
    return picture


def bokeh(width: int, height: int, rng: Generator) -> np.ndarray:
    """Lights far out of focus."""
    picture = _gradient(width, height, rng, any_of(rng, ("dark", "dark", "cloth", "plants", None)))
    size, material = rng.uniform(0.02, 0.1) * width, any_of(rng, (None, "paint", "light", "earth"))
    for _ in range(int(rng.integers(5, 50))):
        disc = np.zeros_like(picture)
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        radius = max(2, int(size * rng.uniform(0.6, 1.4)))
        x0, y0 = max(centre[0] - radius - 2, 0), max(centre[1] - radius - 2, 0)
        part = picture[y0 : centre[1] + radius + 2, x0 : centre[0] + radius + 2]
        disc = disc[: part.shape[0], : part.shape[1]]
        cv2.circle(disc, (centre[0] - x0, centre[1] - y0), radius, _darker(color(rng, material), 0.6), -1, cv2.LINE_AA)
        cv2.add(part, disc, dst=part)
    return cv2.blur(picture, (3, 3)) if rng.random() < 0.7 else picture


def clutter(width: int, height: int, rng: Generator) -> np.ndarray:
    """Polygons, discs, strokes and boxes of any colour over one another."""
    picture = any_of(rng, textures.TEXTURES)(width, height, rng)
    scatter(picture, rng, int(rng.integers(5, 30)))
    return picture


def scatter(picture: np.ndarray, rng: Generator, count: int) -> None:
    """`count` polygons, boxes, strokes, discs and now and then a person, painted into the picture."""
    height, width = picture.shape[:2]
    for _ in range(count):
        kind, tint = rng.random(), color(rng)
        if kind < 0.3:
            centre, reach = rng.uniform(0, 1, 2) * (width, height), rng.uniform(0.03, 0.3) * width
            outline = centre + reach * rng.standard_normal((int(rng.integers(3, 8)), 2))
            cv2.fillPoly(picture, [_points(outline)], tint, cv2.LINE_AA, 4)
        elif kind < 0.58:
            box(picture, rng, y=rng.uniform(0, 1.2))
        elif kind < 0.78:
            _stroke(picture, rng, tint, rng.uniform(0.003, 0.06))
        elif kind < 0.97:
            _saucer(picture, rng)
        else:
            person(picture, rng)


def people(width: int, height: int, rng: Generator) -> np.ndarray:
    """Clothed bodies with heads, arms and finger-like strokes in skin colours, so that skin colour alone says nothing."""
    picture = any_of(rng, (room, textures.plain, textures.field, foliage, shelves))(width, height, rng)
    for _ in range(int(rng.integers(1, 4))):
        person(picture, rng)
    return picture


def person(picture: np.ndarray, rng: Generator) -> None:
    """A body painted into the picture: torso, neck, head with hair, arms; any size, often cut off by the border."""
    height, width = picture.shape[:2]
    size, (x, y) = rng.uniform(0.12, 0.7) * height, rng.uniform(-0.1, 1.1, 2) * (width, height)
    skin, hair = color(rng, "skin"), color(rng, any_of(rng, ("dark", "earth", "stone")))
    coarse = any_of(rng, (textures.cloth, textures.plain))(width // 2 + 8, height // 2 + 8, rng)
    shirt = cv2.resize(coarse, (width, height))
    lean = rng.uniform(-0.2, 0.2) * size
    shoulders = size * rng.uniform(0.7, 1.0)
    torso = [(x - shoulders, y + size * 3), (x - shoulders, y + 0.95 * size), (x - 0.25 * size, y + 0.6 * size),
             (x + 0.25 * size, y + 0.6 * size), (x + shoulders, y + 0.95 * size), (x + shoulders, y + size * 3)]  # fmt: skip
    _ellipse(picture, (x + lean * 0.3, y + 0.05 * size), (0.46 * size, 0.55 * size), hair)
    _tube(picture, [(x, y + 0.3 * size), (x, y + 0.75 * size)], 0.2 * size, skin)
    _fill(picture, torso, shirt)
    _ellipse(picture, (x + lean * 0.3, y + 0.1 * size), (0.36 * size, 0.48 * size), skin)
    for sign in (-1, 1):
        eye = (x + lean * 0.4 + sign * 0.15 * size, y + 0.03 * size)
        _ellipse(picture, eye, (0.06 * size, 0.03 * size), _darker(skin, 0.35))
        if rng.random() < 0.7:
            elbow = (x + sign * shoulders * rng.uniform(0.9, 1.6), y + size * rng.uniform(1.5, 2.0))
            wrist = (elbow[0] - sign * size * rng.uniform(-0.6, 1.2), elbow[1] + size * rng.uniform(-1.3, 0.8))
            _tube(picture, [(x + sign * shoulders * 0.9, y + 1.05 * size), elbow, wrist], 0.16 * size, skin)
    _ellipse(picture, (x + lean * 0.4, y + 0.36 * size), (0.11 * size, 0.03 * size), _darker(skin, 0.6))


def box(picture: np.ndarray, rng: Generator, y: float) -> None:
    """A box with three visible sides, and its shadow; `y` is where it stands, share of the picture's height."""
    height, width = picture.shape[:2]
    x, base = rng.uniform(-0.1, 1) * width, y * height
    w, h = rng.uniform(0.04, 0.4) * width, rng.uniform(0.04, 0.5) * height
    depth = rng.uniform(-0.5, 0.5) * w, -rng.uniform(0.05, 0.4) * min(w, h)
    tint = color(rng)
    front = np.array([(x, base - h), (x + w, base - h), (x + w, base), (x, base)])
    back = front + depth
    shadow = np.concatenate([front[[3, 2]], front[2:] + np.array([0.5 * w, -0.12 * h])])
    _dim(picture, shadow, 0.6)
    top = [front[0], front[1], back[1], back[0]]
    side = [front[1], front[2], back[2], back[1]] if depth[0] > 0 else [front[0], front[3], back[3], back[0]]
    for outline, shade in ((top, 1.15), (side, 0.6), (front, 0.9)):
        cv2.fillPoly(picture, [_points(outline)], _darker(tint, shade), cv2.LINE_AA, 4)


def _sheet(picture: np.ndarray, texture: textures.Texture, rng: Generator) -> None:
    """A rectangle with a texture of its own, turned, lying on the picture with a shadow: paper, a device, a book."""
    height, width = picture.shape[:2]
    angle, half = rng.uniform(-np.pi, np.pi), rng.uniform(0.08, 0.4, 2) * width
    centre = rng.uniform(0, 1, 2) * (width, height)
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * half[:, None]
    outline = np.array([centre + a * axes[0] + b * axes[1] for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))])
    _dim(picture, outline + rng.uniform(0, 0.03) * width, 0.65)
    w, h = (max(16, round(float(1.5 * side))) for side in half)  # a little coarser than the picture: cheaper
    inside = texture(w, h, rng)
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    matrix = cv2.getAffineTransform(corners[:3], outline[:3].astype(np.float32))
    _fill(picture, outline, cv2.warpAffine(inside, matrix, (width, height)))


def _saucer(picture: np.ndarray, rng: Generator) -> None:
    """Rings in rings: a cup from above, a plate, a button, a wheel."""
    height, width = picture.shape[:2]
    centre, radius = rng.uniform(0, 1, 2) * (width, height), rng.uniform(0.03, 0.25) * width
    flat = rng.uniform(0.5, 1.0)
    shadow = centre + rng.uniform(-0.2, 0.2, 2) * radius
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    _dim(picture, shadow + np.stack([radius * np.cos(angles), radius * flat * np.sin(angles)], 1), 0.6)
    for share in sorted(rng.uniform(0.2, 1.0, int(rng.integers(1, 5))), reverse=True):
        _ellipse(picture, (centre[0], centre[1]), (radius * share, radius * share * flat), color(rng))


def _stroke(picture: np.ndarray, rng: Generator, tint: tuple[int, int, int], thickness: float) -> None:
    """A line, straight or bent: pens, cables, branches, straws; `thickness` is a share of the width."""
    height, width = picture.shape[:2]
    start, heading = rng.uniform(0, 1, 2) * (width, height), rng.uniform(0, 2 * np.pi)
    bend, step = rng.normal(0, 0.25) * (rng.random() < 0.5), rng.uniform(0.02, 0.12) * width
    angles = heading + bend * np.arange(8)
    path = start + step * np.stack([np.cos(angles), np.sin(angles)], 1).cumsum(0)
    wide = max(1, round(thickness * width))
    cv2.polylines(picture, [_points(path)], False, tint, wide, cv2.LINE_AA, 4)
    if wide > 3:
        lit = tuple(min(255, c + 50) for c in tint)
        cv2.polylines(picture, [_points(path - wide * 0.15)], False, lit, wide // 3, cv2.LINE_AA, 4)


def _tube(picture: np.ndarray, path: list[tuple[float, float]], thickness: float, tint: tuple[int, int, int]) -> None:
    """A limb: a thick line with round ends, darker at its rims."""
    for share, shade in ((1.0, 0.7), (0.75, 0.9), (0.4, 1.0)):
        wide = max(1, round(thickness * share * 2))
        cv2.polylines(picture, [_points(path)], False, _darker(tint, shade), min(wide, 250), cv2.LINE_AA, 4)


def _ellipse(
    picture: np.ndarray, centre: tuple[float, float], axes: tuple[float, float], tint: tuple[int, int, int]
) -> None:
    """A shaded ellipse: darker at the rim, lighter towards the upper left."""
    for share, shade in ((1.0, 0.75), (0.85, 0.9), (0.6, 1.0)):
        moved = (round(centre[0] - (1 - share) * axes[0] * 0.4), round(centre[1] - (1 - share) * axes[1] * 0.4))
        size = (max(1, round(axes[0] * share)), max(1, round(axes[1] * share)))
        cv2.ellipse(picture, moved, size, 0, 0, 360, _darker(tint, shade), -1, cv2.LINE_AA)


def _fill(picture: np.ndarray, outline: object, inside: np.ndarray) -> None:
    """The part of `inside` within the outline, into the picture."""
    points = _points(outline)
    x0, y0, x1, y1 = _bounds(points, picture)
    if x0 < x1 and y0 < y1:
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(mask, [points - np.array([16 * x0, 16 * y0], np.int32)], 255, cv2.LINE_8, 4)
        cv2.copyTo(inside[y0:y1, x0:x1], mask, picture[y0:y1, x0:x1])


def _dim(picture: np.ndarray, outline: np.ndarray, share: float) -> None:
    """A shadow: the part within the outline keeps `share` of its light."""
    points = _points(outline)
    x0, y0, x1, y1 = _bounds(points, picture)
    if x0 < x1 and y0 < y1:
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(mask, [points - np.array([16 * x0, 16 * y0], np.int32)], 255, cv2.LINE_8, 4)
        part = picture[y0:y1, x0:x1]
        cv2.copyTo(cv2.convertScaleAbs(part, alpha=share), mask, part)


def _bounds(points: np.ndarray, picture: np.ndarray) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 (exclusive) of points in sixteenths of a pixel, within the picture."""
    low, high = points.min(0) // 16 - 1, points.max(0) // 16 + 2
    height, width = picture.shape[:2]
    x0, y0 = np.clip(low, 0, (width, height))
    x1, y1 = np.clip(high, 0, (width, height))
    return int(x0), int(y0), int(x1), int(y1)


def _gradient(width: int, height: int, rng: Generator, material: str | None) -> np.ndarray:
    ends = np.array([[color(rng, material)], [color(rng, material)], [color(rng, material)]], np.float32)
    return cv2.resize(ends, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def _darker(tint: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    r, g, b = (min(255, int(c * share)) for c in tint)
    return r, g, b


def _points(outline: object) -> np.ndarray:
    """Points (N, 2) in sixteenths of a pixel, as OpenCV's shapes with shift=4 take them."""
    return np.clip(np.round(np.asarray(outline, np.float64) * 16), -(2**19), 2**19).astype(np.int32)


SCENES = (room, desk, shelves, sky, foliage, bokeh, clutter, people)
