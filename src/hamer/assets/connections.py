"""HTTP connections that give up in bounded time: one deadline for name and addresses, another for silence later."""

from __future__ import annotations

import functools
import http.client
import queue
import socket
import ssl
import threading
import time
import urllib.request
from typing import Any

from hamer.errors import AssetError


def opener(stall: float) -> urllib.request.OpenerDirector:
    """An opener for http and https only (no file:, ftp: or data:), with the proxies of the environment.

    The timeout given to its `open` is for the connection to come about; after that a read may last `stall` seconds.
    """
    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _HttpHandler(stall),
        _HttpsHandler(stall),
        _SaferRedirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        director.add_handler(handler)
    return director


def connect_by_deadline(address: tuple[str, int], timeout: float, source_address: Any = None) -> socket.socket:
    """Like `socket.create_connection`, but `timeout` bounds all of it.

    The standard function spends the timeout on each address anew (large hosts have a dozen), and the resolver's time
    comes on top. Here each address gets at most half of the time that is left.
    """
    deadline = time.monotonic() + timeout
    fault: Exception = TimeoutError("no address answered in time")
    for family, kind, protocol, _, target in _resolve(address, timeout):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        candidate = socket.socket(family, kind, protocol)
        try:
            candidate.settimeout(max(left / 2, 0.5))
            if source_address:
                candidate.bind(source_address)
            candidate.connect(target)
            candidate.settimeout(max(deadline - time.monotonic(), 0.5))  # what is left is for the TLS handshake
            return candidate
        except OSError as error:
            candidate.close()
            fault = error
    raise fault


def _resolve(address: tuple[str, int], timeout: float) -> list[Any]:
    """getaddrinfo with a timeout; it has none of its own, so it runs in a thread that may be left behind."""
    answers: queue.Queue[Any] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(*address, type=socket.SOCK_STREAM))
        except OSError as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        raise TimeoutError("the name server did not answer in time") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


class _Http(http.client.HTTPConnection):
    def __init__(self, *args: Any, stall: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create_connection = connect_by_deadline
        self._stall = stall

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(self._stall)


class _Https(_Http, http.client.HTTPSConnection):
    """The same over TLS; the handshake counts as part of the connection."""


class _HttpHandler(urllib.request.HTTPHandler):
    def __init__(self, stall: float) -> None:
        super().__init__()
        self._stall = stall

    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(functools.partial(_Http, stall=self._stall), req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def __init__(self, stall: float) -> None:
        super().__init__()
        self._stall = stall

    def https_open(self, req: urllib.request.Request) -> Any:
        connection = functools.partial(_Https, stall=self._stall)
        return self.do_open(connection, req, context=ssl.create_default_context())


class _SaferRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, except from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise AssetError(f"{req.full_url}: refused to follow a redirect to an unencrypted address, {newurl}.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
