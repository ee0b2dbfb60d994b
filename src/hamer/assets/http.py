"""Download one address to one file: resumed, checked, and in place only when it is complete.

The bytes arrive in `<name>.part`, with `<name>.part.json` beside it that says which version of which address they belong to.
A download that breaks off, by whatever cause, goes on from there (RFC 9110, section 14: Range, If-Range).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import json
import logging
import os
import random
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamer.errors import AssetError

Progress = Callable[[str, int, "int | None"], None]
"""Called as progress(label, bytes so far, bytes in all or None); often, so it should be quick."""

_log = logging.getLogger(__name__)
_CHUNK = 1 << 20
_PASSING_STATUS = {408, 425, 429, 500, 502, 503, 504}
_FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}


@dataclass(frozen=True)
class Patience:
    """How long a download waits and how often it tries again.

    `attempts` counts tries in a row that bring no byte; seconds elsewhere. `stall` is the time without data, or with less
    than `slowest` bytes a second on average over it, after which a connection is given up.
    """

    connect: float = 10.0
    stall: float = 30.0
    slowest: float = 128.0
    attempts: int = 5
    backoff: float = 1.0
    longest_backoff: float = 30.0
    unreachable_attempts: int = 2


FAIL_OVER = Patience(connect=4.0, stall=15.0, attempts=3, unreachable_attempts=1)
"""For a source after which another one follows."""


class _Passing(Exception):
    """A fault that may be gone at the next try."""


class _Unreachable(_Passing):
    """No connection came about: no such host, refused, or no answer."""


class _Stale(Exception):
    """The part on disk does not belong to what the server has now; begin from zero."""


@dataclass
class _Part:
    """What is known of a begun download."""

    path: Path
    url: str
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
    def validator(self) -> str | None:
        """What If-Range takes: a strong entity tag, else the date (RFC 9110, 13.1.5)."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.modified

    @classmethod
    def read(cls, path: Path, url: str) -> _Part:
        """The begun download at `path`; it is dropped if it belongs to another address."""
        part = cls(path, url)
        if not part.path.exists():
            return part
        try:
            note = json.loads(part.note.read_text(encoding="utf-8"))
            if note["url"] == url:
                return cls(path, url, note.get("etag"), note.get("modified"), note.get("total"))
        except (OSError, ValueError, KeyError, TypeError):
            pass  # no note or a damaged one: the bytes may be anything
        part.discard()
        return part

    def write_note(self) -> None:
        text = json.dumps({"url": self.url, "etag": self.etag, "modified": self.modified, "total": self.total})
        temporary = self.note.with_name(self.note.name + ".tmp")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, self.note)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        self.etag = self.modified = self.total = None


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
        size, sha256: what the file must be, where known. Without a size, the length that the server announces is
            enforced.
        extra_space: bytes that must stay free on the disk beyond the file itself, e.g. for unpacking it.

    Raises:
        AssetError: not reachable, refused, not what was expected, or no space. A part that is good stays for the next
            call; one that fails its hash is removed.
    """
    patience = patience or Patience()
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = _Part.read(destination.with_name(destination.name + ".part"), url)
    resumed = part.size > 0
    while True:
        _transfer_patiently(part, size, progress, patience, extra_space)
        try:
            verify(part.path, size=size, sha256=sha256, what=url, progress=progress)
            break
        except AssetError:
            part.discard()
            if not resumed:
                raise
            # the fault may lie in bytes of an earlier run: one more try from zero
            _log.warning("%s: the resumed file does not match; loading it again from the beginning", url)
            resumed = False
    os.replace(part.path, destination)
    part.note.unlink(missing_ok=True)
    return destination


def verify(
    path: Path, *, size: int | None, sha256: str | None, what: str = "", progress: Progress | None = None
) -> None:
    """Raise an AssetError unless the file has this size and hash (None: not checked)."""
    what = what or str(path)
    actual = path.stat().st_size
    if size is not None and actual != size:
        raise AssetError(f"{what}: expected {size} bytes, got {actual}. Nothing was kept; try again.")
    if sha256 is None:
        return
    digest = file_sha256(path, progress)
    if digest != sha256:
        raise AssetError(
            f"{what}: expected SHA-256 {sha256}, got {digest}. Nothing was kept. The file at the source has changed or was "
            "altered on the way (a proxy, a login page)."
        )


def file_sha256(path: Path, progress: Progress | None = None) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    done, total = 0, path.stat().st_size
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            if progress and total > 64 * _CHUNK:
                progress(f"checking {path.name.removesuffix('.part')}", done, total)
    return digest.hexdigest()


def check_space(folder: Path, needed: int, what: str) -> None:
    """Raise an AssetError if the disk of `folder` has fewer than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise AssetError(
            f"{what}: needs {needed / 1e9:.2f} GB on the disk of {folder}, {free / 1e9:.2f} GB are free. Free some, or choose "
            "another disk with --to or HAMER_CACHE."
        )


