"""Randomly corrupted documents go through a whole sync, which changes nothing but its own tree and state."""

import asyncio
import json
import os
import random
import re
import resource
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypi_simple import ProjectPage
from structlog.testing import capture_logs

from fakepypi.distributions import Recipe, build_wheel
from mirror_contract import Run, RunState
from syncer.audit import touched
from syncer.site import Site
from syncer.wire import Answer, Wire, page, send, wire

pytestmark = pytest.mark.proves("security/upstream")

JSON, HTML = "application/vnd.pypi.simple.v1+json", "text/html"
SCRIPT = '\'"><script>alert(1)</script><a href=javascript:alert(1) onclick="alert(1)">'
WORDS = (
    *(
        "",
        ".",
        "..",
        "../../../../outside/canary",
        "..\\..\\outside",
        "/outside/canary",
        "%2e%2e/%2e%2e/outside/canary",
    ),
    *(
        "bad-1.0.tar.gz/../../canary",
        ".hidden",
        "ab",
        "bad.metadata",
        "bad\0.whl",
        "bad\r\nX: y.whl",
        "\x1b[2J",
        SCRIPT,
    ),
    *("\u2024\u2024\uff0foutside", "\u202egpj.whl", "\ud800", "\uffff", "é" * 128, "x" * 255, "x" * 256, "x" * 9_000),
    *("file:///etc/passwd", "javascript:alert(1)", "http://127.0.0.2:9/", "//127.0.0.2:9/x", "http://[::1", "0", "-1"),
    *("9" * 400, "NaN", "1.0", "2.0", "null", "sha256", "0" * 64, 'https://x/"><b>', "2025-02-31T00:00:00Z"),
)
LEAVES = (None, True, False, 0, -1, 7, 2**63, -(2**63) - 1, 10**400, 1.5, float("nan"), float("inf"))
MARKUP = {"html", "head", "meta", "title", "body", "h1", "a", "br"}
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
ATTRIBUTES = {"lang", "charset", "name", "content", "href"}


@dataclass
class Project:
    """Upstream's answers for one project; they contain ORIGIN for its origin and NAME for the project's name."""

    media: str
    page: bytes
    filename: str
    wheel: bytes
    metadata: bytes
    legacy: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Chance(random.Random):
    """Reproducible random choices from a seed."""

    def yes(self) -> bool:
        """Return True or False."""
        return self.random() < 0.5

    def word(self) -> str:
        """Return a word that looks like something else, or noise."""
        if self.random() < 0.8:
            return self.choice(WORDS)
        return "".join(chr(self.choice((self.randrange(128), self.randrange(0x11_0000)))) for _ in range(12))

    def value(self, depth: int = 3) -> Any:
        """Return any value that JSON can hold."""
        match self.randrange(6 if depth else 4):
            case 0:
                return self.choice(LEAVES)
            case 4:
                return [self.value(depth - 1) for _ in range(self.randrange(4))]
            case 5:
                return {self.word(): self.value(depth - 1) for _ in range(self.randrange(4))}
            case _:
                return self.word()

    def spoil(self, document: Any) -> None:
        """Replace up to three values of a document."""
        for _ in range(self.randrange(4)):
            holder, key = self.choice(list(inside(document)))
            holder[key] = self.value()

    def damaged(self, body: bytes) -> bytes:
        """Overwrite a body in up to two places."""
        for _ in range(self.randrange(3)):
            at = self.randrange(len(body) + 1)
            body = body[:at] + self.randbytes(self.randrange(12)) + body[at + self.randrange(40) :]
        return body


