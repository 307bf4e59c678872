"""The parser of a page's entries: each becomes a file or a refusal."""

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import msgspec
from packaging.utils import NormalizedName

from mirror_syncer.errors import FileRejectedError, InvalidPageError
from mirror_syncer.model.digests import NO_DIGEST, parse_other_digest
from mirror_syncer.model.names import MAX_FILE_BYTES, Sha256, parse_distribution_name, parse_filename, parse_sha256
from mirror_syncer.model.page import File, Refusal
from mirror_syncer.upstream.text import clean_line

# PEP 700 wants UTC with a Z and at most six digits of a second. Others write offsets, or Go's nine digits; pip and uv
# read both. A time without an offset is ambiguous, so it is dropped.
_PYPI_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", re.ASCII)
_UPLOAD_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.,]\d{1,30})?)?([Zz]|[+-]\d\d(:?\d\d)?)", re.ASCII)
# PEP 740: fully qualified, and https; only characters of RFC 3986, so that no client's parser fails. Only clients
# request it, never the mirror.
_PROVENANCE = re.compile(r"https://([A-Za-z0-9.-]+)(?::([0-9]{1,5}))?/[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{0,2000}")
_MAX_PORT = 65_535
# Hosts of provenance files. A mirror of a mirror passes these URLs on.
_PROVENANCE_HOSTS = frozenset({"pypi.org", "test.pypi.org"})
_UNHASHED = "the page gives no sha256, so its content cannot be checked"
_MAX_REFUSALS = 1_000  # a page with more is refused as a whole
_MAX_URL_CHARS = 8_192
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
# The form of nearly all URLs: http(s), no '%', no query, no segment '.' or '..'. They skip the full check, which
# takes 30 µs a file.
_PLAIN_URL = re.compile(r"https?://[a-z0-9][a-z0-9.-]*(?::[0-9]{1,4})?(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~+!-]*)+")


class Entry(msgspec.Struct):
    """A file's entry on a page, with the keys of PEP 691; only the types are checked."""

    filename: str
    url: str
    hashes: dict[str, str]
    requires_python: str | None = msgspec.field(name="requires-python", default=None)
    size: int | None = None
    # PEP 700 allows no number here; an invalid time costs only the time.
    upload_time: Any = msgspec.field(name="upload-time", default=None)
    yanked: bool | str | None = False
    core_metadata: bool | dict[str, str] | None = msgspec.field(name="core-metadata", default=None)
    # PEP 714: the older key, which PyPI sends in addition
    data_dist_info_metadata: bool | dict[str, str] | None = msgspec.field(name="data-dist-info-metadata", default=None)
    provenance: str | None = None


class Entries:
    """
    A collector that turns a page's entries into files with absolute URLs, and refusals.

    Merged indexes repeat entries. Two entries with one name are one file unless they contradict each other; then the
    first counts and the other is refused. An entry without a hash contradicts nothing.

    Args:
        url: base of relative file URLs: the page's URL, or its ``<base>``.
        page: URL of the page.
        unhashed: accept a file without sha256, whose content is not known yet; otherwise refuse it.
        ours: the page was published by this mirror. Its file names are not checked again, because other rules may have
            applied at the time.
    """

    def __init__(
        self, *, name: NormalizedName, url: str, page: str, unhashed: bool = False, ours: bool = False
    ) -> None:
        self._name = name
        self._url = url
        self._takes_unhashed = unhashed
        self._hosts = None if ours else _PROVENANCE_HOSTS | {urlsplit(page).hostname}
        self._files: dict[str, File] = {}
        self._contradicting: list[File] = []
        self._refused: dict[Refusal, int] = {}
        self._unhashed: dict[str, Refusal] = {}
        self.dropped_upload_times = 0

    @property
    def files(self) -> tuple[File, ...]:
        """The files, in the order of the page."""
        return tuple(self._files.values())

    @property
    def contradicting(self) -> tuple[File, ...]:
        """The files refused because an earlier entry gives other content for their name."""
        return tuple(self._contradicting)

    @property
    def refused(self) -> tuple[Refusal, ...]:
        """The refused entries, without repetitions."""
        unhashed = (refusal for name, refusal in self._unhashed.items() if name not in self._files)
        return (*(refusal for refusal, count in self._refused.items() for _ in range(count)), *unhashed)

    def add(self, entry: Entry) -> None:
        """
        Add an entry as a file, or as a refusal with its reason.

        Raises:
            InvalidPageError: more than 1,000 entries are refused.
        """
        try:
            file = self._file(entry)
            if (before := self._files.get(file.filename)) is None:
                self._files[file.filename] = file
            else:
                if NO_DIGEST not in (before.sha256, file.sha256) and before.sha256 != file.sha256:
                    self._contradicting.append(file)
                self._files[file.filename] = _merge(before, file)
        except FileRejectedError as error:
            self.refuse(entry.filename, str(error))

    def refuse(self, filename: str | None, reason: str) -> None:
        """Record an unusable entry, with its file name if known; errors as in ``add``."""
        refusal = Refusal(clean_line(filename[:255]) if filename else "?", clean_line(reason))
        if filename and reason == _UNHASHED:
            self._unhashed.setdefault(filename, refusal)
        elif filename is None or refusal not in self._refused:
            self._refused[refusal] = self._refused.get(refusal, 0) + 1
        if sum(self._refused.values()) + len(self._unhashed) > _MAX_REFUSALS:
            raise InvalidPageError(f"more than {_MAX_REFUSALS:,} of its entries are unusable, such as {refusal}")

    def _file(self, entry: Entry) -> File:
        ours = self._hosts is None
        filename = (
            parse_filename(entry.filename) if ours else parse_distribution_name(entry.filename, project=self._name)
        )
        if (sha256 := entry.hashes.get("sha256")) is None and not self._takes_unhashed:
            raise FileRejectedError(_UNHASHED)
        size = entry.size
        if size is not None and not 0 <= size <= MAX_FILE_BYTES:
            raise FileRejectedError(f"the page declares {size:,} bytes, more than the limit of {MAX_FILE_BYTES:,}")
        metadata = entry.data_dist_info_metadata if entry.core_metadata is None else entry.core_metadata
        upload_time = parse_upload_time(entry.upload_time) if isinstance(entry.upload_time, str) else None
        if entry.upload_time and upload_time is None:
            self.dropped_upload_times += 1
        return File(
            filename=filename,
            url=_absolute(self._url, entry.url),
            sha256=NO_DIGEST if sha256 is None else parse_sha256(sha256),
            other_digest=parse_other_digest(entry.hashes) if sha256 is None or ours else None,
            size=size,
            upload_time=upload_time,
            requires_python=clean_line(entry.requires_python or "") or None,
            yanked=clean_line(entry.yanked) if isinstance(entry.yanked, str) and entry.yanked else bool(entry.yanked),
            core_metadata=_core_metadata(metadata),
            provenance=self._provenance(entry.provenance),
        )

    def _provenance(self, value: str | None) -> str | None:
        match = _PROVENANCE.fullmatch(value or "")
        if match is None or int(match[2] or 0) > _MAX_PORT:
            return None
        if self._hosts is not None and match[1].lower() not in self._hosts:
            return None
        return value


