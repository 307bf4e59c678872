"""The syncer's settings, read from ``.env``; an error lists every problem at once."""

import os
import re
import zoneinfo
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mirror_contract.secret_file import SecretFileError, is_dev_null, read_secret_file
from mirror_syncer.config.bucket import SCHEME, BucketAccess, BucketUrl
from mirror_syncer.config.catalog_url import check_catalog_url
from mirror_syncer.config.crontab import Crontab, crontab
from mirror_syncer.config.environment import PREFIX, list_unknown_variables
from mirror_syncer.config.listen import Listen, TcpPort, parse_listen
from mirror_syncer.errors import ConfigurationError
from mirror_syncer.model.digests import Unhashed
from mirror_syncer.upstream import ClientOptions, Limits, read_credentials
from mirror_syncer.upstream.http.hosts import normalize_host_port, parse_hosts
from mirror_syncer.upstream.http.proxies import list_proxy_problems

VERSION = version("pypi-mirror-syncer")
_CONNECTIONS_A_WORKER = 3  # one of them is kept for projects that a person named
_BYTES = re.compile(r"(\d{1,12}(?:\.\d{1,6})?) ?(?:([kMGT])(i?))?B?(?:/s)?")
_SLOWEST = 64_000  # bytes a second; all of PyPI would take twenty years
_POWERS = {"": 0, "k": 1, "M": 2, "G": 3, "T": 4}
FILES_OF_PYPI = "files.pythonhosted.org:443"


def _share(value: object) -> object:
    """Read ``5%`` as 0.05."""
    if isinstance(value, float):
        return value  # the default
    if isinstance(value, str) and (match := re.fullmatch(r"(\d{1,2}(?:\.\d+)?)%", value.strip())):
        return float(match[1]) / 100
    raise ValueError("must be a share of the disk from 0% to 99%, as in 5%")


def _number_or_auto(value: object) -> object:
    return None if value == "auto" else value


def _bytes_a_second(value: object) -> object:
    """Read ``50MB`` as 50,000,000 and ``200MiB`` as 209,715,200."""
    if value is None:
        return value  # the default
    match = _BYTES.fullmatch(value.strip().replace("K", "k")) if isinstance(value, str) else None
    if (
        match is None
        or (read := int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2] or ""])) < _SLOWEST
    ):
        raise ValueError("must be bytes per second, at least 64kB, as in 50MB or 200MiB; empty: no limit")
    return read


Bandwidth = Annotated[int | None, BeforeValidator(_bytes_a_second)]
"""Bytes per second; None: no limit."""


def _without_login(text: str) -> str:
    """Return a value without a login, however it is written."""
    return re.sub(r"^(\w+://)?.*@", r"\1…@", text, flags=re.DOTALL)


def _listen(value: object) -> object:
    return parse_listen(value) if isinstance(value, str) else value


def _data(value: object) -> object:
    return BucketUrl.parse(value.strip()) if isinstance(value, str) and value.strip().startswith(SCHEME) else value


