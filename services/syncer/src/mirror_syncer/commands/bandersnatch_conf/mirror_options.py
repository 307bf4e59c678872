"""The options of ``[mirror]`` and ``[s3]``: settings for ``.env``, and what needs none."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from mirror_syncer.commands.bandersnatch_conf.findings import Findings, Outcome
from mirror_syncer.commands.bandersnatch_conf.ini_file import MIRROR_DEFAULTS, IniFile
from mirror_syncer.commands.bandersnatch_conf.policy_document import PolicyDocument
from mirror_syncer.upstream.http.proxies import Proxy

_SECTION = "mirror"
_PLAIN = re.compile(r"[\w./:@%+,~=\[\]-]+")
_MAX_CONNECTIONS = 100
_NETRC = "put its user and password into the file of MIRROR_UPSTREAM_NETRC"
_NO_BUCKET = "files lie on a file system, not in a bucket; mount one at MIRROR_DATA"


@dataclass(frozen=True, slots=True)
class _Fixed:
    """An option that needs no setting, or none with its usual value."""

    needless: str
    """Why bandersnatch's default needs no setting."""
    no_twin: str = ""
    """What to do about another value; empty: it needs no setting either."""


class _Outcome(NamedTuple):
    outcome: Outcome
    sentence: str
    settings: tuple[str, ...] = ()


_LIMITS = "the syncer has limits of its own: it retries after 15 s without a connection or 30 s without data"
_FIXED = {
    "allow-non-https": _Fixed("MIRROR_UPSTREAM may begin with http://"),
    "api-method": _Fixed("the syncer reads the Simple API"),
    "cleanup": _Fixed("the syncer writes normalized names only"),
    "cleanup_todo": _Fixed("there is no todo list; a project that fails delays no other"),
    "compare-method": _Fixed("the catalog knows the hash of each file, and verify compares the files with it"),
    "core-metadata": _Fixed(
        "metadata files are always published", "metadata files are always published; pip and uv read them"
    ),
    "delete_missing_packages": _Fixed("a project that upstream deleted leaves here, too, within the deletion guard"),
    "diff-append-epoch": _Fixed("no diff-file is set", "a run writes no list of its files"),
    "diff-file": _Fixed("no list of files is wanted", "a run writes no list of its files; copy the tree with rsync"),
    "digest_name": _Fixed("pages give the sha256", "pages give the sha256, which pip and uv check; drop the option"),
    "download-mirror": _Fixed(
        "no second source is set",
        "files come from the URLs on the index's pages; if that mirror has pages, too, set MIRROR_UPSTREAM to it",
    ),
    "download-mirror-no-fallback": _Fixed(
        "no download-mirror is used", "there is no download-mirror to fall back from"
    ),
    "global-timeout": _Fixed(_LIMITS, f"{_LIMITS}; drop the option"),
    "hash-index": _Fixed(
        "pages lie at simple/NAME/",
        "pages lie at simple/NAME/, where pip asks for them; drop the rewrite rules of the old web server",
    ),
    "keep-index-versions": _Fixed("bandersnatch does not read this spelling, with hyphens"),
    "keep_index_versions": _Fixed(
        "each page is replaced as a whole", "older pages are not kept; take snapshots of the file system instead"
    ),
    "log-config": _Fixed("the log goes to standard error", "set MIRROR_LOG_LEVEL and MIRROR_LOG_FORMAT in .env"),
    "release-files": _Fixed("files are always stored", "files are always stored; choose fewer of them in mirror.toml"),
    "root_uri": _Fixed(
        "pages name files by relative URLs", "pages name files by relative URLs, which work under any address; drop it"
    ),
    "simple-format": _Fixed("pages are published as HTML and as JSON"),
    "stop-on-error": _Fixed(
        "a project that fails stops no other",
        "a project that fails stops no other; the run ends as incomplete, with exit code 3",
    ),
    "storage-filesystem-manage-permissions": _Fixed(
        "everybody may read the files",
        "the syncer sets the mode of its files; set MIRROR_UID and MIRROR_GID in .env to their owner",
    ),
    "timeout": _Fixed(_LIMITS, f"{_LIMITS}; drop the option"),
    "verifiers": _Fixed("a verify uses as many processes as MIRROR_WORKERS says"),
}
_SWITCHES = frozenset(name for name, value in MIRROR_DEFAULTS.items() if value in ("true", "false"))
# Without the option that they belong to, they have no effect.
_BELONGS_TO = {"diff-append-epoch": "diff-file", "download-mirror-no-fallback": "download-mirror"}


