"""Predictions of a running evaluation on disk, in parts, so that a run that stopped goes on where it was.

Each part is written in one step under a name of its own; what a part holds is never written again.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hamer.datasets.npz_arrays import read_npz
from hamer.export.files import write_atomic

logger = logging.getLogger(__name__)

_EVERY_SECONDS = 30.0


def fingerprint(settings: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that change with the settings."""
    return hashlib.sha256(json.dumps(dict(settings), sort_keys=True, default=str).encode()).hexdigest()[:16]


class PredictionStore:
    """Rows of arrays in a folder; each row has a number under `key`.

    Args:
        folder: made if it does not exist; named by the caller so that other settings have another folder.
        key: the array that numbers the rows.
        every: seconds after which what was added is written.

    Raises OSError where the folder cannot be made or read.
    """

    def __init__(self, folder: str | Path, *, key: str = "idx", every: float = _EVERY_SECONDS) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._key, self._every = key, every
        self._waiting: list[dict[str, np.ndarray]] = []
        self._written = time.monotonic()
        self._parts: list[dict[str, np.ndarray]] = []
        for file in sorted(self.folder.glob("part_*.npz")):
            try:
                self._parts.append(read_npz(file))
            except (ValueError, OSError, EOFError, KeyError) as error:
                logger.warning("%s cannot be read (%s) and is removed; its hands are predicted again", file, error)
                file.unlink(missing_ok=True)
        self._next = 1 + max((int(f.stem.split("_")[1]) for f in self.folder.glob("part_*.npz")), default=-1)

    def done(self) -> set[int]:
        """Numbers of the rows that are there."""
        return {int(n) for part in [*self._parts, *self._waiting] for n in part.get(self._key, ())}

    def add(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep rows; they are on disk after `every` seconds or a `flush`."""
        self._waiting.append({name: np.asarray(value) for name, value in arrays.items()})
        if time.monotonic() - self._written > self._every:
            self.flush()

    def flush(self) -> None:
        """Write what is not written yet."""
        if not self._waiting:
            return
        part = _joined(self._waiting)
        buffer = io.BytesIO()
        np.savez(buffer, **part)  # type: ignore[arg-type]
        write_atomic(self.folder / f"part_{self._next:06d}.npz", buffer.getvalue())
        self._parts.append(part)
        self._waiting = []
        self._next += 1
        self._written = time.monotonic()

    def clear(self) -> None:
        """Forget everything."""
        for file in self.folder.glob("part_*.npz"):
            file.unlink(missing_ok=True)
        self._parts, self._waiting, self._next = [], [], 0

    def rows(self) -> dict[str, np.ndarray]:
        """All rows by their numbers, each once."""
        whole = _joined([*self._parts, *self._waiting])
        if not whole:
            return {}
        _, order = np.unique(whole[self._key], return_index=True)
        return {name: values[order] for name, values in whole.items()}


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays that all parts have, one after the other."""
    if not parts:
        return {}
    names = set(parts[0]).intersection(*parts[1:])
    return {name: np.concatenate([part[name] for part in parts]) for name in sorted(names)}
