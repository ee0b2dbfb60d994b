"""What every test may use: the golden data, the photos, and shape types that are checked while tests run."""

from __future__ import annotations

import os
from pathlib import Path

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
def photos(shared: Path) -> Path:
    """Real annotated photos."""
    return shared / "photos"


@pytest.fixture(scope="session")
def landmark_models() -> tuple[Path, Path]:
    """Files of the palm detector and the hand landmark model, or a skip that says why they cannot be had."""
    from hamer import assets
    from hamer.errors import AssetError

    try:
        models = assets.landmark_models()
    except AssetError as error:
        pytest.skip(f"the landmark models cannot be fetched: {error}")
    return models[0], models[1]
