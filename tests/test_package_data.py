"""What is no module but has to come along: the wheel holds the open hand and the built-in network."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

import hamer.weights

ROOT = Path(__file__).resolve().parents[1]


def test_git_keeps_the_network() -> None:
    """The wheel is made of the files that git does not ignore."""
    if not (ROOT / ".git").exists():
        pytest.skip(f"no git repository: {ROOT / '.git'} does not exist")
    path = Path("src/hamer/weights") / hamer.weights.FILE
    run = subprocess.run(["git", "check-ignore", "--quiet", str(path)], cwd=ROOT, check=False)
    assert run.returncode == 1, f"{path} is ignored"


def test_the_wheel_holds_hand_and_network(tmp_path: Path) -> None:
    builder = pytest.importorskip(
        "hatchling.builders.wheel", reason="hatchling builds the wheel (pip install hatchling)"
    )
    (wheel,) = builder.WheelBuilder(str(ROOT)).build(directory=str(tmp_path))
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"hamer/weights/__init__.py", "hamer/hand_models/open_hand.npz", "vitpose_model.py"} <= names
    assert (f"hamer/weights/{hamer.weights.FILE}" in names) == (hamer.weights.built_in() is not None)
