"""Put verified files in place: unpacked or copied beside their destination first, then renamed."""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from pathlib import Path, PurePosixPath

from hamer.assets.extraction import unpack_tar, unpack_zip
from hamer.assets.files import Progress, check_space, disk_full, verify
from hamer.assets.manifest import ByHand, Member, WebArchive, WebFile, Wheel
from hamer.errors import AssetError

_log = logging.getLogger(__name__)


def install_archive(
    name: str,
    source: WebArchive | Wheel | ByHand,
    archive: Path,
    folder: Path,
    progress: Progress | None = None,
) -> list[Path]:
    """Unpack what `source` lists from `archive` to `folder`; all of it is verified before anything is put in place.

    The caller holds the lock of `folder`.

    Returns:
        The paths of the files in `folder`.

    Raises:
        AssetError: damaged archive, a member that is missing or not what it should be, full disk.
        UnsafeFileError: an archive that nobody should unpack.
    """
    staging = folder / f".{name}.unpacking"
    shutil.rmtree(staging, ignore_errors=True)  # left by a process that was killed
    choice = _Choice(source)
    try:
        staging.mkdir(parents=True)
        if zipfile.is_zipfile(archive):
            written = unpack_zip(archive, staging, choose=choice)
        else:
            check_space(folder, getattr(source, "unpacked", None) or 0, str(archive))
            written = unpack_tar(archive, staging, choose=choice, progress=progress)
        for member in source.members:
            _check(staging / member.target, member, source, archive)
        return [_move(path, folder / path.relative_to(staging)) for path in written]
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def install_file(source: WebFile | ByHand, file: Path, folder: Path) -> None:
    """Copy a single file that the caller has to its place, verified."""
    member = source.members[0]
    _check(file, member, source, file)
    target = folder / member.target
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + ".copying")
    try:
        shutil.copyfile(file, temporary)
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_full(error, target.parent) or error from error


class _Choice:
    """Which members of an archive are taken, and to which path."""

    def __init__(self, source: WebArchive | Wheel | ByHand) -> None:
        self._targets = {member.name: member.target for member in source.members}
        self._by_file_name = isinstance(source, ByHand)
        self._others = isinstance(source, WebArchive) and source.others

    def __call__(self, name: str) -> str | None:
        path = PurePosixPath(name)
        target = self._targets.get(path.name if self._by_file_name else name)
        if target is None and self._others and not any(part.startswith(".") for part in path.parts):
            return name
        return target


def _check(path: Path, member: Member, source: WebArchive | Wheel | ByHand | WebFile, archive: Path) -> None:
    what = f"{archive}: {member.name}" if member.name and path != archive else str(archive)
    if not path.is_file():
        raise AssetError(f"{what}: not in it. Is it the right file?")
    if not isinstance(source, ByHand):
        verify(path, size=member.size, sha256=member.sha256, what=what)
        return
    if not _looks_like_pickle(path):
        raise AssetError(f"{what}: expected a pickle as MANO's site gives it, got a file of another kind.")
    try:
        verify(path, size=member.size, sha256=member.sha256, what=what)
    except AssetError as error:
        _log.warning("not the version that is known; taken nevertheless, reading it runs nothing in it (%s)", error)


def _looks_like_pickle(path: Path) -> bool:
    """Whether it begins as a pickle does (protocol 2 and later: 0x80; protocol 0: a mark) and ends with a stop."""
    if not path.stat().st_size:
        return False
    with path.open("rb") as stream:
        start = stream.read(1)
        stream.seek(-1, os.SEEK_END)
        return start in (b"\x80", b"(") and stream.read(1) == b"."


def _move(path: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return path.replace(target)
