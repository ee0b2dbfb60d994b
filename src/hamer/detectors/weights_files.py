"""Where a detector's weights lie; nothing is read, so that a missing file is told before anything is done."""

from __future__ import annotations

from pathlib import Path

from hamer.assets import require_original


def weights_file(given: str | Path | None, name: str) -> Path:
    """The file `given`, or for None the original's file of detector `name` ("vitdet", "regnety", "vitpose").

    Raises:
        FileNotFoundError: there is no such file. AssetError: the original's file is nowhere. Both say how to get it.
    """
    if given is None:
        return require_original(name)
    if not Path(given).is_file():
        raise FileNotFoundError(f"no weights of {name} at {given}. The right file comes with: hamer fetch {name}")
    return Path(given)
