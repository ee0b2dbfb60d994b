"""Things of everyday use: shapes with sizes in metres, and what is printed on them. z is the long axis."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hamer.datasets.synthetic.drawing.surfaces import Surface
from hamer.datasets.synthetic.materials import textures
from hamer.datasets.synthetic.materials.palettes import color
from hamer.datasets.synthetic.materials.textures import any_of
from hamer.datasets.synthetic.things import shapes
from hamer.datasets.synthetic.things.shapes import Shape

Generator = np.random.Generator
TEXELS = 128


@dataclass
class Ware:
    """A shape in its own frame, its texture (S, S, 3) uint8 sRGB and its gloss 0..1."""

    shape: Shape
    albedo: np.ndarray
    gloss: float

    def surface(self, rotation: np.ndarray, translation: np.ndarray, scale: float = 1.0) -> Surface:
        """It, `scale` times as large, turned by `rotation` (3, 3) and moved by (3,) metres, as no part of a hand."""
        shape = self.shape
        vertices = scale * (shape.vertices @ rotation.T) + translation
        return Surface(
            vertices=vertices.astype(np.float32),
            faces=shape.faces,
            uv=shape.uv.astype(np.float32),
            uv_faces=shape.uv_faces,
            albedo=self.albedo,
            relief=None,
            gloss=float(self.gloss),
            labels=np.zeros(len(shape.faces), np.uint8),
        )


def bottle(radius: float, rng: Generator) -> Ware:
    """A bottle, flask or jar with a neck and a cap; its body has `radius`."""
    height, neck = radius * rng.uniform(4, 7), radius * rng.uniform(0.3, 0.7)
    shoulder = rng.uniform(0.6, 0.8)
    mouth, lip = neck / radius, 1.15 * neck / radius
    profile = [(0, 0), (0.9, 0), (1, 0.02), (1, shoulder), (0.5 + 0.5 * mouth, shoulder + 0.1), (mouth, shoulder + 0.17),
               (mouth, 0.93), (lip, 0.93), (lip, 1), (0, 1)]  # fmt: skip
    return Ware(_turned_body(profile, radius, height), printed(rng, bands=True), rng.uniform(0.2, 1))


def can(radius: float, rng: Generator) -> Ware:
    """A can, candle, roll or glass without a bottom to look through."""
    height = radius * rng.uniform(2.5, 5)
    profile = [(0, 0), (0.88, 0), (1, 0.04), (1, 0.94), (0.9, 1), (0.84, 0.97), (0, 0.97)]
    return Ware(_turned_body(profile, radius, height), printed(rng, bands=True), rng.uniform(0.1, 1))


def cup(radius: float, rng: Generator) -> Ware:
    """A cup, hollow, often with a handle."""
    height, top = radius * rng.uniform(1.8, 3), rng.uniform(0.95, 1.0)
    bottom = rng.uniform(0.65, 1.0)
    profile = [(0, 0), (bottom, 0), (top, 1), (top - 0.08, 1), (bottom - 0.08, 0.08), (0, 0.08)]
    body = _turned_body(profile, radius, height)
    if rng.random() < 0.7:
        turn = rng.uniform(0, 2 * np.pi)
        arc = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 9)
        out = 0.9 * bottom * radius + rng.uniform(0.5, 0.9) * radius * np.cos(arc)
        path = np.stack([out * np.cos(turn), out * np.sin(turn), 0.3 * height * np.sin(arc)], 1)
        body = shapes.joined([body, shapes.tube(path, np.full(9, 0.11 * radius), 8)])
    return Ware(body, printed(rng, bands=rng.random() < 0.5), rng.uniform(0.1, 1))


def stick(radius: float, rng: Generator) -> Ware:
    """A handle, pipe, branch or rope, maybe bent, maybe thicker towards one end."""
    length, count = rng.uniform(0.15, 0.5), 9
    t = np.linspace(-0.5, 0.5, count)
    bend = rng.uniform(-0.06, 0.06) * (rng.random() < 0.4)
    path = np.stack([bend * (2 * t) ** 2, np.zeros(count), t * length], 1)
    radii = radius * (1 - rng.uniform(0, 0.5) * np.abs(t - 0.5 * np.sign(rng.normal())) * (rng.random() < 0.5))
    return Ware(shapes.tube(path, radii), printed(rng), rng.uniform(0, 0.8))


def tool(radius: float, rng: Generator) -> Ware:
    """A handle with a head on it: hammer, brush, spoon, racket, screwdriver, lamp."""
    length = rng.uniform(0.14, 0.3)
    handle = shapes.tube(
        np.array([[0, 0, -0.3 * length], [0, 0, 0.2 * length], [0, 0, 0.7 * length]]), radius * np.array([1, 0.9, 0.8])
    )
    kind = rng.random()
    if kind < 0.35:
        head = shapes.box(np.array([rng.uniform(0.02, 0.12), rng.uniform(0.015, 0.05), rng.uniform(0.02, 0.05)]), 0.004)
    elif kind < 0.65:
        angles = np.linspace(0, 2 * np.pi, 18, endpoint=False)
        half = rng.uniform(0.015, 0.07, 2)
        head = shapes.plate(np.stack([half[0] * np.cos(angles), half[1] * np.sin(angles)], 1), 0.006, rng.normal(0, 3))
    elif kind < 0.85:
        head = ball(rng.uniform(0.01, 0.035), rng).shape
    else:
        head = shapes.lathe(np.array([[0, -0.5], [0.3, -0.5], [0.25, 0.4], [0, 0.5]]) * rng.uniform(0.03, 0.09), 16)
    head = head.moved(np.eye(3), np.array([0, 0, 0.7 * length]))
    return Ware(shapes.joined([handle, head]), printed(rng), rng.uniform(0, 1))


def pen(radius: float, rng: Generator) -> Ware:
    """A pen, pencil, brush or chopstick; its point is towards +z."""
    length = rng.uniform(0.12, 0.19)
    tip, grip = 1 - rng.uniform(0.05, 0.15), rng.uniform(0.8, 1.0)
    profile = [(0, 0), (0.9, 0), (1, 0.02), (grip, tip), (0.15, 1), (0, 1)]
    body = _turned_body(profile, radius, length, 12)
    return Ware(
        body.moved(np.eye(3), np.array([0, 0, -length * rng.uniform(0.2, 0.32)])),
        printed(rng, bands=True),
        rng.uniform(0.1, 1),
    )


def ball(radius: float, rng: Generator) -> Ware:
    """A ball, fruit or egg."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, 15)
    dent = 1 - rng.uniform(0, 0.35) * np.exp(-((angles - np.pi / 2) ** 2) * 4) * (rng.random() < 0.4)
    tall = rng.uniform(0.85, 1.15) if rng.random() < 0.4 else 1.0
    profile = radius * np.stack([np.cos(angles), dent * tall * np.sin(angles)], 1)
    profile[[0, -1], 0] = 0
    profile[:, 1] /= max(1.0, tall)
    profile[:, 0] /= max(1.0, tall)
    return Ware(shapes.lathe(profile, 22), printed(rng), rng.uniform(0, 0.9))


