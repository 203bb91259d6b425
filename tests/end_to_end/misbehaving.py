"""Both clouds behind one port, of which one service answers in a way that no client should have to expect."""

import contextlib
import gzip
import json
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

# Far more than any answer of either cloud's that is no object.
LARGE_BYTES = 100_000_000
_BLOCK = b"x" * 65_536
_ENDLESS_SECONDS = 60.0
_SLOW_SECONDS = 0.2
# Informational answers are read in one go as long as they come faster than a debug build reads them.
_PAUSE_SECONDS = 0.01

Pieces = Callable[[], Iterable[bytes]]


@dataclass(frozen=True)
class Misbehaviour:
    """An answer in pieces; the status that it has, if a client can make one out."""

    name: str
    pieces: Pieces
    status: int | None = None
    # Whether it comes before the request is read to its end, and how the connection ends.
    is_early: bool = False
    resets: bool = False
    hangs: bool = False


def statuses() -> Iterator[Misbehaviour]:
    """Yield an ordinary answer for each status of interest, in each of a few forms."""
    for status in [
        *(101, 200, 201, 202, 203, 205, 206, 207, 208, 226, 299),
        *(300, 301, 302, 303, 304, 305, 306, 307, 308, 399),
        *(400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418),
        *(421, 422, 423, 424, 425, 426, 428, 429, 431, 444, 449, 451, 498, 499),
        *(500, 501, 502, 503, 504, 505, 506, 507, 508, 509, 510, 511, 520, 529, 599),
        *(600, 666, 700, 999),
    ]:
        yield answer(str(status), status, b"<html>portal</html>", b"Location: http://127.0.0.1:9/elsewhere\r\n")


def informational() -> Iterator[Misbehaviour]:
    """Yield answers that begin with an informational status and never come to a final one."""
    for status in (100, 102, 103, 199):
        yield raw(f"{status} alone", f"HTTP/1.1 {status} Any\r\n\r\n".encode())
    yield Misbehaviour("100 without end", lambda: endless(b"HTTP/1.1 100 Continue\r\n\r\n", _PAUSE_SECONDS))
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"
    yield Misbehaviour("103 with headers without end", lambda: endless(hints * 100, _PAUSE_SECONDS))


def bodies() -> Iterator[Misbehaviour]:
    """Yield bodies that are long, endless, slow, broken, or packed."""
    for status in (200, 400, 401, 403, 413, 429, 503):
        size = f"Content-Length: {LARGE_BYTES}\r\n".encode()
        yield Misbehaviour(f"{status} with 100 MB", pieces(head(status, size), lambda: blocks(LARGE_BYTES)), status)
    for status in (200, 403, 503):
        chunk = b"10000\r\n" + _BLOCK + b"\r\n"
        yield Misbehaviour(
            f"{status} with endless chunks",
            pieces(head(status, b"Transfer-Encoding: chunked\r\n"), lambda chunk=chunk: endless(chunk)),
            status,
        )
        yield Misbehaviour(f"{status} without an end", pieces(head(status), lambda: endless(_BLOCK)), status)
        yield Misbehaviour(
            f"{status} with a slow body", pieces(head(status, b"Content-Length: 9999\r\n"), lambda: slow(b"x" * 9999)), status
        )
        yield raw(f"{status} whose body breaks off", head(status, b"Content-Length: 9999\r\n"), b"x", status=status)
        yield raw(
            f"{status} whose body is reset", head(status, b"Content-Length: 9999\r\n"), b"x", status=status, resets=True
        )
        yield raw(f"{status} whose body never comes", head(status, b"Content-Length: 9\r\n"), status=status, hangs=True)
    packed = b"Content-Encoding: gzip\r\n"
    yield answer("200 with bad gzip", 200, b"\x1f\x8b\x08nonsense", packed)
    yield answer("503 with bad gzip", 503, b"\x1f\x8b\x08nonsense", packed)
    yield answer("503 with a gzip bomb", 503, gzip.compress(bytes(50_000_000)), packed)
    yield answer("403 with a zlib bomb", 403, zlib.compress(bytes(50_000_000)), b"Content-Encoding: deflate\r\n")
    yield answer("403 with deep JSON", 403, b"[" * 60_000)
    yield answer("403 with deep objects", 403, b'{"error":' * 6_000)
    yield answer("403 with a long code", 403, json.dumps({"error": {"code": "x" * 60_000}}).encode())
    yield answer("403 with an object as its code", 403, b'{"error":{"code":{"code":1}}}')
    yield answer("403 with invalid UTF-8", 403, b'{"error":{"code":"\xff\xfe"}}')
    yield answer("403 in UTF-16", 403, '{"error":{"code":"X"}}'.encode("utf-16"))
    yield answer("503 with a null", 503, b"null")
    yield answer("200 with JSON", 200, b"{}")
    yield answer("200 with a list", 200, b"[]")
    yield answer("200 with an error", 200, b'{"error":{"code":"InternalServerError"}}')
    yield answer("200 with an XML error", 200, b"<ErrorResponse><Error><Code>InternalError</Code></Error></ErrorResponse>")
    yield answer("200 with nothing", 200, b"")
    yield raw("503 of HTTP/1.0", b"HTTP/1.0 503 Any\r\n\r\n", status=503)
    yield raw("200 of HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\n<html>", status=200)


