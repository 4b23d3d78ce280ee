"""Texts that only who has a key can read, each bound to the place where it is kept.

AES-256-GCM of `cryptography`, with a nonce of 96 random bits for each text. What is kept is the
key's id, a colon, the nonce and the ciphertext. The place is authenticated with it, so that a
ciphertext which is put into another row or column does not open.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.exc import DontWrapMixin

NONCE = 12
"""Bytes, at random: of a billion texts under one key two have the same with a chance of 10^-11."""


class NoKey(LookupError, DontWrapMixin):
    """There is no key: none at all, or not the one that the text was sealed with. It comes out of
    SQLAlchemy as it is."""


class NotGenuine(ValueError):
    """What is kept was not sealed for this place, or was changed."""


class Keyring:
    """The keys by their ids; the first seals, each opens what it has sealed."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        # Made once: making one takes longer than using it.
        self._keys = {name: AESGCM(key) for name, key in keys.items()}
        self.newest = next(iter(keys), None)

    @property
    def names(self) -> list[str]:
        """The keys' ids, the newest first."""
        return list(self._keys)

    def seal(self, text: str, place: str) -> bytes:
        """Raises NoKey."""
        if self.newest is None:
            raise NoKey("ENCRYPTION_KEYS is not set")
        nonce = os.urandom(NONCE)
        sealed = self._keys[self.newest].encrypt(nonce, text.encode(), place.encode())
        return self.newest.encode() + b":" + nonce + sealed

    def open(self, kept: bytes, place: str) -> str:
        """Raises NoKey and NotGenuine."""
        name, _, rest = kept.partition(b":")
        key = self._keys.get(name.decode(errors="replace"))
        if key is None:
            raise NoKey("the key that this was sealed with is not in ENCRYPTION_KEYS")
        try:
            return key.decrypt(rest[:NONCE], rest[NONCE:], place.encode()).decode()
        except (InvalidTag, ValueError):
            raise NotGenuine(f"what is kept at {place} was not sealed for it") from None
