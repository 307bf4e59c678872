"""The source of advisories: a directory or a URL, whose last good content stays in force whatever comes later."""

import base64
import gzip
import hashlib
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_syncer.config.advisories import BlockingRules, Location
from mirror_syncer.config.advisories.bounds import Bounds
from mirror_syncer.config.advisories.feed import AdvisorySource
from mirror_syncer.config.advisories.store import FILE
from mirror_syncer.upstream import ClientOptions
from syncer.osv import Record, real_looking_feed, record, write_zip, zipped
from syncer.site import IMPATIENT, memory_below

OPTIONS = ClientOptions(user_agent="test", hosts=frozenset(), connections=2, limits=IMPATIENT)
RULES = BlockingRules()


def day(days: float = 0) -> str:
    """Return the time a number of days ago, as records have it."""
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def malware(count: int, *, first: int = 0, age_days: float = 0, version: str = "1.0") -> list[Record]:
    """Return records of malware, each of one project."""
    return [
        record(f"MAL-2026-{number}", f"evil-{number}", versions=[version], modified=day(age_days))
        for number in range(first, first + count)
    ]


@dataclass
class Host:
    """A mirror's configuration and state on a disk."""

    root: Path

    def __post_init__(self) -> None:
        for directory in (self.feed, self.state):
            directory.mkdir(parents=True)

    @property
    def feed(self) -> Path:
        """The directory of advisories."""
        return self.root / "config" / "advisories"

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.root / "state"

    def location(self, text: str | None = None) -> Location:
        """Return what ``source`` says."""
        return Location.parse(text, beside=self.root / "config" / "mirror.toml")

    def put(self, name: str, records: Iterable[Record]) -> None:
        """Replace a zip in the directory, as a careful program does."""
        write_zip(self.root / "new", records).replace(self.feed / name)

    def start(self, location: str | None = None, *, keeps: bool = True) -> AdvisorySource:
        """Return a source that has been read once, as at a start."""
        source = AdvisorySource(state=self.state, keeps=keeps)
        source.reload(self.location(location))
        return source


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A mirror host."""
    return Host(tmp_path)


def blocked(source: AdvisorySource) -> set[str]:
    """Return the projects with something blocked."""
    return {str(name) for name in source.current.projects if source.current.blocking(name, RULES)}


def names(count: int, *, first: int = 0) -> set[str]:
    """Return the projects of as many records of malware."""
    return {f"evil-{number}" for number in range(first, first + count)}


def test_directory_is_read_whole(host: Host) -> None:
    """Zip, tar and JSON files of the directory count together; others and hidden files do not."""
    host.put("all.zip", malware(2))
    (host.feed / "own.json").write_text(json.dumps(malware(1, first=2)[0]))
    (host.feed / "more.jsonl").write_text("\n".join(map(json.dumps, malware(2, first=3))))
    (host.feed / ".half.json").write_text("{")
    (host.feed / "README.md").write_text("# Advisories")

    source = host.start()

    assert blocked(source) == names(5)
    assert source.problems() == []


@pytest.mark.parametrize("empty", [True, False])
def test_default_directory_may_be_missing_or_empty(host: Host, *, empty: bool) -> None:
    """Without advisories and without a setting nothing is blocked, and nothing is wrong."""
    if not empty:
        host.feed.rmdir()

    source = host.start()

    assert source.current.records == 0
    assert source.problems() == []
    assert not source.changed(host.location())


def test_named_directory_must_exist(host: Host) -> None:
    """A directory that ``source`` names and that is missing is a problem, with path and remedy."""
    (problem,) = host.start("elsewhere").problems()

    assert str(host.root / "config" / "elsewhere") in problem
    assert "restore it" in problem


def test_changes_of_the_directory_are_noticed_by_status_alone(host: Host) -> None:
    """A new, changed or removed file is noticed without reading any; nothing else is."""
    host.put("all.zip", malware(2))
    source = host.start()
    assert not source.changed(host.location())

    host.put("all.zip", malware(3))
    assert source.changed(host.location())
    source.reload(host.location())

    assert blocked(source) == names(3)
    assert not source.changed(host.location())
    assert source.changed(host.location("other"))


def test_file_is_read_again_once_it_may_be_read(host: Host) -> None:
    """A file that the syncer may not read is named, and is read again as soon as its mode changes, as nothing else."""
    host.put("all.zip", malware(2))
    path = host.feed / "all.zip"
    path.chmod(0)
    source = host.start()
    assert ("all.zip: cannot be read" in "".join(source.problems())) == (os.getuid() != 0)
    assert not source.changed(host.location())

    path.chmod(0o644)

    assert source.changed(host.location())


@pytest.mark.proves("reliability/upstream")
def test_symlink_to_nowhere_is_named(host: Host) -> None:
    """One file that cannot be opened is named itself, not its directory; the last good advisories stay in force."""
    host.put("all.zip", malware(2))
    source = host.start()

    (host.feed / "more.zip").symlink_to("nowhere")
    source.reload(host.location())

    (problem,) = source.problems()
    assert problem.startswith("more.zip: cannot be read (No such file")
    assert blocked(source) == names(2)
    assert not source.changed(host.location())


def test_record_withdrawn_later_unblocks(host: Host) -> None:
    """At the next reading a record that was withdrawn, or is gone, blocks nothing."""
    host.put("all.zip", malware(40))
    source = host.start()

    withdrawn = record("MAL-2026-0", "evil-0", versions=["1.0"], withdrawn=day())
    host.put("all.zip", [withdrawn, *malware(38, first=1)])
    source.reload(host.location())

    assert blocked(source) == names(38, first=1)


@pytest.mark.proves("reliability/upstream", "security/upstream")
@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("cut", "all.zip: not a whole zip file"),
        ("empty zip", "has no record about a project of PyPI"),
        ("empty file", "all.zip: neither JSON nor a zip or tar file"),
        ("shrunk", "has 94 records and had 100: more than 5 % fewer"),
        ("older", "is older than the last good advisories"),
        ("missing", "has no record about a project of PyPI"),
        ("no directory", "is missing"),
        ("unreadable record", "broken.json: not an OSV record"),
    ],
)
def test_bad_advisories_leave_the_last_good_ones_in_force(host: Host, damage: str, told: str) -> None:
    """Damaged, empty, shrunk, older or missing advisories change nothing, over restarts too, and are reported."""
    host.put("all.zip", malware(100))
    source = host.start()
    feed = host.feed / "all.zip"
    match damage:
        case "cut":
            feed.write_bytes(feed.read_bytes()[:-30])
        case "empty zip":
            host.put("all.zip", [])
        case "empty file":
            feed.write_bytes(b"")
        case "shrunk":
            host.put("all.zip", malware(94))
        case "older":
            host.put("all.zip", malware(100, first=50, age_days=30))
        case "missing":
            feed.unlink()
        case "no directory":
            feed.unlink()
            host.feed.rmdir()
        case _:
            (host.feed / "broken.json").write_text("{}")

    source.reload(host.location())

    for one in (source, host.start(), host.start(keeps=False)):
        assert blocked(one) == names(100)
        (problem,) = one.problems()
        assert told in problem
        assert "the last good advisories stay in force" in problem


def test_good_advisories_end_the_problem(host: Host) -> None:
    """Once the source is good again it is in force, and nothing is wrong."""
    host.put("all.zip", malware(100))
    source = host.start()
    host.put("all.zip", malware(10))
    source.reload(host.location())
    assert source.problems()

    host.put("all.zip", malware(96, first=4))
    source.reload(host.location())

    assert blocked(source) == names(96, first=4)
    assert source.problems() == []


def test_shrunk_advisories_are_accepted_on_request(host: Host) -> None:
    """Deleting the file that the problem names accepts a smaller source, without a restart."""
    host.put("all.zip", malware(100))
    source = host.start()
    host.put("all.zip", malware(10))
    source.reload(host.location())
    (problem,) = source.problems()
    assert str(host.state / FILE) in problem
    assert not source.changed(host.location())

    (host.state / FILE).unlink()
    assert source.changed(host.location())
    source.reload(host.location())

    assert blocked(source) == names(10)


def test_another_source_may_be_smaller(host: Host) -> None:
    """The number of records is compared only with that of the same source."""
    host.put("all.zip", malware(100))
    host.start()
    other = host.root / "config" / "own"
    other.mkdir()
    write_zip(other / "own.zip", malware(3))

    source = host.start("own")

    assert blocked(source) == names(3)
    assert source.problems() == []


def test_aged_advisories_stay_in_force_and_are_reported(host: Host) -> None:
    """Advisories that nobody renews block what they know, and the problem says since when."""
    host.put("all.zip", malware(3, age_days=9))

    source = host.start()

    assert blocked(source) == names(3)
    (problem,) = source.problems()
    assert "is 9 days old" in problem
    source.reload(host.location(), stale_after=timedelta(days=30))
    assert source.problems() == []


def test_first_advisories_that_are_damaged_block_what_could_be_read(host: Host) -> None:
    """Without last good advisories the readable files count, but they are not kept as good."""
    host.put("a.zip", malware(3))
    (host.feed / "b.json").write_text("{")

    source = host.start()

    assert blocked(source) == names(3)
    assert "only what could be read is in force" in source.problems()[0]
    assert not (host.state / FILE).exists()
    assert not source.changed(host.location())


def test_unusable_record_keeps_its_last_good_version(host: Host) -> None:
    """One malformed record in an archive is reported and does not unblock what it named; the others are renewed."""
    host.put("all.zip", malware(100))
    source = host.start()
    bad = {**malware(1)[0], "affected": "nothing"}

    host.put("all.zip", [bad, *malware(100, first=1)])
    source.reload(host.location())

    assert blocked(source) == names(101)
    assert blocked(host.start(keeps=False)) == names(101)
    (problem,) = source.problems()
    assert "all.zip, MAL-2026-0.json: not an OSV record" in problem


def test_command_beside_the_service_writes_nothing(host: Host) -> None:
    """A command that only looks reads the directory as the service does, and leaves no file."""
    host.put("all.zip", malware(3))

    assert blocked(host.start(keeps=False)) == names(3)
    assert list(host.state.iterdir()) == []


@pytest.mark.proves("reliability/disk")
def test_full_state_disk_does_not_hide_advisories(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the last good advisories cannot be written, the new ones are in force all the same."""
    host.put("all.zip", malware(3))
    host.start()
    host.put("all.zip", malware(4))

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        source = host.start()

    assert blocked(source) == names(4)
    host.feed.joinpath("all.zip").write_bytes(b"")
    assert blocked(host.start()) == names(3)


