"""A certificate authority for tests: chains and keys as PEM files, of any kind and time; one that stamps times."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes as Key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_TIME_AUTHORITY = """[tsa]
default_tsa = own
[own]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
"""
_NO_USE = dict.fromkeys(
    ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"),
    False,
)


def write_chain(
    folder: Path,
    key: Key | None = None,
    days: tuple[int, int] = (-1, 1),
    password: str = "",
    use: x509.ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
) -> list[str]:
    """Arguments that sign with a new certificate, valid from and until so many days from now, and the root's path."""
    key, root_key = key or ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate("Root", "Root", root_key, root_key, days, None)
    leaf = _certificate("Signer", "Root", key, root_key, days, use)
    chain = [one.public_bytes(form.Encoding.PEM) for one in (leaf, root)]
    encryption = form.BestAvailableEncryption(password.encode()) if password else form.NoEncryption()
    folder.mkdir(exist_ok=True)
    (folder / "chain.pem").write_bytes(b"".join(chain))
    (folder / "root.pem").write_bytes(chain[1])
    (folder / "key.pem").write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, encryption))
    return ["--sign-cert", str(folder / "chain.pem"), "--sign-key", str(folder / "key.pem")]


class TimeAuthority:
    """Stamps times over http at ``url`` while the block lasts, by `openssl ts`."""

    def __init__(self, folder: Path) -> None:
        write_chain(folder, use=ExtendedKeyUsageOID.TIME_STAMPING)
        (folder / "serial").write_text("01\n")
        (folder / "openssl.cnf").write_text(_TIME_AUTHORITY)
        self._server = HTTPServer(("127.0.0.1", 0), partial(_Stamping, folder))
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> TimeAuthority:
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Stamping(BaseHTTPRequestHandler):
    def __init__(self, folder: Path, *arguments: Any) -> None:
        self._folder = folder
        super().__init__(*arguments)

    def do_POST(self) -> None:
        (self._folder / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
        command = "openssl ts -reply -config openssl.cnf -queryfile query -signer chain.pem -inkey key.pem -out reply"
        subprocess.run(command.split(), cwd=self._folder, check=True, capture_output=True)
        reply = (self._folder / "reply").read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _certificate(
    name: str, issuer: str, key: Key, issuer_key: Key, days: tuple[int, int], use: x509.ObjectIdentifier | None
) -> x509.Certificate:
    authority = use is None
    now = datetime.now(UTC)
    usage = x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **_NO_USE)
    issuers = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder(_name(issuer), _name(name), key.public_key(), x509.random_serial_number())
        .not_valid_before(now + timedelta(days[0]))
        .not_valid_after(now + timedelta(days[1]))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuers, critical=False)
    )
    if use is not None:
        stamping = use == ExtendedKeyUsageOID.TIME_STAMPING
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=stamping)
    return builder.sign(issuer_key, None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def _name(common: str) -> x509.Name:
    parts = {NameOID.ORGANIZATION_NAME: "Example Lab", NameOID.COMMON_NAME: common}
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts.items()])
