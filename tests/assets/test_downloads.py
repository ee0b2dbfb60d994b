"""Downloading one file from servers that are slow, forgetful, broken or wrong."""

from __future__ import annotations

import errno
import hashlib
import shutil
import socket
import threading
import urllib.request
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from hamer.assets import connections, downloads
from hamer.assets.downloads import Patience, download
from hamer.errors import AssetError

HASTY = Patience(connect=5.0, stall=0.5, slowest=128.0, attempts=3, backoff=0.01, longest_backoff=0.02)


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_plain(shelf: Any, body: bytes, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    target = tmp_path / "in" / "file.bin"
    got = download(
        shelf.put("/f", body),
        target,
        size=len(body),
        sha256=_sha(body),
        progress=lambda *a: seen.append(a),
        patience=HASTY,
    )
    assert got == target
    assert target.read_bytes() == body
    assert _left(target.parent) == ["file.bin"]
    assert seen[-1] == ("file.bin", len(body), len(body))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_resumes_when_the_connection_breaks(shelf: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    url = shelf.put("/f", body, behaviour(cut=1000), behaviour(cut=70_000))
    download(url, tmp_path / "f", sha256=_sha(body), patience=HASTY)
    assert (tmp_path / "f").read_bytes() == body
    assert [request.range for request in shelf.requests] == [None, "bytes=1000-", "bytes=71000-"]
    assert shelf.requests[1].if_range  # so that a file that changed meanwhile comes whole


def test_resumes_in_a_later_call(shelf: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    once = Patience(stall=0.5, attempts=1, backoff=0.0)
    url = shelf.put("/f", body, behaviour(cut=5000), behaviour(cut=0), behaviour(cut=0))
    with pytest.raises(AssetError, match=r"ended after 5000 of 320000 bytes.*5000 bytes are kept"):
        download(url, tmp_path / "f", patience=once)
    assert not (tmp_path / "f").exists()
    with pytest.raises(AssetError, match="are kept"):
        download(url, tmp_path / "f", patience=once)
    download(url, tmp_path / "f", patience=once)
    assert (tmp_path / "f").read_bytes() == body
    assert shelf.requests[-1].range == "bytes=5000-"


def test_server_that_ignores_ranges(shelf: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    url = shelf.put("/f", body, behaviour(cut=1000), behaviour(ranges=False))
    download(url, tmp_path / "f", patience=HASTY)
    assert (tmp_path / "f").read_bytes() == body


def test_file_that_changed_comes_whole(shelf: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    url = shelf.put("/f", body, behaviour(cut=1000))
    with pytest.raises(AssetError):
        download(url, tmp_path / "f", patience=Patience(attempts=0))
    shelf.put("/f", body[::-1])
    download(url, tmp_path / "f", patience=HASTY)
    assert (tmp_path / "f").read_bytes() == body[::-1]


def test_note_never_describes_bytes_of_another_file(
    shelf: Any, behaviour: Any, body: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = shelf.put("/f", body, behaviour(cut=1000))
    with pytest.raises(AssetError):
        download(url, tmp_path / "f", patience=Patience(attempts=0))
    shelf.put("/f", body[::-1])

    def die(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # killed between the new note and the first new byte
        patch.setattr(downloads, "_append", die)
        with pytest.raises(KeyboardInterrupt):
            download(url, tmp_path / "f", patience=HASTY)
    download(url, tmp_path / "f", patience=HASTY)
    assert (tmp_path / "f").read_bytes() == body[::-1]


def test_wrong_range_in_the_answer_begins_again(shelf: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    url = shelf.put("/f", body, behaviour(cut=1000), behaviour(shift=7))
    download(url, tmp_path / "f", patience=HASTY)
    assert (tmp_path / "f").read_bytes() == body


def test_part_without_a_note_is_not_trusted(shelf: Any, body: bytes, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"something else")
    download(shelf.put("/f", body), tmp_path / "f", patience=HASTY)
    assert (tmp_path / "f").read_bytes() == body
    assert shelf.requests[0].range is None


def test_damaged_part_is_loaded_again(shelf: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    url = shelf.put("/f", body, behaviour(cut=1000))
    with pytest.raises(AssetError):
        download(url, tmp_path / "f", sha256=_sha(body), patience=Patience(attempts=0))
    (tmp_path / "f.part").write_bytes(bytes(1000))
    download(url, tmp_path / "f", sha256=_sha(body), patience=HASTY)
    assert (tmp_path / "f").read_bytes() == body
    assert [request.range for request in shelf.requests] == [None, "bytes=1000-", None]


def test_complete_part_needs_no_network(shelf: Any, body: bytes, tmp_path: Path) -> None:
    url = shelf.put("/f", body)
    download(url, tmp_path / "f", patience=HASTY)
    # as if the process had died between the last byte and the rename
    note = f'{{"url": "{url}", "sha256": null, "total": {len(body)}}}'
    (tmp_path / "f").rename(tmp_path / "f.part")
    (tmp_path / "f.part.json").write_text(note)
    shelf.requests.clear()
    download(url, tmp_path / "f", patience=HASTY)
    assert (tmp_path / "f").read_bytes() == body
    assert shelf.requests == []


def test_complete_part_of_unknown_length(shelf: Any, body: bytes, tmp_path: Path) -> None:
    url = shelf.put("/f", body)
    (tmp_path / "f.part").write_bytes(body)
    (tmp_path / "f.part.json").write_text(f'{{"url": "{url}"}}')
    download(url, tmp_path / "f", patience=HASTY)  # the server answers 416, bytes */320000
    assert (tmp_path / "f").read_bytes() == body
    assert len(shelf.requests) == 1


def test_same_bytes_from_another_address(shelf: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    first = shelf.put("/a", body, behaviour(cut=4000))
    second = shelf.put("/b", body)
    with pytest.raises(AssetError):
        download(first, tmp_path / "f", sha256=_sha(body), patience=Patience(attempts=0))
    download(second, tmp_path / "f", sha256=_sha(body), patience=HASTY)
    assert (tmp_path / "f").read_bytes() == body
    assert shelf.requests[-1].range == "bytes=4000-"
    assert shelf.requests[-1].if_range is None  # the entity tag of /a says nothing about /b


def test_another_address_without_a_hash_begins_again(shelf: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    with pytest.raises(AssetError):
        download(shelf.put("/a", body, behaviour(cut=4000)), tmp_path / "f", patience=Patience(attempts=0))
    download(shelf.put("/b", body), tmp_path / "f", patience=HASTY)
    assert shelf.requests[-1].range is None


def test_length_unknown(shelf: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    download(shelf.put("/f", body, behaviour(length=False)), tmp_path / "f", patience=HASTY)
    assert (tmp_path / "f").read_bytes() == body


def test_length_unknown_and_cut_is_found_by_the_size(shelf: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    url = shelf.put("/f", body, behaviour(length=False, cut=1000))
    download(url, tmp_path / "f", size=len(body), patience=HASTY)
    assert (tmp_path / "f").read_bytes() == body


def test_always_truncated(shelf: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    url = shelf.put("/f", body, behaviour(cut=10), *[behaviour(cut=0)] * 9)
    with pytest.raises(AssetError, match="ended after 10 of 320000 bytes"):
        download(url, tmp_path / "f", patience=HASTY)
    assert not (tmp_path / "f").exists()
    assert len(shelf.requests) == 1 + HASTY.attempts


def test_wrong_size(shelf: Any, body: bytes, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="expected 7 bytes, the server announces 320000"):
        download(shelf.put("/f", body), tmp_path / "f", size=7, patience=HASTY)
    assert _left(tmp_path) == ["work"]


def test_wrong_hash_keeps_nothing(shelf: Any, body: bytes, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=f"expected SHA-256 {'0' * 64}, got {_sha(body)}"):
        download(shelf.put("/f", body), tmp_path / "f", sha256="0" * 64, patience=HASTY)
    assert _left(tmp_path) == ["work"]
    assert len(shelf.requests) == 1


def test_wrong_hash_leaves_the_old_file(shelf: Any, body: bytes, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    with pytest.raises(AssetError):
        download(shelf.put("/f", body), tmp_path / "f", sha256="0" * 64, patience=HASTY)
    assert (tmp_path / "f").read_bytes() == b"old"


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_refusals_are_final(shelf: Any, behaviour: Any, status: int, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=f"answered {status}"):
        download(shelf.put("/f", b"x", behaviour(status=status)), tmp_path / "f", patience=HASTY)
    assert len(shelf.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_faults_are_tried_again(shelf: Any, behaviour: Any, status: int, tmp_path: Path) -> None:
    url = shelf.put("/f", b"good", behaviour(status=status), behaviour(status=status))
    download(url, tmp_path / "f", patience=HASTY)
    assert (tmp_path / "f").read_bytes() == b"good"


def test_always_broken_ends(shelf: Any, behaviour: Any, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="answered 503"):
        download(shelf.put("/f", b"x", *[behaviour(status=503)] * 9), tmp_path / "f", patience=HASTY)
    assert len(shelf.requests) == HASTY.attempts


def test_silent_server_is_given_up_and_resumed(shelf: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    url = shelf.put("/f", body, behaviour(cut=1000, stall=True))
    download(url, tmp_path / "f", patience=HASTY)
    assert (tmp_path / "f").read_bytes() == body
    assert shelf.requests[1].range == "bytes=1000-"


def test_trickling_server_is_given_up(shelf: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    # a byte every 50 ms never lets a read time out, yet 20 bytes a second are below the 128 that count as alive
    url = shelf.put("/f", body[:100], behaviour(trickle=0.05))
    download(url, tmp_path / "f", patience=HASTY)
    assert (tmp_path / "f").read_bytes() == body[:100]
    assert len(shelf.requests) == 2


def test_redirect(shelf: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    shelf.put("/there", body)
    download(shelf.put("/here", b"", behaviour(redirect="/there")), tmp_path / "f", patience=HASTY)
    assert (tmp_path / "f").read_bytes() == body


def test_redirect_in_a_circle(shelf: Any, behaviour: Any, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="302"):
        download(shelf.put("/f", b"", *[behaviour(redirect="/f")] * 50), tmp_path / "f", patience=HASTY)


def test_redirect_to_no_encryption_is_refused() -> None:
    request = urllib.request.Request("https://example.org/f")
    with pytest.raises(AssetError, match="unencrypted"):
        connections._SaferRedirects().redirect_request(request, None, 302, "", {}, "http://example.org/f")


def test_web_page_instead_of_a_file(shelf: Any, behaviour: Any, tmp_path: Path) -> None:
    page = behaviour(headers={"Content-Type": "text/html; charset=utf-8"})
    with pytest.raises(AssetError, match="sent a web page"):
        download(shelf.put("/f", b"<html>log in</html>", page), tmp_path / "f", patience=HASTY)
    assert _left(tmp_path) == ["work"]


def test_encoded_answer(shelf: Any, behaviour: Any, tmp_path: Path) -> None:
    url = shelf.put("/f", b"x", behaviour(headers={"Content-Encoding": "gzip"}))
    with pytest.raises(AssetError, match="sent it encoded"):
        download(url, tmp_path / "f", patience=HASTY)


def test_stored_gzip_is_taken_as_it_is(shelf: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    labelled = [behaviour(cut=cut, headers={"Content-Encoding": "x-gzip"}) for cut in (1000, None)]
    download(shelf.put("/data.tar.gz", body, *labelled), tmp_path / "f", patience=HASTY)
    assert (tmp_path / "f").read_bytes() == body


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(AssetError, match="no connection"):
        download(f"http://127.0.0.1:{port}/f", tmp_path / "f", patience=HASTY)


def test_unknown_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*args: object, **options: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    with pytest.raises(AssetError, match="name cannot be resolved"):
        download("http://host.invalid/f", tmp_path / "f", patience=HASTY)


def test_resolver_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: never.wait(20))
    with pytest.raises(AssetError, match="name server did not answer"):
        download("http://host.invalid/f", tmp_path / "f", patience=Patience(connect=0.2, unreachable_attempts=1))
    never.set()


def test_all_addresses_share_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    class Deaf:
        def __init__(self, *args: object) -> None: ...

        def settimeout(self, seconds: float) -> None:
            waits.append(seconds)

        def connect(self, target: object) -> None:
            clock[0] += waits[-1]
            raise TimeoutError("timed out")

        def close(self) -> None: ...

    clock = [100.0]
    monkeypatch.setattr(connections.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(connections.socket, "socket", Deaf)
    address = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("192.0.2.1", 80))
    monkeypatch.setattr(connections, "_resolve", lambda *args: [address] * 16)
    with pytest.raises(TimeoutError):
        connections.connect_by_deadline(("many.invalid", 80), 4.0)
    assert sum(waits) <= 4.5  # the last one is not cut below half a second
    assert waits[:2] == [2.0, 1.0]  # one deaf address leaves time for the next


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/f", "data:,hello"])
def test_other_schemes_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(AssetError):
        download(url, tmp_path / "f", patience=Patience(attempts=1, unreachable_attempts=1))


class _FullDisk:
    """A file on a disk that takes so many bytes and no more."""

    def __init__(self, stream: Any, room: int) -> None:
        self._stream, self._room = stream, room

    def write(self, data: bytes) -> int:
        fits = data[: self._room]
        self._room -= self._stream.write(fits)
        if len(fits) < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(fits)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> _FullDisk:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()


def test_full_disk_keeps_what_came(shelf: Any, body: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, real = shelf.put("/f", body), Path.open
    with monkeypatch.context() as patch:
        patch.setattr(
            Path,
            "open",
            lambda path, *a, **k: (
                _FullDisk(real(path, *a, **k), 5000) if path.suffix == ".part" else real(path, *a, **k)
            ),
        )
        with pytest.raises(AssetError, match="is full"):
            download(url, tmp_path / "f", patience=HASTY)
    assert (tmp_path / "f.part").stat().st_size == 5000
    download(url, tmp_path / "f", patience=HASTY)
    assert (tmp_path / "f").read_bytes() == body
    assert shelf.requests[-1].range == "bytes=5000-"


def test_space_is_checked_before(shelf: Any, body: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**9, 10**9 - 10**5, 10**5))
    with pytest.raises(AssetError, match=r"0\.00 GB are free"):
        download(shelf.put("/f", body), tmp_path / "f", patience=HASTY)
    assert _left(tmp_path) == ["work"]


def test_interrupt_keeps_what_came(shelf: Any, behaviour: Any, body: bytes, tmp_path: Path) -> None:
    def press_control_c(label: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    url = shelf.put("/f", body)
    with pytest.raises(KeyboardInterrupt):
        download(url, tmp_path / "f", progress=press_control_c, patience=HASTY)
    kept = (tmp_path / "f.part").stat().st_size
    assert kept > 0
    download(url, tmp_path / "f", patience=HASTY)
    assert (tmp_path / "f").read_bytes() == body
    assert shelf.requests[-1].range in (f"bytes={kept}-", None)  # None: all of it had come in one piece
