"""The tally of a slice of the access log."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from mirror_contract import parse_project_name
from mirror_contract.distributions import Distribution, DistributionType, is_companion, parse_distribution
from mirror_control.downloads.client import parse_client
from mirror_control.downloads.line import Request, parse_line
from mirror_control.downloads.serving_metrics import ServingMetrics

# A client that resumes requests only the rest. So only a range from the first byte on counts as a download.
_FROM_THE_START = re.compile(r"bytes=0+-", re.ASCII | re.IGNORECASE)
_PYTHON = re.compile(r"[23]\.\d{1,2}", re.ASCII)
_PAGE = re.compile(r"(?:/pypi/web)?/simple/([^/]+)/?", re.ASCII)
# A downloaded file whose name has no project counts without one.
_UNNAMED = Distribution("", "", DistributionType.OTHER)
# The longest file name if every byte is percent-encoded.
_MAX_ENCODED_LENGTH = 3 * 255


class Download(NamedTuple):
    """The key by which downloads are counted."""

    day: str
    project: str
    version: str
    file_type: str
    client: str
    client_version: str


class PythonShare(NamedTuple):
    """The key by which downloads are counted for each Python version; it is empty if unknown."""

    day: str
    python: str


class Miss(NamedTuple):
    """The key by which misses are counted; the kind is ``page`` or ``file``."""

    day: str
    project: str
    kind: str


class Tally:
    """
    The counts of a slice of the log.

    A download is a GET of a distribution that nginx answered with the whole file (200) or a range from its first byte
    on (206). HEAD, 304 and companion files such as ``.metadata`` are no downloads.
    """

    def __init__(self) -> None:
        self.downloads: Counter[Download] = Counter()
        self.pythons: Counter[PythonShare] = Counter()
        self.misses: Counter[Miss] = Counter()
        self.metrics = ServingMetrics()

    @classmethod
    def of(cls, lines: Iterable[bytes]) -> "Tally":
        """Count lines; count an unreadable line as such."""
        tally = cls()
        for line in lines:
            request = parse_line(line)
            if request is None:
                tally.metrics.unreadable += 1
            else:
                tally._add(request)
        return tally

    def _add(self, request: Request) -> None:
        self.metrics.add(request)
        if request.method != "GET" or request.route not in ("package", "page"):
            return
        if request.status == "404":
            self._add_miss(request)
        elif request.route == "package" and (
            request.status == "200" or (request.status == "206" and _FROM_THE_START.match(request.byte_range))
        ):
            self._add_download(request)

    def _add_download(self, request: Request) -> None:
        filename = _parse_filename(request.path)
        if not is_companion(filename):
            file = parse_distribution(filename) or _UNNAMED
            self.downloads[Download(request.day, *file, *parse_client(request.agent))] += 1
            python = request.python if _PYTHON.fullmatch(request.python) else ""
            self.pythons[PythonShare(request.day, python)] += 1

    def _add_miss(self, request: Request) -> None:
        if request.route == "package":
            if file := parse_distribution(_parse_filename(request.path)):
                self.misses[Miss(request.day, file.project, "file")] += 1
        elif (found := _PAGE.fullmatch(request.path)) and (project := _parse_project(found[1][:_MAX_ENCODED_LENGTH])):
            self.misses[Miss(request.day, project, "page")] += 1


def _parse_filename(path: str) -> str:
    return unquote(path.rpartition("/")[2][:_MAX_ENCODED_LENGTH])


@lru_cache(maxsize=1024)
def _parse_project(spelling: str) -> str | None:
    """Return the normalized name, or None if it is invalid, as in most requests of scanners."""
    try:
        return parse_project_name(unquote(spelling))
    except ValueError:
        return None
