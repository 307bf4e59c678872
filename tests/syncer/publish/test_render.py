"""The published pages: two formats of one content, read back unchanged."""

import dataclasses
import json
import re
import unicodedata
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from packaging.utils import NormalizedName
from pypi_simple import ProjectPage

from mirror_syncer.errors import FileRejectedError, InvalidPageError
from mirror_syncer.model.names import PackagePath, Sha256, full_path, parse_filename, short_path
from mirror_syncer.model.page import File, Page, ProjectStatus
from mirror_syncer.model.serials import MAX_SERIAL
from mirror_syncer.publish import parse_published, render_page
from mirror_syncer.upstream import parse_json
from mirror_syncer.upstream.html import parse_html

law = settings(max_examples=80)
FOO = NormalizedName("foo")
URL = "http://10.10.10.5/pypi/web/simple/foo/"
digests = st.from_regex(re.compile("[0-9a-f]{64}"), fullmatch=True)
# What HTML, URLs and JSON might trip over.
hostile = st.text(st.sampled_from("<>&'\"#?%;= /+~!$()*,:@aß☃\U0001f40d"), min_size=1, max_size=20)


def is_filename(text: str) -> bool:
    """Return whether a text is a file name."""
    try:
        parse_filename(text)
    except FileRejectedError:
        return False
    return True


filenames = st.one_of(
    hostile.map("foo-{}.zip".format).filter(is_filename),
    st.sampled_from(["foo-1.0.tar.gz", "foo-2.0-py3-none-any.whl", "foo-3.0rc1.zip"]),
).map(parse_filename)


