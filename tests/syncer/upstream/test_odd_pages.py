"""What merged, odd and careless indexes say, all the way through a sync to what clients find."""

import gzip
import json
import re
from typing import Any

import pytest
from aiohttp import web

import fakepypi
from fakepypi.answer import Answer
from fakepypi.pages import Document
from mirror_contract import ProjectState, RunState
from mirror_syncer.model import names
from syncer.site import Site


def page_of(site: Site, name: str) -> dict[str, Any]:
    """Return a published page in JSON."""
    read: dict[str, Any] = json.loads((site.web / "simple" / name / "index.v1_json").read_bytes())
    return read


def say_twice(document: Document) -> None:
    """Have each file named three times: as it is, again, and once without what else is said of it."""
    files = document["files"]
    silence = {"requires-python": None, "yanked": False, "core-metadata": False, "data-dist-info-metadata": False}
    document["files"] = [*files, *files, *(one | silence | {"provenance": None, "hashes": {}} for one in files)]


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("html_only", [False, True])
async def test_said_twice_is_no_failure(site: Site, pypi: fakepypi.FakePyPI, *, html_only: bool) -> None:
    """A page that names each file more than once, with its hash or without, gives the page that it gives once."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    rule = pypi.faults.on_page()
    if html_only:
        rule.html_only()
    await site.sync()
    once = page_of(site, "six")
    rule.edit(say_twice)

    run = await site.sync(force=True)

    assert (run.state, run.failures) == (RunState.SUCCEEDED, [])
    assert page_of(site, "six") == once


def contradict(document: Document) -> None:
    """Name each file with another content before it is named as it is."""
    document["files"] = [
        entry for file in document["files"] for entry in (file | {"hashes": {"sha256": "0" * 64}}, file)
    ]


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("html_only", [False, True])
async def test_contradiction_costs_no_file_that_is_here(
    site: Site, pypi: fakepypi.FakePyPI, *, html_only: bool
) -> None:
    """Where a page gives a name two contents, the published one stays, is reported once, and passes a comparison."""
    pypi.index.project("six").upload("1.0")
    site.select("six", grace="0h")
    rule = pypi.faults.on_page()
    if html_only:
        rule.html_only()
    async with site.running() as running:
        await running.sync()
        before = page_of(site, "six")["files"]
        rule.edit(contradict)
        pypi.index.project("six").invite("mallory")
        run = await running.sync()
        during = page_of(site, "six")["files"]
        compared = await running.verify(upstream=True)
        pypi.faults.clear()
        healed = await running.sync(force=True)

    assert during == before
    assert (run.counts.projects_partial, run.counts.files_removed, run.counts.files_failed) == (1, 0, 2)
    assert sorted(failure.file or "" for failure in run.failures) == sorted(file["filename"] for file in before)
    assert all("names it twice" in failure.reason for failure in run.failures)
    assert (compared.state, compared.counts.files_damaged) == (RunState.SUCCEEDED, 0)
    assert (healed.state, healed.failures) == (RunState.SUCCEEDED, [])


@pytest.mark.proves("reliability/upstream")
async def test_html_page_that_is_cut_loses_no_file(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """An HTML page whose end a proxy cut off, with a length that is right for the rest, fails; what is here stays."""
    for version in ("1.0", "2.0"):
        pypi.index.project("six").upload(version)
    site.select("six")
    rule = pypi.faults.on_page().html_only()
    await site.sync()
    before = page_of(site, "six")

    def cut(_request: web.Request, answer: Answer) -> None:
        packed = answer.headers.get("Content-Encoding") == "gzip"
        text = gzip.decompress(answer.body) if packed else answer.body
        text = text[: text.rindex(b"<a href")]
        answer.body = gzip.compress(text) if packed else text

    rule.change(cut)
    cut_run = await site.sync(force=True)
    during = page_of(site, "six")
    pypi.faults.clear()
    healed = await site.sync(force=True)

    assert [failure.project for failure in cut_run.failures] == ["six"]
    assert "truncated" in cut_run.failures[0].reason
    assert during == before
    assert (healed.state, healed.failures) == (RunState.SUCCEEDED, [])
    assert site.filenames("six") == {file.filename for file in pypi.index.project("six").files}


@pytest.mark.proves("security/project-owners")
async def test_bad_name_is_refused_and_leaves(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that a browser would open is refused by name; one that an earlier version published leaves."""
    project = pypi.index.project("six")
    project.upload("1.0")
    project.upload_file("six-1.0.html", b"<script>alert(1)</script>", version="1.0")
    project.upload_file("idna-1.0.tar.gz", b"another's", version="1.0")
    site.select("six", grace="0h")
    with monkeypatch.context() as earlier:
        earlier.setattr(names, "_TYPES", (*names._TYPES, ".html"))
        await site.sync()
    assert "six-1.0.html" in site.filenames("six")
    site.sql("UPDATE project SET fingerprint = 'of another format'")

    run = await site.sync()

    assert run.state is RunState.INCOMPLETE
    told = {failure.file: failure.reason for failure in run.failures}
    assert "is of no type" in told["six-1.0.html"]
    assert "is another project's" in told["idna-1.0.tar.gz"]
    assert site.filenames("six") == {"six-1.0.tar.gz", "six-1.0-py3-none-any.whl"}
    assert not list(site.web.rglob("*.html")) or all(path.name == "index.html" for path in site.web.rglob("*.html"))


