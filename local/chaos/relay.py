"""A loopback reverse proxy that can refuse, delay, cut and lose what it passes on."""

import http.client
import select
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_UPSTREAM_SECONDS = 15.0
_DEAF_SECONDS = 60.0
_OF_THE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "server"})
DATE = "Date"


@dataclass(frozen=True)
class Call:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """Return a header whose name is in small letters, or nothing."""
        return self.headers.get(name, "")


@dataclass(frozen=True)
class Answer:
    """What is answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Relay(ThreadingHTTPServer):
    """Passes every call on to one address; what else it does with it is for `take` to say."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._upstream = urlsplit(upstream)
        self._handlers: set[_Handler] = set()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def take(self, exchange: "Exchange", call: Call) -> None:
        """Deal with one call."""
        exchange.answer(self.pass_on(call))

    def pass_on(self, call: Call) -> Answer:
        """Send a call to where it belongs; raises what goes wrong on the way."""
        connection = http.client.HTTPConnection(
            str(self._upstream.hostname), self._upstream.port, timeout=_UPSTREAM_SECONDS
        )
        try:
            headers = {name: value for name, value in call.headers.items() if name not in _OF_THE_CONNECTION}
            connection.request(call.method, call.path, call.body, headers | {"content-length": str(len(call.body))})
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def end_connections(self, deaf: bool) -> None:
        """Close those that are open, or take nothing from them any more, as a firewall does that has forgotten them."""
        for handler in list(self._handlers):
            if deaf:
                handler.is_deaf = True
            else:
                with suppress(OSError):
                    handler.connection.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Listen no more."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong, unless it is a connection that ended."""
        if not isinstance(sys.exception(), (OSError, http.client.HTTPException)):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Relay
    is_deaf = False

    def setup(self) -> None:
        """Begin a connection."""
        super().setup()
        self.server._handlers.add(self)

    def finish(self) -> None:
        """End a connection."""
        self.server._handlers.discard(self)
        super().finish()

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.is_deaf:
            # Until the caller hangs up.
            self.connection.settimeout(_DEAF_SECONDS)
            with suppress(OSError):
                self.rfile.read(1)
            return Exchange(self).drop()
        headers = {name.lower(): value for name, value in self.headers.items()}
        exchange = Exchange(self)
        try:
            self.server.take(exchange, Call(self.command, self.path, headers, body))
        except (OSError, http.client.HTTPException):
            exchange.drop()

    do_GET = do_PUT = do_POST = do_DELETE = _take

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


class Exchange:
    """The caller's end of one call."""

    def __init__(self, handler: _Handler) -> None:
        self._handler = handler

    def answer(self, answer: Answer, bytes_sent: int | None = None) -> None:
        """Answer; with `bytes_sent`, close the connection after so much of the body."""
        handler = self._handler
        # The last of a name counts.
        headers = list({name.lower(): (name, value) for name, value in answer.headers}.values())
        headers = [(name, value) for name, value in headers if name.lower() not in _OF_THE_CONNECTION]
        headers.append(("Content-Length", str(len(answer.body))))
        head = [f"HTTP/1.1 {answer.status} ", *(f"{name}: {value}" for name, value in headers), "", ""]
        handler.wfile.write("\r\n".join(head).encode("latin-1") + answer.body[:bytes_sent])
        if bytes_sent is not None:
            self.drop()

    def is_gone(self) -> bool:
        """Say whether the caller has hung up."""
        caller = self._handler.connection
        readable, _, _ = select.select([caller], [], [], 0)
        try:
            return bool(readable) and not caller.recv(1, socket.MSG_PEEK)
        except ConnectionError:
            return True

    def drop(self) -> None:
        """Close the connection without a word."""
        self._handler.close_connection = True
        with suppress(OSError):
            self._handler.connection.shutdown(socket.SHUT_RDWR)
