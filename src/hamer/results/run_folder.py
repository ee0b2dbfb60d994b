"""The folder of a run: unique names for its pictures, and a journal by which an interrupted run continues.

`run.jsonl` gets a line for every picture that ended, well or badly. A rerun with the same options leaves out the pictures whose
line says "done", whose file has not changed since, and whose json is still there; failed ones are tried again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hamer.structures import Reconstruction

MAX_NAME_BYTES = 200  # of a stem, so that "_all.jpg" and a number fit into the 255 bytes that file systems allow


class RunFolder:
    """Names and journal of one output folder.

    Args:
        folder: made if it does not exist.
        pictures: the pictures of this run.
        options: everything that changes results; a rerun with other options does all pictures again.

    `names` gives the stem of each picture's results. A stem that an earlier run gave to another picture, which is still
    there, stays that picture's.

    Raises OSError where the folder cannot be made or its journal cannot be read.
    """

    def __init__(self, folder: str | Path, pictures: Iterable[Path], options: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.pictures = [Path(p) for p in pictures]
        chosen = json.dumps(dict(options), sort_keys=True, default=str)
        self.fingerprint = hashlib.sha256(chosen.encode()).hexdigest()[:16]
        self._journal = self.folder / "run.jsonl"
        self._ended = self._read_journal()
        self.names = unique_names(self.pictures, self._belongs_to_another)

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
            and entry.get("file") == identity(picture)
            and (self.folder / f"{self.names[picture]}.json").is_file()
        )

    def record_done(self, picture: Path, result: Reconstruction) -> None:
        """Note that everything about `picture` is written; take away what an earlier run wrote for hands that are no more."""
        name = self.names[picture]
        before = int(self._ended.get(name, {}).get("hands", 0))
        stale = [f"_{i}{suffix}" for i in range(len(result.hands), before) for suffix in (".png", ".obj")]
        if before and not result.hands:
            stale += [".glb", ".html"]
        for ending in stale:
            (self.folder / f"{name}{ending}").unlink(missing_ok=True)
        self._record(picture, {"status": "done", "hands": len(result.hands)})

    def record_failed(self, picture: Path, error: Exception) -> None:
        """Note why `picture` gave nothing."""
        self._record(picture, {"status": "failed", "error": f"{type(error).__name__}: {error}"})

    def _record(self, picture: Path, what: dict[str, Any]) -> None:
        entry: dict[str, Any] = {
            "name": self.names[picture],
            "image": str(picture),
            "path": str(picture.absolute()),
            "file": identity(picture),
            "options": self.fingerprint,
        }
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**entry, **what}) + "\n")  # ASCII: a name may hold bytes that are no UTF-8
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
        for line in text.split("\n"):
            try:
                entry = json.loads(line)
                # A number is written by nobody but us: what is no number makes the line one to pass over.
                entries[entry["name"]] = {**entry, "hands": int(entry.get("hands", 0))}
            except (ValueError, KeyError, TypeError):
                continue
        return entries

    def _belongs_to_another(self, name: str, picture: Path) -> bool:
        """Whether the journal gives `name` to a picture other than `picture` that still exists."""
        owner = self._ended.get(name, {}).get("path")
        if not isinstance(owner, str) or not Path(owner).exists():
            return False
        return os.path.realpath(owner) != os.path.realpath(picture)


def unique_names(
    pictures: Iterable[Path], is_taken: Callable[[str, Path], bool] = lambda name, picture: False
) -> dict[Path, str]:
    """A stem for every picture: its own, its whole file name where two share a stem, and a number where even that is shared.

    Stems are compared without regard to case, since two of the systems that we run on do so. Very long ones are cut, and end
    in a hash then. `is_taken(name, picture)` says of a name whether it is someone else's.
    """
    pictures = list(dict.fromkeys(pictures))
    stems = Counter(p.stem.casefold() for p in pictures)
    names: dict[Path, str] = {}
    given: set[str] = set()
    for picture in pictures:
        whole = _shortened(picture.stem if stems[picture.stem.casefold()] == 1 else picture.name)
        name, number = whole, 1
        while name.casefold() in given or is_taken(name, picture):
            number += 1
            name = f"{whole}.{number}"
        given.add(name.casefold())
        names[picture] = name
    return names


def _shortened(name: str) -> str:
    data = os.fsencode(name)
    if len(data) <= MAX_NAME_BYTES:
        return name
    return f"{data[: MAX_NAME_BYTES - 9].decode('utf-8', 'ignore')}-{hashlib.sha256(data).hexdigest()[:8]}"


def identity(picture: Path) -> list[int] | None:
    """Size and time of a file: a changed picture is done again. None where it cannot be read."""
    try:
        status = picture.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]
