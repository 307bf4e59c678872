"""Control's settings: environment variables, parsed once; every problem is told at once."""

import logging
import os
import re
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mirror_contract.secret_file import is_null
from mirror_control.access.hosts import parse_hosts
from mirror_control.access.named_tokens import NamedTokens, Tokens
from mirror_control.access.token import TokenError, TokenFile
from mirror_control.client.api_client import UNIX

PREFIX = "MIRROR_"


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """As the standard library counts it."""
        return logging.getLevelNamesMapping()[self.name]


class LogFormat(StrEnum):
    """How it is logged."""

    AUTO = "auto"  # for people on a terminal, JSON elsewhere
    JSON = "json"
    CONSOLE = "console"


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: object) -> Self:
        """Parse ``host:port``, which an address also prints as; an IPv6 host stands in brackets."""
        parts = urlsplit(f"//{text}")
        if not parts.hostname or parts.port is None or parts.path:
            raise ValueError("must be host:port, such as 0.0.0.0:8081 or [::]:8081")
        return cls(host=parts.hostname, port=parts.port)


def _syncer_address(text: str) -> str:
    if text.startswith(UNIX):
        if not Path(text.removeprefix(UNIX)).is_absolute():
            raise ValueError(f"must be an absolute path after {UNIX}, such as {UNIX}/run/pypi-mirror/syncer.sock")
        return text
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"must be {UNIX}/path or an http:// address, such as http://127.0.0.1:8090")
    return text.rstrip("/") + "/"


def _hosts(value: object) -> object:
    return parse_hosts(value) if isinstance(value, str) else value


def _days(value: object) -> object:
    """Read ``400d`` as 400 days."""
    if isinstance(value, timedelta):
        return value  # the default
    if isinstance(value, str) and (match := re.fullmatch(r"([1-9]\d{0,3})d", value.strip(), re.ASCII)):
        return timedelta(days=int(match[1]))
    raise ValueError("must be days, from 1d to 9999d, as in 400d")


def _writable(path: Path) -> Path:
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        owner = f"{os.geteuid()}:{os.getegid()}"
        raise ValueError(f"must be a directory that {owner} can write (chown {owner} {path})")
    return path


def _usable(path: Path | None) -> Path | None:
    if path is None or is_null(path):
        return None
    try:
        TokenFile(path).current()
    except TokenError as error:
        raise ValueError(str(error)) from None
    return path


class SettingsError(Exception):
    """The environment is wrong; a line a problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(BaseSettings):
    """
    What control wants to know; a field ``x`` is the variable ``MIRROR_X``.

    An empty variable counts as unset: compose passes those on for knobs that nobody turned.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, validate_default=True
    )

    control_token_file: Annotated[Path | None, AfterValidator(_usable)] = None
    control_state: Annotated[Path, AfterValidator(_writable)] = Path("/var/lib/pypi-mirror-control")
    control_listen: Annotated[Address, NoDecode, BeforeValidator(Address.parse)] = Address("0.0.0.0", 8081)  # noqa: S104 a container's own address
    hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_hosts)] = ()
    access_log: Path = Path("/logs")
    downloads_kept: Annotated[timedelta, NoDecode, BeforeValidator(_days)] = timedelta(days=400)
    syncer_url: Annotated[str, AfterValidator(_syncer_address)] = "http://127.0.0.1:8090/"
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.AUTO

    @property
    def token_file(self) -> TokenFile:
        """The operator's, or else control's own."""
        return TokenFile(self.control_token_file or self.control_state / "token")

    @property
    def tokens(self) -> Tokens:
        """All tokens: the operator's, and those that `mirrorctl token create` made."""
        return Tokens(self.token_file, NamedTokens(self.control_state / "tokens"))

    @classmethod
    def load(cls) -> Self:
        """
        Read the environment.

        Raises:
            SettingsError: with all that is wrong.
        """
        try:
            return cls()
        except ValidationError as error:
            raise SettingsError(
                [
                    f"{PREFIX}{str(one['loc'][0]).upper()}={one['input']}: {one['msg'].removeprefix('Value error, ')}"
                    for one in error.errors(include_url=False)
                ]
            ) from None
