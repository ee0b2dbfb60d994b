"""The journal of a pack: a line for every finished shard, by which an interrupted run continues."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hamer.assets.locking import locked
from hamer.datasets.tar_writing import PARTIAL
from hamer.errors import AssetError

FILE_NAME = "manifest.jsonl"
LOCK_NAME = f".{FILE_NAME}.lock"
_SCHEMA = "hamer/pack/1"


@dataclass
class Shard:
    """A line of the journal: a tar, and the pictures `first` (included) to `next` (excluded) that went into it or were left out.

    `name` is empty for pictures at the end that were all left out. `skipped` holds (picture, reason) of pictures and hands
    left out; `left`, `with_pose`, `with_betas`, `with_3d` count hands.
    """

    name: str
    size: int
    sha256: str
    first: int
    next: int
    pictures: int
    hands: int
    left: int = 0
    with_pose: int = 0
    with_betas: int = 0
    with_3d: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.skipped = [(str(picture), str(reason)) for picture, reason in self.skipped]  # json has lists


@contextmanager
def open_journal(folder: Path, options: Mapping[str, Any], *, overwrite: bool = False) -> Iterator[Journal]:
    """The journal of a folder that no other process writes to in the meantime; arguments are those of `Journal`.

    Raises:
        ValueError: see `Journal`, or another process is writing there.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / LOCK_NAME, timeout=0.0, poll=0.0))
        except AssetError as error:
            raise ValueError(
                f"another process is writing to {folder}: wait until it is done, or name another folder"
            ) from error
        yield Journal(folder, options, overwrite=overwrite)


class Journal:
    """The finished shards of one folder; `open_journal` makes it.

    Args:
        folder: of the shards; made if it does not exist.
        options: everything that the content depends on.

    Raises:
        ValueError: the folder holds tars or a journal of other options.
    """

    def __init__(self, folder: Path, options: Mapping[str, Any], *, overwrite: bool = False) -> None:
        self.folder, self.path = folder, folder / FILE_NAME
        self._header = {"schema": _SCHEMA, "fingerprint": _fingerprint(options), **options}
        folder.mkdir(parents=True, exist_ok=True)
        if overwrite:
            self._clear()
        self.shards = self._read()
        for partial in folder.glob(f"*.tar{PARTIAL}"):  # of a run that was killed
            partial.unlink()

    @property
    def tars(self) -> list[Shard]:
        """The shards that are files."""
        return [shard for shard in self.shards if shard.name]

    @property
    def next(self) -> int:
        """The picture to go on with."""
        return self.shards[-1].next if self.shards else 0

    def add(self, shard: Shard) -> None:
        """Note that `shard` is on disk."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(shard)) + "\n")
        self.shards.append(shard)

    def _clear(self) -> None:
        self.path.unlink(missing_ok=True)  # first: without it nothing else is believed
        for tar in self.folder.glob("[0-9]*.tar"):
            tar.unlink()

    def _read(self) -> list[Shard]:
        if not self.path.exists():
            strangers = sorted(tar.name for tar in self.folder.glob("*.tar"))
            if strangers:
                raise ValueError(
                    f"the out folder must be empty or one that an interrupted pack left, but {self.folder} holds "
                    f"{strangers[0]} and no {FILE_NAME}: name another folder, or overwrite"
                )
            self.path.write_text(json.dumps(self._header) + "\n", encoding="utf-8")
            return []
        lines = self.path.read_text(encoding="utf-8").split("\n")
        noted = lines[1:-1]  # what follows the last line break was cut off by a kill
        if noted or any(self.folder.glob("*.tar")):  # else a run failed before its first tar: nothing binds the next
            self._check_header(lines[0])
        shards = self._believable(noted)
        self._rewrite(shards)
        return shards

    def _check_header(self, line: str) -> None:
        try:
            header = json.loads(line)
        except ValueError:
            header = {}
        if header.get("fingerprint") != self._header["fingerprint"]:
            changed = [k for k, v in self._header.items() if k != "fingerprint" and header.get(k) != v]
            raise ValueError(
                f"{self.folder} holds a pack of other pictures or options (differs in: {', '.join(changed) or 'all'}): "
                "name another folder, or overwrite"
            )

    def _believable(self, lines: Iterable[str]) -> list[Shard]:
        """The shards up to the first that is not on disk as noted."""
        shards: list[Shard] = []
        for line in lines:
            try:
                shard = Shard(**json.loads(line))
                is_whole = not shard.name or (self.folder / shard.name).stat().st_size == shard.size
            except (ValueError, TypeError, OSError):
                break
            if not is_whole:
                break
            shards.append(shard)
        return shards

    def _rewrite(self, shards: list[Shard]) -> None:
        lines = [json.dumps(self._header), *(json.dumps(asdict(shard)) for shard in shards)]
        fresh = self.path.with_name(self.path.name + PARTIAL)
        fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
        fresh.replace(self.path)


def _fingerprint(options: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(options, sort_keys=True, default=str).encode()).hexdigest()[:16]
