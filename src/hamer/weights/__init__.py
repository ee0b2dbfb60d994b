"""The built-in network's file: where it lies, and how to know that it is the one that was published.

Trained by this project on pictures that it made itself, but for its frozen trunk (docs/model_cards/built_in.md); package data,
so that it is there wherever hamer is. Standard library only.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from hamer.errors import AssetError

FOLDER = Path(__file__).parent
FILE = "built_in.safetensors"
CARD = "docs/model_cards/built_in.md"
LICENCE = "Apache-2.0"

_CHUNK = 1 << 20


def built_in() -> Path | None:
    """The built-in network's file, or None where this copy of the package was made without it."""
    path = FOLDER / FILE
    return path if path.is_file() else None


def require_built_in() -> Path:
    """As `built_in`, or an AssetError that says what can be done without the file."""
    path = built_in()
    if path is None:
        raise AssetError(
            f"the built-in network is missing: expected {FOLDER / FILE}, nothing is there; install hamer again from a "
            "complete package, or fit the hand model to landmarks instead (weights='fit', --checkpoint fit)"
        )
    return path


def sha256_of(path: Path) -> str:
    """The file's SHA-256, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