def carton(size: np.ndarray, rng: Generator, rounding: float | None = None) -> Ware:
    """A box: packet, book, brick, remote control."""
    edge = rng.choice((0.0, 0.1, 0.3)) * float(np.min(size)) if rounding is None else rounding
    return Ware(shapes.box(size, float(edge)), six_sides(rng), rng.uniform(0, 0.8))


def phone(width: float, thickness: float, rng: Generator) -> Ware:
    """A phone: thin along y, long along z, one side a screen."""
    size = np.array([width, thickness, width * rng.uniform(1.7, 2.2)])
    albedo = six_sides(rng, tint=color(rng, any_of(rng, ("dark", "light", "paint", "stone"))), print_share=0.0)
    screen = any_of(rng, (textures.page, textures.keys, textures.field, textures.plain))(TEXELS // 3, TEXELS // 2, rng)
    # Side number 2 of the box (+y) takes the third column of the upper row.
    h, w = screen.shape[:2]
    albedo[3 : h - 3, 2 * w + 3 : 3 * w - 3] = screen[3:-3, 3:-3]
    return Ware(shapes.box(size, thickness * 0.45), albedo, rng.uniform(0.3, 1))


def card(width: float, length: float, rng: Generator) -> Ware:
    """A card, a sheet of paper, a note, a photograph: thin along y."""
    corners = np.array([[1, -1], [1, 1], [-1, 1], [-1, -1]]) * 0.5 * (width, length)
    outline = np.concatenate(
        [np.linspace(a, b, 5, endpoint=False) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)]
    )
    paper = any_of(rng, (textures.page, textures.page, textures.plain, textures.field, textures.bricks))(
        TEXELS, TEXELS, rng
    )
    return Ware(shapes.plate(outline, rng.uniform(0.0004, 0.002), rng.normal(0, 2.0)), paper, rng.uniform(0, 0.6))


