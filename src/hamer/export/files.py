"""Write a file in one step: readers see the old one or the whole new one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_atomic(path: str | Path, data: bytes) -> Path:
    """Write `data` beside `path` and move it there. Raises OSError; nothing is left behind then."""
    path = Path(path)
    if not path.parent.is_dir():  # said here: the error would name a temporary file
        raise FileNotFoundError(f"cannot write {path.name}: there is no folder {path.parent}; make it first")
    handle, partial = tempfile.mkstemp(
        dir=path.parent, prefix=".hamer-", suffix=path.suffix
    )  # short: names may be long
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        # mkstemp lets only the owner read; results are ordinary files.
        Path(partial).chmod(0o644)
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    return path
