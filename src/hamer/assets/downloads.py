"""Download one address to one file: resumed, checked, and in place only when it is complete.

The bytes arrive in `<name>.part`, with `<name>.part.json` beside it that says which file they are the beginning of. A
download that breaks off, by whatever cause, goes on from there (RFC 9110: Range, 14.2; If-Range, 13.1.5).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import random
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamer.assets.connections import opener
from hamer.assets.files import CHUNK, Progress, check_space, disk_full, verify
from hamer.errors import AssetError

_log = logging.getLogger(__name__)
_PASSING_STATUS = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Patience:
    """How long a download waits, in seconds, and how often it tries again.

    `connect` is for the name, the connection and TLS; `stall` for silence afterwards, and for the span over which less
    than `slowest` bytes a second count as silence. `attempts` counts tries in a row that bring nothing new;
    `unreachable_attempts` those to which no connection came about.
    """

    connect: float = 10.0
    stall: float = 30.0
    slowest: float = 128.0
    attempts: int = 5
    unreachable_attempts: int = 2
    backoff: float = 1.0
    longest_backoff: float = 30.0


FAIL_OVER = Patience(connect=4.0, stall=15.0, attempts=3, unreachable_attempts=1)
"""For a source after which another one follows."""


class _PassingFault(Exception):
    """A fault that may be gone at the next try."""


class _UnreachableError(_PassingFault):
    """No connection came about: no such host, refused, or no answer."""


class _StalePart(Exception):
    """The part on disk does not belong to what the server has now; begin from zero."""


@dataclass
class _Part:
    """A begun download. `sha256`, where known, says what it is the beginning of, whatever the address."""

    path: Path
    url: str
    sha256: str | None = None
    etag: str | None = None
    modified: str | None = None
    total: int | None = None

    @property
    def note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def label(self) -> str:
        return self.path.name.removesuffix(".part").lstrip(".")

    @property
    def validator(self) -> str | None:
        """What If-Range takes: a strong entity tag, else the date."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.modified

    @classmethod
    def read(cls, path: Path, url: str, sha256: str | None) -> _Part:
        """The begun download at `path`; it is dropped unless it is known to be of the same file."""
        part = cls(path, url, sha256)
        if not path.exists():
            return part
        try:
            note = json.loads(part.note.read_text(encoding="utf-8"))
            if note["url"] == url:
                return cls(path, url, sha256, note.get("etag"), note.get("modified"), note.get("total"))
            if sha256 is not None and note["sha256"] == sha256:
                return part  # another address of the same bytes: its entity tag means nothing here, the hash decides
        except (OSError, ValueError, KeyError, TypeError):
            pass  # no note or a damaged one: the bytes may be anything
        part.discard()
        return part

    def write_note(self) -> None:
        names = ("url", "sha256", "etag", "modified", "total")
        temporary = self.note.with_name(self.note.name + ".tmp")
        temporary.write_text(json.dumps({name: getattr(self, name) for name in names}), encoding="utf-8")
        temporary.replace(self.note)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        self.etag = self.modified = self.total = None


@dataclass(frozen=True)
class _Wish:
    """What a download is asked for, beside its address."""

    size: int | None
    progress: Progress | None
    patience: Patience
    extra_space: int


def download(
    url: str,
    destination: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    progress: Progress | None = None,
    patience: Patience | None = None,
    extra_space: int = 0,
) -> Path:
    """Fetch `url` to `destination`, going on from an earlier part where the server allows it.

    Args:
        size, sha256: what the file must be, where known. Without a size, the length that the server announces counts.
        extra_space: bytes that must stay free on the disk beyond the file itself, e.g. for unpacking it.

    Raises:
        AssetError: not reachable, refused, not what was expected, or no space. A part that is good so far stays for
            the next call; one that fails its hash is removed.
    """
    wish = _Wish(size, progress, patience or Patience(), extra_space)
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = _Part.read(destination.with_name(destination.name + ".part"), url, sha256)
    resumed = part.size > 0
    while True:
        _transfer_patiently(part, wish)
        try:
            verify(part.path, size=size, sha256=sha256, what=url, progress=progress)
            break
        except AssetError:
            part.discard()
            if not resumed:
                raise
            # the fault may lie in bytes of an earlier run: one more try, from zero
            _log.warning("%s: the resumed file does not match; loading it again from the beginning", url)
            resumed = False
    part.path.replace(destination)
    part.note.unlink(missing_ok=True)
    return destination


def _transfer_patiently(part: _Part, wish: _Wish) -> None:
    """Try until the part is complete, or too many tries in a row brought nothing."""
    patience = wish.patience
    fruitless = restarts = 0
    while True:
        before = part.size
        try:
            return _transfer(part, wish)
        except _StalePart:
            part.discard()
            restarts += 1
            if restarts >= patience.attempts:
                raise AssetError(f"{part.url}: the server gives another file at each try. Try again later.") from None
        except _PassingFault as fault:
            fruitless = 0 if part.size > before else fruitless + 1
            unreachable = isinstance(fault, _UnreachableError)
            if fruitless >= (patience.unreachable_attempts if unreachable else patience.attempts):
                kept = f" {part.size} bytes are kept; the next try goes on from there." if part.size else ""
                raise AssetError(f"{part.url}: {fault}.{kept}") from fault
            # some randomness, so that many clients of a server that fell over do not come back all at once
            longest = min(patience.longest_backoff, patience.backoff * 2 ** max(fruitless - 1, 0))
            wait = longest * random.uniform(0.7, 1.0)
            _log.info("%s: %s; trying again in %.1f s", part.url, fault, wait)
            time.sleep(wait)


