"""A reconstructor without downloads: a detector that knows the answer, and the open hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from hamer.geometry.cameras import project_with_camera
from hamer.geometry.mirroring import mirror_points
from hamer.hand_models import HandModel
from hamer.pipeline import FittingEstimator, HandReconstructor
from hamer.pipeline.reconstructor import load_hand_model
from hamer.structures import Camera, HandBoxes

CAMERA = Camera(600, 610, 330, 235)


@pytest.fixture(scope="session")
def open_hand() -> HandModel:
    return load_hand_model("open")


def joints_of(model: HandModel, *, is_right: bool, position: Sequence[float], bend: float = 0.3) -> np.ndarray:
    """(21, 3) joints of a half closed hand, in the camera frame."""
    pose = torch.zeros(15, 3)
    pose[:12, 2] = bend
    turn = torch.tensor([np.pi / 2, 0.0, 0.0])
    joints = model.forward_axis_angle(turn, pose.flatten(), torch.zeros(10)).joints.numpy()
    return (joints if is_right else mirror_points(joints)) + np.asarray(position, np.float32)


def boxes_of(joints: Sequence[np.ndarray], is_right: Sequence[bool], camera: Camera = CAMERA) -> HandBoxes:
    """What a perfect detector would say of hands with these joints."""
    points = np.stack([project_with_camera(j, camera) for j in joints])
    boxes = np.concatenate([points.min(1) - 10, points.max(1) + 10], -1)
    confident = np.concatenate([points, np.ones((len(points), 21, 1))], -1)
    return HandBoxes(boxes, np.array(is_right), np.full(len(points), 0.9), confident, np.stack(joints))


class KnownHands:
    """A detector that gives the same hands for every picture, and fails for an all-black one."""

    def __init__(self, hands: HandBoxes) -> None:
        self.hands = hands

    def __call__(self, images: Sequence[np.ndarray]) -> list[HandBoxes]:
        if any(not image.any() for image in images):
            raise RuntimeError("a black picture")
        return [self.hands for _ in images]


@pytest.fixture
def make_reconstructor(open_hand: HandModel) -> Callable[[HandBoxes], HandReconstructor]:
    def make(hands: HandBoxes) -> HandReconstructor:
        return HandReconstructor(KnownHands(hands), FittingEstimator(open_hand), detector_name="known")

    return make
