"""The landmark models, and a real picture of a hand, for the tests of this room."""

from __future__ import annotations

import importlib.util
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hamer import assets
from hamer.errors import AssetError


@pytest.fixture(scope="session")
def models() -> tuple[Path, Path]:
    """Files of palm detector and landmark model, or a skip that says why they are not there."""
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed (no wheel for this platform?)")
    try:
        palm, landmark = assets.landmark_models()
    except AssetError as error:
        pytest.skip(f"the landmark models cannot be fetched: {error}")
    return palm, landmark


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


@pytest.fixture(scope="session")
def zoo_file(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a made-up file of detectron2's zoo with all that one may hold: masks, constants, counters too.

    `zoo_file("regnety", classifier=...)`; options are those of golden/fill_weights.py.
    """
    spec = importlib.util.spec_from_file_location("fill_weights", golden / "fill_weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def write(detector: str, **options: Any) -> Path:
        layout = json.loads((golden / "detectors" / detector / "layout.json").read_text())
        constants = {b["name"]: np.array(b["values"], np.float32) for b in layout["buffers_not_in_state_dict"]}
        model = {
            entry["name"]: module.fill_one(entry["name"], tuple(entry["shape"]), **options)
            if entry["dtype"] == "float32"
            else np.zeros(entry["shape"], entry["dtype"])
            for entry in layout["state_dict"]
        }
        path = tmp_path_factory.mktemp(detector) / "model_final.pkl"
        with path.open("wb") as file:
            pickle.dump({"model": {**constants, **model}, "__author__": "made up"}, file)
        return path

    return write
