"""The detector, and a real picture of a hand, for the tests of this room."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def models(landmark_models: tuple[Path, Path]) -> tuple[Path, Path]:
    """Files of palm detector and landmark model."""
    return landmark_models


@pytest.fixture(scope="session")
def detector(models: tuple[Path, Path]):
    """The detector as users get it."""
    from hamer.detectors.mediapipe import MediapipeDetector

    return MediapipeDetector(palm_model=models[0], landmark_model=models[1])


@pytest.fixture(scope="session")
def quick(models: tuple[Path, Path]):
    """The detector with the least effort: enough for a hand that fills the picture."""
    from hamer.detectors.mediapipe import MediapipeDetector

    return MediapipeDetector(effort="fast", palm_model=models[0], landmark_model=models[1])


def read_picture(path: Path) -> np.ndarray:
    """A picture as RGB uint8."""
    image = cv2.imread(str(path))
    assert image is not None, f"{path} cannot be read"
    return np.ascontiguousarray(image[..., ::-1])


@pytest.fixture(scope="session")
def hand_picture(photos: Path) -> np.ndarray:
    """A real photo of one right hand, 224x224."""
    return read_picture(photos / "00065475.jpg")
