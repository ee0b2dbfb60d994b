"""Which folders are looked in, on which platform, and what a missing file's message says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hamer.assets import cache_dir, find_original, is_offline, original_roots, require_original
from hamer.assets.manifest import ASSETS
from hamer.assets.places import ORIGINAL_FILES
from hamer.errors import AssetError

CHECKPOINT = "hamer_ckpts/checkpoints/hamer.ckpt"


def _put(root: Path, name: str = CHECKPOINT) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


def test_cache_dir_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.setenv("HAMER_CACHE", "~/somewhere")
    assert cache_dir() == Path.home() / "somewhere"


@pytest.mark.skipif(os.name != "posix", reason="paths of another platform")
def test_cache_dir_by_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HAMER_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "hamer"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/paths/are/invalid")
    assert cache_dir() == Path.home() / ".cache" / "hamer"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_dir() == Path.home() / "Library" / "Caches" / "hamer"


@pytest.mark.parametrize(
    ("value", "offline"), [("1", True), ("yes", True), ("0", False), ("", False), ("false", False)]
)
def test_offline_flag(value: str, offline: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAMER_OFFLINE", value)
    assert is_offline() is offline


def test_search_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_original(CHECKPOINT) is None
    in_cache = _put(tmp_path / "cache" / "_DATA")
    assert find_original(CHECKPOINT) == in_cache
    in_work = _put(tmp_path / "work" / "_DATA")
    assert find_original(CHECKPOINT) == in_work
    chosen = _put(tmp_path / "chosen")
    monkeypatch.setenv("HAMER_DATA", str(tmp_path / "chosen"))
    assert find_original(CHECKPOINT) == chosen


def test_hamer_data_may_be_the_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _put(tmp_path / "big" / "_DATA")
    monkeypatch.setenv("HAMER_DATA", str(tmp_path / "big"))
    assert find_original(CHECKPOINT) == path
    assert original_roots()[0] == tmp_path / "big" / "_DATA"


@pytest.mark.parametrize("name", ["hamer_checkpoint", CHECKPOINT, f"_DATA/{CHECKPOINT}", f"./_DATA/{CHECKPOINT}"])
def test_names_of_one_file(name: str, tmp_path: Path) -> None:
    path = _put(tmp_path / "work" / "_DATA")
    assert find_original(name) == require_original(name) == path
    assert find_original(path) == path


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("hamer_checkpoint", "hamer fetch hamer_demo_data"),
        ("_DATA/data/mano/MANO_RIGHT.pkl", "hamer fetch mano"),
        ("mano_mean_params", "hamer fetch hamer_demo_data"),
        ("vitpose", "hamer fetch hamer_demo_data"),
        ("vitdet", "hamer fetch vitdet"),
        ("regnety", "hamer fetch regnety"),
    ],
)
def test_missing_file_names_the_command(name: str, command: str, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=command) as caught:
        require_original(name)
    assert str(tmp_path / "work" / "_DATA") in str(caught.value)
    assert isinstance(caught.value, OSError)


def test_short_names_are_files_that_an_asset_brings() -> None:
    targets = {target for asset in ASSETS.values() for target in asset.targets}
    assert set(ORIGINAL_FILES.values()) <= targets


def test_only_the_standard_library_is_imported() -> None:
    code = (
        "import sys, hamer.assets\n"
        "names = {name.partition('.')[0] for name in sys.modules} & {'torch', 'numpy', 'cv2', 'tqdm', 'numba', 'scipy'}\n"
        "print(sorted(names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""
