"""Where a body goes: behind the hand as the camera sees it, near enough that it fills a part or all of what is there.

Letters: V vertices. Metres, camera frame (x right, y down, z forward) unless a name says otherwise.
"""

from __future__ import annotations

import numpy as np

from hamer.datasets.synthetic.drawing.surfaces import Surface
from hamer.datasets.synthetic.persons import faces, glasses, hair, heads, trunks
from hamer.datasets.synthetic.persons.parts import Part
from hamer.datasets.synthetic.skin.tones import Tone, draw_tone
from hamer.datasets.synthetic.vectors import projected, rotation_of

Generator = np.random.Generator
GAP = (0.01, 0.40)  # m between the farthest vertex before a body and the body's nearest one
_SHRINKING = 0.6  # at most this share of the farthest vertex's depth is the gap, or a near hand's owner were a dwarf
_STRANGER = 0.25  # chance that the body is not the hand's owner's
_TURNED_AWAY = 0.15
_HEADS, _TRUNKS = 0.5, 0.33  # shares of what is aimed at; the rest are legs


def person_behind(
    before: np.ndarray, hand: np.ndarray, camera_matrix: np.ndarray, size: tuple[int, int], tone: Tone, rng: Generator
) -> list[Surface]:
    """Somebody behind a hand, as the surfaces that reach into the picture.

    Args:
        before: (V, 3) vertices that the body stays behind: the hand's, and those of what is with it.
        hand: (V, 3) vertices of the hand, which the body is about behind.
        camera_matrix: (3, 3) px.
        size: width and height of the picture, px.
        tone: the skin of the hand's owner.
    """
    if rng.random() < _STRANGER:
        tone = draw_tone(rng)
    parts, aim, rotation = _body(tone, rng)
    pixels = projected(hand, camera_matrix)
    low, high = pixels.min(0), pixels.max(0)
    target = np.clip((low + high) / 2 + rng.uniform(-0.6, 0.6, 2) * (high - low), 0, size)
    ray = np.linalg.solve(camera_matrix, np.array([*target, 1.0]))
    turned = [(part.shape.vertices - aim) @ rotation.T for part in parts]
    nearest = min(float(vertices[:, 2].min()) for vertices in turned)
    farthest = float(before[:, 2].max())
    gap = GAP[0] + (min(GAP[1], _SHRINKING * farthest) - GAP[0]) * rng.random() ** 2
    depth = farthest + gap - nearest
    placed = [vertices + depth * ray for vertices in turned]
    return [
        part.surface(vertices)
        for part, vertices in zip(parts, placed, strict=True)
        if _reaches(vertices, camera_matrix, size)
    ]


def _body(tone: Tone, rng: Generator) -> tuple[list[Part], np.ndarray, np.ndarray]:
    """Parts, the point (3,) of the body's frame to be looked at, and the rotation (3, 3) from that frame to the camera's."""
    kind = rng.random()
    if kind >= _HEADS + _TRUNKS:
        aim = np.array([rng.uniform(-0.15, 0.15), rng.uniform(0.25, 0.95), 0.0])
        return trunks.legs(tone, rng), aim, _turn(rng.uniform(-1, 1), rng.normal(0, 0.4), rng.uniform(-np.pi, np.pi))
    face, is_man = heads.draw_face(rng), rng.random() < 0.5
    parts = _head(face, tone, is_man, rng) + trunks.trunk(tone, float(face.size[1]), rng)
    if kind < _HEADS:
        aim = np.array([rng.uniform(-0.06, 0.06), rng.uniform(0.06, 0.22), -0.06])
    else:
        aim = np.array([rng.uniform(-0.18, 0.18), rng.uniform(0.34, 0.8), -0.08])
    away = rng.random() < _TURNED_AWAY
    yaw = np.pi + rng.normal(0, 0.7) if away else np.clip(rng.normal(0, 0.7), -np.pi / 2, np.pi / 2)
    return parts, aim, _turn(yaw, rng.normal(0, 0.2), rng.normal(0, 0.2))


def _head(face: heads.Face, tone: Tone, is_man: bool, rng: Generator) -> list[Part]:
    color = hair.draw_color(rng)
    hair_rng, glass_rng, paint_rng = rng.spawn(3)
    skin = Part(
        heads.head(face), lambda: faces.paint(tone, color, is_man, paint_rng), float(rng.uniform(0.1, 0.35)), 1.0
    )
    worn = hair.hair(face, color, is_man, hair_rng), glasses.glasses(face, glass_rng)
    return [skin, *(part for part in worn if part is not None)]


def _turn(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation (3, 3): first the head turns by `yaw` about y, then nods by `pitch` about x, then leans by `roll` about z."""
    turns = ((0, 0, roll), (pitch, 0, 0), (0, yaw, 0))
    first, second, third = (rotation_of(np.array(turn)) for turn in turns)
    return np.asarray(first @ second @ third)


def _reaches(vertices: np.ndarray, camera_matrix: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether the box around the projected vertices (V, 3) meets the picture."""
    pixels = projected(vertices, camera_matrix)
    return bool((pixels.max(0) > 0).all() and (pixels.min(0) < size).all())
