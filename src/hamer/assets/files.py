"""Checks on files and disks: size, hash, free space, and what a full disk is called."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from hamer.errors import AssetError

Progress = Callable[[str, int, "int | None"], None]
"""Called as progress(label, bytes so far, bytes in all or None); often, so it should be quick."""

CHUNK = 1 << 20
_REPORTED = 64 * CHUNK  # hashing less than this takes a moment only, and is not reported as progress
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


def is_disk_full(error: OSError) -> bool:
    """Whether there was no space left, or none that the user may take."""
    return error.errno in _FULL


class DiskFullError(AssetError):
    """No space left; what has arrived so far is good and stays."""


def file_sha256(path: Path, progress: Progress | None = None) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    done, total = 0, path.stat().st_size
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            if progress and total > _REPORTED:
                progress(f"checking {path.name.removesuffix('.part')}", done, total)
    return digest.hexdigest()


def verify(
    path: Path, *, size: int | None, sha256: str | None, what: str = "", progress: Progress | None = None
) -> None:
    """Raise an AssetError unless the file has this size and hash (None: not checked)."""
    what = what or str(path)
    actual = path.stat().st_size
    if size is not None and actual != size:
        raise AssetError(f"{what}: expected {size} bytes, got {actual}. It was not used.")
    if sha256 is None:
        return
    digest = file_sha256(path, progress)
    if digest != sha256:
        raise AssetError(
            f"{what}: expected SHA-256 {sha256}, got {digest}. It was not used. The file at its source has "
            "changed, or was altered on the way."
        )


def check_space(folder: Path, needed: int, what: str) -> None:
    """Raise a DiskFullError if the disk of `folder` has fewer than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFullError(
            f"{what}: needs {needed / 1e9:.2f} GB on the disk of {folder}, {free / 1e9:.2f} GB are free. Free some, or "
            "choose another disk with --to or HAMER_CACHE."
        )


def disk_full(error: OSError, folder: Path) -> DiskFullError | None:
    """The error to raise for a full disk or a used-up quota; None for any other error."""
    if not is_disk_full(error):
        return None
    return DiskFullError(
        f"The disk of {folder} is full. Free some space, or choose another disk with --to or HAMER_CACHE; a "
        "download goes on from where it stopped."
    )