def disk_full(error: OSError, folder: Path) -> AssetError | None:
    """The error to raise for a full disk or a used-up quota; None for any other error."""
    if error.errno not in _FULL:
        return None
    return AssetError(
        f"The disk of {folder} is full. Free some space, or choose another disk with --to or HAMER_CACHE; what has arrived so "
        "far is kept and the download goes on from there."
    )


def _transfer_patiently(
    part: _Part, size: int | None, progress: Progress | None, patience: Patience, extra_space: int
) -> None:
    """Try until the part is complete, or `attempts` tries in a row brought nothing."""
    fruitless = 0
    restarts = 0
    while True:
        before = part.size
        try:
            _transfer(part, size, progress, patience, extra_space)
            return
        except _Stale:
            part.discard()
            restarts += 1
            if restarts > patience.attempts:
                raise AssetError(
                    f"{part.url}: the server gives a different file at each try. Try again later."
                ) from None
            continue
        except _Passing as error:
            fruitless = 0 if part.size > before else fruitless + 1
            allowed = patience.unreachable_attempts if isinstance(error, _Unreachable) else patience.attempts
            if fruitless >= allowed:
                kept = f" {part.size} bytes are kept and the next try goes on from there." if part.size else ""
                raise AssetError(f"{part.url}: {error}.{kept}") from error
            wait = min(patience.longest_backoff, patience.backoff * 2 ** max(fruitless - 1, 0)) * random.uniform(
                0.7, 1.0
            )
            _log.info("%s: %s; trying again in %.1f s", part.url, error, wait)
            time.sleep(wait)


def _transfer(part: _Part, size: int | None, progress: Progress | None, patience: Patience, extra_space: int) -> None:
    """One connection: ask for what is missing and append it."""
    if size is not None and part.size == size:
        return
    if size is not None and part.size > size:
        raise _Stale
    have = part.size
    # without a validator a changed file could not be told from the same one, unless the hash does it at the end
    with contextlib.closing(_open(part, have, patience)) as response:
        start, total = _announced(response, have, part)
        if size is not None and total is not None and total != size:
            raise AssetError(
                f"{part.url}: expected {size} bytes, the server announces {total}. The file there has changed."
            )
        _note_version(part, response, total)
        part.total = total if total is not None else size
        if part.total is not None:
            check_space(part.path.parent, part.total - start + extra_space, part.url)
        _append(part, response, start, progress, patience)
    if part.total is not None and part.size < part.total:
        raise _Passing(f"the connection ended after {part.size} of {part.total} bytes")


def _note_version(part: _Part, response: Any, total: int | None) -> None:
    part.etag, part.modified, part.total = response.headers.get("ETag"), response.headers.get("Last-Modified"), total
    part.write_note()


