"""A certificate and its private key out of PEM files, checked before anything is signed with them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from manifests.errors import UserError
from manifests.signing.library import needs_extra

if TYPE_CHECKING:
    from cryptography import x509

_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_KINDS = "a key on P-256, P-384 or P-521, Ed25519, or RSA of 2048 bits or more"
_LEAST_RSA = 2048
PASSWORD = "REID_SYNTH_SIGN_PASSWORD"
"""The environment variable that holds the password of an encrypted key: no list of processes shows it."""


class Certificate(NamedTuple):
    """What a signature is made with: the chain and the key as PEM, the key not encrypted, C2PA's name of the
    algorithm, and whom the certificate names."""

    chain: bytes
    key: bytes
    algorithm: str
    name: str


@needs_extra
def load_certificate(chain: str, key: str, password: str | None = None) -> Certificate:
    """The PEM chain (signer's certificate first, with or without the root) and the PEM key of the files so called.

    Raises:
        UserError: a file cannot be read or holds none, the key is of a kind that C2PA 2.2 does not
            allow, encrypted by another ``password``, or not the certificate's; the certificate's time is over or has
            not come; the extra is missing.

    Example:
        >>> from manifests import Signer, export_market1501, load_certificate, open_dataset
        >>> signer = Signer(load_certificate("chain.pem", "key.pem"))
        >>> export_market1501(open_dataset("runs/synthetic"), "exports/signed", signer=signer).images
        6
    """
    from cryptography import x509

    data = _read(chain)
    try:
        signers = x509.load_pem_x509_certificates(data)[0]
    except ValueError:
        raise UserError(f"{chain} holds no certificate in PEM form") from None
    _check_time(chain, signers)
    plain, algorithm = _key(key, signers, password)
    return Certificate(data, plain, algorithm, signers.subject.rfc4514_string())


def _read(path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _check_time(path: str, certificate: x509.Certificate) -> None:
    now = datetime.now(UTC)
    if now > certificate.not_valid_after_utc:
        raise UserError(f"the certificate in {path} expired on {certificate.not_valid_after_utc:%Y-%m-%d}: renew it")
    if now < certificate.not_valid_before_utc:
        raise UserError(f"the certificate in {path} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}")


def _key(path: str, certificate: x509.Certificate, password: str | None) -> tuple[bytes, str]:
    """The key as PKCS 8 that is not encrypted, as the library takes it, and its algorithm."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as form

    data = _read(path)
    encrypted = b"ENCRYPTED" in data
    if encrypted and password is None:
        raise UserError(f"the key in {path} is encrypted: put its password into {PASSWORD}")
    try:
        key = form.load_pem_private_key(data, password.encode() if encrypted and password is not None else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if encrypted:
            raise UserError(f"the key in {path} is not opened by the password in {PASSWORD}") from None
        raise UserError(f"{path} holds no private key in PEM form") from None
    spki = form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*spki) != certificate.public_key().public_bytes(*spki):
        raise UserError(f"the key in {path} is not the key of the first certificate of the chain: give its own")
    plain = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    return plain, _algorithm(path, key)


def _algorithm(path: str, key: object) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _LEAST_RSA:
        return "ps256"
    raise UserError(f"the key in {path} is of a kind that C2PA does not sign with: it takes {_KINDS}")