def _words(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


class Settings(BaseSettings):
    """
    The syncer's settings. A field ``x`` is the variable ``MIRROR_X``.

    An empty variable counts as unset.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore")

    data: Annotated[Path | BucketUrl, NoDecode, BeforeValidator(_data)] = Field(
        default=Path("/srv/mirror"), description="The document root: a directory, or a bucket as s3://bucket/prefix."
    )
    s3_endpoint: str | None = Field(
        default=None, validate_default=True, description="The URL of the object store of a bucket."
    )
    s3_region: str = Field(default="us-east-1", description="The region that its requests are signed for.")
    s3_key_file: Path | None = Field(
        default=None, validate_default=True, description="A file with the keys of a bucket: ACCESSKEY:SECRETKEY."
    )
    state: Path = Field(default=Path("/var/lib/pypi-mirror"), description="The catalog's directory, on a local disk.")
    catalog: str = Field(default="", description="The catalog's database on PostgreSQL; empty: SQLite in MIRROR_STATE.")
    catalog_password_file: Path | None = Field(default=None, description="A file with the password of that database.")
    policy: Path = Field(default=Path("config/mirror.toml"), description="What is mirrored.")
    upstream: str = Field(default="https://pypi.org", description="The index to mirror.")
    upstream_netrc: Path | None = Field(
        default=None, description="A netrc with user and password for the index, or its proxy."
    )
    file_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)] = Field(
        default=(),
        description="Further hosts that files may come from; its own and files.pythonhosted.org need no entry.",
    )
    without_hash: Unhashed = Field(
        default=Unhashed.OWN_HOST, description="Where files without a sha256 in the index may come from."
    )
    ca_file: Path | None = Field(
        default=None, description="Certificate authorities to trust in addition to the system's."
    )
    contact: str = Field(default="", description="How the operators of upstream reach you; sent in the User-Agent.")
    connections: int = Field(
        default=10, ge=1, le=100, description="Simultaneous connections to upstream, for everything together."
    )
    workers: Annotated[int | None, BeforeValidator(_number_or_auto)] = Field(
        default=None,
        ge=1,
        le=64,
        description="Processes that transfer and verify, including this one; auto: one per core.",
    )
    bandwidth: Bandwidth = Field(default=None, description="Bytes per second from upstream, for everything together.")
    disk_reserve: Annotated[float, BeforeValidator(_share)] = Field(
        default=0.05, description="The share of the disk that a sync leaves free."
    )
    tz: str = Field(default="UTC", description="The time zone of the schedule.")
    schedule: str = Field(default="*/30 * * * *", description="When to sync, in crontab's five fields; or off.")
    verify_schedule: str = Field(
        default="off", description="When to verify everything, in crontab's five fields; or off."
    )
    verify_bandwidth: Bandwidth = Field(default=None, description="Bytes per second that a verify reads.")
    webhook_url: str | None = Field(default=None, repr=False, description="The URL that gets a POST when a run ends.")
    webhook_secret_file: Path | None = Field(default=None, description="A file with the key that signs these POSTs.")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = Field(default="auto", description="auto: console on a terminal.")
    listen: Annotated[Listen, NoDecode, BeforeValidator(_listen)] = Field(
        default=TcpPort("127.0.0.1", 8090), description="Where control finds the private API: unix:/path or host:port."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _as_other_systems_write(cls, value: object) -> object:
        """Strip white space: a file with Windows line ends adds a carriage return to each value."""
        return value.strip() if isinstance(value, str) else value

    @field_validator("upstream")
    @classmethod
    def _is_an_index(cls, value: str) -> str:
        message = "must be the URL of an index, as in https://pypi.org"
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError:
            raise ValueError(message) from None  # its own words quote the value
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            raise ValueError(message)
        if parts.username or parts.password:
            raise ValueError("must have no user or password, which logs would show; use MIRROR_UPSTREAM_NETRC")
        return value.rstrip("/").removesuffix("/simple")

    @field_validator("s3_endpoint")
    @classmethod
    def _is_a_store(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and not isinstance(info.data.get("data"), BucketUrl):
            return None
        try:
            parts = urlsplit(value or "")
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
            more = "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment
        except ValueError:
            usable, more = False, ""
        if not usable or more:
            raise ValueError("must be the URL of the object store of MIRROR_DATA, as in http://store.example.org:8000")
        return f"{parts.scheme}://{parts.netloc}"

    @field_validator("catalog")
    @classmethod
    def _is_a_database(cls, value: str) -> str:
        return check_catalog_url(value) if value else value

    @field_validator("file_hosts")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            try:
                list(parse_hosts(host))
            except ValueError as error:
                raise ValueError(f"{_without_login(host)!r} is {error}") from None
        return tuple(host.lower() for host in value)

    @field_validator("webhook_url")
    @classmethod
    def _is_a_receiver(cls, value: str | None) -> str | None:
        try:
            parts = urlsplit(value or "https://none")
            usable = (
                parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
            )
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("must be a URL without a user, as in https://chat.example.org/hooks/pypi")
        return value

    @field_validator("ca_file", "upstream_netrc", "webhook_secret_file", "catalog_password_file", "s3_key_file")
    @classmethod
    def _is_readable(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None or is_dev_null(value):
            if info.field_name == "s3_key_file" and isinstance(info.data.get("data"), BucketUrl):
                raise ValueError(
                    "must name a file with the access key and the secret key of the bucket, as ACCESSKEY:SECRETKEY"
                )
            return None
        if not os.access(value, os.R_OK):
            raise ValueError(f"{value} cannot be read")
        return value

    @field_validator("workers")
    @classmethod
    def _are_possible(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and value > 1 and isinstance(info.data.get("data"), BucketUrl):
            raise ValueError("must be 1 or auto, since only one process may write to a bucket")
        return value

    @field_validator("tz")
    @classmethod
    def _is_a_time_zone(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("must be a time zone, as in Europe/Berlin") from None
        return value

    @field_validator("schedule", "verify_schedule")
    @classmethod
    def _is_a_schedule(cls, value: str, info: ValidationInfo) -> str:
        if value != "off":
            crontab(value, time_zone=info.data.get("tz", "UTC"))
        return value

    def trigger(self) -> Crontab | None:
        """Return the schedule of the sync, or None if it is off."""
        return None if self.schedule == "off" else crontab(self.schedule, time_zone=self.tz)

    def verify_trigger(self) -> Crontab | None:
        """Return the schedule of the verify, or None if it is off."""
        return None if self.verify_schedule == "off" else crontab(self.verify_schedule, time_zone=self.tz)

    @property
    def worker_count(self) -> int:
        """Return how many processes transfer and verify; at most one per connection, and one for a bucket."""
        if isinstance(self.data, BucketUrl):
            return 1
        if self.workers is not None:
            return min(self.workers, self.connections)
        return max(1, min(os.cpu_count() or 1, self.connections // _CONNECTIONS_A_WORKER))

    @property
    def hosts(self) -> frozenset[str]:
        """Return each ``host:port`` that the syncer may contact: upstream's, PyPI's file host, and those allowed."""
        parts = urlsplit(self.upstream)
        own = normalize_host_port(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        more = (parsed for host in self.file_hosts for parsed in parse_hosts(host))
        return frozenset({own, FILES_OF_PYPI, *more})

    @property
    def user_agent(self) -> str:
        """Return the User-Agent that upstream sees."""
        return f"pypi-mirror/{VERSION}" + (f" (+{self.contact})" if self.contact else "")

    def location(self) -> Path | BucketAccess:
        """
        Return where the tree is: a directory, or a bucket with all that opens it.

        Raises:
            ConfigurationError: the key of the bucket, or the certificate authorities, cannot be read.
        """
        if isinstance(self.data, Path):
            return self.data
        assert self.s3_endpoint is not None
        assert self.s3_key_file is not None
        try:
            access, colon, secret = read_secret_file(self.s3_key_file).decode().partition(":")
            authorities = None if self.ca_file is None else self.ca_file.read_bytes()
        except UnicodeDecodeError:
            access = colon = secret = ""
        except SecretFileError as error:
            raise ConfigurationError(".env", [f"MIRROR_S3_KEY_FILE: {error}"]) from error
        except OSError as error:
            raise ConfigurationError(".env", [f"MIRROR_CA_FILE: {self.ca_file}: {error.strerror}"]) from error
        if not (access and colon and secret) or len(f"{access}{secret}".split()) != 1:
            raise ConfigurationError(".env", ["MIRROR_S3_KEY_FILE must have one line, ACCESSKEY:SECRETKEY"])
        return BucketAccess(self.data, self.s3_endpoint, self.s3_region, access, secret, authorities)

    @property
    def scratch(self) -> Path:
        """Return the local directory through which downloads into a bucket pass."""
        return self.state / "bucket"

    def client_options(self, *, limits: Limits | None = None) -> ClientOptions:
        """
        Return the options of the client for upstream.

        Raises:
            ConfigurationError: the netrc cannot be read, or has no login for this upstream.
        """
        return ClientOptions(
            user_agent=self.user_agent,
            hosts=self.hosts,
            connections=self.connections,
            bandwidth=self.bandwidth,
            ca_file=self.ca_file,
            credentials=read_credentials(self.upstream_netrc, upstream=self.upstream),
            limits=limits or Limits(),
        )


def read_settings() -> Settings:
    """
    Read the environment.

    Raises:
        ConfigurationError: a variable is unknown or invalid; the error lists all of them.
    """
    problems = list_unknown_variables(os.environ, settings=Settings.model_fields) + list_proxy_problems()
    settings = None
    try:
        settings = Settings()
    except ValidationError as error:
        problems += [_sentence(item) for item in error.errors()]
    if problems or settings is None:
        raise ConfigurationError(".env", problems)
    return settings


def _sentence(error: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    given, name = error["input"], str(error["loc"][0])
    shown = repr(_without_login(given) if isinstance(given, str) else given)
    if name in ("webhook_url", "catalog"):
        shown = "…"  # which is, or may contain, a password
    return f"{PREFIX}{name.upper()} = {shown}: {error['msg'].removeprefix('Value error, ')}"
