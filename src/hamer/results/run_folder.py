"""The folder of a run: unique names for its pictures, and a journal by which an interrupted run continues.

`run.jsonl` gets a line for every picture that ended, well or badly. A rerun with the same options leaves out the pictures whose
line says "done", whose file has not changed since, and whose json is still there; failed ones are tried again.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hamer.structures import Reconstruction


class RunFolder:
    """Names and journal of one output folder.

    Args:
        folder: made if it does not exist.
        pictures: the pictures of this run.
        options: everything that changes results; a rerun with other options does all pictures again.
    """

    def __init__(self, folder: str | Path, pictures: Iterable[Path], options: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.pictures = [Path(p) for p in pictures]
        self.names = unique_names(self.pictures)
        self.fingerprint = hashlib.sha256(json.dumps(dict(options), sort_keys=True, default=str).encode()).hexdigest()[
            :16
        ]
        self._journal = self.folder / "run.jsonl"
        self._ended = self._read_journal()

    def remaining(self, *, overwrite: bool = False) -> list[Path]:
        """The pictures that this run has still to do."""
        return [p for p in self.pictures if overwrite or not self.is_done(p)]

    def is_done(self, picture: Path) -> bool:
        """Whether an earlier run with the same options finished this very file."""
        entry = self._ended.get(self.names[picture])
        return (
            entry is not None
            and entry.get("status") == "done"
            and entry.get("options") == self.fingerprint
            and entry.get("file") == _identity(picture)
            and (self.folder / f"{self.names[picture]}.json").is_file()
        )

    def hands_of(self, picture: Path) -> int:
        """How many hands the journal says that a finished picture has."""
        return int(self._ended.get(self.names[picture], {}).get("hands", 0))

    def record_done(self, picture: Path, result: Reconstruction) -> None:
        """Note that everything about `picture` is written; take away what an earlier run wrote for hands that are no more."""
        for stale in range(len(result.hands), self.hands_of(picture)):
            for suffix in (".png", ".obj"):
                (self.folder / f"{self.names[picture]}_{stale}{suffix}").unlink(missing_ok=True)
        self._record(picture, {"status": "done", "hands": len(result.hands)})

    def record_failed(self, picture: Path, error: Exception) -> None:
        """Note why `picture` gave nothing."""
        self._record(picture, {"status": "failed", "error": f"{type(error).__name__}: {error}"})

    def _record(self, picture: Path, what: dict[str, Any]) -> None:
        entry: dict[str, Any] = {
            "name": self.names[picture],
            "image": str(picture),
            "file": _identity(picture),
            "options": self.fingerprint,
        }
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**entry, **what}, ensure_ascii=False) + "\n")
        self._ended[entry["name"]] = {**entry, **what}

    def _read_journal(self) -> dict[str, dict[str, Any]]:
        """The last entry of every name; a line cut off by a kill is passed over."""
        if not self._journal.is_file():
            return {}
        entries = {}
        text = self._journal.read_text(encoding="utf-8", errors="replace")
        if text and not text.endswith("\n"):
            with self._journal.open("a", encoding="utf-8") as file:
                file.write("\n")
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                entries[entry["name"]] = entry
            except (json.JSONDecodeError, KeyError, TypeError):
                continue
        return entries


def unique_names(pictures: Iterable[Path]) -> dict[Path, str]:
    """A stem for every picture: its own, its whole file name where two share a stem, and a number where even that is shared.

    Stems are compared without regard to case, since two of the systems that we run on do so.
    """
    pictures = list(dict.fromkeys(pictures))
    stems = Counter(p.stem.casefold() for p in pictures)
    names: dict[Path, str] = {}
    taken: Counter[str] = Counter()
    for picture in pictures:
        name = picture.stem if stems[picture.stem.casefold()] == 1 else picture.name
        taken[name.casefold()] += 1
        count = taken[name.casefold()]
        names[picture] = name if count == 1 else f"{name}.{count}"
    return names


def _identity(picture: Path) -> list[int] | None:
    """Size and time of a file: a changed picture is done again. None where it cannot be read."""
    try:
        status = picture.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]