def _merge(one: File, other: File) -> File:
    """
    Merge two entries of one file; a yank in either counts, and so does the later upload time.

    Raises:
        FileRejectedError: they contradict each other in hash, size, Requires-Python or core metadata.
    """
    for field in ("sha256", "size", "requires_python", "core_metadata"):
        value, other_value = getattr(one, field), getattr(other, field)
        # None, no digest and metadata without a hash contradict nothing.
        silent = {None, NO_DIGEST} & {value, other_value} or isinstance(value, bool) or isinstance(other_value, bool)
        if value != other_value and not silent:
            what = field.replace("_", "-")
            raise FileRejectedError(f"the page lists it twice, with different {what}: {value!r} and {other_value!r}")
    digests = {one.other_digest, other.other_digest} - {None}
    if len({digest.partition("=")[0] for digest in digests if digest}) < len(digests):
        raise FileRejectedError(
            f"the page lists it twice, with different digests: {one.other_digest} and {other.other_digest}"
        )
    sha256 = one.sha256 or other.sha256
    reasons = sorted(yanked for yanked in (one.yanked, other.yanked) if isinstance(yanked, str))
    times = (time for time in (one.upload_time, other.upload_time) if time)
    return msgspec.structs.replace(
        one,
        sha256=sha256,
        other_digest=None if sha256 else one.other_digest or other.other_digest,
        size=other.size if one.size is None else one.size,
        requires_python=one.requires_python or other.requires_python,
        core_metadata=max(one.core_metadata, other.core_metadata, key=_metadata_rank),
        yanked=reasons[0] if reasons else one.yanked or other.yanked,
        upload_time=max(times, key=lambda time: time.removesuffix("Z"), default=None),
        provenance=min(filter(None, (one.provenance, other.provenance)), default=None),
    )


def _metadata_rank(promise: Sha256 | bool) -> tuple[bool, bool]:  # noqa: FBT001 - as of File
    return isinstance(promise, str), bool(promise)


def parse_upload_time(value: str) -> str | None:
    """Return an upload time in PyPI's format (UTC, six digits of a second or none); None if it is not a time."""
    usual = _PYPI_TIME.fullmatch(value)
    if usual is None and not _UPLOAD_TIME.fullmatch(value):
        return None
    try:
        if usual:
            datetime.fromisoformat(value)
            return value.replace(".000000", "")
        moment = datetime.fromisoformat(value.upper().replace(" ", "T")).astimezone(UTC)
    except (ValueError, OverflowError):  # the 31st of February; the year 0
        return None
    return f"{moment.replace(tzinfo=None).isoformat()}Z"


def _core_metadata(value: bool | dict[str, str] | None) -> Sha256 | bool:  # noqa: FBT001 - PEP 714's own values
    if isinstance(value, dict):
        return parse_sha256(value["sha256"]) if "sha256" in value else bool(value)
    return bool(value)


def _absolute(page: str, url: str) -> str:
    """Return a file's absolute URL without its fragment; refuse dot segments, even encoded ones."""
    if len(url) <= _MAX_URL_CHARS and _PLAIN_URL.fullmatch(url):
        return url
    if len(url) > _MAX_URL_CHARS:
        raise FileRejectedError(f"its URL has {len(url):,} characters, more than {_MAX_URL_CHARS:,}")
    try:
        parts = urlsplit(url)
        absolute = urljoin(page, url)
        whole = urlsplit(absolute)
        _ = whole.port  # urlsplit checks the port on access
    except ValueError as error:
        raise FileRejectedError(f"its URL {url[:200]!r} is invalid: {error}") from error
    path = parts.path
    if not (parts.scheme or parts.netloc):
        # Static mirrors write '../../packages/…' on purpose; urljoin keeps that below the host.
        while path.startswith(("../", "./")):
            path = path.partition("/")[2]
    if {".", ".."} & {*_segments(path), *_segments(whole.path)}:
        raise FileRejectedError(f"its URL {url[:200]!r} climbs out of its directory ('..')")
    if whole.scheme not in ("http", "https") or _UNPRINTABLE.search(absolute):
        raise FileRejectedError(f"its URL {url[:200]!r} is not http(s)")
    return absolute.partition("#")[0]


def _segments(path: str) -> list[str]:
    return unquote(path).replace("\\", "/").split("/")
