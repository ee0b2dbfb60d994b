"""Networks with the golden weights, small and full, and the golden files of whole-body keypoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hamer.models.config import ViTConfig

State = dict[str, torch.Tensor]


@pytest.fixture(scope="session")
def vitpose_golden(golden: Path) -> Path:
    """Inputs and outputs of the original's whole-body network."""
    return golden / "vitpose"


@pytest.fixture(scope="session")
def cases(vitpose_golden: Path) -> dict[str, Any]:
    """Photos, boxes and hand boxes of the golden files."""
    return json.loads((vitpose_golden / "cases.json").read_text())


@pytest.fixture(scope="session")
def small_config() -> ViTConfig:
    """The sizes of golden/vitpose/reduced.npz."""
    return ViTConfig(192, 2, 3, drop_path_rate=0.0)


@pytest.fixture(scope="session")
def golden_state(vitpose_golden: Path, fill_one: Callable[..., np.ndarray]) -> Callable[[str], State]:
    """Makes the state dict, "full" or "reduced", that the golden files were produced with."""
    layout = json.loads((vitpose_golden / "layout.json").read_text())

    def make(size: str) -> State:
        return {
            name: torch.zeros(shape, dtype=torch.int64)
            if dtype == "int64"
            else torch.from_numpy(fill_one(name, tuple(shape)))
            for name, (shape, dtype) in layout[size].items()
        }

    return make


@pytest.fixture(scope="session")
def small_state(golden_state: Callable[[str], State]) -> State:
    """Tensors of the small network; tests must not change them."""
    return golden_state("reduced")


@pytest.fixture(scope="session")
def small_file(small_state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small network as the original's training stores it."""
    path = tmp_path_factory.mktemp("vitpose") / "wholebody.pth"
    meta = {"mmcv_version": "1.3.9", "time": "Mon Jan  1 00:00:00 2024", "best_score": np.float64(0.6)}
    torch.save({"meta": meta, "state_dict": small_state}, path)
    return path


@pytest.fixture(scope="session")
def pictures(cases: dict[str, Any], photos: Path) -> dict[str, np.ndarray]:
    """The golden files' photos by name, RGB."""
    import cv2

    found = {}
    for photo in cases["photos"]:
        image = cv2.imread(str(photos / photo["file"]))
        assert image is not None, photo["file"]
        found[photo["file"]] = np.ascontiguousarray(image[..., ::-1])
    return found
