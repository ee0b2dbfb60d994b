"""A small web server on this machine that misbehaves on demand."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@dataclass
class Request:
    """What the server was asked."""

    path: str
    range: str | None
    if_range: str | None


@dataclass
class Behaviour:
    """How the server answers one request; the default is a correct answer."""

    status: int = 200
    ranges: bool = True
    cut: int | None = None  # send so many bytes of the body, then close
    stall: bool = False  # after `cut` bytes: keep silent instead of closing
    trickle: float = 0.0  # seconds between single bytes
    shift: int = 0  # bytes by which an answer to a range begins too late
    redirect: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    length: bool = True  # announce Content-Length


class Shelf:
    """Files that the server has, what it shall do at the next requests, and what it was asked."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.files: dict[str, bytes] = {}
        self.plans: dict[str, list[Behaviour]] = {}
        self.requests: list[Request] = []
        self.released = threading.Event()

    def put(self, path: str, body: bytes, *plan: Behaviour) -> str:
        """Offer a file; its first requests are answered as planned, further ones correctly. Returns its address."""
        self.files[path], self.plans[path] = body, list(plan)
        return f"{self.address}{path}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    shelf: Shelf

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self.close_connection = True
        path, shelf = self.path.partition("?")[0], self.shelf
        shelf.requests.append(Request(path, self.headers["Range"], self.headers["If-Range"]))
        plan = shelf.plans.get(path, [])
        how = plan.pop(0) if plan else Behaviour()
        if path not in shelf.files:
            self._send(404, b"", {}, how)
        elif how.redirect:
            self._send(302, b"", {"Location": how.redirect}, how)
        elif how.status != 200:
            self._send(how.status, b"busy", {}, how)
        else:
            self._send_file(shelf.files[path], how)

    def _send_file(self, body: bytes, how: Behaviour) -> None:
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        start = self._start() if how.ranges and self.headers["If-Range"] in (None, tag) else 0
        if start and start >= len(body):
            self._send(416, b"", {"Content-Range": f"bytes */{len(body)}"}, how)
        elif start:
            start += how.shift
            span = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}", "ETag": tag}
            self._send(206, body[start:], span, how)
        else:
            self._send(200, body, {"ETag": tag}, how)

    def _start(self) -> int:
        text = self.headers["Range"] or "bytes=0-"
        return int(text.removeprefix("bytes=").removesuffix("-"))

    def _send(self, status: int, body: bytes, headers: dict[str, str], how: Behaviour) -> None:
        self.send_response(status)
        if how.length:
            self.send_header("Content-Length", str(len(body)))
        for name, value in {**headers, **how.headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError, TimeoutError):  # the other side gave up, as many tests want it to
            self._write(body[: how.cut], how)

    def _write(self, body: bytes, how: Behaviour) -> None:
        if not how.trickle:
            self.wfile.write(body)
        for index in range(len(body) if how.trickle else 0):
            self.wfile.write(body[index : index + 1])
            time.sleep(how.trickle)
        if how.stall:
            self.wfile.flush()
            self.shelf.released.wait(20)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    """A running server; the test fills its shelf."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    handler.shelf = Shelf(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield handler.shelf
    handler.shelf.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def behaviour() -> type[Behaviour]:
    """The class, for tests to plan with: a conftest cannot be imported by name."""
    return Behaviour


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees or touches the user's cache, data, working directory or proxy."""
    for name in ("HAMER_DATA", "HAMER_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HAMER_CACHE", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path


@pytest.fixture
def body() -> bytes:
    """Some bytes without a pattern, more than one network packet."""
    return b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(10_000))