def test_damaged_store_is_as_good_as_none(host: Host) -> None:
    """A damaged file of last good advisories stops nothing."""
    host.put("all.zip", malware(3))
    host.start()
    (host.state / FILE).write_bytes(b"SQLite format 3\x00" + os.urandom(500))

    assert blocked(host.start()) == names(3)
    with sqlite3.connect(host.state / FILE) as database:
        assert database.execute("SELECT count(*) FROM record").fetchone() == (3,)
    database.close()


def test_killed_reading_leaves_the_last_good_advisories(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies before the new advisories are durable leaves the old ones whole."""
    host.put("all.zip", malware(3))
    host.start()
    host.put("all.zip", malware(4))

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(Killed):
        host.start()
    monkeypatch.undo()

    host.feed.joinpath("all.zip").write_bytes(b"")
    assert blocked(host.start()) == names(3)


@dataclass
class Server:
    """A web server with advisories, which notes what it is asked."""

    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    checksum: str | None = None
    asked: list[web.Request] = field(default_factory=list)
    url: str = ""

    async def feed(self, request: web.Request) -> web.Response:
        """Answer with the advisories, or that they did not change."""
        self.asked.append(request)
        etag = f'"{hashlib.sha256(self.body).hexdigest()}"'
        if self.status == 200 and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return web.Response(body=self.body, status=self.status, headers={"ETag": etag, **self.headers})

    async def sha256(self, request: web.Request) -> web.Response:
        """Answer with the checksum, if there is one."""
        return web.Response(text=self.checksum or "", status=404 if self.checksum is None else 200)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A web server on the loopback."""
    server = Server(zipped(malware(100)))
    application = web.Application()
    application.add_routes([web.get("/PyPI/all.zip", server.feed), web.get("/PyPI/all.zip.sha256", server.sha256)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/PyPI/all.zip"
    yield server
    await runner.cleanup()


async def test_url_is_requested_only_if_it_changed(host: Host, server: Server) -> None:
    """A URL is downloaded once; later requests are conditional, also after a restart."""
    source = host.start(server.url)
    assert source.current.records == 0
    assert await source.refresh(OPTIONS)
    assert blocked(source) == names(100)

    assert not await source.refresh(OPTIONS)
    restarted = host.start(server.url)
    assert blocked(restarted) == names(100)
    assert not await restarted.refresh(OPTIONS)

    assert ["If-None-Match" in request.headers for request in server.asked] == [False, True, True]
    server.body = zipped(malware(101))
    assert await restarted.refresh(OPTIONS)
    assert blocked(restarted) == names(101)
    assert restarted.problems() == []
    assert {path.name for path in host.state.iterdir()} == {FILE}


@pytest.mark.proves("reliability/upstream", "security/upstream")
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("404", "answered 404"),
        ("500", "answered 500"),
        ("html", "/PyPI/all.zip: neither JSON nor a zip or tar file"),
        ("large", "more than 2,000 bytes"),
        ("sha256 file", "the sha256 of the download differs from the one in all.zip.sha256"),
        ("repr-digest", "the sha256 of the download differs from the one in the header repr-digest"),
        ("x-goog-hash", "the md5 of the download differs from the one in the header x-goog-hash"),
        ("shrunk", "has 50 records and had 100"),
    ],
)
async def test_bad_download_leaves_the_last_good_advisories(host: Host, server: Server, fault: str, told: str) -> None:
    """A URL that answers anything but good advisories changes nothing, and is reported without its query."""
    source = host.start(f"{server.url}?key=SECRET")
    await source.refresh(OPTIONS)
    server.body = zipped(malware(99))
    wrong = base64.b64encode(bytes(32)).decode()
    match fault:
        case "404" | "500":
            server.status = int(fault)
        case "html":
            server.body = b"<html>Sign in"
        case "large":
            source = AdvisorySource(state=host.state, bounds=Bounds(file_bytes=2_000))
            source.reload(host.location(f"{server.url}?key=SECRET"))
        case "sha256 file":
            server.checksum = f"{'0' * 64}  all.zip\n"
        case "repr-digest":
            server.headers["Repr-Digest"] = f"sha-256=:{wrong}:"
        case "x-goog-hash":
            server.headers["x-goog-hash"] = f"crc32c=AAAAAA==,md5={base64.b64encode(bytes(16)).decode()}"
        case _:
            server.body = zipped(malware(50))

    assert not await source.refresh(OPTIONS)

    assert blocked(source) == names(100)
    (problem,) = source.problems()
    assert told in problem
    assert "the last good advisories stay in force" in problem
    assert "SECRET" not in problem
    assert {path.name for path in host.state.iterdir()} == {FILE}


async def test_right_checksums_are_accepted(host: Host, server: Server) -> None:
    """Advisories with the offered checksums come into force."""
    digest = hashlib.sha256(server.body)
    encoded = base64.b64encode(digest.digest()).decode()
    md5 = base64.b64encode(hashlib.md5(server.body).digest()).decode()
    server.checksum = digest.hexdigest()
    server.headers |= {"Repr-Digest": f"sha-256=:{encoded}:, unknown=:AAAA:", "Digest": f"SHA-256={encoded}"}
    server.headers["x-goog-hash"] = f"crc32c=AAAAAA==,md5={md5}"
    source = host.start(server.url)

    assert await source.refresh(OPTIONS)
    assert source.problems() == []


async def test_problem_of_the_network_ends_with_it(host: Host, server: Server) -> None:
    """The next answer clears a failed request, even if it says that nothing changed."""
    source = host.start(server.url)
    await source.refresh(OPTIONS)
    server.status = 404
    await source.refresh(OPTIONS)
    assert source.problems()

    server.status = 200
    await source.refresh(OPTIONS)

    assert source.problems() == []


async def test_refused_download_is_not_downloaded_again(host: Host, server: Server) -> None:
    """Bad advisories that do not change cost one download, and stay a problem."""
    source = host.start(server.url)
    await source.refresh(OPTIONS)
    server.body = zipped(malware(50))
    await source.refresh(OPTIONS)

    await source.refresh(OPTIONS)

    assert server.asked[-1].headers["If-None-Match"] != server.asked[-2].headers["If-None-Match"]
    assert "has 50 records and had 100" in source.problems()[0]
    (host.state / FILE).unlink()
    assert await source.refresh(OPTIONS)
    assert blocked(source) == names(50)


async def test_encoded_answer_is_decoded(host: Host, server: Server) -> None:
    """A server may compress its answer; a digest in its headers is then one of the compressed form."""
    lines = "\n".join(json.dumps(one) for one in malware(3)).encode()
    server.body = gzip.compress(lines)
    server.headers |= {"Content-Encoding": "gzip", "Repr-Digest": f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"}
    source = host.start(server.url)

    await source.refresh(OPTIONS)

    assert blocked(source) == names(3)


async def test_command_beside_the_service_requests_no_url(host: Host, server: Server) -> None:
    """A command that only looks uses what the service downloaded."""
    service = host.start(server.url)
    await service.refresh(OPTIONS)

    command = host.start(server.url, keeps=False)

    assert not await command.refresh(OPTIONS)
    assert blocked(command) == names(100)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://user:secret@example.org/all.zip", "no user or password"),
        ("ftp://example.org/all.zip", "must be a directory, or a URL"),
        ("https://", "must be a directory, or a URL"),
        ("https://[::1/all.zip", "must be a directory, or a URL"),
        ("advisories\0", "without control characters"),
    ],
)
def test_bad_source_is_a_mistake(host: Host, text: str, told: str) -> None:
    """A URL with a login, of another scheme or without a host, or a name of no file; the message does not repeat it."""
    with pytest.raises(ValueError, match=told) as refused:
        host.location(text)

    assert "secret" not in str(refused.value)


