"""Digests for indexes that give no sha256; ``Unhashed`` is the policy for such files."""

import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NewType, Protocol

from mirror_syncer.errors import FileRejectedError
from mirror_syncer.model.names import Sha256

NO_DIGEST: Final = Sha256("")
"""The sha256 of a file before its download, if the index gives none. It equals no content's digest."""

OtherDigest = NewType("OtherDigest", str)
"""A digest that an index gives instead of sha256, such as ``md5=…``: a hashlib algorithm and hexadecimal digits."""

# Strongest first: algorithms of every Python (PEP 503: hashlib.algorithms_guaranteed), and their number of digits.
_DIGITS = {
    "sha512": 128,
    "sha384": 96,
    "blake2b": 128,
    "sha3_512": 128,
    "sha3_256": 64,
    "sha224": 56,
    "sha1": 40,
    "md5": 32,
}
_WEAK = frozenset({"sha1", "md5"})


class Unhashed(StrEnum):
    """The hosts that may serve files without a sha256 or another strong digest."""

    OWN_HOST = "own-host"
    """Only the index's own host: an attacker who can change files there can also change the page."""
    ANY_HOST = "any-host"
    """Every allowed file host, which is thereby trusted, too."""
    NEVER = "never"


class Hasher(Protocol):
    """A hash object of hashlib."""

    def update(self, chunk: bytes, /) -> None:
        """Add the next bytes."""

    def hexdigest(self) -> str:
        """Return the digest of all bytes so far."""


def parse_other_digest(hashes: Mapping[str, str]) -> OtherDigest | None:
    """
    Return the strongest known digest among a file's hashes, or None if there is none.

    Raises:
        FileRejectedError: its digits are invalid.
    """
    for algorithm, digits in _DIGITS.items():
        if (digest := hashes.get(algorithm)) is not None:
            if not re.fullmatch(rf"[0-9a-f]{{{digits}}}", digest.lower()):
                raise FileRejectedError(
                    f"{digest[:80]!r} is not a valid {algorithm}: {digits} hexadecimal digits expected"
                )
            return OtherDigest(f"{algorithm}={digest.lower()}")
    return None


def is_weak(digest: OtherDigest | None) -> bool:
    """Return whether an attacker can construct two contents with this digest, or there is none."""
    return digest is None or digest.partition("=")[0] in _WEAK


def new_hasher(digest: OtherDigest | None) -> Hasher | None:
    """Return a hash object for a digest's algorithm."""
    return None if digest is None else hashlib.new(digest.partition("=")[0], usedforsecurity=False)


def check_other_digest(digest: OtherDigest | None, hasher: Hasher | None) -> None:
    """Raise ``FileRejectedError`` if a content's digest differs from the page's."""
    if digest is None or hasher is None:
        return
    algorithm, _, wanted = digest.partition("=")
    if (found := hasher.hexdigest()) != wanted:
        raise FileRejectedError(f"its {algorithm} is {found}, the page says {wanted}")
