"""The token that changing calls need: the operator's file, or one that control makes for itself."""

import os
import re
import secrets
from pathlib import Path

from mirror_contract.secret_file import SecretFileError, read_secret_file
from mirror_control.state import replace_file

# RFC 6750, 2.1: what a Bearer header can carry.
_BEARER = re.compile(rb"[A-Za-z0-9\-._~+/]+=*")
# What stands in examples until somebody chooses: words of this kind, none of them hexadecimal, or a piece repeated, as
# 16 hexadecimal digits are once in four thousand million times.
_PLACEHOLDER = re.compile(
    rb"(?:admin|an|bearer|change|control|default|enter|example|here|insert|it|me|mirror|my|now|password|please|put|pypi"
    rb"|replace|sample|secret|some|the|this|to|token|value|with|your)+"
)
_REPEATED = re.compile(rb"(.{1,8}?)\1+")


class TokenError(Exception):
    """There is no usable token; the message names the file and what to do."""


class TokenFile:
    """
    A file that holds the token, read again whenever it changed, so that it can be replaced without a restart.

    Args:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._version: tuple[int, ...] | None = None
        self._token = b""

    def make(self) -> None:
        """
        Make a token, unless there is a file already.

        Raises:
            OSError: it can't be written.
        """
        if not self.path.exists():
            replace_file(self.path, f"{secrets.token_urlsafe(32)}\n".encode())

    def current(self) -> bytes:
        """
        Return the token as the file holds it now.

        Raises:
            TokenError: the file is missing, can't be read or holds no usable token.
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
                f"token file {error}; or leave MIRROR_CONTROL_TOKEN_FILE unset and control makes a token"
            ) from error
        if not _BEARER.fullmatch(token):
            raise TokenError(
                f"token file {self.path}: a token is one word of letters, digits and - . _ ~ + / (RFC 6750)"
            )
        if _PLACEHOLDER.fullmatch(re.sub(rb"[^a-z]", b"", token.lower())) or _REPEATED.fullmatch(token):
            raise TokenError(
                f"token file {self.path} holds a placeholder, which anybody can guess: write a token into it "
                "(openssl rand -hex 32)"
            )
        return token