def but_serials(content: bytes) -> bytes:
    """Return a page, unpacked, without its serial."""
    plain = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    return re.sub(rb'(SERIAL |"_last-serial":)\d+', rb"\1", plain)


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("scope", ["selected", "everything"])
async def test_page_of_an_earlier_format_is_written_once_more(site: Site, pypi: fakepypi.FakePyPI, scope: str) -> None:
    """Pages whose URLs escaped too much, or that lack what is read now, are written once more; no file is fetched."""
    pypi.index.project("six").upload_file("six-1!2.0+cpu.tar.gz", b"content", version="1!2.0+cpu")
    if scope == "everything":
        site.everything()
    else:
        site.select("six")
    await site.sync()
    right = {path: path.read_bytes() for path in site.web.glob("simple/six/index.*")}
    for path, content in right.items():
        if path.suffix != ".gz":
            # What an earlier version escaped, and what it dropped.
            body = re.sub(rb'six-1!2\.0\+cpu\.tar\.gz(?=["#][^>])', b"six-1%212.0%2Bcpu.tar.gz", content)
            path.write_bytes(re.sub(rb'"upload-time":"[^"]*",', b"", body))
    site.sql("UPDATE project SET fingerprint = '0123456789abcdef', page_sha256 = NULL")
    site.sql("UPDATE about SET value = 'of an earlier version' WHERE key = 'fed_policy'")
    pypi.log.forget()

    run = await site.sync()

    assert (run.state, run.counts.files_fetched) == (RunState.SUCCEEDED, 0)
    # Its serial moves with it, for mirrors of this mirror.
    assert {path.name: but_serials(path.read_bytes()) for path in site.web.glob("simple/six/index.*")} == {
        path.name: but_serials(content) for path, content in right.items()
    }
    assert not [path for path in pypi.log.paths() if path.startswith("/packages/")]
    pypi.log.forget()
    await site.sync()
    assert {exchange.status for exchange in pypi.log} == {304}
    site.assert_whole()


@pytest.mark.proves("reliability/upstream")
async def test_line_that_matches_nothing_is_told_beside_one_that_does(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Of two lines for one project, what one selects is here, and the other is told of where it matches nothing."""
    for version in ("1.0", "1.1", "2.0"):
        pypi.index.project("six").upload(version)
    site.select("six==1.1", "six==2.0")
    assert (await site.sync()).state is RunState.SUCCEEDED
    assert page_of(site, "six")["versions"] == ["1.1", "2.0"]

    site.select("six==1.1", "six==7")
    run = await site.sync()

    assert run.state is RunState.INCOMPLETE
    [failure] = run.failures
    assert failure.reason.startswith("'six==7' matches none of its releases")
    assert page_of(site, "six")["versions"] == ["1.1"]


@pytest.mark.proves("reliability/upstream")
async def test_files_without_an_upload_time_are_counted(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A time that is no moment is dropped, its file is published, and a metric counts how many there were."""
    pypi.index.project("six").upload("1.0")
    site.select("six")

    def spoil(document: Document) -> None:
        document["files"][0]["upload-time"] = "2026-02-31T00:00:00Z"
        document["files"][1]["upload-time"] = "2026-01-01T02:00:00.5+02:00"

    pypi.faults.on_page().edit(spoil)
    async with site.running() as running:
        run = await running.sync()
        dropped = running.mirror.metrics.registry.get_sample_value("pypi_mirror_upload_times_dropped_total")
        row = running.row("six")

    assert (run.state, row.state, dropped) == (RunState.SUCCEEDED, ProjectState.CURRENT, 1)
    times = [file.get("upload-time") for file in page_of(site, "six")["files"]]
    assert times == [None, "2026-01-01T00:00:00.500000Z"]


DIRTY = "a\x1b]0;owned\x07\u202eb"


@pytest.mark.proves("security/project-owners")
async def test_no_document_steers_a_terminal(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """What upstream says in pages and legacy documents is published without control and bidirectional characters."""
    project = pypi.index.project("six")
    project.upload("1.0", requires_python=f">=3.9{DIRTY}")
    project.yank("1.0", reason=DIRTY)
    pypi.faults.on_page().edit(lambda page: page.update({"project-status": {"status": "archived", "reason": DIRTY}}))
    description = f"1\r\n\t2{DIRTY}"
    pypi.faults.on_legacy().edit(lambda told: told["info"].update(summary=DIRTY, description=description))
    site.select("six", legacy_json=True)

    await site.sync()

    documents = [site.web / "simple/six/index.html", site.web / "simple/six/index.v1_json", site.web / "pypi/six/json"]
    for path in documents:
        text = path.read_text()
        if path.suffix != ".html":
            text = json.dumps(json.loads(text), ensure_ascii=False)
        assert all(char.isprintable() or char == "\n" for char in text), path
        assert "a�]0;owned��b" in text, path
    assert json.loads(documents[-1].read_bytes())["info"]["description"] == "1\r\n\t2a�]0;owned��b"