def heads() -> Iterator[Misbehaviour]:
    """Yield heads that are malformed, too large, contradictory, or never end."""
    for name, line in {
        "no HTTP": b"SSH-2.0-OpenSSH_9.6",
        "HTTP/0.9": b"<html>taken</html>",
        "HTTP/2": b"HTTP/2 204",
        "HTTP/1.9": b"HTTP/1.9 204 No Content",
        "a status of two digits": b"HTTP/1.1 20 No Content",
        "a status of four digits": b"HTTP/1.1 2040 No Content",
        "a status of letters": b"HTTP/1.1 abc No Content",
        "a negative status": b"HTTP/1.1 -204 No Content",
        "status 000": b"HTTP/1.1 000 No Content",
        "status 099": b"HTTP/1.1 099 No Content",
        "no status": b"HTTP/1.1",
        "NULs": bytes(4000),
        "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x28",
        "an HTTP/2 preface": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    }.items():
        yield raw(f"a status line with {name}", line + b"\r\n\r\n")
    for name, header in {
        "without a colon": b"nonsense\r\n",
        "with a NUL": b"X: a\0b\r\n",
        "folded": b"X: a\r\n b\r\n",
        "with a blank in its name": b"X Y: z\r\n",
        "of 1 MB": b"X: " + b"x" * 1_000_000 + b"\r\n",
        "10,000 times": b"X: x\r\n" * 10_000,
    }.items():
        yield raw(f"a header {name}", b"HTTP/1.1 503 Any\r\n" + header + b"Content-Length: 0\r\n\r\n", status=503)
    for name, header in {
        "negative": b"Content-Length: -1\r\n",
        "no number": b"Content-Length: many\r\n",
        "too large for 64 bits": b"Content-Length: 99999999999999999999\r\n",
        "twice": b"Content-Length: 1\r\nContent-Length: 2\r\n",
        "beside chunks": b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "too short": b"Content-Length: 1\r\n",
    }.items():
        yield raw(f"a length {name}", head(503, header), b"0\r\n\r\n", status=503)
    for name, chunk in {
        "of no size": b"zz\r\nxx\r\n",
        "of a huge size": b"ffffffffffffffff\r\nxx\r\n",
        "of a negative size": b"-1\r\nxx\r\n",
        "with a long extension": b"1;" + b"x" * 1_000_000 + b"\r\nx\r\n0\r\n\r\n",
        "with many trailers": b"0\r\n" + b"X: x\r\n" * 10_000 + b"\r\n",
    }.items():
        yield raw(f"a chunk {name}", head(503, b"Transfer-Encoding: chunked\r\n"), chunk, status=503)
    yield raw("an unknown transfer encoding", head(503, b"Transfer-Encoding: rot13\r\n"), b"x", status=503)
    yield Misbehaviour("a slow head", lambda: slow(head(503, b"Content-Length: 0\r\n")))
    yield Misbehaviour("headers without end", pieces(b"HTTP/1.1 503 Any\r\n", lambda: endless(b"X: x\r\n")))
    for value in ("-1", "soon", "1e9", "99999999999999999999", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"):
        yield answer(f"503 that asks to wait for {value}", 503, b"", f"Retry-After: {value}\r\n".encode())


def connections() -> Iterator[Misbehaviour]:
    """Yield connections that end or stand still at each phase."""
    yield raw("a connection that closes at once", is_early=True)
    yield raw("a connection that is reset at once", is_early=True, resets=True)
    yield raw("a connection that closes after the request")
    yield raw("a connection that is reset after the request", resets=True)
    yield raw("a connection that closes in the status line", b"HTTP/1.1 2")
    yield raw("a connection that is reset in the status line", b"HTTP/1.1 2", resets=True)
    yield raw("a connection that closes in the head", b"HTTP/1.1 204 No Content\r\nX: ")
    yield raw("a connection that is reset in the head", b"HTTP/1.1 204 No Content\r\nX: ", resets=True)
    yield raw("a connection that never answers", hangs=True)
    yield raw("a connection that stands still in the head", b"HTTP/1.1 204 No Content\r\n", hangs=True)
    yield raw("503 before the request is read", head(503, b"Content-Length: 0\r\n"), is_early=True)
    yield raw("403 before the request is read", head(403, b"Content-Length: 0\r\n"), is_early=True)
    yield raw("nonsense before the request is read", b"nonsense\r\n\r\n", is_early=True)
    # What follows on the connection is no answer to anything.
    yield raw("503 and an answer that nobody asked for", head(503, b"Content-Length: 0\r\n"), b"HTTP/1.1 204 X\r\n\r\n", status=503)


def receipts() -> Iterator[Misbehaviour]:
    """Yield answers that look odd and are a receipt of the Logs Ingestion API all the same."""
    yield raw("204", b"HTTP/1.1 204 No Content\r\n\r\n", status=204)
    yield raw("204 of HTTP/1.0", b"HTTP/1.0 204 No Content\r\n\r\n", status=204)
    yield raw("204 without a phrase", b"HTTP/1.1 204 \r\n\r\n", status=204)
    yield raw("204 with another phrase", b"HTTP/1.1 204 Rejected\r\n\r\n", status=204)
    yield raw("204 with line ends of Unix", b"HTTP/1.1 204 No Content\n\n", status=204)
    yield raw("204 after others", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nA: b\r\n\r\nHTTP/1.1 204 X\r\n\r\n", status=204)
    yield raw("204 with a length", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", status=204)
    yield raw("204 that closes", b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", status=204)


def head(status: int, headers: bytes = b"") -> bytes:
    """Return the head of an answer."""
    return f"HTTP/1.1 {status} Any\r\n".encode() + headers + b"\r\n"


def raw(
    name: str,
    *parts: bytes,
    status: int | None = None,
    is_early: bool = False,
    resets: bool = False,
    hangs: bool = False,
) -> Misbehaviour:
    """Return an answer of just these bytes."""
    return Misbehaviour(name, lambda: parts, status, is_early, resets, hangs)


def answer(name: str, status: int, body: bytes, headers: bytes = b"") -> Misbehaviour:
    """Return a well-formed answer."""
    if status in (101, 304):
        body = b""
    return raw(name, head(status, headers + f"Content-Length: {len(body)}\r\n".encode()), body, status=status)


def pieces(start: bytes, rest: Pieces) -> Pieces:
    """Return a beginning and what follows it."""

    def both() -> Iterator[bytes]:
        yield start
        yield from rest()

    return both


def blocks(size: int) -> Iterator[bytes]:
    """Yield so many bytes."""
    for _ in range(size // len(_BLOCK) + 1):
        yield _BLOCK


def endless(piece: bytes, pause_seconds: float = 0.0) -> Iterator[bytes]:
    """Yield the same for longer than anyone should listen."""
    ends = time.monotonic() + _ENDLESS_SECONDS
    while time.monotonic() < ends:
        yield piece
        time.sleep(pause_seconds)


def slow(text: bytes) -> Iterator[bytes]:
    """Yield byte after byte."""
    for byte in text:
        time.sleep(_SLOW_SECONDS)
        yield bytes([byte])


@dataclass(frozen=True)
class Request:
    """A request, read to its end."""

    path: str
    headers: dict[str, str]
    body: bytes

    def service(self) -> str:
        """Name the service that it is for."""
        target = self.headers.get("x-amz-target", "")
        if self.path.endswith("/oauth2/v2.0/token"):
            return "token"
        if self.path.startswith("/dataCollectionRules/"):
            return "ingestion"
        if target.startswith("DynamoDB"):
            return "dynamodb"
        if target.startswith("AmazonSQS"):
            return "sqs"
        return "sts" if b"Action=GetWebIdentityToken" in self.body else "s3"


class Clouds:
    """A server for all services, of which one misbehaves; a context manager that stops it."""

    def __init__(self, service: str, misbehaviour: Misbehaviour, content: bytes) -> None:
        self._service, self._misbehaviour, self._content = service, misbehaviour, content
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._stop = threading.Event()
        # Rows that were acknowledged by 204, and bodies that the queue acknowledged.
        self.rows = 0
        self.letters: list[dict[str, object]] = []
        self.asked = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Clouds":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_ENDLESS_SECONDS)
        with contextlib.suppress(OSError), connection:
            while (request := _read(connection, self._early)) is not None:
                if request.service() == self._service:
                    return self._misbehave(connection, request)
                connection.sendall(self._behave(request))
        return None

    def _early(self, request: Request) -> bool:
        return self._misbehaviour.is_early and request.service() == self._service

    def _misbehave(self, connection: socket.socket, request: Request | None = None) -> None:
        self.asked += 1
        if self._misbehaviour.status == 204 and request is not None and self._service == "ingestion":
            self.rows += _row_count(request)
        for piece in self._misbehaviour.pieces():
            if self._stop.is_set():
                return
            connection.sendall(piece)
        if self._misbehaviour.hangs:
            self._stop.wait(_ENDLESS_SECONDS)
        if self._misbehaviour.resets:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _behave(self, request: Request) -> bytes:
        match request.service():
            case "token":
                return _sound(b'{"token_type":"Bearer","expires_in":3599,"access_token":"token"}')
            case "ingestion":
                self.rows += _row_count(request)
                return b"HTTP/1.1 204 No Content\r\n\r\n"
            case "sts":
                token = "<WebIdentityToken>a.b.c</WebIdentityToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
                result = f"<GetWebIdentityTokenResult>{token}</GetWebIdentityTokenResult>"
                space = "https://sts.amazonaws.com/doc/2011-06-15/"
                text = f'<GetWebIdentityTokenResponse xmlns="{space}">{result}</GetWebIdentityTokenResponse>'
                return _sound(text.encode(), b"Content-Type: text/xml\r\n")
            case "sqs":
                entries = json.loads(request.body)["Entries"]
                self.letters += [json.loads(entry["MessageBody"]) for entry in entries if "MessageBody" in entry]
                taken = [{"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "d"} for entry in entries]
                return _sound(json.dumps({"Successful": taken, "Failed": []}).encode())
            case "s3":
                return _sound(self._content, b'ETag: "e"\r\nLast-Modified: Tue, 10 Mar 2026 09:00:00 GMT\r\n')
        return _sound(b"{}")


def _row_count(request: Request) -> int:
    return len(json.loads(gzip.decompress(request.body)))


def _sound(body: bytes, headers: bytes = b"") -> bytes:
    return head(200, headers + f"Content-Length: {len(body)}\r\n".encode()) + body


def _read(connection: socket.socket, is_enough: Callable[[Request], bool]) -> Request | None:
    """Read a request, without its body if that is enough; none when the other side has gone."""
    text = b""
    while b"\r\n\r\n" not in text:
        part = connection.recv(65_536)
        if not part:
            return None
        text += part
    start, body = text.split(b"\r\n\r\n", 1)
    lines = start.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
    request = Request(re.sub(r"\?.*", "", lines[0].split(" ")[1]), headers, body)
    if is_enough(request):
        return request
    while len(body) < int(headers.get("content-length", "0")):
        part = connection.recv(65_536)
        if not part:
            return None
        body += part
    return Request(request.path, headers, body)
