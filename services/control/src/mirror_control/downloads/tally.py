"""What some lines of the access log add up to."""

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
from mirror_control.downloads.served import Served

# A client that resumes asks for the rest alone: what begins at the first byte is one download, whole or not.
_FROM_THE_START = re.compile(r"bytes=0+-", re.ASCII | re.IGNORECASE)
_PAGE = re.compile(r"(?:/pypi/web)?/simple/([^/]+)/?", re.ASCII)
# A downloaded file whose name has no project is counted, under no project.
_UNNAMED = Distribution("", "", DistributionType.OTHER)
# A name in three characters each, percent-encoded, is as long as this.
_LONGEST = 3 * 255


class Download(NamedTuple):
    """What downloads are counted by."""

    day: str
    project: str
    version: str
    file_type: str
    client: str
    client_version: str


class Miss(NamedTuple):
    """What requests are counted by that found nothing: of a project, its page or a file."""

    day: str
    project: str
    kind: str


class Tally:
    """
    Counts of a slice of the log.

    A download is a GET of a package's file that was answered with it, whole (200) or from its first byte on (206).
    HEAD, 304 and what lies beside a file, such as its ``.metadata``, are none. A file whose name tells no project is
    counted under none.
    """

    def __init__(self) -> None:
        self.downloads: Counter[Download] = Counter()
        self.misses: Counter[Miss] = Counter()
        self.served = Served()

    @classmethod
    def of(cls, lines: Iterable[bytes]) -> "Tally":
        """Count lines; one that can't be read is counted as that, and keeps no other."""
        tally = cls()
        for line in lines:
            request = parse_line(line)
            if request is None:
                tally.served.unreadable += 1
            else:
                tally._add(request)
        return tally

    def _add(self, request: Request) -> None:
        self.served.add(request)
        if request.method != "GET" or request.route not in ("package", "page"):
            return
        if request.status == "404":
            self._add_miss(request)
        elif request.route == "package" and (
            request.status == "200" or (request.status == "206" and _FROM_THE_START.match(request.part))
        ):
            self._add_download(request)

    def _add_download(self, request: Request) -> None:
        filename = _last(request.path)
        if not is_companion(filename):
            file = parse_distribution(filename) or _UNNAMED
            self.downloads[Download(request.day, *file, *parse_client(request.agent))] += 1

    def _add_miss(self, request: Request) -> None:
        if request.route == "package":
            if file := parse_distribution(_last(request.path)):
                self.misses[Miss(request.day, file.project, "file")] += 1
        elif (found := _PAGE.fullmatch(request.path)) and (project := _project(found[1][:_LONGEST])):
            self.misses[Miss(request.day, project, "page")] += 1


def _last(path: str) -> str:
    return unquote(path.rpartition("/")[2][:_LONGEST])


@lru_cache(maxsize=1024)
def _project(spelling: str) -> str | None:
    """Return the normalized name; None where it can be nobody's, as most of what scanners try."""
    try:
        return parse_project_name(unquote(spelling))
    except ValueError:
        return None
