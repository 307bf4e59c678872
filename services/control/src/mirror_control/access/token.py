"""The operator's token: a file of the operator, or one that control creates."""

import os
import re
import secrets
from pathlib import Path

from mirror_contract.secret_file import SecretFileError, read_secret_file
from mirror_control.state import replace_file

# RFC 6750, 2.1: the characters of a bearer token.
_BEARER_TOKEN = re.compile(rb"[A-Za-z0-9\-._~+/]+=*")
# Placeholders from examples: such words, none of them hexadecimal, or a repeated piece. One in 4e9 random tokens of 16
# hexadecimal digits looks like that.
_PLACEHOLDER = re.compile(
    rb"(?:admin|an|bearer|change|control|default|enter|example|here|insert|it|me|mirror|my|now|password|please|put|pypi"
    rb"|replace|sample|secret|some|the|this|to|token|value|with|your)+"
)
_REPEATED = re.compile(rb"(.{1,8}?)\1+")


class TokenError(Exception):
    """A token is unusable; the message names the file and the remedy."""


class TokenFile:
    """
    The file of the operator's token. It is read again after each change, so that replacing it needs no restart.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._version: tuple[int, ...] | None = None
        self._token = b""

    def create_if_missing(self) -> None:
        """
        Write a random token, unless the file exists.

        Raises:
            OSError: the file can't be written.
        """
        if not self.path.exists():
            replace_file(self.path, f"{secrets.token_urlsafe(32)}\n".encode())

    def current(self) -> bytes:
        """
        Return the token that the file holds now.

        Raises:
            TokenError: the file is missing or unreadable, or its token is unusable.
        """
        try:
            found = self.path.stat()
            version = (found.st_mtime_ns, found.st_ino, found.st_size)
            if version != self._version:
                self._token = self._read()
                self._version = version
        except OSError as error:
            raise TokenError(
                f"token file {self.path}: {error.strerror}; it must be readable by uid {os.geteuid()}"
            ) from error
        return self._token

    def _read(self) -> bytes:
        try:
            token = read_secret_file(self.path)
        except SecretFileError as error:
            raise TokenError(
                f"token file {error}; or unset MIRROR_CONTROL_TOKEN_FILE, and control creates a token"
            ) from error
        if not _BEARER_TOKEN.fullmatch(token):
            raise TokenError(
                f"token file {self.path}: a token may contain only letters, digits and - . _ ~ + / (RFC 6750)"
            )
        if _PLACEHOLDER.fullmatch(re.sub(rb"[^a-z]", b"", token.lower())) or _REPEATED.fullmatch(token):
            raise TokenError(
                f"token file {self.path} holds a placeholder that anybody can guess; write a random token into it "
                "(openssl rand -hex 32)"
            )
        return token