def _transfer(part: _Part, wish: _Wish) -> None:
    """One connection: ask for what is missing and append it."""
    have = part.size
    if have and have == (wish.size if wish.size is not None else part.total):
        return  # broken off between the last byte and the rename
    response = _open(part, have, wish.patience)
    if response is None:
        return
    with contextlib.closing(response):
        start, total = _announced(response, have, part)
        if wish.size is not None and total is not None and total != wish.size:
            raise AssetError(
                f"{part.url}: expected {wish.size} bytes, the server announces {total}. The file there has changed."
            )
        part.total = total if total is not None else wish.size
        part.etag, part.modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
        check_space(part.path.parent, (part.total or 0) - start + wish.extra_space, part.url)
        if not start:
            part.path.unlink(missing_ok=True)  # before the note changes: a note never describes bytes of another file
        part.write_note()
        _append(part, response, start, wish)
    if part.total is not None and part.size < part.total:
        raise _PassingFault(f"the connection ended after {part.size} of {part.total} bytes")


def _open(part: _Part, have: int, patience: Patience) -> Any:
    """The response, or None if the server says that the part is complete."""
    headers = {"User-Agent": "hamer-fetch", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if part.validator:
            headers["If-Range"] = part.validator
    request = urllib.request.Request(part.url, headers=headers)
    try:
        return opener(patience.stall).open(request, timeout=patience.connect)
    except urllib.error.HTTPError as error:
        with error:
            return _refused(part, have, error)
    except urllib.error.URLError as error:
        raise _unreachable(error.reason) from error
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, AssetError):
            raise
        raise _PassingFault(f"no answer ({error or type(error).__name__})") from error


def _refused(part: _Part, have: int, error: urllib.error.HTTPError) -> None:
    if error.code == 416 and have:  # the range begins where the file ends, or beyond
        if error.headers.get("Content-Range", "") == f"bytes */{have}":
            return
        raise _StalePart
    message = f"the server answered {error.code} {error.reason}"
    if error.code in _PASSING_STATUS:
        raise _PassingFault(message)
    raise AssetError(f"{part.url}: {message}.")


def _unreachable(reason: object) -> _UnreachableError:
    if isinstance(reason, socket.gaierror):
        return _UnreachableError(f"the host's name cannot be resolved ({reason.strerror}); this machine may be offline")
    if isinstance(reason, ssl.SSLCertVerificationError):
        return _UnreachableError(f"the server's certificate is not trusted ({reason.verify_message})")
    return _UnreachableError(f"no connection ({reason})")


def _announced(response: Any, have: int, part: _Part) -> tuple[int, int | None]:
    """(first byte that the response brings, length of the whole file or None)."""
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise AssetError(
            f"{part.url}: expected a file, the server sent a web page (a login, a notice or a download limit)."
        )
    # Apache labels a stored .tar.gz with "x-gzip": then the encoding is part of the file that is asked for
    stored_encoded = urllib.parse.urlsplit(response.url).path.endswith((".gz", ".tgz"))
    if response.headers.get("Content-Encoding", "identity") != "identity" and not stored_encoded:
        raise AssetError(f"{part.url}: expected the file as it is, the server sent it encoded.")
    if response.status != 206:
        # the server ignores ranges, or the file has changed (If-Range): all of it comes again
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdigit() else None
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    span, _, whole = rest.partition("/")
    first = span.partition("-")[0]
    total = int(whole) if whole.isdigit() else None
    if unit != "bytes" or not first.isdigit() or int(first) != have:
        raise _StalePart
    if None not in (total, part.total) and total != part.total:
        raise _StalePart
    return have, total


def _append(part: _Part, response: Any, start: int, wish: _Wish) -> None:
    done = start
    span_start, span_bytes = time.monotonic(), 0
    with part.path.open("ab" if start else "wb") as stream:
        while chunk := _read(response):
            done += len(chunk)
            if part.total is not None and done > part.total:
                raise _StalePart  # more than was announced: nothing of it can be trusted
            try:
                stream.write(chunk)
            except OSError as error:
                raise disk_full(error, part.path.parent) or error from error
            if wish.progress:
                wish.progress(part.label, done, part.total)
            span_bytes += len(chunk)
            elapsed = time.monotonic() - span_start
            if elapsed > wish.patience.stall:
                if span_bytes < wish.patience.slowest * elapsed:
                    raise _PassingFault(f"only {span_bytes} bytes came in {elapsed:.0f} s")
                span_start, span_bytes = time.monotonic(), 0
        _flush(stream, part.path.parent)


def _read(response: Any) -> bytes:
    try:
        return response.read1(CHUNK)
    except TimeoutError as error:
        raise _PassingFault("the server stopped sending") from error
    except (OSError, http.client.HTTPException) as error:
        raise _PassingFault(f"the connection broke ({error or type(error).__name__})") from error


def _flush(stream: Any, folder: Path) -> None:
    try:
        stream.flush()
        os.fsync(stream.fileno())
    except OSError as error:
        raise disk_full(error, folder) or error from error
