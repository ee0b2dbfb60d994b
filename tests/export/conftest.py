"""A made-up result with a right and a left hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from hamer.structures import Camera, Hand, HandParameters, Reconstruction


def made_hand(number: int, is_right: bool, vertices: np.ndarray, random: np.random.Generator) -> Hand:
    draw = random.standard_normal
    return Hand(
        id=number,
        is_right=is_right,
        score=0.1 + 0.3 * number,
        box=draw(4),
        vertices=vertices,
        joints=draw((21, 3)),
        keypoints_2d=draw((21, 2)) * 1000,
        joint_confidence=random.random(21),
        camera_translation=draw(3),
        parameters=HandParameters(draw(3), draw(45), draw(10)),
    )


@pytest.fixture
def result() -> Reconstruction:
    shape = trimesh.creation.icosphere(subdivisions=2, radius=0.1)
    random = np.random.default_rng(5)
    right = np.array(shape.vertices) * (1, 0.6, 0.3) + (0.12, 0.03, 0.9)
    left = np.array(shape.vertices) * (-0.6, 1, 0.3) + (-0.15, -0.02, 1.1)
    return Reconstruction(
        hands=[made_hand(0, True, right, random), made_hand(1, False, left, random)],
        camera=Camera(700.5, 690.25, 320, 240, (0.1, -0.05, 0, 0), "exif"),
        width=640,
        height=480,
        faces=np.array(shape.faces),
        hand_model="open",
        model="made up",
        detector="by hand",
        path=Path("folder") / "plaza <2>.jpg",
        notes=["a note"],
    )