def inside(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each place in a document: its container and its key there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from inside(inner)


def make_project(chance: Chance, name: str) -> Project:
    """Make a project's page in JSON or HTML, its one wheel, its metadata and its legacy JSON."""
    built = build_wheel(Recipe(name=name, version="1.0"))
    wheel = chance.damaged(built.content)
    metadata = chance.damaged(built.metadata or b"")
    entry = {
        "filename": built.filename,
        "url": "ORIGIN/bad.whl",
        "hashes": {"sha256": sha256(wheel).hexdigest()},
        "requires-python": ">=3.9",
        "size": len(wheel),
        "upload-time": chance.choice(("2026-01-01T00:00:00.000001Z", "2026-01-01T01:00:00+01:00", chance.word())),
        "yanked": chance.word(),
        "core-metadata": {"sha256": sha256(metadata).hexdigest()},
        "provenance": "https://pypi.org/integrity/bad/1.0/x/provenance",
    }
    files = [dict(entry), {**entry, "filename": f"{name}-2.0-py3-none-any.whl"}]
    files += [dict(chance.choice(files)) for _ in range(chance.randrange(3))]
    chance.shuffle(files)
    document: dict[str, Any] = {
        "meta": {"api-version": "1.4", "_last-serial": 7},
        "name": "NAME",
        "files": files,
        "versions": ["1.0", "2.0"],
        "project-status": {"status": "active", "reason": chance.word()},
    }
    legacy: dict[str, Any] = {
        "info": {"name": "NAME", "version": "1.0", "summary": chance.word()},
        "releases": {"1.0": [{"filename": built.filename, "digests": {"sha256": sha256(wheel).hexdigest()}}]},
        "vulnerabilities": [],
    }
    chance.spoil(legacy)
    if chance.yes():
        chance.spoil(document)
        media, body = JSON, json.dumps(document).encode()
    else:
        media, body = HTML, markup(chance, files).encode(errors="replace")
    return Project(
        media=media,
        page=chance.damaged(body) if chance.random() < 0.2 else body,
        filename=built.filename,
        wheel=wheel,
        metadata=metadata,
        legacy=json.dumps(legacy).encode(),
        headers={"ETag": chance.word(), "X-PyPI-Last-Serial": chance.word()} if chance.random() < 0.2 else {},
    )


def markup(chance: Chance, files: list[dict[str, Any]]) -> str:
    """Write a page in HTML with anything in its attributes, escaped or not."""
    write = escape if chance.random() < 0.8 else str
    anchors = ""
    for file in files:
        name = chance.choice((file["filename"], chance.word()))
        url = chance.choice((f"ORIGIN/{name}", chance.word()))
        attribute = chance.choice(("requires-python", "yanked"))
        anchors += f'<a href="{write(url)}#sha256={file["hashes"]["sha256"]}" data-{attribute}="{write(chance.word())}"'
        anchors += f' data-core-metadata="{write(chance.word())}">{write(name)}</a>\n'
    return f'<html><head><meta name="pypi:repository-version" content="1.0"></head><body>{anchors}</body></html>'


def make_list(chance: Chance) -> tuple[str, bytes]:
    """Make a list of projects, in JSON or HTML."""
    names = ("good", "bad", "Good", "a" * 300, *(chance.word() for _ in range(5)))
    if chance.yes():
        document: dict[str, Any] = {
            "meta": {"api-version": "1.4", "_last-serial": 7},
            "projects": [{"name": name, "_last-serial": 5} for name in names],
        }
        chance.spoil(document)
        media, body = JSON, json.dumps(document).encode()
    else:
        write = escape if chance.yes() else str
        anchors = "".join(f'<a href="/simple/{write(name)}/">{write(name)}</a>\n' for name in names)
        page = f"<html><head><title>Simple index</title></head><body>{anchors}</body></html>"
        media, body = HTML, page.encode(errors="replace")
    return media, chance.damaged(body) if chance.random() < 0.3 else body


class Tags(HTMLParser):
    """Parses one of our pages as a browser does: it may hold only known tags, and links that stay inside."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Check a tag."""
        assert tag in MARKUP
        for attribute, value in attrs:
            assert attribute in ATTRIBUTES or (tag == "a" and attribute.startswith("data-")), attribute
            if attribute == "href":
                assert_inside(value or "")


def assert_inside(url: str) -> None:
    """Assert that a URL on a page leads to a path below the mirror's own packages, however it is unquoted."""
    parts = urlsplit(urljoin("http://mirror/web/simple/bad/", url))
    assert (parts.scheme, parts.netloc) == ("http", "mirror")
    assert parts.path.startswith("/web/packages/")
    assert not {"", ".", ".."} & set(unquote(parts.path).replace("\\", "/").split("/")[1:])


def assert_published_well(site: Site) -> None:
    """Assert that each page and document holds only valid values, and that the tree holds only our plain files."""
    site.assert_whole()
    for path in site.web.rglob("*"):
        assert path.is_dir() or path.is_file()
        assert not path.is_symlink()
    for html in site.web.glob("simple/**/index.html"):
        if html.parent.name != "simple":
            Tags().feed(html.read_text())
            assert_harmless(html.read_text(), allowed="\n")
            ProjectPage.from_html(html.parent.name, html.read_text())
    for path in site.web.glob("simple/*/index.v1_json"):
        document = json.loads(path.read_bytes())
        ProjectPage.from_json_data(document)
        assert_harmless(document)
        for file in document["files"]:
            assert_inside(file["url"])
            assert re.fullmatch(r"[-\dT:]{19}(\.\d{6})?Z", file.get("upload-time", "2026-01-01T00:00:00Z"))
            assert re.match(rf"{document['name']}[-_.]", file["filename"], re.IGNORECASE)
    for legacy in site.web.glob("pypi/*/json"):
        assert_harmless(json.loads(legacy.read_bytes()), allowed="\t\r\n")


def assert_harmless(document: Any, *, allowed: str = "") -> None:
    """Assert that a document has no terminal control, bidirectional control or lone surrogate."""
    for holder, key in inside([document]):
        for text in (key, holder[key]):
            for char in {*text} - {*allowed} if isinstance(text, str) else ():
                assert unicodedata.category(char) not in ("Cc", "Cs"), ascii(text)
                assert unicodedata.bidirectional(char) not in BIDI, ascii(text)


def answers(origin: str, name: str, project: Project) -> dict[str, Answer]:
    """Return upstream's answers."""

    def answer(media: str, body: bytes, headers: dict[str, str] | None = None) -> Answer:
        body = body.replace(b"ORIGIN", f"{origin}/{name}".encode()).replace(b"NAME", name.encode())
        lines = [f"Content-Type: {media}", f"Content-Length: {len(body)}"]
        lines += [f"{header}: {value}" for header, value in (headers or {}).items()]
        return send(b"HTTP/1.1 200 OK\r\n" + "\r\n".join(lines).encode(errors="replace") + b"\r\n\r\n" + body)

    return {
        f"/simple/{name}/": answer(project.media, project.page, project.headers),
        f"/{name}/bad.whl": answer("binary/octet-stream", project.wheel),
        f"/{name}/{project.filename}": answer("binary/octet-stream", project.wheel),
        f"/{name}/bad.whl.metadata": answer("binary/octet-stream", project.metadata),
        f"/pypi/{name}/json": answer("application/json", project.legacy),
    }


class World:
    """A directory with a mirror and unrelated files around it, and an upstream of raw bytes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.site = Site(directory, upstream="http://127.0.0.1:9")
        for other in ("outside/canary", "data/ubuntu/dists/stable", "data/pypi.txt"):
            path = directory / other
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(other)

    def around(self) -> dict[str, str]:
        """Return each file that is neither in the tree nor in the state."""
        own, found = {f"{self.site.data}/pypi", str(self.site.state)}, dict[str, str]()
        for directory, folders, names in os.walk(self.directory):
            folders[:] = [name for name in folders if f"{directory}/{name}" not in own]
            found |= dict.fromkeys((f"{directory}/{name}" for name in folders), "")
            found |= {path: Path(path).read_text() for path in (f"{directory}/{name}" for name in names)}
        return found

    def assert_only_own(self, paths: set[str]) -> None:
        """Assert that the syncer touched only its tree and its state."""
        own = (self.site.data / "pypi", self.site.state)
        strange = {path for path in paths if not any(Path(path).resolve().is_relative_to(mine) for mine in own)}
        assert strange == set()


async def sync_each(world: World, rounds: list[Callable[[Wire], None]]) -> list[Run]:
    """Sync from one upstream after the other; no other host may receive a request."""
    heard = 0

    async def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        heard += 1
        writer.close()

    forbidden = await asyncio.start_server(listen, "127.0.0.2", 0)
    runs = []
    async with wire() as raw, forbidden:
        world.site.upstream = raw.url
        async with world.site.running() as running:
            for begin in rounds:
                raw.answers.clear()
                begin(raw)
                with capture_logs() as logs:
                    runs.append(await running.sync())
                assert [line for line in logs if line.get("exc_info")] == []
    assert heard == 0
    return runs


def through_a_sync(
    rounds: list[Callable[[Wire], None]], *, select: Callable[[Site], None]
) -> tuple[set[RunState], list[str]]:
    """Sync in a new world, check the result, and return how the runs ended and which projects have a page."""
    with TemporaryDirectory() as directory:
        world = World(Path(directory).resolve())
        select(world.site)
        before = world.around()
        with touched() as paths:
            runs = asyncio.run(sync_each(world, rounds))
        assert world.around() == before
        world.assert_only_own(paths)
        assert_published_well(world.site)
        assert all(len(run.model_dump_json()) < 50_000 for run in runs)
        return {run.state for run in runs}, world.site.pages()


def law(examples: int) -> settings:
    """Return the settings of a property test."""
    return settings(max_examples=examples, suppress_health_check=list(HealthCheck))


profiles = pytest.mark.parametrize(
    "examples", [5, pytest.param(250, marks=[pytest.mark.slow, pytest.mark.timeout(1_200)])]
)
NAMES = [f"bad{number}" for number in range(10)]


@pytest.mark.proves("security/project-owners")
@profiles
def test_random_pages_cost_only_their_project(examples: int) -> None:
    """
    Whatever pages, wheels, metadata and legacy JSON an upstream sends, another project stays current.

    The syncer touches nothing outside, publishes no outside path and no invalid value, and raises no unforeseen error.
    """
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @law(examples)
    @given(st.integers(0, 2**64))
    def holds(seed: int) -> None:
        chance = Chance(seed)

        def answer(raw: Wire) -> None:
            raw.answers["/simple/good/"] = page("good")
            for name in NAMES:
                raw.answers |= answers(raw.url, name, make_project(chance, name))

        def select(site: Site) -> None:
            site.select(*NAMES, "good", legacy_json=True)

        states, pages = through_a_sync([answer] * 2, select=select)
        assert states <= {RunState.SUCCEEDED, RunState.INCOMPLETE}
        assert "good" in pages

    holds()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held < 256 * 1024  # KiB


@profiles
def test_random_lists_never_lead_out_of_the_tree(examples: int) -> None:
    """Whatever lists of projects an upstream sends, one after the other, no name on them leads out of the tree."""

    @law(examples)
    @given(st.integers(0, 2**64))
    def holds(seed: int) -> None:
        chance = Chance(seed)

        def answer(raw: Wire) -> None:
            media, body = make_list(chance)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nContent-Length: {len(body)}\r\n\r\n"
            raw.answers |= {"/simple/": send(head.encode() + body), "/simple/good/": page("good")}

        _, pages = through_a_sync([answer] * 8, select=Site.everything)
        assert set(pages) <= {"good"}

    holds()
