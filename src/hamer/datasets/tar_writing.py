"""Shards of the original's format: tars whose members share a key, written whole or not at all, the same bytes every time.

A sample is `NNNNNN.jpg` (or `.png`), `NNNNNN.data.pyd`, a pickle of a list of dicts of arrays, one a hand, and, where there
are masks, `NNNNNN.detection.npz`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import pickletools
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

PARTIAL = ".partial"
"""What the name of a shard ends in until it is complete."""

_PROTOCOL = 2  # what the original's files use; no frames, so that names can be exchanged below
_NUMPY_2, _EVERY_NUMPY = "numpy._core.", "numpy.core."


@dataclass(frozen=True)
class ShardFacts:
    """What a finished shard is: its `name`, `size` in bytes and `sha256`."""

    name: str
    size: int
    sha256: str


class TarShard:
    """One tar; it has its name once `close` has returned, and is `<name>.partial` before.

    Members carry no owner and no time, so that the same samples give the same bytes. As a context manager it closes on
    success and leaves nothing behind on an error.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._partial = self.path.with_name(self.path.name + PARTIAL)
        self._file = _HashedFile(self._partial.open("wb"))
        target: Any = self._file  # a stream needs no more than `write`
        self._tar = tarfile.open(fileobj=target, mode="w|", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        self.samples = 0
        self.content_size = 0

    def add(self, key: str, members: Mapping[str, bytes]) -> None:
        """A sample: extension ("jpg", "data.pyd") -> content, in the order given."""
        for extension, content in members.items():
            member = tarfile.TarInfo(f"{key}.{extension}")
            member.size, member.mode = len(content), 0o644
            self._tar.addfile(member, io.BytesIO(content))
            self.content_size += len(content)
        self.samples += 1

    def close(self) -> ShardFacts:
        """Finish the file and give it its name."""
        self._tar.close()
        self._file.stream.flush()
        os.fsync(self._file.stream.fileno())
        self._file.stream.close()
        self._partial.replace(self.path)
        return ShardFacts(self.path.name, self._file.size, self._file.digest.hexdigest())

    def abandon(self) -> None:
        """Take away what is written so far."""
        with contextlib.suppress(OSError):  # of a full disk, which is why we are here
            self._tar.close()
        with contextlib.suppress(OSError):
            self._file.stream.close()
        self._partial.unlink(missing_ok=True)

    def __enter__(self) -> TarShard:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


class _HashedFile:
    """A file that knows the size and SHA-256 of what was written to it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.size, self.digest = stream, 0, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self.stream.write(data)


def annotation_bytes(hands: Sequence[Mapping[str, Any]]) -> bytes:
    """A `data.pyd`: the pickle of a list of dicts that programs with any version of NumPy read.

    NumPy 2 calls its own module `numpy._core`, which versions before 1.26 do not know; all know `numpy.core`. An empty
    list is a valid content: a picture without hands.
    """
    return _with_old_names(pickle.dumps([dict(hand) for hand in hands], protocol=_PROTOCOL))


def _with_old_names(data: bytes) -> bytes:
    new, old = _NUMPY_2.encode(), _EVERY_NUMPY.encode()
    if data.count(new) <= 1:  # a pickle names a function once; a second match would be somebody's text or numbers
        return data.replace(b"c" + new, b"c" + old)
    parts, done = [], 0
    for opcode, argument, position in pickletools.genops(data):
        if opcode.name == "GLOBAL" and isinstance(argument, str) and argument.startswith(_NUMPY_2):
            module, name = argument.split(" ")
            instruction = f"c{module}\n{name}\n".encode()
            parts += [data[done : position or 0], instruction.replace(new, old, 1)]
            done = (position or 0) + len(instruction)
    return b"".join([*parts, data[done:]])


def mask_bytes(masks: np.ndarray) -> bytes:
    """A `detection.npz`: `masks` (M, H, W) bool, True where the picture shows what is to be believed."""
    stacked = np.asarray(masks)
    if stacked.ndim != 3 or stacked.dtype != np.bool_:
        raise ValueError(f"masks must be (M, H, W) bool, got {stacked.dtype} of shape {stacked.shape}")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, masks=stacked)
    return buffer.getvalue()
