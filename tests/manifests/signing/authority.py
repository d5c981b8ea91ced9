"""A certificate authority for tests: chains and keys as PEM files, of any kind and time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes as Key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_NO_USE = dict.fromkeys(
    ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"),
    False,
)


def write_chain(folder: Path, key: Key | None = None, days: tuple[int, int] = (-1, 1), password: str = "") -> list[str]:
    """Arguments that sign with a new certificate, valid from and until so many days from now, and the root's path."""
    key, root_key = key or ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate("Root", "Root", root_key, root_key, days, authority=True)
    leaf = _certificate("Signer", "Root", key, root_key, days, authority=False)
    chain = [one.public_bytes(form.Encoding.PEM) for one in (leaf, root)]
    encryption = form.BestAvailableEncryption(password.encode()) if password else form.NoEncryption()
    folder.mkdir(exist_ok=True)
    (folder / "chain.pem").write_bytes(b"".join(chain))
    (folder / "root.pem").write_bytes(chain[1])
    (folder / "key.pem").write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, encryption))
    return ["--sign-cert", str(folder / "chain.pem"), "--sign-key", str(folder / "key.pem")]


def _certificate(
    name: str, issuer: str, key: Key, issuer_key: Key, days: tuple[int, int], authority: bool
) -> x509.Certificate:
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
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(issuer_key, None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def _name(common: str) -> x509.Name:
    parts = {NameOID.ORGANIZATION_NAME: "Example Lab", NameOID.COMMON_NAME: common}
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts.items()])
