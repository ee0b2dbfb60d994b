"""Long json lists of number tables, read row by row: a list of Python floats of all of them would take ten times the memory."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import numpy as np

from hamer.datasets.conversion.common import ReleaseError

_SEPARATOR = re.compile(r"[\s,]*")


def read_rows(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """(N, *shape) float32 of a json list of N tables of that shape.

    Raises:
        ReleaseError: no such file, no list, or an entry of another shape.
    """
    if not path.is_file():
        raise ReleaseError(f"{path} is missing")
    text = path.read_text(encoding="utf-8")
    decoder, position, rows = json.JSONDecoder(), text.find("[") + 1, []
    if not position or text[: position - 1].strip():
        raise ReleaseError(f"{path} must be a json list, got {text[:20]!r}")
    while True:
        position = _end(_SEPARATOR.match(text, position))
        if text[position : position + 1] == "]":
            break
        try:
            value, position = decoder.raw_decode(text, position)
            rows.append(np.asarray(value, np.float32).reshape(shape))
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise ReleaseError(f"entry {len(rows)} of {path} must be numbers of shape {shape}: {error}") from error
    return np.stack(rows) if rows else np.zeros((0, *shape), np.float32)


class LazyRows:
    """The rows of such a file, read when the first is asked for: a set that is converted already needs none.

    Args:
        count: how many there must be.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], count: int) -> None:
        self._path, self._shape, self._count = path, shape, count
        self._rows: np.ndarray | None = None
        self._error: ReleaseError | None = None
        self._lock = threading.Lock()

    def all(self) -> np.ndarray:
        """(count, *shape). Raises ReleaseError where the file does not hold that."""
        with self._lock:
            if self._error is not None:  # said once for every thread, read once
                raise self._error
            if self._rows is None:
                try:
                    self._rows = self._read()
                except ReleaseError as error:
                    self._error = error
                    raise
            return self._rows

    def _read(self) -> np.ndarray:
        rows = read_rows(self._path, self._shape)
        if len(rows) != self._count:
            raise ReleaseError(f"{self._path} must have an entry a sample ({self._count}), got {len(rows)}")
        return rows


def _end(match: re.Match[str] | None) -> int:
    assert match is not None  # the pattern matches nothing too
    return match.end()
