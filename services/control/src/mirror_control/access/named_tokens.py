"""Named tokens, each with its own right. A file per token stores only its digest."""

import hashlib
import hmac
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mirror_control.access.rights import Right, TokenHolder
from mirror_control.access.token import TokenError, TokenFile

log = structlog.get_logger(__name__)

OPERATOR: Final = "operator"
"""The name of the operator's token, which has every right."""
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
# Each request with a token checks every file.
_MAX_TOKENS: Final = 100
_MAX_FILE_BYTES: Final = 4096


class NamedToken(BaseModel):
    """The stored form of a token. Nobody can guess 256 random bits, so a fast hash is enough."""

    model_config = ConfigDict(frozen=True)

    right: Right
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created_at: datetime


class NamedTokens:
    """
    The tokens of a directory, read again after each change.

    Args:
        directory: holds a file ``<name>.json`` for each token; it need not exist.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._version: tuple[tuple[str, int, int, int], ...] = ()
        self._tokens: dict[str, NamedToken] = {}
        self.unusable: dict[str, str] = {}
        """Names of unusable tokens, each with the reason."""

    def all(self) -> dict[str, NamedToken]:
        """
        Return all usable tokens; an unreadable file affects only its own token.

        Raises:
            TokenError: the directory cannot be read.
        """
        version = tuple(sorted(self._files()))
        if version != self._version:
            self.unusable = {}
            self._tokens = {name: token for name, *_ in version if (token := self._read(name)) is not None}
            self._version = version
        return self._tokens

    def find(self, credential: bytes) -> TokenHolder | None:
        """
        Return the holder of a token, or None; the time it takes does not depend on the token.

        Raises:
            TokenError: the directory cannot be read.
        """
        digest = hashlib.sha256(credential).hexdigest()
        found = None
        for name, token in self.all().items():
            if hmac.compare_digest(token.sha256, digest):
                found = TokenHolder(name, token.right)
        return found

    def create(self, name: str, right: Right) -> str:
        """
        Create a token and return it; only its digest is stored.

        Raises:
            TokenError: the name is taken or invalid, or the file cannot be written.
        """
        if name == OPERATOR or not _NAME.fullmatch(name):
            raise TokenError(
                f"{name[:40]!r} is no valid token name: 1 to 32 of a-z, 0-9, and - inside; not {OPERATOR!r}"
            )
        if len(self.all()) >= _MAX_TOKENS:
            raise TokenError(f"there are already {_MAX_TOKENS} tokens; revoke one first")
        token = secrets.token_urlsafe(32)
        digest = hashlib.sha256(token.encode()).hexdigest()
        content = NamedToken(right=right, sha256=digest, created_at=datetime.now(UTC).replace(microsecond=0))
        try:
            self._write(name, content.model_dump_json().encode())
        except FileExistsError:
            raise TokenError(f"token {name!r} already exists; run `mirrorctl token revoke {name}` first") from None
        except OSError as error:
            raise TokenError(f"{self._directory}: {error.strerror}") from error
        return token

    def revoke(self, name: str) -> None:
        """
        Revoke a token; the next request with it is refused.

        Raises:
            TokenError: no token has this name, or its file cannot be deleted.
        """
        if name == OPERATOR:
            raise TokenError("to revoke the operator's token, write another one into its file")
        if not _NAME.fullmatch(name):
            raise TokenError(f"there is no token {name[:40]!r}")
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            raise TokenError(f"there is no token {name!r}; `mirrorctl token list` shows all tokens") from None
        except OSError as error:
            raise TokenError(f"{self._path(name)}: {error.strerror}") from error

    def _files(self) -> Iterator[tuple[str, int, int, int]]:
        try:
            entries = list(os.scandir(self._directory))
        except FileNotFoundError:
            return
        except OSError as error:
            raise TokenError(
                f"{self._directory}: {error.strerror}; it must be readable by uid {os.geteuid()}"
            ) from error
        for entry in entries:
            name = entry.name.removesuffix(".json")
            if name != entry.name and _NAME.fullmatch(name):
                with suppress(OSError):  # revoked meanwhile
                    found = entry.stat(follow_symlinks=False)
                    yield name, found.st_mtime_ns, found.st_ino, found.st_size

    def _read(self, name: str) -> NamedToken | None:
        try:
            with self._path(name).open("rb") as file:
                return NamedToken.model_validate_json(file.read(_MAX_FILE_BYTES))
        except (OSError, ValidationError) as error:
            self.unusable[name] = getattr(error, "strerror", None) or "its file is corrupt"
            return None

    def _write(self, name: str, content: bytes) -> None:
        """Create a file atomically, without replacing an existing one."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self._directory, prefix=".")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, self._path(name))
        finally:
            Path(temporary).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"


class Tokens:
    """
    All valid tokens.

    Args:
        operator: the operator's token, which has every right.
        named: all other tokens.
    """

    def __init__(self, operator: TokenFile, named: NamedTokens) -> None:
        self.operator = operator
        self.named = named
        self._known: dict[str, NamedToken] = {}

    def find(self, credential: bytes) -> TokenHolder | None:
        """
        Return the holder of a token, or None.

        Raises:
            TokenError: no readable token matches, and some cannot be read.
        """
        try:
            named = self.named.find(credential)
            self._log_changes()
        except TokenError:
            if hmac.compare_digest(credential, self.operator.current()):
                return TokenHolder(OPERATOR, Right.REMOVE)
            raise
        try:
            expected = self.operator.current()
        except TokenError:
            if named is not None:
                return named
            raise
        return TokenHolder(OPERATOR, Right.REMOVE) if hmac.compare_digest(credential, expected) else named

    def _log_changes(self) -> None:
        """Log names and rights of all named tokens after a change."""
        if (now := self.named.all()) != self._known:
            self._known = now
            rights = {name: str(token.right) for name, token in now.items()}
            log.info("named tokens loaded", tokens=rights, unusable=self.named.unusable)