def _open(part: _Part, have: int, patience: Patience) -> Any:
    headers = {"User-Agent": "hamer (https://github.com/geopavlakos/hamer)", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if part.validator:
            headers["If-Range"] = part.validator
    request = urllib.request.Request(part.url, headers=headers)
    try:
        return _opener(patience).open(request, timeout=patience.connect)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and have:
                if part.total is not None and have == part.total:
                    raise _Stale from None  # complete by its length, and yet it was asked for more: begin again
                raise _Stale from None
            message = f"the server answered {error.code} {error.reason}"
            if error.code in _PASSING_STATUS:
                raise _Passing(message) from None
            raise AssetError(f"{part.url}: {message}.") from None
    except urllib.error.URLError as error:
        raise _unreachable(error.reason) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Passing(f"no answer ({error or type(error).__name__})") from error


def _unreachable(reason: object) -> _Unreachable:
    if isinstance(reason, socket.gaierror):
        return _Unreachable(f"the host's name cannot be resolved ({reason.strerror}); is this machine online?")
    if isinstance(reason, ssl.SSLCertVerificationError):
        return _Unreachable(f"the server's certificate is not trusted ({reason.verify_message})")
    if isinstance(reason, TimeoutError):
        return _Unreachable("no connection in time")
    return _Unreachable(f"no connection ({reason})")


def _announced(response: Any, have: int, part: _Part) -> tuple[int, int | None]:
    """(first byte that the response brings, length of the whole file or None)."""
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise AssetError(
            f"{part.url}: expected a file, the server sent a web page (a login, a notice or a download limit)."
        )
    length = response.headers.get("Content-Length")
    if response.status != 206:
        # the server ignores ranges, or the file has changed (If-Range): all of it comes again
        return 0, int(length) if length and length.isdigit() else None
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    span, _, total_text = rest.partition("/")
    first = span.partition("-")[0]
    if unit != "bytes" or not first.isdigit() or int(first) != have:
        raise _Stale
    total = int(total_text) if total_text.isdigit() else None
    if total is not None and part.total is not None and total != part.total:
        raise _Stale
    return have, total


def _append(part: _Part, response: Any, start: int, progress: Progress | None, patience: Patience) -> None:
    label = part.path.name.removesuffix(".part")
    done = start
    window_start, window_bytes = time.monotonic(), 0
    _set_read_timeout(response, patience.stall)
    with part.path.open("ab" if start else "wb") as stream:
        while part.total is None or done < part.total:
            chunk = _read(response)
            if not chunk:
                break
            if part.total is not None and done + len(chunk) > part.total:
                raise _Stale  # more than announced: nothing of it can be trusted
            _write(stream, chunk, part.path.parent)
            done += len(chunk)
            window_bytes += len(chunk)
            if progress:
                progress(label, done, part.total)
            elapsed = time.monotonic() - window_start
            if elapsed > patience.stall:
                if window_bytes < patience.slowest * elapsed:
                    raise _Passing(f"only {window_bytes} bytes in {elapsed:.0f} s")
                window_start, window_bytes = time.monotonic(), 0
        stream.flush()
        os.fsync(stream.fileno())


def _read(response: Any) -> bytes:
    try:
        return response.read1(_CHUNK)
    except TimeoutError as error:
        raise _Passing("the server stopped sending") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Passing(f"the connection broke ({error or type(error).__name__})") from error


def _write(stream: Any, chunk: bytes, folder: Path) -> None:
    try:
        stream.write(chunk)
    except OSError as error:
        raise disk_full(error, folder) or error from error


def _set_read_timeout(response: Any, seconds: float) -> None:
    # The timeout given to open() covers connecting and the headers. The socket lies below the response's buffered reader;
    # where an implementation hides it, the connect timeout stays in force, which is only stricter.
    raw = getattr(getattr(response, "fp", None), "raw", None)
    sock = getattr(raw, "_sock", None)
    if sock is not None:
        sock.settimeout(seconds)


class _SameOrSafer(urllib.request.HTTPRedirectHandler):
    """Follows redirects, except from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise AssetError(f"{req.full_url}: refused to follow a redirect to an unencrypted address, {newurl}.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(patience: Patience) -> urllib.request.OpenerDirector:
    """An opener for http and https only (no file:, ftp: or data:), with the proxies of the environment."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _SameOrSafer(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
