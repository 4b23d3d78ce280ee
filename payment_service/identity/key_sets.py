"""Keys by which tokens are verified, read from a JWKS, a PEM or a secret."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from jwt import PyJWTError
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from payment_service.config.callers import PUBLIC

ALL = PUBLIC
MOST_KEYS = 100
"""Of one set. Issuers have a handful; each costs time to read."""
MOST_TRIED = 4
"""Keys that are tried for one token: more than issuers have under one name, or without names."""
_FEWEST_BITS = 2048
"""Of an RSA key. Shorter ones can be broken."""

# What is public of a key in a JWKS. What else it says, such as x5u, leads elsewhere.
_PUBLIC_MEMBERS = ("kty", "n", "e", "crv", "x", "y")
_READERS: dict[str, Any] = {"RSA": RSAAlgorithm, "EC": ECAlgorithm, "OKP": OKPAlgorithm}


@dataclass(frozen=True)
class VerifyingKey:
    """One key, the algorithms that it is good for, and the name that its issuer gave it."""

    kid: str | None
    algorithms: frozenset[str]
    fingerprint: bytes = field(repr=False)  # of a shared secret, that itself
    material: Any = field(compare=False, repr=False)


@dataclass(frozen=True)
class KeySet:
    """All keys that are trusted at one time. Two with the same keys are equal."""

    keys: tuple[VerifyingKey, ...]

    def fitting(self, kid: str | None, algorithm: str) -> list[VerifyingKey]:
        """Those that may have signed a token that names this `kid` and algorithm. A key without a
        name fits any; so does any key a token that names none."""
        fits = [key for key in self.keys if algorithm in key.algorithms]
        named = [key for key in fits if kid is not None and key.kid == kid]
        others = [key for key in fits if kid is None or key.kid is None]
        return (named or others)[:MOST_TRIED]


def of_secret(secret: str) -> KeySet:
    """Raises nothing: the settings say how long it must be."""
    material = secret.encode()
    return KeySet((VerifyingKey(None, frozenset({"HS256"}), material, material),))


def of_pem(text: str | bytes, algorithms: Iterable[str]) -> KeySet:
    """Raises ValueError if it is no public key that one of these algorithms can use."""
    try:
        material = load_pem_public_key(text.encode() if isinstance(text, str) else text)
        return KeySet((_key(None, material, frozenset(algorithms)),))
    except (ValueError, UnsupportedAlgorithm, TypeError):
        raise ValueError(
            "must be a public key in PEM: RSA of 2048 bits or more, P-256, Ed25519 or Ed448, and"
            " for an algorithm that is allowed"
        ) from None


def of_jwks(document: Any, algorithms: Iterable[str]) -> KeySet:
    """The keys of a JWKS that can verify. What is for encryption, of an unknown kind or unreadable
    is passed over. Raises ValueError if it is no JWKS, or none of its keys can be used."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise ValueError(f"not a JWKS of at most {MOST_KEYS} keys")
    wanted = frozenset(algorithms)
    found = [key for member in listed if (key := _of_jwk(member, wanted))]
    if not found:
        raise ValueError("no key in it can be used")
    return KeySet(tuple(found))


def _of_jwk(jwk: Any, wanted: frozenset[str]) -> VerifyingKey | None:
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig":
        return None
    reader, kid, alg = _READERS.get(str(jwk.get("kty"))), jwk.get("kid"), jwk.get("alg")
    if reader is None or not isinstance(kid, str | None):
        return None
    try:
        if "verify" not in jwk.get("key_ops", ["verify"]):
            return None
        material = reader.from_jwk({name: jwk[name] for name in _PUBLIC_MEMBERS if name in jwk})
        return _key(kid, material, wanted if alg is None else wanted & {str(alg)})
    except (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, AttributeError):
        return None


def _key(kid: str | None, material: Any, wanted: frozenset[str]) -> VerifyingKey:
    """Raises ValueError where the key fits none of the algorithms."""
    fits = wanted & _algorithms(material)
    if not fits:
        raise ValueError("no algorithm fits it")
    whole = material.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return VerifyingKey(kid, fits, whole, material)


def _algorithms(material: Any) -> frozenset[str]:
    """What a key is good for, whatever a token says."""
    if isinstance(material, rsa.RSAPublicKey) and material.key_size >= _FEWEST_BITS:
        return frozenset({"RS256", "PS256"})
    if isinstance(material, ec.EllipticCurvePublicKey) and material.curve.name == "secp256r1":
        return frozenset({"ES256"})
    if isinstance(material, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return frozenset({"EdDSA"})
    return frozenset()
