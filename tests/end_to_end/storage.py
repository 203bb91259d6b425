"""An S3 for one test: it holds objects, refuses them as S3 documents it, and breaks off in the middle.

Errors: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.
"""

import hashlib
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>{}</Code><Message>{}</Message><RequestId>4442587FB7D0A2F9</RequestId></Error>"
)


@dataclass
class Stored:
    """An object, and how it misbehaves."""

    content: bytes
    # Status, code and message of the answer, if it is refused.
    refusal: tuple[int, str, str] | None = None
    refusal_headers: dict[str, str] = field(default_factory=dict)
    # No body that begins before this byte goes beyond it, as often as `breaks` says.
    breaks_at: int = 0
    breaks: int = 0
    # Bytes after which every body breaks off.
    breaks_every: int = 0
    # Answer a Range with the whole object, or from so many bytes before it.
    ignores_range: bool = False
    range_shift: int = 0
    # As a bucket whose versioning is suspended has it.
    version_id: str | None = None
    # What takes its place after the first answer.
    successor: bytes | None = None
    ranges: list[str | None] = field(default_factory=list)

    @property
    def etag(self) -> str:
        """The entity tag, in quotes."""
        return f'"{hashlib.md5(self.content, usedforsecurity=False).hexdigest()}"'


class Storage(ThreadingHTTPServer):
    """The server; a context manager that ends it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, Stored] = {}
        self.listing_refusal: tuple[int, str, str, dict[str, str]] | None = None
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, key: str, content: bytes, **behaviour: Any) -> Stored:
        """Put an object."""
        self.objects[key] = Stored(content, **behaviour)
        return self.objects[key]

    def refuse_listings(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        """Let nobody see what there is."""
        self.listing_refusal = status, code, message, headers or {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Storage

    def do_GET(self) -> None:
        """Answer GetObject of a bucket that is named in the path, and refuse to list it."""
        if "list-type=2" in self.path and self.server.listing_refusal:
            return self._refuse(*self.server.listing_refusal)
        key = unquote(urlsplit(self.path).path).lstrip("/").split("/", 1)[1]
        stored = self.server.objects.get(key)
        if stored is None:
            return self._refuse(404, "NoSuchKey", "The specified key does not exist.")
        stored.ranges.append(self.headers.get("Range"))
        if stored.refusal:
            return self._refuse(*stored.refusal, stored.refusal_headers)
        if self.headers.get("If-Match", stored.etag) != stored.etag:
            return self._refuse(412, "PreconditionFailed", "At least one of the pre-conditions did not hold")
        return self._send(stored)

    def _send(self, stored: Stored) -> None:
        asked = None if stored.ignores_range else self.headers.get("Range")
        first = int((asked or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        first = max(0, first - stored.range_shift)
        size, etag = len(stored.content), stored.etag
        end = size
        if stored.breaks and first <= stored.breaks_at:
            stored.breaks -= 1
            end = stored.breaks_at
        if stored.breaks_every:
            end = min(end, first + stored.breaks_every)
        body = stored.content[first:end]
        if stored.successor is not None:
            stored.content, stored.successor = stored.successor, None
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
        self.send_header("ETag", etag)
        if stored.version_id:
            self.send_header("x-amz-version-id", stored.version_id)
        self.send_header("Content-Length", str(size - first))
        self.end_headers()
        self.wfile.write(body)
        if end < size:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_WR)

    def _refuse(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        body = _ERROR.format(code, message).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""
