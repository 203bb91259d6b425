"""CloudTrail's digests made up: signed chains for tests, and a stand-in for the API that tells the signers' keys.

Form: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html>.
Signature: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-custom-validation.html>.
Keys: <https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_ListPublicKeys.html>.
"""

import base64
import gzip
import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

_TARGET = "CloudTrail_20131101.ListPublicKeys"
_HOUR = timedelta(hours=1)


class Signer:
    """An RSA key that signs digests, good for all of time."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.der = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.PKCS1
        )
        self.fingerprint = hashlib.md5(self.der, usedforsecurity=False).hexdigest()

    def sign(self, text: str) -> str:
        """Return the signature of a text in hexadecimal digits."""
        return self._key.sign(text.encode(), padding.PKCS1v15(), SHA256()).hex()


@dataclass(frozen=True)
class Digest:
    """A digest as it lies in S3."""

    bucket: str
    key: str
    body: bytes
    signature: str
    # Of a backfill, when it was made.
    generated_at: datetime | None = None

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the object."""
        metadata = {"signature": self.signature, "signature-algorithm": "SHA256withRSA"}
        if self.generated_at:
            metadata["backfill-generation-timestamp"] = f"{self.generated_at:%Y-%m-%dT%H:%M:%SZ}"
        return metadata

    @property
    def content(self) -> bytes:
        """The uncompressed content."""
        return gzip.decompress(self.body)


@dataclass
class Chain:
    """The digests of one trail for one account and region, an hour each."""

    signer: Signer
    bucket: str
    start: datetime
    account: str = "111122223333"
    region: str = "us-east-1"
    trail: str = "main"
    home_region: str = "us-east-1"
    prefix: str = "AWSLogs/"
    digests: list[Digest] = field(default_factory=list)

    def files(self, hour: int) -> str:
        """Return the beginning of the keys of an hour's files."""
        time = self.start + hour * _HOUR + timedelta(minutes=5)
        folder = f"{self.prefix}{self.account}/CloudTrail/{self.region}/{time:%Y/%m/%d}/"
        return f"{folder}{self.account}_CloudTrail_{self.region}_{time:%Y%m%dT%H%MZ}_"

    def grow(self, files: Mapping[str, bytes]) -> Digest:
        """Append the next digest, which lists files by key and uncompressed content."""
        previous = self.digests[-1] if self.digests else None
        self.digests.append(self.digest(len(self.digests), files, previous))
        return self.digests[-1]

    def digest(
        self, hour: int, files: Mapping[str, bytes], previous: Digest | None, suffix: str = "", **changes: Any
    ) -> Digest:
        """Make the digest of an hour behind any other, with members changed."""
        start = self.start + hour * _HOUR
        end = start + _HOUR
        folder = f"{self.prefix}{self.account}/CloudTrail-Digest/{self.region}/{end:%Y/%m/%d}/"
        name = f"{self.account}_CloudTrail-Digest_{self.region}_{self.trail}_{self.home_region}_{end:%Y%m%dT%H%M%SZ}"
        key = f"{folder}{name}{suffix}.json.gz"
        document = {
            "awsAccountId": self.account,
            "digestStartTime": f"{start:%Y-%m-%dT%H:%M:%SZ}",
            "digestEndTime": f"{end:%Y-%m-%dT%H:%M:%SZ}",
            "digestS3Bucket": self.bucket,
            "digestS3Object": key,
            "digestPublicKeyFingerprint": self.signer.fingerprint,
            "digestSignatureAlgorithm": "SHA256withRSA",
            "newestEventTime": None,
            "oldestEventTime": None,
            "previousDigestS3Bucket": previous and previous.bucket,
            "previousDigestS3Object": previous and previous.key,
            "previousDigestHashValue": previous and hashlib.sha256(previous.content).hexdigest(),
            "previousDigestHashAlgorithm": previous and "SHA-256",
            "previousDigestSignature": previous and previous.signature,
            "logFiles": [self._listed(file, content) for file, content in files.items()],
            **changes,
        }
        content = json.dumps(document).encode()
        signed = [
            document["digestEndTime"],
            f"{self.bucket}/{key}",
            hashlib.sha256(content).hexdigest(),
            document["previousDigestSignature"] or "null",
        ]
        generated_at = end + timedelta(hours=25) if suffix == "_backfill" else None
        return Digest(
            self.bucket, key, gzip.compress(content), self.signer.sign("\n".join(signed)), generated_at
        )

    def _listed(self, key: str, content: bytes) -> dict[str, str]:
        return {
            "s3Bucket": self.bucket,
            "s3Object": key,
            "hashValue": hashlib.sha256(content).hexdigest(),
            "hashAlgorithm": "SHA-256",
            "newestEventTime": f"{self.start:%Y-%m-%dT%H:%M:%SZ}",
            "oldestEventTime": f"{self.start:%Y-%m-%dT%H:%M:%SZ}",
        }


class PublicKeys(ThreadingHTTPServer):
    """The one call of CloudTrail's API that tells the keys; a context manager that ends it."""

    daemon_threads = True

    def __init__(self, *signers: Signer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.signers = signers
        self.calls = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def answer(self) -> bytes:
        """Return the list as the API does."""
        self.calls += 1
        keys = [
            {
                "Value": base64.b64encode(signer.der).decode(),
                "ValidityStartTime": 0,
                "ValidityEndTime": 4102444800,
                "Fingerprint": signer.fingerprint,
            }
            for signer in self.signers
        ]
        return json.dumps({"PublicKeyList": keys}).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: PublicKeys

    def do_POST(self) -> None:
        """Answer a call."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_known = self.headers.get("X-Amz-Target", "").endswith(_TARGET)
        body = self.server.answer() if is_known else b'{"__type":"UnsupportedOperationException"}'
        self.send_response(200 if is_known else 400)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""
