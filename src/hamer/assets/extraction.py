"""Take files out of zip and tar archives that nobody has to trust.

Names, types and sizes are checked before anything is written, and the bytes are copied by this module: `tarfile`'s and
`zipfile`'s own extraction, with its links, owners and modes, is not used at all.
"""

from __future__ import annotations

import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from hamer.assets.files import Progress, disk_full
from hamer.errors import AssetError, UnsafeFileError

_CHUNK = 1 << 20
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, gzip.BadGzipFile, EOFError)
Choose = Callable[[str], "str | None"]
"""Maps a member's name to its path below the folder, or to None to leave it in the archive."""


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to at most: bytes in all, and number of members."""

    total_bytes: int = 200 * 10**9
    members: int = 1_000_000


@dataclass(frozen=True)
class _Entry:
    name: str
    size: int
    is_folder: bool
    open: Callable[[], Any]


def safe_relative(name: str, archive: str) -> PurePosixPath:
    """The member's name as a relative path, or an UnsafeFileError if it could lead out of a folder on any platform."""
    path = PurePosixPath(name)
    # drive letters, alternate streams and backslashes mean something on Windows
    if not name or "\0" in name or "\\" in name or ":" in name or path.is_absolute() or ".." in path.parts:
        raise UnsafeFileError(
            f"{archive}: expected member names below one folder, got {name!r}. The archive may be "
            "malicious; it was not unpacked."
        )
    return path


def unpack_tar(
    archive: Path,
    folder: Path,
    *,
    choose: Choose | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Take the regular files of a tar file (plain, gz, bz2, xz) to `folder`; hidden files are left out.

    Raises:
        UnsafeFileError: a member is a link, a device or sparse, leads out of the folder, or the limits are passed.
        AssetError: the archive is damaged or incomplete, or the disk is full.
    """
    try:
        with archive.open("rb") as raw, tarfile.open(fileobj=_Counting(raw, archive, progress), mode="r:*") as bundle:
            written = _unpack(_tar_entries(bundle, archive.name), archive, folder, choose, limits or Limits())
            _read_to_end(bundle)
            return written
    except _DAMAGED as error:
        raise _damaged(archive, error) from error


def unpack_zip(
    archive: Path,
    folder: Path,
    *,
    choose: Choose | None = None,
    limits: Limits | None = None,
) -> list[Path]:
    """Take the files of a zip file to `folder`, with the rules of `unpack_tar`."""
    try:
        with zipfile.ZipFile(archive) as bundle:
            return _unpack(_zip_entries(bundle, archive.name), archive, folder, choose, limits or Limits())
    except _DAMAGED as error:
        raise _damaged(archive, error) from error


def _read_to_end(bundle: tarfile.TarFile) -> None:
    # the checksum stands at the end of a compressed file, and is compared when the end is read, not before
    while bundle.fileobj is not None and bundle.fileobj.read(_CHUNK):
        pass


def _damaged(archive: Path, error: Exception) -> AssetError:
    return AssetError(f"{archive}: not a complete archive ({error}). It has to be fetched again.")


class _Counting:
    """A file that reports how far it has been read: progress in a compressed archive is that of its own bytes."""

    def __init__(self, raw: IO[bytes], archive: Path, progress: Progress | None) -> None:
        self._raw, self._progress = raw, progress
        self._label, self._total = f"unpacking {archive.name}", archive.stat().st_size

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(size)
        if self._progress:
            self._progress(self._label, self._raw.tell(), self._total)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def _tar_entries(bundle: tarfile.TarFile, archive: str) -> Iterator[_Entry]:
    for info in bundle:
        if not (info.isreg() or info.isdir()) or info.issparse():
            raise UnsafeFileError(
                f"{archive}: expected files and folders, got {info.name!r}, a link, device or sparse file. "
                "The archive may be malicious; it was not unpacked."
            )
        yield _Entry(info.name, info.size, info.isdir(), lambda info=info: bundle.extractfile(info))  # type: ignore[misc]


def _zip_entries(bundle: zipfile.ZipFile, archive: str) -> Iterator[_Entry]:
    for info in bundle.infolist():
        mode = info.external_attr >> 16  # upper half: the mode on Unix, 0 elsewhere
        kind = stat.S_IFMT(mode)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UnsafeFileError(f"{archive}: expected files and folders, got {info.filename!r}, a link or device.")
        if info.flag_bits & 0x1:
            raise AssetError(f"{archive}: {info.filename!r} is encrypted. Unpack it yourself and give the file inside.")
        yield _Entry(info.filename, info.file_size, info.is_dir(), lambda info=info: bundle.open(info))  # type: ignore[misc]


def _unpack(
    entries: Iterator[_Entry], archive: Path, folder: Path, choose: Choose | None, limits: Limits
) -> list[Path]:
    written: list[Path] = []
    total = 0
    for count, entry in enumerate(entries, 1):
        path = safe_relative(entry.name, archive.name)
        total += entry.size
        if entry.size < 0 or total > limits.total_bytes or count > limits.members:
            raise UnsafeFileError(
                f"{archive.name}: expected at most {limits.total_bytes} bytes in {limits.members} members, "
                f"{entry.name!r} goes beyond ({total} bytes, member {count}). It was not unpacked."
            )
        target = choose(path.as_posix()) if choose else path.as_posix()
        hidden = any(part.startswith(".") for part in path.parts)
        if entry.is_folder or target is None or (hidden and choose is None):
            continue
        destination = folder / safe_relative(target, archive.name)
        destination.parent.mkdir(parents=True, exist_ok=True)
        _copy(entry, destination, archive)
        written.append(destination)
    return written


def _copy(entry: _Entry, destination: Path, archive: Path) -> None:
    copied = 0
    try:
        # "xb" never follows a link that lies there, and two members of one name are an error
        with entry.open() as source, destination.open("xb") as stream:
            while chunk := source.read(_CHUNK):
                copied += len(chunk)
                stream.write(chunk)
            stream.flush()
            os.fsync(stream.fileno())
    except FileExistsError:
        raise UnsafeFileError(
            f"{archive.name}: {entry.name!r} occurs twice, or exists in {destination.parent}."
        ) from None
    except OSError as error:
        raise disk_full(error, destination.parent) or error from error
    if copied != entry.size:
        raise AssetError(
            f"{archive}: {entry.name} has {copied} of {entry.size} bytes. The archive has to be fetched again."
        )
