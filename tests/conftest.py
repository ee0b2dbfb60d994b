"""What every test may use: the golden data, the photos, and shape types that are checked while tests run."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

try:
    from jaxtyping import install_import_hook

    typed = ["hamer.geometry", "hamer.hand_models", "hamer.models.losses"]
    typed += [f"hamer.evaluation.{name}" for name in ("alignment", "auc", "metrics", "pck")]
    install_import_hook(typed, "beartype.beartype")
except ImportError:  # beartype comes with the dev extra; without it the shapes are only documentation
    pass


def _shared_dir() -> Path:
    return Path(os.environ.get("HAMER_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden data and photos, or a skip that says where it was looked for."""
    folder = _shared_dir()
    if not folder.is_dir():
        pytest.skip(f"no golden data: {folder} does not exist (set HAMER_SHARED to the folder that holds golden/)")
    return folder


@pytest.fixture(scope="session")
def golden(shared: Path) -> Path:
    """Inputs and outputs of the original programs."""
    return shared / "golden"


@pytest.fixture(scope="session")
def fill_one(golden: Path) -> Callable[..., np.ndarray]:
    """`fill_one(name, shape, seed, classifier)`: the made-up tensors that the golden outputs were produced with."""
    spec = importlib.util.spec_from_file_location("fill_weights", golden / "fill_weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.fill_one


@pytest.fixture(scope="session")
def photos(shared: Path) -> Path:
    """Real annotated photos."""
    return shared / "photos"


@pytest.fixture(scope="session")
def landmark_models() -> tuple[Path, Path]:
    """Files of the palm detector and the hand landmark model, or a skip that says why they cannot be had."""
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed (no wheel for this platform?)")
    from hamer import assets
    from hamer.errors import AssetError

    try:
        models = assets.landmark_models()
    except AssetError as error:
        pytest.skip(f"the landmark models cannot be fetched: {error}")
    return models[0], models[1]


@pytest.fixture(scope="session")
def zoo_file(
    golden: Path, fill_one: Callable[..., np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Writes a made-up file of detectron2's zoo with all that one may hold: masks, constants, counters too.

    `zoo_file("regnety", classifier=...)`; options are those of `fill_one`.
    """

    def write(detector: str, **options: Any) -> Path:
        layout = json.loads((golden / "detectors" / detector / "layout.json").read_text())
        constants = {b["name"]: np.array(b["values"], np.float32) for b in layout["buffers_not_in_state_dict"]}
        model = {
            entry["name"]: fill_one(entry["name"], tuple(entry["shape"]), **options)
            if entry["dtype"] == "float32"
            else np.zeros(entry["shape"], entry["dtype"])
            for entry in layout["state_dict"]
        }
        path = tmp_path_factory.mktemp(detector) / "model_final.pkl"
        with path.open("wb") as file:
            pickle.dump({"model": {**constants, **model}, "__author__": "made up"}, file)
        return path

    return write