class MirrorOptions:
    """The converter of the options that are no filters."""

    def __init__(self, file: IniFile, *, document: PolicyDocument, findings: Findings) -> None:
        self._file, self._document, self._findings = file, document, findings

    def convert(self) -> None:
        """
        Convert the options.

        Raises:
            ConfigurationError: a value is one with which bandersnatch does not start.
        """
        for name in _FIXED:
            if self._file.option(_SECTION, name):
                self._record(name, self._judge_fixed(name))
        converters: dict[str, Callable[[str], _Outcome]] = {
            "directory": self._directory,
            "json": self._json,
            "master": self._master,
            "proxy": self._proxy,
            "storage-backend": self._storage_backend,
            "workers": self._workers,
        }
        for name, converter in converters.items():
            if (value := self._file.value(_SECTION, name)) is not None:
                self._record(name, converter(value.strip()))
        for name in self._file.names("s3"):
            used = self._backend == "s3"
            sentence = _NO_BUCKET if used else "bandersnatch reads it only with storage-backend = s3"
            self._findings.record("s3", name, Outcome.NO_TWIN if used else Outcome.NEEDLESS, sentence)

    def _record(self, name: str, found: _Outcome) -> None:
        self._findings.record(_SECTION, name, found.outcome, found.sentence, *found.settings)

    def _judge_fixed(self, name: str) -> _Outcome:
        fixed = _FIXED[name]
        if name == "delete_missing_packages" and not self._file.boolean(_SECTION, name):
            return _Outcome(Outcome.NO_TWIN, f"{fixed.needless}; [removal] grace says for how long its files stay")
        if not fixed.no_twin or self._is_usual(name):
            return _Outcome(Outcome.NEEDLESS, fixed.needless)
        return _Outcome(Outcome.NO_TWIN, fixed.no_twin)

    def _is_usual(self, name: str) -> bool:
        """Return whether an option has bandersnatch's own value, or no effect."""
        owner = _BELONGS_TO.get(name)
        if owner and not self._file.value(_SECTION, owner):
            return True
        usual = MIRROR_DEFAULTS.get(name, "0")
        if name in _SWITCHES:
            return self._file.boolean(_SECTION, name) == (usual == "true")
        return (self._file.value(_SECTION, name) or "").strip().lower() == usual.lower()

    @property
    def _backend(self) -> str:
        return (self._file.value(_SECTION, "storage-backend") or "filesystem").strip()

    def _storage_backend(self, value: str) -> _Outcome:
        if value == "filesystem":
            return _Outcome(Outcome.NEEDLESS, "files lie on a file system")
        return _Outcome(Outcome.NO_TWIN, _NO_BUCKET)

    def _directory(self, value: str) -> _Outcome:
        path = PurePosixPath(value)
        if self._backend != "filesystem":
            return _Outcome(Outcome.NO_TWIN, _NO_BUCKET)
        if not path.is_absolute() or path == path.parent or not value.isprintable():
            return _Outcome(
                Outcome.NO_TWIN, "set MIRROR_DATA in .env to the absolute path of a directory for the mirror"
            )
        if path.name == "pypi" and path.parent != path.parent.parent:
            sentence = "the tree is where this mirror has its own; adopt takes it over"
            return _Outcome(Outcome.SETTING, sentence, (_setting("MIRROR_DATA", str(path.parent)),))
        sentence = "take the tree over with: mirror-syncer adopt --from /srv/mirror/web"
        return _Outcome(Outcome.SETTING, sentence, (_setting("MIRROR_DATA", str(path)),))

    def _json(self, value: str) -> _Outcome:
        del value
        if not self._file.boolean(_SECTION, "json"):
            return _Outcome(Outcome.NEEDLESS, "the legacy JSON is off by default")
        self._document.set("serve", "legacy_json", value=True, comment="[mirror] json")
        return _Outcome(Outcome.POLICY, "[serve] legacy_json; published at pypi/NAME/json, not at json/NAME")

    def _master(self, value: str) -> _Outcome:
        try:
            parts = urlsplit(value)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or not value.isprintable():
            raise self._file.wrong(_SECTION, "master", "must be the URL of an index, as in https://pypi.org")
        if value.rstrip("/") == MIRROR_DEFAULTS["master"]:
            return _Outcome(Outcome.NEEDLESS, "MIRROR_UPSTREAM is https://pypi.org by default")
        host = parts.netloc.rpartition("@")[2]
        sentence = f"the index; {_NETRC}" if host != parts.netloc else "the index"
        return _Outcome(Outcome.SETTING, sentence, (_setting("MIRROR_UPSTREAM", parts._replace(netloc=host).geturl()),))

    def _proxy(self, value: str) -> _Outcome:
        if not value:
            return _Outcome(Outcome.NEEDLESS, "no proxy is set")
        if not value.lower().startswith(("http", "socks")):
            return _Outcome(Outcome.NEEDLESS, "bandersnatch uses only a proxy whose URL begins with http or socks")
        try:
            proxy = Proxy.parse(value)
        except ValueError as error:
            raise self._file.wrong(_SECTION, "proxy", str(error)) from None
        sentence = f"the proxy; {_NETRC}" if proxy.login else "the proxy; name hosts that need none in NO_PROXY"
        return _Outcome(Outcome.SETTING, sentence, (_setting("HTTPS_PROXY", proxy.url),))

    def _workers(self, value: str) -> _Outcome:
        if not re.fullmatch(r"\d{1,9}", value) or not 1 <= int(value) <= _MAX_CONNECTIONS:
            raise self._file.wrong(_SECTION, "workers", f"must be a number from 1 to {_MAX_CONNECTIONS}")
        if value == MIRROR_DEFAULTS["workers"]:
            return _Outcome(Outcome.NEEDLESS, "MIRROR_CONNECTIONS is 10 by default")
        sentence = "simultaneous connections to the index; a worker of bandersnatch is one"
        return _Outcome(Outcome.SETTING, sentence, (_setting("MIRROR_CONNECTIONS", value),))


def list_mirror_options() -> Iterator[str]:
    """Yield the name of each option of ``[mirror]`` that is known here."""
    yield from _FIXED
    yield from ("directory", "json", "master", "proxy", "storage-backend", "workers")


def _setting(name: str, value: str) -> str:
    """Return a line of ``.env``; in single quotes Compose takes each character as it is."""
    if _PLAIN.fullmatch(value):
        return f"{name}={value}"
    quoted = value.replace("'", "\\'")
    return f"{name}='{quoted}'"