@st.composite
def published_files(draw: st.DrawFn) -> tuple[File, PackagePath]:
    """Draw a file as it is published, with its place."""
    filename, digest = draw(filenames), draw(digests)
    place = draw(st.sampled_from((short_path, full_path)))(digest, filename)
    file = File(
        filename=filename,
        url=urljoin(URL, "ignored"),
        sha256=Sha256(draw(digests)),
        size=draw(st.none() | st.integers(0, 2**34)),
        upload_time=draw(st.sampled_from((None, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456Z"))),
        requires_python=draw(st.none() | hostile),
        yanked=draw(st.booleans() | hostile),
        core_metadata=Sha256(digest) if draw(st.booleans()) else False,
        provenance=draw(st.sampled_from((None, "https://pypi.org/integrity/foo/1.0/x?a=1&b='"))),
    )
    return file, place


file_lists = st.lists(published_files(), max_size=5, unique_by=lambda pair: pair[0].filename)
heads = st.builds(
    Page,
    name=st.just(FOO),
    files=st.just(()),
    status=st.sampled_from(ProjectStatus),
    status_reason=st.none() | hostile,
    serial=st.none() | st.integers(0, MAX_SERIAL),
    api_version=st.sampled_from(("1.0", "1.1", "1.4", "1.17")),
)


def page_of(*pairs: tuple[File, PackagePath], **changes: object) -> Page:
    """Return upstream's page of these files."""
    return dataclasses.replace(Page(name=FOO, files=tuple(file for file, _ in pairs)), **changes)  # type: ignore[arg-type]


def a_file(filename: str, **changes: object) -> tuple[File, PackagePath]:
    """Return a file with its place."""
    name = parse_filename(filename)
    file = replace(File(filename=name, url="x", sha256=Sha256("ab" * 32), size=3), **changes)
    return file, short_path("cd" * 32, name)


@law
@given(heads, file_lists)
def test_published_page_is_read_back(head: Page, pairs: list[tuple[File, PackagePath]]) -> None:
    """The JSON page is the record: every file is read back unchanged, with its place, in upstream's order."""
    pages = render_page(head, pairs)
    back = parse_published(pages.json, name=FOO)
    assert back.page.refused == ()
    assert [replace(file, url="") for file in back.page.files] == [replace(file, url="") for file, _ in pairs]
    assert back.places == {file.filename: place for file, place in pairs}
    assert (back.page.status, back.page.status_reason, back.page.serial) == (
        head.status,
        head.status_reason,
        head.serial,
    )
    again = render_page(back.page, [(back.files[file.filename], place) for file, place in pairs])
    assert again == pages, "what was read back is rendered to the same bytes"


@law
@given(heads, file_lists)
def test_html_and_json_have_the_same_content(head: Page, pairs: list[tuple[File, PackagePath]]) -> None:
    """Whatever names, reasons and specifiers contain, HTML and JSON say the same, and nothing escapes its attribute."""
    pages = render_page(head, pairs)
    back = parse_published(pages.json, name=FOO).page
    html = parse_html(pages.html, name=FOO, url=URL, ours=True)
    in_json = [replace(file, url="", size=None, upload_time=None) for file in back.files]
    assert [replace(file, url="") for file in html.files] == in_json
    assert [urlsplit(file.url).path for file in html.files] == [urlsplit(file.url).path for file in back.files]
    assert (html.status, html.status_reason, html.serial) == (back.status, back.status_reason, back.serial)
    assert html.api_version == back.api_version


class _Anchors(HTMLParser):
    """Each anchor's URL and text, and the names of all elements."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.anchors: list[tuple[str, str]] = []
        self.tags: set[str] = set()
        self._url: str | None = None
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "a":
            self._url = dict(attrs)["href"] or ""
            self.anchors.append((self._url, ""))

    def handle_data(self, data: str) -> None:
        if self._url is not None:
            self.anchors[-1] = (self._url, self.anchors[-1][1] + data)

    def handle_endtag(self, tag: str) -> None:
        self._url = None if tag == "a" else self._url


@law
@given(heads, file_lists)
def test_links_lead_to_the_files(head: Page, pairs: list[tuple[File, PackagePath]]) -> None:
    """A link resolves to its file's place below any prefix, and its text is the URL's last component (PEP 503)."""
    read = _Anchors(render_page(head, pairs).html)
    assert len(read.anchors) == len(pairs)
    for root in ("http://10.10.10.5/", "http://10.10.10.5/pypi/web/", "file:///MIRROR/pypi/web/"):
        for (url, text), (file, place) in zip(read.anchors, pairs, strict=True):
            absolute, _, digest = urljoin(f"{root}simple/foo/", url).partition("#")
            assert unquote(absolute) == root + place
            assert text == file.filename
            assert digest == f"sha256={file.sha256}"
    assert read.tags <= {"html", "head", "meta", "title", "body", "h1", "a", "br"}


def test_pypi_simple_reads_both_formats() -> None:
    """An independent parser finds the same files, hashes, metadata and yanks in both formats."""
    pairs = [
        a_file("foo-1.0.tar.gz", yanked='a "b" <c>', requires_python=">=3.8,<4"),
        a_file("foo-1.1-py3-none-any.whl", core_metadata=Sha256("cd" * 32), upload_time="2026-01-02T03:04:05Z"),
        a_file("foo 1&2.zip", yanked=True),
    ]
    pages = render_page(page_of(*pairs, serial=7, versions=("1.0", "1.1"), api_version="1.4"), pairs)
    from_json = ProjectPage.from_json_data(json.loads(pages.json), base_url=URL)
    from_html = ProjectPage.from_html("foo", pages.html, base_url=URL)
    for page in (from_json, from_html):
        assert (page.project, page.repository_version) == ("foo", "1.4")
        assert [package.filename for package in page.packages] == [file.filename for file, _ in pairs]
        for package, (file, place) in zip(page.packages, pairs, strict=True):
            assert unquote(package.url.partition("#")[0]) == f"http://10.10.10.5/pypi/web/{place}"
            assert package.digests == {"sha256": file.sha256}
            assert package.requires_python == file.requires_python
            assert package.is_yanked is bool(file.yanked)
            assert (package.yanked_reason or None) == (file.yanked if isinstance(file.yanked, str) else None)
            assert bool(package.has_metadata) is bool(file.core_metadata)
            assert (package.metadata_digests or {}) == ({"sha256": file.core_metadata} if file.core_metadata else {})
    assert (from_json.versions, from_json.packages[1].size) == (["1.0", "1.1"], 3)


texts = st.text(st.characters(), min_size=1, max_size=12)
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@law
@given(st.lists(st.tuples(texts, texts, texts, texts), max_size=3), texts, texts, st.booleans())
def test_any_page_is_readable_and_safe_to_print(
    entries: list[tuple[str, str, str, str]],
    reason: str,
    version: str,
    html: bool,  # noqa: FBT001 - drawn
) -> None:
    """Whatever texts a page has, pypi-simple reads the published one, and it contains no control characters."""
    files = [
        {
            "filename": f"foo-{number}{name}.zip",
            "hashes": {"sha256": f"{number:064}"},
            "url": f"http://h/{number}",
            "yanked": yanked,
            "requires-python": requires,
            "upload-time": time,
        }
        for number, (name, yanked, requires, time) in enumerate(entries)
    ]
    document = {
        "meta": {"api-version": "1.4"},
        "name": "foo",
        "files": files,
        "versions": [version],
        "project-status": {"status": "archived", "reason": reason},
    }
    page = parse_json(json.dumps(document).encode(), name=FOO, url=URL)
    pages = render_page(page, [(file, short_path("cd" * 32, file.filename)) for file in page.files])
    if html:
        published = ProjectPage.from_html("foo", pages.html, base_url=URL)
        text = pages.html.decode().replace("\n", "")
    else:
        document = json.loads(pages.json)
        published = ProjectPage.from_json_data(document, base_url=URL)
        text = json.dumps(document, ensure_ascii=False)
    assert [package.filename for package in published.packages] == [file.filename for file in page.files]
    assert len(page.files) + len(page.refused) == len(files)
    for char in set(text).union(*(f"{refusal.filename}{refusal.reason}" for refusal in page.refused)):
        assert unicodedata.category(char) not in ("Cc", "Cs"), ascii(char)
        assert unicodedata.bidirectional(char) not in BIDI, ascii(char)


@pytest.mark.proves("reliability/upstream")
def test_urls_are_escaped_as_on_pypi() -> None:
    """URLs in both formats have PyPI's escapes and spelling, because programs look for that name."""
    name = "foo-1!2.0+cpu~a$b&c'd(e)f*g,h;i=j:k@l %?#[ü].zip"
    expected = "../../packages/cd/foo-1!2.0+cpu~a$b&c'd(e)f*g,h;i=j:k@l%20%25%3F%23%5B%C3%BC%5D.zip"
    pages = render_page(page_of(), [a_file(name)])
    assert json.loads(pages.json)["files"][0]["url"] == expected
    [(url, text)] = _Anchors(pages.html).anchors
    assert (url.partition("#")[0], text) == (expected, name)


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("spelling", ["foo-1%212.0%2Bcpu.zip", "foo-1!2.0+cpu.zip", "foo%2D1%212.0+cpu.zip"])
def test_page_with_more_escapes_is_read(spelling: str) -> None:
    """A page published earlier, whose URLs escape more, names the same places."""
    file, place = a_file("foo-1!2.0+cpu.zip")
    body = render_page(page_of(), [(file, place)]).json.replace(b"/foo-1!2.0+cpu.zip", f"/{spelling}".encode())
    assert parse_published(body, name=FOO).places == {file.filename: place}


@pytest.mark.proves("reliability/upstream")
def test_file_without_a_version_adds_none() -> None:
    """A file name without a version adds none to the page's versions."""
    files = [a_file("foo-1.0.tar.gz"), a_file("foo-1.2.public.tar.gz")]
    assert json.loads(render_page(page_of(), files).json)["versions"] == ["1.0"]


def test_unknown_values_are_omitted() -> None:
    """uv refuses a page with null for size, time or provenance, so unknown values are omitted."""
    [entry] = json.loads(render_page(page_of(), [a_file("foo-1.0.tar.gz", size=None)]).json)["files"]
    assert set(entry) == {"filename", "hashes", "requires-python", "url", "yanked", "core-metadata"}
    assert entry["core-metadata"] is False
    [true] = json.loads(render_page(page_of(), [a_file("foo-1.0.tar.gz", core_metadata=True)]).json)["files"]
    assert true["core-metadata"] is False, "a promise without a digest is none that we can keep"


@pytest.mark.parametrize(("upstream", "ours"), [("1.0", "1.0"), ("1.3", "1.3"), ("1.4", "1.4"), ("1.10", "1.4")])
def test_api_version_is_the_lower_of_both(upstream: str, ours: str) -> None:
    """A page claims neither more than its upstream nor more than the mirror supports (PEP 629)."""
    pages = render_page(page_of(api_version=upstream), [])
    assert json.loads(pages.json)["meta"]["api-version"] == ours
    assert f'<meta name="pypi:repository-version" content="{ours}">' in pages.html.decode()


def test_versions_match_the_published_files() -> None:
    """A complete project lists upstream's versions; one with omitted files lists those of its own files (PEP 700)."""
    one, two = a_file("foo-1.0.tar.gz"), a_file("foo-2.0.0-py3-none-any.whl")
    page = page_of(one, two, versions=("0.9", "1.0", "2.0", "2.0"))

    def versions(*pairs: tuple[File, PackagePath]) -> list[str]:
        listed: list[str] = json.loads(render_page(page, pairs).json)["versions"]
        return listed

    assert versions(one, two) == ["0.9", "1.0", "2.0"]
    assert versions(two) == ["2.0"], "spelled as upstream does"
    assert versions() == []


@pytest.mark.parametrize(
    "url",
    [
        "../../../etc/foo-1.0.zip",
        "https://pypi.org/packages/ab/foo-1.0.zip",
        "../../packages/abc/foo-1.0.zip",
        "foo-1.0.zip",
    ],
)
def test_page_of_another_program_is_refused(url: str) -> None:
    """A page whose files lie outside packages/ is not a page of this mirror, and raises InvalidPageError."""
    body = json.loads(render_page(page_of(), [a_file("foo-1.0.zip")]).json)
    body["files"][0]["url"] = url
    with pytest.raises(InvalidPageError, match="not published by this mirror"):
        parse_published(json.dumps(body).encode(), name=FOO)


def test_damaged_page_is_refused() -> None:
    """A truncated page, or that of another project, is refused."""
    whole = render_page(page_of(), [a_file("foo-1.0.zip")]).json
    for body, name in ((whole[:-20], FOO), (b"", FOO), (whole, NormalizedName("bar"))):
        with pytest.raises(InvalidPageError):
            parse_published(body, name=name)
