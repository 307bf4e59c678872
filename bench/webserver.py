"""The cost of the mirror's nginx configuration, compared with a bare nginx that sends the same files."""

import gzip
import http.client
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.contenders import Ours
from bench.corpus import Corpus, Shape, build_corpus
from bench.figures import Figures
from bench.ground import Ground
from bench.measure import measure, processor_seconds
from bench.options import Options
from bench.report import say
from bench.trials import figures_of
from bench.upstream import PLAIN, listening, serving

_OURS, _BARE = "our nginx", "bare nginx"
_PORTS = {_OURS: 8080, _BARE: 8081}
_SHAPE = Shape(projects=8, releases=12, smallest=1_000_000, largest=1_000_000)
_ROOT, _OPTIONAL, _LOGS = Path("/srv/mirror"), Path("/tmp/nginx"), Path("/logs")  # noqa: S108 - as in the image
_LOG = Path("/etc/nginx/server/access_log.conf")
_SHARE = 90  # target: percent of bare nginx's requests
_CONNECTIONS = 16
_SECONDS, _QUICK_SECONDS = 4, 1
_WARM_SECONDS = 5  # nginx believes after 4 s that a file of 1 MB is in the page cache (nginx/warm.js)
_LIMIT_SECONDS = 600
_RATE = re.compile(r"^Requests/sec:\s+([0-9.]+)$", re.MULTILINE)
_ANSWERED = re.compile(r"^\s+(\d+) requests in ", re.MULTILINE)
_WRONG = re.compile(r"^\s*(?:Non-2xx or 3xx responses|Socket errors): .*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Request:
    """A request to both servers."""

    what: str
    paths: Mapping[str, str]
    headers: Mapping[str, Mapping[str, str]]
    status: int
    body: bytes
    bar: float = _SHARE
    """The target in percent of bare nginx."""


class ServingTrial:
    """Requests per second over loopback, with wrk on the same cores."""

    name = "serving"
    what = "requests/s of our nginx configuration beside bare nginx on the same files"

    def run(self, options: Options, ground: Ground) -> Figures:
        """Run the trial."""
        ours = Ours()
        figures = figures_of(self, options, nginx=_version())
        room, home = ground.fresh(self.name), ground.fresh(ours.name)
        corpus = build_corpus(_SHAPE, room / "corpus", origin=PLAIN.origin)
        with serving(corpus.directory, PLAIN, directory=room):
            measure(ours.command(home, line=PLAIN), limit_seconds=_LIMIT_SECONDS)
        _ROOT.symlink_to(home / "tree")
        figures.facts.append(f"wrk, a thread of {_CONNECTIONS} connections")
        try:
            for log in (False, True):
                with servers(room, log=log) as processes:
                    for request in _requests(home, corpus):
                        self._compare(figures, options, request, processes, log=log)
        finally:
            _ROOT.unlink()
        return figures

    def _compare(
        self, figures: Figures, options: Options, request: _Request, processes: Mapping[int, int], *, log: bool
    ) -> None:
        subject = f"{request.what}, {'with' if log else 'without'} access log"
        say(f"{figures.label}: {subject}")
        rates: dict[str, list[float]] = {_OURS: [], _BARE: []}
        costs: dict[str, list[float]] = {_OURS: [], _BARE: []}
        seconds = _QUICK_SECONDS if options.quick else _SECONDS
        _check(_OURS, request)
        time.sleep(_WARM_SECONDS)  # until nginx counts the file as one in the page cache, see nginx/warm.js
        for number in range(options.pairs):
            for who in (_OURS, _BARE)[:: -1 if number % 2 else 1]:
                _check(who, request)
                used = processor_seconds(processes[_PORTS[who]])
                rate, answered = _load(who, request, seconds=seconds)
                rates[who].append(rate)
                costs[who].append(1e6 * (processor_seconds(processes[_PORTS[who]]) - used) / answered)
                for path in _LOGS.iterdir():
                    os.truncate(path, 0)  # nginx appends to a tmpfs of one gigabyte
        for who in (_OURS, _BARE):
            figures.add(subject, who, *rates[who], unit="requests/s")
            figures.add(subject, who, *costs[who], unit="µs of a core a request")
        # Per turn, because runs of one turn were disturbed equally.
        shares = [100 * its / theirs for its, theirs in zip(rates[_OURS], rates[_BARE], strict=True)]
        figures.add(f"{subject}: share of bare nginx", _OURS, *shares, unit="%", at_least=request.bar)


def _requests(home: Path, corpus: Corpus) -> Iterator[_Request]:
    web = Ours().web(home)
    file = next(file for file in corpus.files if file.metadata_sha256)
    project = max(corpus.projects, key=lambda name: sum(file.project == name for file in corpus.files))
    for form, accept, said in (
        ("index.v1_json", "application/vnd.pypi.simple.v1+json", "page in JSON"),
        ("index.html", "text/html", "page in HTML"),
    ):
        body = (web / "simple" / project / form).read_bytes()
        size = (web / "simple" / project / f"{form}.gz").stat().st_size
        paths = {_OURS: f"/simple/{project}/", _BARE: f"/pypi/web/simple/{project}/{form}"}
        headers = {"Accept": accept, "Accept-Encoding": "gzip"}
        yield _Request(
            f"{said} ({len(body):,} bytes, {size:,} gzipped)", paths, {_OURS: headers, _BARE: headers}, 200, body
        )
        if form == "index.v1_json":
            tags = {who: _ask(who, path, headers)[1].get("ETag", "") for who, path in paths.items()}
            known = {who: {**headers, "If-None-Match": tag} for who, tag in tags.items()}
            yield _Request(f"{said}, 304", paths, known, 304, b"")
    for suffix, said in (("", "file of 1 MB"), (".metadata", "its `.metadata`")):
        path = f"{Ours().place(file)}{suffix}"
        body = (web / "packages" / path).read_bytes()
        paths = {_OURS: f"/packages/{path}", _BARE: f"/pypi/web/packages/{path}"}
        yield _Request(f"{said} ({len(body):,} bytes)", paths, {_OURS: {}, _BARE: {}}, 200, body)


@contextmanager
def servers(directory: Path, *, log: bool) -> Iterator[Mapping[int, int]]:
    """
    Run both servers, and yield their processes by port.

    They run as root, because root owns the bench's trees; apart from that, the mirror's nginx runs as in its container.
    """
    shutil.rmtree(_OPTIONAL, ignore_errors=True)
    _OPTIONAL.mkdir()
    (_OPTIONAL / "documents").mkdir()
    (_OPTIONAL / "content").symlink_to("/etc/nginx/tree")
    (_OPTIONAL / "documents/symlinks.conf").symlink_to("/etc/nginx/no_symlinks.conf")
    if log:
        (_OPTIONAL / _LOG.name).symlink_to(_LOG)
    configuration = directory / "bare.conf"
    text = Path(__file__).with_name("bare.conf").read_text(encoding="utf-8")
    configuration.write_text(text.replace("@log@", str(_OPTIONAL / "*.conf")))
    commands = {
        _PORTS[_OURS]: ["nginx", "-e", "stderr", "-g", "user root;"],
        _PORTS[_BARE]: ["nginx", "-e", "stderr", "-p", str(directory), "-c", str(configuration)],
    }
    with listening(commands) as processes:
        yield processes


def _check(who: str, request: _Request) -> None:
    status, headers, body = _ask(who, request.paths[who], request.headers[who])
    if headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    elif "Accept-Encoding" in request.headers[who] and request.status != http.client.NOT_MODIFIED:
        raise RuntimeError(f"{who}: {request.what}: not gzipped")
    if (status, body) != (request.status, request.body):
        raise RuntimeError(f"{who}: {request.what}: answered {status} with {len(body):,} bytes")


def _ask(who: str, path: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", _PORTS[who], timeout=10)
    connection.request("GET", path, headers=dict(headers))
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def _load(who: str, request: _Request, *, seconds: int) -> tuple[float, int]:
    """Return the requests per second and their number."""
    headers = [part for item in request.headers[who].items() for part in ("-H", ": ".join(item))]
    url = f"http://127.0.0.1:{_PORTS[who]}{request.paths[who]}"
    command = ["wrk", "-t", "1", "-c", str(_CONNECTIONS), "-d", str(seconds), *headers, url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - constant arguments
    rate, answered = _RATE.search(said), _ANSWERED.search(said)
    if rate is None or answered is None or _WRONG.search(said):
        raise RuntimeError(f"{who}: {request.what}:\n{said}")
    return float(rate[1]), int(answered[1])


def _version() -> str:
    said = subprocess.run(["nginx", "-v"], check=True, capture_output=True, text=True).stderr  # noqa: S607 - Debian's
    return said.strip().rpartition("/")[2]
