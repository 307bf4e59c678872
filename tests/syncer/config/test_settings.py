"""The environment is accepted or refused as a whole, with every problem and its remedy."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import ConfigurationError
from mirror_syncer.upstream.http.hosts import is_allowed

Set = Callable[..., Settings]


def problems(setting: Set, **environment: str) -> list[str]:
    """Return the problems of an environment."""
    with pytest.raises(ConfigurationError) as refusal:
        setting(**environment)
    assert all(problem in str(refusal.value) for problem in refusal.value.problems)
    return refusal.value.problems


def test_defaults_are_complete(setting: Set) -> None:
    """Each setting has a working default."""
    read = setting()
    assert (read.upstream, read.connections, read.schedule) == ("https://pypi.org", 10, "*/30 * * * *")
    assert read.hosts == {"pypi.org:443", "files.pythonhosted.org:443"}
    assert str(read.listen) == "127.0.0.1:8090"


def test_empty_variable_counts_as_unset(setting: Set) -> None:
    """An empty variable counts as unset, since compose passes on what .env omits."""
    names = (f"MIRROR_{name.upper()}" for name in Settings.model_fields)
    assert setting(**dict.fromkeys(names, "")) == Settings()


def test_all_problems_are_listed_at_once(setting: Set) -> None:
    """One start lists all unknown variables and wrong values by name."""
    found = problems(
        setting,
        MIRROR_UPSTREM="https://pypi.org",
        MIRROR_COLOUR="blue",
        CONTROL_PROT="8081",
        MIRROR_CONNECTIONS="0",
        MIRROR_SCHEDULE="hourly",
        MIRROR_TZ="Mars/Olympus",
        MIRROR_UPSTREAM="pypi.org",
        MIRROR_LISTEN="8090",
        MIRROR_DISK_RESERVE="5",
        MIRROR_LOG_LEVEL="loud",
        MIRROR_FILE_HOSTS="files.example.org, http://x",
        MIRROR_CA_FILE="/nowhere/ca.pem",
    )
    text = "\n".join(found)
    assert len(found) == 12
    assert "CONTROL_PROT is not a setting; did you mean CONTROL_PORT?" in found
    assert "MIRROR_COLOUR is not a setting; " in text
    assert "MIRROR_UPSTREM is not a setting; did you mean MIRROR_UPSTREAM?" in found
    assert "MIRROR_CONNECTIONS = '0': " in text
    assert "MIRROR_SCHEDULE = 'hourly': 'hourly' is not a crontab's five fields" in text
    assert "MIRROR_TZ = 'Mars/Olympus': must be a time zone, as in Europe/Berlin" in found
    assert "MIRROR_UPSTREAM = 'pypi.org': must be the URL of an index, as in https://pypi.org" in found
    assert "MIRROR_LISTEN = '8090': a socket's path or an address and a port, as in unix:/" in text
    assert "MIRROR_DISK_RESERVE = '5': must be a share of the disk from 0% to 99%, as in 5%" in found
    assert "MIRROR_LOG_LEVEL = 'loud': " in text
    assert "'http://x' is not a host" in text
    assert "/nowhere/ca.pem cannot be read" in text


def test_password_in_a_url_is_refused_and_not_repeated(setting: Set) -> None:
    """A URL with user or password is refused, and the error, which logs show, does not repeat them."""
    [problem] = problems(setting, MIRROR_UPSTREAM="https://operator:secret@pypi.org/simple")
    assert problem.startswith("MIRROR_UPSTREAM = 'https://…@pypi.org/simple': must have no user or password")
    assert "MIRROR_UPSTREAM_NETRC" in problem


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MIRROR_UPSTREAM", "operator:secret@pypi.org"),
        ("MIRROR_UPSTREAM", "https://operator:secret/secret@pypi.org"),
        ("MIRROR_UPSTREAM", "https://operator:secret@secret@pypi.org"),
        ("MIRROR_UPSTREAM", "https://operator:secret's@[pypi.org"),
        ("MIRROR_FILE_HOSTS", "operator:secret@files.example.org"),
    ],
)
def test_password_in_an_invalid_url_is_not_repeated(setting: Set, key: str, value: str) -> None:
    """The error about an invalid URL with a password names at most its host."""
    [problem] = problems(setting, **{key: value})
    assert problem.startswith(f"{key} = ")
    assert "secret" not in problem


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MIRROR_UPSTREAM", "ftp://pypi.org"),
        ("MIRROR_UPSTREAM", "https://"),
        ("MIRROR_UPSTREAM", "https://pypi.org:99999"),
        ("MIRROR_UPSTREAM", "https://[::1"),
        ("MIRROR_CONNECTIONS", "101"),
        ("MIRROR_CONNECTIONS", "ten"),
        ("MIRROR_DISK_RESERVE", "100%"),
        ("MIRROR_DISK_RESERVE", "-1%"),
        ("MIRROR_TZ", "../../etc/passwd"),
        ("MIRROR_LISTEN", "127.0.0.1:"),
        ("MIRROR_LISTEN", "127.0.0.1:65536"),
        ("MIRROR_LISTEN", "unix:syncer.sock"),
        ("MIRROR_LISTEN", "unix:/" + "x" * 107),
        ("MIRROR_SCHEDULE", "* * * * 8"),
        ("MIRROR_VERIFY_SCHEDULE", "weekly"),
    ],
)
def test_wrong_value_is_named(setting: Set, key: str, value: str) -> None:
    """A wrong value is reported once, with its variable."""
    [problem] = problems(setting, **{key: value})
    assert problem.startswith(f"{key} = {value!r}: ")


@pytest.mark.parametrize(
    ("upstream", "origin", "host"),
    [
        ("https://pypi.org/simple/", "https://pypi.org", "pypi.org:443"),
        (
            "http://nexus.example:8081/repository/pypi/",
            "http://nexus.example:8081/repository/pypi",
            "nexus.example:8081",
        ),
        ("http://Mirror.Example/simple", "http://Mirror.Example", "mirror.example:80"),
    ],
)
def test_upstream_url_is_normalized(setting: Set, upstream: str, origin: str, host: str) -> None:
    """MIRROR_UPSTREAM may end in /simple/ like pip's index-url; its own host is allowed."""
    read = setting(MIRROR_UPSTREAM=upstream)
    assert read.upstream == origin
    assert host in read.hosts