def leaf(length: float, rng: Generator) -> Ware:
    """A leaf, petal, feather or blob: thin along y, curved."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    lobes, depth = int(rng.integers(1, 7)), rng.uniform(0, 0.35)
    reach = (1 + depth * np.cos(lobes * angles)) / (1 + depth)
    outline = 0.5 * length * reach[:, None] * np.stack([rng.uniform(0.3, 1.0) * np.cos(angles), np.sin(angles)], 1)
    green = textures.field(TEXELS, TEXELS, rng)
    if rng.random() < 0.6:
        green = cv2.addWeighted(green, 0.4, np.full_like(green, color(rng, "plants")), 0.6, 0)
    return Ware(shapes.plate(outline, 0.001, rng.normal(0, 4.0) * 0.1 / max(length, 0.02)), green, rng.uniform(0, 0.7))


def limb(rng: Generator) -> Ware:
    """Another person's forearm, bare or sleeved, about 35 cm long and thinner towards the wrist."""
    t = np.linspace(-0.5, 0.5, 7)
    path = np.stack([rng.normal(0, 0.01) * t**2 * 4, np.zeros(7), 0.35 * t], 1)
    radii = np.interp(t, [-0.5, -0.2, 0.5], [0.048, 0.05, 0.03]) * rng.uniform(0.8, 1.2)
    skin: np.ndarray = np.full((TEXELS, TEXELS, 3), color(rng, "skin"), np.uint8)
    if rng.random() < 0.5:
        skin = cv2.addWeighted(skin, 0.85, textures.mixture(TEXELS, TEXELS, rng), 0.15, 0)
    else:
        sleeve = textures.cloth(TEXELS, TEXELS, rng)
        cut = int(rng.uniform(0.0, 0.7) * TEXELS)
        skin[cut:] = sleeve[cut:]
    return Ware(shapes.tube(path, radii, 18), skin, rng.uniform(0, 0.3))


def printed(rng: Generator, bands: bool = False) -> np.ndarray:
    """What a round thing is covered with (S, S, 3): one colour, a material, or bands with a label and marks."""
    kind = rng.random()
    if kind < 0.3:
        return np.full((TEXELS, TEXELS, 3), color(rng), np.uint8)
    if kind < 0.6 or not bands:
        return any_of(rng, textures.TEXTURES)(TEXELS, TEXELS, rng)
    albedo = np.full((TEXELS, TEXELS, 3), color(rng), np.uint8)
    for _ in range(int(rng.integers(1, 5))):
        top, tall = rng.uniform(0, 1), rng.uniform(0.03, 0.4)
        rows = slice(int(top * TEXELS), int((top + tall) * TEXELS) + 1)
        albedo[rows] = color(rng)
    if rng.random() < 0.6:
        label = any_of(rng, (textures.page, textures.field, textures.keys))(TEXELS, TEXELS, rng)
        top = int(rng.uniform(0.2, 0.6) * TEXELS)
        albedo[top : top + TEXELS // 4] = label[: TEXELS // 4][: len(albedo[top : top + TEXELS // 4])]
    _marks(albedo, rng)
    return albedo


def six_sides(rng: Generator, tint: tuple[int, int, int] | None = None, print_share: float = 0.6) -> np.ndarray:
    """The texture of a box (see shapes.box): sides of one colour, some of them printed."""
    albedo = np.full((TEXELS, TEXELS, 3), color(rng) if tint is None else tint, np.uint8)
    if rng.random() < 0.3 * print_share:
        return any_of(rng, textures.TEXTURES)(TEXELS, TEXELS, rng)
    if rng.random() < print_share:
        cover = any_of(rng, textures.TEXTURES)(TEXELS // 3, TEXELS // 2, rng)
        for side in range(6):
            if rng.random() < 0.5:
                y, x = (side // 3) * (TEXELS // 2), (side % 3) * (TEXELS // 3)
                albedo[y : y + cover.shape[0], x : x + cover.shape[1]] = cover
    if print_share:
        _marks(albedo, rng)
    return albedo


def _marks(albedo: np.ndarray, rng: Generator) -> None:
    """Signs like a maker's: discs, bars, rings, painted into the texture."""
    for _ in range(int(rng.integers(0, 5))):
        x, y = (int(v) for v in rng.integers(0, TEXELS, 2))
        size, kind = int(rng.integers(4, TEXELS // 5)), rng.random()
        if kind < 0.6:
            cv2.circle(albedo, (x, y), size, color(rng), -1 if kind < 0.3 else 2, cv2.LINE_AA)
        else:
            cv2.rectangle(albedo, (x, y), (x + 2 * size, y + size // 2), color(rng), -1)


def _turned_body(profile: list[tuple[float, float]], radius: float, height: float, segments: int = 28) -> Shape:
    """A lathe body from radii in shares of `radius` and heights in shares of `height`, its middle at the origin."""
    return shapes.lathe(np.array(profile) * (radius, height) - (0, height / 2), segments)


def any_vessel(radius: float, rng: Generator) -> Ware:
    """A bottle, a can, a cup or a ball of a radius in metres."""
    return (bottle, can, cup, ball)[int(rng.integers(4))](radius, rng)
