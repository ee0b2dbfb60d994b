"""Where files lie on this machine: the platform's cache, and the folder in the part of the original's `_DATA`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

from hamer.errors import AssetError

ORIGINAL_FILES = {
    "hamer_checkpoint": "hamer_ckpts/checkpoints/hamer.ckpt",
    "model_config": "hamer_ckpts/model_config.yaml",
    "mano": "data/mano/MANO_RIGHT.pkl",
    "mano_mean_params": "data/mano_mean_params.npz",
    "vitpose": "vitpose_ckpts/vitpose+_huge/wholebody.pth",
    "vitdet": "detectron2/model_final_f05665.pkl",
    "regnety": "detectron2/model_final_ef3a80.pkl",
}
"""Short names of the original's files, and where they lie below `_DATA`."""

_FETCHED_BY = {
    "data/mano/": "mano",
    "data/mano_mean_params.npz": "hamer_demo_data",
    "hamer_ckpts/": "hamer_demo_data",
    "vitpose_ckpts/": "hamer_demo_data",
    "detectron2/model_final_f05665": "vitdet",
    "detectron2/model_final_ef3a80": "regnety",
}


class LandmarkModels(NamedTuple):
    """The two files of MediaPipe's hand landmarker."""

    palm: Path
    landmark: Path


class BodyModels(NamedTuple):
    """The two files of MediaPipe's pose landmarker."""

    detector: Path
    landmarks: Path


def _flag(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() not in ("", "0", "no", "off", "false")


def is_offline() -> bool:
    """Whether HAMER_OFFLINE forbids asking the network."""
    return _flag("HAMER_OFFLINE")


def cache_dir() -> Path:
    """The folder for downloaded files: HAMER_CACHE, else the platform's cache folder. It may not exist yet."""
    chosen = os.environ.get("HAMER_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "hamer"
    if os.name == "nt":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "hamer" / "Cache"
    base = os.environ.get("XDG_CACHE_HOME")
    # the XDG specification: a relative path there is invalid and has to be ignored
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "hamer"


def data_folder(parent: Path) -> Path:
    """The `_DATA` folder that belongs to `parent`: itself if it has that name, else the one inside it."""
    return parent if parent.name == "_DATA" else parent / "_DATA"


def original_roots() -> list[Path]:
    """Folders that may play the part of `_DATA`, in the order in which they are searched.

    HAMER_DATA (which names such a folder, or one that holds `_DATA`), `_DATA` in the working directory, the cache.
    """
    roots = []
    chosen = os.environ.get("HAMER_DATA")
    if chosen:
        folder = Path(chosen).expanduser().absolute()
        roots.append(folder / "_DATA" if (folder / "_DATA").is_dir() else folder)
    roots.append(Path.cwd() / "_DATA")
    roots.append(cache_dir() / "_DATA")
    return roots


def _below_data(name: str | os.PathLike[str]) -> Path:
    parts = Path(ORIGINAL_FILES.get(os.fspath(name), os.fspath(name))).parts
    if "_DATA" in parts:
        parts = parts[parts.index("_DATA") + 1 :]
    return Path(*parts)


def find_original(name: str | os.PathLike[str]) -> Path | None:
    """Find one of the original's files.

    Args:
        name: a short name of `ORIGINAL_FILES`, or a path below `_DATA`, e.g. "hamer_ckpts/checkpoints/hamer.ckpt"; a
            leading "_DATA/" or "./_DATA/" is ignored. An absolute path is only checked for existence.

    Returns:
        The first that exists in `original_roots()`, or None.
    """
    candidates = _candidates(name)
    return next((path for path in candidates if path.exists()), None)


def require_original(name: str | os.PathLike[str]) -> Path:
    """Like `find_original`, but a missing file is an AssetError: where it was looked for, and what fetches it."""
    found = find_original(name)
    if found is not None:
        return found
    relative = _below_data(name).as_posix()
    asset = next((asset for start, asset in _FETCHED_BY.items() if relative.startswith(start)), None)
    command = f"hamer fetch {asset}" if asset else "hamer fetch"
    raise AssetError(
        f"{relative}: not found. Looked for {', '.join(map(str, _candidates(name)))}. Get it with `{command}`, or set "
        "HAMER_DATA to the folder that holds it in the original's layout (docs/weights.md)."
    )


def _candidates(name: str | os.PathLike[str]) -> list[Path]:
    path = Path(name)
    return [path] if path.is_absolute() else [root / _below_data(name) for root in original_roots()]
