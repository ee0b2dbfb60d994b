"""The kinds of annotation that can be packed, and which one a path holds."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from hamer.datasets.packing.annotations import Pictures

Kind = Literal["hamer", "freihand", "ho3d", "coco", "interhand", "hint"]
KINDS: tuple[str, ...] = get_args(Kind)

_HOMES = {
    "hamer": "hamer_json",
    "freihand": "freihand",
    "ho3d": "ho3d",
    "coco": "coco_wholebody",
    "interhand": "interhand",
    "hint": "hint",
}


@dataclass(frozen=True)
class SourceOptions:
    """How annotations are read.

    `img_folder` of the pictures, None for where the kind keeps them; `split` of a release ("training", "train", ...), None
    for the training one; `mano` a MANO file or folder, whose mean pose turns the release's finger angles into absolute
    ones; `min_score` hands of `hamer demo` below it are left out; `hand_model` that training will use ("mano" or "open"):
    betas of another are dropped; `side` of hands whose side nobody noted.
    """

    img_folder: Path | None = None
    split: str | None = None
    mano: Path | None = None
    min_score: float = 0.0
    hand_model: Literal["mano", "open"] = "mano"
    side: Literal["left", "right"] | None = None
    notes: list[str] = field(default_factory=list, compare=False)
    """What the reader has to say, for whoever asked; filled while reading."""


def read_annotations(path: str | Path, kind: str = "auto", options: SourceOptions | None = None) -> Pictures[Any]:
    """The annotated pictures at `path`, a file or folder.

    Args:
        kind: "hamer" (our json: docs/training_data.md, and what `hamer demo` writes), "freihand", "ho3d", "coco"
            (COCO-WholeBody), "interhand" (InterHand2.6M), "hint"; "auto" looks at the files.

    Raises:
        ValueError: the kind cannot be told, or the files are not of it. FileNotFoundError: nothing is there.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"annotations must be a file or folder, but nothing exists at {path}")
    chosen = kind_of(path) if kind == "auto" else kind
    if chosen not in _HOMES:
        raise ValueError(f"format must be one of auto, {', '.join(KINDS)}, got {kind!r}")
    reader = importlib.import_module(f"hamer.datasets.packing.{_HOMES[chosen]}")
    pictures: Pictures[Any] = reader.read(path, options or SourceOptions())
    return pictures


def kind_of(path: Path) -> str:
    """The kind of annotation at `path`, by the names of a folder's files or the keys of a json file.

    Raises ValueError where neither tells.
    """
    found = _kind_of_folder(path) if path.is_dir() else _kind_of_json(read_json(path))
    if found is None:
        raise ValueError(f"{path} does not tell what kind of annotation it is: name it, one of {', '.join(KINDS)}")
    return found


def _kind_of_folder(folder: Path) -> str | None:
    if any(folder.glob("*_xyz.json")) and any(folder.glob("*_K.json")):
        return "freihand"
    if any(folder.rglob("*_joint_3d.json")) and any(folder.rglob("*_camera.json")):
        return "interhand"
    if (folder / "train.txt").is_file() and any(folder.glob("*/*/meta")):
        return "ho3d"
    for file in sorted(folder.glob("*.json")):
        kind = _kind_of_json(read_json(file))
        if kind is not None:
            return kind
    return "hint" if any(folder.glob("*_img/*.json")) else None


def _kind_of_json(content: Any) -> str | None:
    if isinstance(content, dict) and "annotations" in content and "images" in content:
        return "coco"
    if isinstance(content, dict) and "hands" in content:
        return "hamer"
    pictures = content.get("pictures") if isinstance(content, dict) else content
    first = pictures[0] if isinstance(pictures, list) and pictures else None
    if isinstance(first, dict) and "occlusion" in first:
        return "hint"
    return "hamer" if isinstance(first, dict) and "hands" in first else None


def read_json(path: Path) -> Any:
    """The content of a json file, not to be changed, or a ValueError that names it."""
    stat = path.stat()
    return _parsed(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1)  # a release's file may have a gigabyte, and telling its kind has read it already
def _parsed(path: Path, _time: int, _size: int) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must be a json file, but reading it failed: {error}") from error
