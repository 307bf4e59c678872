"""Control's settings: environment variables, parsed once. All problems are reported together."""

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

from mirror_contract.secret_file import is_dev_null
from mirror_control.access.hosts import parse_hosts
from mirror_control.access.named_tokens import NamedTokens, Tokens
from mirror_control.access.token import TokenError, TokenFile
from mirror_control.client.api_client import UNIX_PREFIX

PREFIX = "MIRROR_"


class LogLevel(StrEnum):
    """The lowest level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """The standard library's number for the level."""
        return logging.getLevelNamesMapping()[self.name]


class LogFormat(StrEnum):
    """The format of log lines."""

    AUTO = "auto"  # CONSOLE on a terminal, JSON elsewhere
    JSON = "json"
    CONSOLE = "console"


class Address(NamedTuple):
    """A host and port to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: object) -> Self:
        """Parse ``host:port``, the inverse of ``str``; an IPv6 host is in brackets."""
        parts = urlsplit(f"//{text}")
        if not parts.hostname or parts.port is None or parts.path:
            raise ValueError("must be host:port, such as 0.0.0.0:8081 or [::]:8081")
        return cls(host=parts.hostname, port=parts.port)


def _check_syncer_url(text: str) -> str:
    if text.startswith(UNIX_PREFIX):
        if not Path(text.removeprefix(UNIX_PREFIX)).is_absolute():
            raise ValueError(
                f"must be an absolute path after {UNIX_PREFIX}, such as {UNIX_PREFIX}/run/pypi-mirror/syncer.sock"
            )
        return text
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"must be {UNIX_PREFIX}/path or an http:// address, such as http://127.0.0.1:8090")
    return text.rstrip("/") + "/"


def _check_web_url(text: str | None) -> str | None:
    if text is None:
        return None
    parts = urlsplit(text)
    plain = re.fullmatch(r"https?://[^\s\"'<>{}`\\@?#]+", text)
    if plain is None or not parts.hostname:
        raise ValueError("must be a web address without a login, such as https://mirror.example.org:8443")
    return text.rstrip("/")


def _parse_hosts(value: object) -> object:
    return parse_hosts(value) if isinstance(value, str) else value


def _parse_days(value: object) -> object:
    """Parse a number of days such as ``400d``."""
    if isinstance(value, timedelta):
        return value  # the default
    if isinstance(value, str) and (match := re.fullmatch(r"([1-9]\d{0,3})d", value.strip(), re.ASCII)):
        return timedelta(days=int(match[1]))
    raise ValueError("must be a number of days from 1d to 9999d, such as 400d")


def _check_writable(path: Path) -> Path:
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        owner = f"{os.geteuid()}:{os.getegid()}"
        raise ValueError(f"must be a directory that {owner} can write; run `chown {owner} {path}`")
    return path


def _check_token_file(path: Path | None) -> Path | None:
    if path is None or is_dev_null(path):
        return None
    try:
        TokenFile(path).current()
    except TokenError as error:
        raise ValueError(str(error)) from None
    return path


class SettingsError(Exception):
    """The environment is invalid; the message has a line for each problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(BaseSettings):
    """
    Control's settings; the field ``x`` is the variable ``MIRROR_X``.

    An empty variable counts as unset, because compose passes unset variables on as empty ones.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, validate_default=True
    )

    control_token_file: Annotated[Path | None, AfterValidator(_check_token_file)] = None
    control_state: Annotated[Path, AfterValidator(_check_writable)] = Path("/var/lib/pypi-mirror-control")
    control_listen: Annotated[Address, NoDecode, BeforeValidator(Address.parse)] = Address("0.0.0.0", 8081)  # noqa: S104 the container's network is private
    hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parse_hosts)] = ()
    page_url: Annotated[str, AfterValidator(_check_web_url)] = "http://localhost:8080"
    grafana_url: Annotated[str | None, AfterValidator(_check_web_url)] = None
    access_log: Path = Path("/logs")
    downloads_kept: Annotated[timedelta, NoDecode, BeforeValidator(_parse_days)] = timedelta(days=400)
    syncer_url: Annotated[str, AfterValidator(_check_syncer_url)] = "http://127.0.0.1:8090/"
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.AUTO

    @property
    def token_file(self) -> TokenFile:
        """The operator's token file, or else the one that control creates."""
        return TokenFile(self.control_token_file or self.control_state / "token")

    @property
    def tokens(self) -> Tokens:
        """All tokens: the operator's, and those of `mirrorctl token create`."""
        return Tokens(self.token_file, NamedTokens(self.control_state / "tokens"))

    @classmethod
    def load(cls) -> Self:
        """
        Read the environment.

        Raises:
            SettingsError: with all problems.
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