def test_file_hosts_are_parsed(setting: Set) -> None:
    """Commas or blanks separate file hosts; case is ignored, and a host without a port means both default ports."""
    read = setting(MIRROR_FILE_HOSTS="Files.Example.org, cdn.example:8443")
    assert {"files.example.org:443", "files.example.org:80", "cdn.example:8443"} <= read.hosts
    assert "cdn.example:443" not in read.hosts


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize(
    ("said", "host", "port", "allowed"),
    [
        ("*.blob.example:8443", "x81.blob.example", 8443, True),
        (".blob.example:8443", "a.b.blob.example", 8443, True),
        ("*.Blob.example", "X81.blob.example.", 443, True),
        ("*.blob.example", "x81.blob.example", 80, True),
        ("*.blob.example", "x81.blob.example", 8443, False),
        ("*.blob.example", "blob.example", 443, False),
        ("*.blob.example", "xblob.example", 443, False),
        ("*.blob.example", "blob.example.org", 443, False),
        ("*.blob.example:8443", "x81.blob.example:8443.org", 443, False),
        ("pypi_files:8000", "pypi_files", 8000, True),
        ("[::1]:8000", "::1", 8000, True),
        ("[2001:DB8:0::1]", "2001:db8::1", 443, True),
        ("[::1]:8000", "::1", 8001, False),
    ],
)
def test_file_host_wildcard_matches_subdomains(setting: Set, said: str, host: str, port: int, *, allowed: bool) -> None:
    """A wildcard matches only hosts below its domain; addresses and Compose's names are hosts like others."""
    assert is_allowed(host, port, allowed=setting(MIRROR_FILE_HOSTS=said).hosts) is allowed


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize(
    "said",
    ["*", "*.", "x*.example", "a.*.example", "*example", "::1:8000", "[::1", "a:0", "a:65536", "a:", "-a", "a..b"],
)
def test_invalid_file_host_is_refused(setting: Set, said: str) -> None:
    """A wildcard for all hosts, or within a name, is refused with an example of the right form."""
    [problem] = problems(setting, MIRROR_FILE_HOSTS=said)
    assert "not a host or host:port, as in files.example.org, *.example.org:8443" in problem


def test_windows_line_ends_are_stripped(setting: Set) -> None:
    """The syncer strips a carriage return or blanks from the end of a value."""
    read = setting(
        MIRROR_UPSTREAM="https://pypi.example/simple/\r", MIRROR_CONNECTIONS="4 ", MIRROR_DISK_RESERVE="3%\r"
    )
    assert (read.upstream, read.connections, read.disk_reserve) == ("https://pypi.example", 4, 0.03)


@pytest.mark.parametrize(("said", "share"), [("5%", 0.05), ("0%", 0.0), ("2.5%", 0.025), ("99%", 0.99)])
def test_disk_reserve_is_a_share(setting: Set, said: str, share: float) -> None:
    """The disk reserve is written as a percentage."""
    assert setting(MIRROR_DISK_RESERVE=said).disk_reserve == pytest.approx(share)


