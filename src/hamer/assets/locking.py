"""A lock between processes on one file; the operating system frees it when its holder dies."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from hamer.errors import AssetError

_log = logging.getLogger(__name__)
_BUSY = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}

if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: IO[bytes]) -> None:
        handle.seek(0)
        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)

    def _unlock(handle: IO[bytes]) -> None:
        handle.seek(0)
        msvcrt.locking(handle.fileno(), msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _try_lock(handle: IO[bytes]) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(handle: IO[bytes]) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)


@contextlib.contextmanager
def locked(path: Path, *, timeout: float = 6 * 3600.0, poll: float = 0.2) -> Iterator[None]:
    """Hold the lock at `path` (created if needed, and left there: removing it would let two holders in).

    Raises:
        AssetError: another process held it for `timeout` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # append mode: opening must not truncate, and works on a file that another process has open
    with path.open("ab") as handle:
        _wait_for(handle, path, timeout, poll)
        try:
            yield
        finally:
            _unlock(handle)


def _wait_for(handle: IO[bytes], path: Path, timeout: float, poll: float) -> None:
    deadline = time.monotonic() + timeout
    said = False
    while True:
        try:
            _try_lock(handle)
            return
        except OSError as error:
            if error.errno not in _BUSY:
                # a file system without locks (some network shares): two at once are unlikely, and harmless where
                # files are put in place by an atomic rename
                _log.warning("%s cannot be locked (%s); going on without", path, os.strerror(error.errno or 0))
                return
        if time.monotonic() > deadline:
            raise AssetError(
                f"{path}: another process has held this lock for {timeout:.0f} s. End that process, then try again."
            )
        if not said:
            _log.info("another process works on the same files; waiting for its lock %s", path)
            said = True
        time.sleep(poll)
