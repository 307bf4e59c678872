"""What an index without sha256 promises of a file, and what is made of it: see ``Unhashed``."""

import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NewType, Protocol

from mirror_syncer.errors import FileRejectedError
from mirror_syncer.model.names import Sha256

NO_DIGEST: Final = Sha256("")
"""Of a file whose sha256 is not known until it has come. No content has it, so that whatever compares says no."""

OtherDigest = NewType("OtherDigest", str)
"""Another digest that an index gives instead, such as ``md5=…``: an algorithm of hashlib and hexadecimal digits."""

# The strongest first: algorithms that every Python has (PEP 503: hashlib.algorithms_guaranteed), and their digits.
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
    """From where a file may come of which the index gives no sha256, nor a digest as strong."""

    OWN_HOST = "own-host"
    """From the index's own host alone: who could change the file there could change the page as well."""
    ANY_HOST = "any-host"
    """From each host that may hold files: that host is trusted, too."""
    NEVER = "never"


class Hasher(Protocol):
    """What hashlib makes."""

    def update(self, chunk: bytes, /) -> None:
        """Take the next bytes."""

    def hexdigest(self) -> str:
        """Return the digest of what was taken."""


def parse_other_digest(hashes: Mapping[str, str]) -> OtherDigest | None:
    """
    Return the strongest digest among a file's hashes; None: there is none that we know.

    Raises:
        FileRejectedError: it has not the digits that it must have.
    """
    for algorithm, digits in _DIGITS.items():
        if (said := hashes.get(algorithm)) is not None:
            if not re.fullmatch(rf"[0-9a-f]{{{digits}}}", said.lower()):
                raise FileRejectedError(f"{said[:80]!r} is no {algorithm}: {digits} hexadecimal digits")
            return OtherDigest(f"{algorithm}={said.lower()}")
    return None


def is_weak(digest: OtherDigest | None) -> bool:
    """Return whether two contents with this digest can be made, or there is none."""
    return digest is None or digest.partition("=")[0] in _WEAK


def new_hasher(digest: OtherDigest | None) -> Hasher | None:
    """Return what computes a digest of this kind."""
    return None if digest is None else hashlib.new(digest.partition("=")[0], usedforsecurity=False)


def check_other_digest(digest: OtherDigest | None, hasher: Hasher | None) -> None:
    """Raise ``FileRejectedError`` where a content has another digest than was promised."""
    if digest is None or hasher is None:
        return
    algorithm, _, wanted = digest.partition("=")
    if (found := hasher.hexdigest()) != wanted:
        raise FileRejectedError(f"its {algorithm} is {found}, the page says {wanted}")
