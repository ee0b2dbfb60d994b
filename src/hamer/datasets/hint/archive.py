"""The md5 of HInt as one archive, by which its makers tell whether a copy is whole.

The archive is a zip with fixed order, times and modes. It is not written: its bytes go through the md5 as they come.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

ORIGINAL_MD5 = "4c47fc4e3657274713db7aaf3a890037"
_ROOT = "HInt_annotation"
_TIME = (2024, 4, 24, 10, 10, 10)
_MODE = 0o100644
_CHUNK = 8192


class Md5File(io.RawIOBase):
    """A file to write to that keeps only the md5 of what was settled; one can go back as far as the last `settle`."""

    def __init__(self) -> None:
        super().__init__()
        self._digest = hashlib.md5(usedforsecurity=False)
        self._settled = 0
        self._open = io.BytesIO()

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return self._open.write(data)  # type: ignore[arg-type]

    def tell(self) -> int:
        return self._settled + self._open.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET:
            offset -= self._settled
            if offset < 0:
                raise OSError(f"cannot go back {-offset} bytes behind what is settled")
        return self._settled + self._open.seek(offset, whence)

    def settle(self) -> None:
        """What was written so far will not change."""
        content = self._open.getvalue()
        self._digest.update(content)
        self._settled += len(content)
        self._open = io.BytesIO()

    def hexdigest(self) -> str:
        """The md5 of all that was written."""
        self.settle()
        return self._digest.hexdigest()


def archive_md5(root: str | Path, progress: Callable[[int, int], None] | None = None) -> str:
    """The md5 that the makers' archive of the files in `root` would have.

    Deflated bytes depend on the version of zlib, so that another md5 is no proof of other files.

    Args:
        progress: told files done, of how many.
    """
    folders = [(folder, sorted(names)) for folder, _, names in sorted(os.walk(root))]
    total, done, target = sum(len(names) for _, names in folders), 0, Md5File()
    with zipfile.ZipFile(target, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        for folder, names in folders:
            for name in names:
                _add(archive, Path(folder) / name, Path(root))
                target.settle()
                done += 1
                if progress:
                    progress(done, total)
    return target.hexdigest()


def _add(archive: zipfile.ZipFile, path: Path, root: Path) -> None:
    entry = zipfile.ZipInfo(f"{_ROOT}/{path.relative_to(root).as_posix()}", _TIME)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, _MODE << 16
    entry.file_size, entry.create_system = path.stat().st_size, 3  # Unix, on whichever system
    with path.open("rb") as source, archive.open(entry, "w") as member:
        shutil.copyfileobj(source, member, _CHUNK)
