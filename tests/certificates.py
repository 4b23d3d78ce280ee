"""Certificates for tests: an authority of their own, and whoever it vouches for."""

from __future__ import annotations

import ipaddress
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from payment_service.http import Tls

_HERE = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])


class Authority:
    """A CA whose files are in `folder`; `ca` is its own certificate."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        made = self._build(self._name, self._key, timedelta(days=2), ca=True)
        self.ca = folder / f"{name}.pem"
        self.ca.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def vouch_for(self, name: str, *, lasts: timedelta = timedelta(days=1)) -> tuple[Path, Path]:
        """The files of a certificate of `name` at 127.0.0.1, and of its key; one that `lasts` less
        than nothing is over."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._build(subject, key, lasts, ca=False)
        files = self._folder / f"{name}.cert.pem", self._folder / f"{name}.key.pem"
        files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files

    def tls(self, name: str, *, lasts: timedelta = timedelta(days=1)) -> Tls:
        """A client of that name who believes this authority."""
        cert, key = self.vouch_for(name, lasts=lasts)
        return Tls(str(cert), str(key), str(self.ca))

    def _build(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, lasts: timedelta, *, ca: bool
    ) -> x509.Certificate:
        end = datetime.now(UTC) + lasts
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - timedelta(days=3))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            builder = builder.add_extension(_HERE, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def a_certificate(folder: Path, of: str) -> tuple[Path, Path]:
    """One that signs itself, of a name (`of` "DNS:redis.example") or an address ("IP:127.0.0.1"),
    and its key."""
    made = (folder / "cert.pem", folder / "key.pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=here", "-addext", f"subjectAltName={of}"),
            *("-out", str(made[0]), "-keyout", str(made[1])),
        ],
        check=True,
        capture_output=True,
    )
    return made