@pytest.mark.parametrize(
    ("said", "rate"),
    [
        ("50MB", 50_000_000),
        ("200MiB", 209_715_200),
        ("1.5 GB/s", 1_500_000_000),
        ("800k", 800_000),
        ("2GiB", 2**31),
        ("64000", 64_000),
    ],
)
def test_bandwidth_accepts_common_units(setting: Set, said: str, rate: int) -> None:
    """A bandwidth is bytes per second with a common unit; unset, there is no limit."""
    assert setting(MIRROR_VERIFY_BANDWIDTH=said).verify_bandwidth == rate
    assert setting(MIRROR_VERIFY_BANDWIDTH="").verify_bandwidth is None


@pytest.mark.parametrize("said", ["0", "63kB", "fast", "-1", "50Mb", "50Mbit", "1e9", "MB", "²MB", "none"])
def test_invalid_bandwidth_is_refused(setting: Set, said: str) -> None:
    """Bits, zero and words are refused with an example of the right form."""
    [problem] = problems(setting, MIRROR_VERIFY_BANDWIDTH=said)
    assert (
        problem
        == f"MIRROR_VERIFY_BANDWIDTH = {said!r}: must be bytes per second, at least 64kB, as in 50MB or 200MiB; "
        "empty: no limit"
    )


def test_schedule_has_its_time_zone(setting: Set) -> None:
    """A trigger has the configured time zone, and ``off`` has no trigger."""
    trigger = setting(MIRROR_SCHEDULE="0 3 * * 0", MIRROR_TZ="Europe/Berlin").trigger()
    assert str(trigger and trigger.timezone) == "Europe/Berlin"
    assert setting(MIRROR_SCHEDULE="off").trigger() is None
    assert setting().verify_trigger() is None
    verify = setting(MIRROR_VERIFY_SCHEDULE="0 2 * * 6", MIRROR_TZ="Europe/Berlin").verify_trigger()
    assert str(verify and verify.timezone) == "Europe/Berlin"


@pytest.mark.parametrize(
    "value",
    [
        "postgresql://mirror@db.example.org/mirror",
        "postgresql://mirror@[::1]:5432/mirror?sslmode=verify-full&sslrootcert=system",
        "postgresql://mirror@/mirror?host=/run/postgresql",
    ],
)
def test_catalog_may_be_a_database(setting: Set, value: str) -> None:
    """The catalog is a database of PostgreSQL by TCP, TLS or a socket; SQLite by default."""
    assert setting().catalog == ""
    assert setting(MIRROR_CATALOG=value).catalog == value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("postgresql://mirror:hunter2@db.example.org/mirror", "write it into a file: MIRROR_CATALOG_PASSWORD_FILE"),
        ("postgresql://mirror@db.example.org/mirror?password=hunter2", "unknown parameter"),
        ("postgresql://mirror@db.example.org/mirror?options=-chunter2", "unknown parameter"),
        ("mysql://hunter2@db.example.org/mirror", "must be a URL such as postgresql://"),
        ("postgresql://hunter2@db.example.org", "must be a URL such as postgresql://"),
        ("postgresql://hunter2@/mirror", "must be a URL such as postgresql://"),
        ("postgresql://db.example.org:hunter2/mirror", "must be a URL such as postgresql://"),
        ("/var/lib/hunter2.sqlite", "must be a URL such as postgresql://"),
    ],
)
def test_wrong_catalog_is_refused_without_showing_it(setting: Set, value: str, words: str) -> None:
    """A URL with a password, or of another database, is refused with the remedy, and not shown."""
    [problem] = problems(setting, MIRROR_CATALOG=value)
    assert problem.startswith("MIRROR_CATALOG = …: ")
    assert words in problem
    assert "hunter2" not in problem


def test_dev_null_means_no_file(setting: Set, tmp_path: Path) -> None:
    """/dev/null, which compose mounts if no file is configured, counts as unset; a readable file is used."""
    ca = tmp_path / "ca.pem"
    ca.write_text("")
    assert setting(MIRROR_CA_FILE="/dev/null").ca_file is None
    assert setting(MIRROR_UPSTREAM_NETRC="/dev/null").upstream_netrc is None
    assert setting(MIRROR_CA_FILE=str(ca)).ca_file == ca


def test_user_agent_holds_only_the_contact(setting: Set) -> None:
    """The User-Agent holds the operator's contact, and without one no address at all."""
    assert "http" not in setting().user_agent
    assert setting(MIRROR_CONTACT="ops@example.org").user_agent.endswith(" (+ops@example.org)")
