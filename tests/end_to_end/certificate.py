"""A certificate for the tests, and a door before Entra's stand-in that checks what the certificate's key signed."""

import base64
import datetime
import hashlib
import json
import urllib.parse
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from local import standin
from local.chaos.relay import Call, Exchange, Relay

_FORMS = {
    "pkcs8": serialization.PrivateFormat.PKCS8,
    "pkcs1": serialization.PrivateFormat.TraditionalOpenSSL,
}


class Certificate:
    """A self-signed certificate, valid for so many days from now, and its private key."""

    def __init__(self, *, elliptic: bool = False, days: int = 365) -> None:
        self._key = (
            ec.generate_private_key(ec.SECP256R1())
            if elliptic
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sentinel-forwarder")])
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
        day = datetime.timedelta(days=1)
        builder = builder.not_valid_before(now - 30 * day).not_valid_after(now + days * day)
        self._certificate = builder.public_key(self._key.public_key()).sign(self._key, SHA256())

    def pem(self, form: str = "pkcs8") -> str:
        """Write key and certificate as they are kept."""
        key = self._key.private_bytes(
            serialization.Encoding.PEM, _FORMS[form], serialization.NoEncryption()
        )
        return (key + self._certificate.public_bytes(serialization.Encoding.PEM)).decode()

    def thumbprint(self) -> str:
        """Return the SHA-1 by which Entra knows the certificate."""
        der = self._certificate.public_bytes(serialization.Encoding.DER)
        return base64.urlsafe_b64encode(hashlib.sha1(der).digest()).decode().rstrip("=")

    def fingerprint(self) -> str:
        """Return the same as Azure's portal writes it."""
        return hashlib.sha1(self._certificate.public_bytes(serialization.Encoding.DER)).hexdigest().upper()

    def check(self, assertion: str) -> None:
        """Raise unless the assertion bears the thumbprint and a signature of the key."""
        header, claims, signature = assertion.split(".")
        assert json.loads(_decode(header))["x5t"] == self.thumbprint()
        self._key.public_key().verify(
            _decode(signature), f"{header}.{claims}".encode(), padding.PKCS1v15(), SHA256()
        )


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Door(Relay):
    """Passes token requests on, once the assertion's signature is right."""

    def __init__(self, certificate: Certificate, authority: str) -> None:
        super().__init__(authority)
        self.certificate = certificate
        self.checked = 0

    def __enter__(self) -> "Door":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def take(self, exchange: Exchange, call: Call) -> None:
        """Check the assertion; raises if it is wrong, and the caller gets no answer."""
        form = dict(urllib.parse.parse_qsl(call.body.decode()))
        assertion = form["client_assertion"]
        self.certificate.check(assertion)
        claims = json.loads(_decode(assertion.split(".")[1]))
        assert claims["aud"] == f"{self.url}{call.path}"
        # Beyond the door the assertion names another address, so a secret goes on in its place.
        fields = {name: form[name] for name in ("client_id", "scope", "grant_type")}
        body = urllib.parse.urlencode(fields | {"client_secret": standin.CLIENT_SECRET}).encode()
        answer = self.pass_on(replace(call, body=body))
        self.checked += 1
        exchange.answer(answer)
