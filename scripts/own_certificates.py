"""Certificates of a VAR_DIR, for the sandbox's Swish: an authority, the server, and one merchant.

The authority's key is thrown away: what is over or lost is made anew, all of it.
"""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MERCHANT = "1231181189"
"""The Swish number of the merchant, and the name in its certificate."""

LASTS = timedelta(days=365)
SOON = timedelta(days=40)
"""Made anew before the service would warn of its end."""


def own_certificates(folder: Path) -> None:
    """`ca.pem`, and `cert.pem` and `key.pem` of `server` and `merchant`, unless they are there."""
    if _good(folder):
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    authority = ec.generate_private_key(ec.SECP256R1())
    issuer = _name("sandbox")
    _write(folder / "ca.pem", _pem(_signed(issuer, authority, issuer, authority, ca=True)))
    for part, name in (("server", "127.0.0.1"), ("merchant", MERCHANT)):
        key = ec.generate_private_key(ec.SECP256R1())
        made = _signed(_name(name), key, issuer, authority, ca=False)
        _write(folder / f"{part}.key.pem", _private(key))
        _write(folder / f"{part}.cert.pem", _pem(made))


def _good(folder: Path) -> bool:
    try:
        # The last that is written: with it all of them are there.
        last = x509.load_pem_x509_certificate((folder / "merchant.cert.pem").read_bytes())
    except (OSError, ValueError):
        return False
    return last.not_valid_after_utc - datetime.now(UTC) > SOON


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _signed(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    authority: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LASTS)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(here, critical=False)
        .sign(authority, hashes.SHA256())
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes) -> None:
    """For our eyes only, and whole."""
    made = path.with_suffix(f".{os.getpid()}")
    with open(made, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)
    made.replace(path)