async def test_rotten_store_is_downloaded_again(host: Host, server: Server) -> None:
    """If a bit of the last good advisories turned, the rest counts, and the next request is unconditional."""
    await host.start(server.url).refresh(OPTIONS)
    with sqlite3.connect(host.state / FILE) as database:
        database.execute("UPDATE record SET content = x'00112233' WHERE id = 'MAL-2026-7'")
    database.close()

    source = host.start(server.url)
    assert blocked(source) == names(100) - {"evil-7"}
    await source.refresh(OPTIONS)

    assert "If-None-Match" not in server.asked[-1].headers
    assert blocked(source) == names(100)


@pytest.mark.proves("security/upstream")
def test_million_entries_are_refused(host: Host) -> None:
    """Records with more versions and ranges in sum than any real source are refused, before they cost minutes."""
    host.put("all.zip", malware(3))
    host.start()
    host.put("all.zip", [record(f"MAL-{number}", versions=["1"] * 50) for number in range(90)])
    source = AdvisorySource(state=host.state, bounds=Bounds(entries=2_000))

    source.reload(host.location())

    assert blocked(source) == names(3)
    assert "all.zip: more than 2,000 versions, events and aliases" in source.problems()[0]


def test_many_records_take_little_memory(host: Host) -> None:
    """A tenth of PyPI's part of OSV is read, judged and kept within a twentieth of 120 MB."""
    write_zip(host.feed / "all.zip", real_looking_feed(2_500))

    with memory_below(6_000_000):
        source = host.start()

    assert source.current.records == 2_500


def test_turned_off_source_blocks_nothing(host: Host) -> None:
    """Without a location no advisory is in force; with it again the last good ones are."""
    host.put("all.zip", malware(3))
    source = host.start()

    source.reload(None)
    assert source.current.records == 0
    source.reload(host.location())

    assert blocked(source) == names(3)
    assert source.current.about(NormalizedName("evil-1"))[0].affects(Version("1.0"), "1.0")
