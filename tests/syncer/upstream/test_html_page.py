"""HTML pages parse to the same result as JSON pages, and login forms are refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from packaging.utils import NormalizedName

import fakepypi
from fakepypi.pages import Document, project_document, to_html, to_json
from mirror_syncer.errors import InvalidPageError
from mirror_syncer.model.page import Page, ProjectStatus
from mirror_syncer.upstream import parse_json, parse_page
from mirror_syncer.upstream.html import parse_html

law = settings(max_examples=100)
NAME = NormalizedName("foo")
URL = "https://pypi.org/simple/foo/"
DIGEST = "ab" * 32
reasons = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).map(str.strip).filter(bool)


def read(body: str) -> Page:
    """Parse a page's text."""
    return parse_html(body.encode(), name=NAME, url=URL)


def document(index: fakepypi.Index) -> Document:
    """Return warehouse's page of a project."""
    return project_document(index.project("foo").listing(), file_origin="https://files.pythonhosted.org")


@pytest.mark.proves("security/upstream")
@law
@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=4),
    reasons,
    st.sampled_from((None, ">=3.8", '>=3.8,!=3.9.*,<"4"')),
)
def test_html_equals_json(releases: list[tuple[bool, bool, bool]], reason: str, requires_python: str | None) -> None:
    """The HTML and the JSON form of one content parse to the same page, except for data that HTML lacks."""
    index = fakepypi.Index()
    index.project("foo").create()
    for number, (wheel, yanked, provenance) in enumerate(releases):
        version = f"1.{number}"
        index.project("foo").upload(version, wheel=wheel, requires_python=requires_python, provenance=provenance)
        if yanked:
            index.project("foo").yank(version, reason=reason)
    page = document(index)
    json, html = parse_json(to_json(page), name=NAME, url=URL), parse_html(to_html(page), name=NAME, url=URL)
    assert html.files == tuple(replace(file, size=None, upload_time=None) for file in json.files)
    assert (html.status, html.serial, html.api_version) == (json.status, json.serial, json.api_version)
    assert (html.refused, json.refused) == ((), ())


@pytest.mark.parametrize(
    "filename", ["foo-a b-1.0.zip", "foo-100%.zip", "foo-grün.zip", "foo-c#-1.0.zip", "foo-a&amp;b.zip"]
)
def test_odd_filenames(filename: str) -> None:
    """A name is the URL's last component, unquoted once and unescaped once (PEP 503)."""
    index = fakepypi.Index()
    index.project("foo").upload_file(filename, b"odd", version="1.0")
    page = document(index)
    [html] = parse_html(to_html(page), name=NAME, url=URL).files
    [json] = parse_json(to_json(page), name=NAME, url=URL).files
    assert html.filename == filename
    assert html.url == json.url


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html><body><form action=/login>Password <input name=p></form></body></html>",
        "<title>Sign in</title><h1>Sign in</h1><p>Useful links for staff: <a href=/help>help</a>",
        "<title>Sign in</title> Quick links for staff <a href=/help#top>help</a>",
        "<h1>502 Bad Gateway</h1>",
        "\x00\xff\x1f\x8b",
    ],
)
def test_login_page_is_refused(body: str) -> None:
    """A proxy's form, an error page or noise with status 200 is refused: as a page it would empty the project."""
    with pytest.raises(InvalidPageError, match="is not a project page"):
        read(body)


@pytest.mark.proves("reliability/upstream")
@law
@given(st.integers(0, 5), st.floats(0, 1))
def test_truncated_html_page_is_refused(releases: int, cut: float) -> None:
    """A page that opens a document and does not close it is truncated: its remaining files would be dropped."""
    index = fakepypi.Index()
    index.project("foo").create()
    for number in range(releases):
        index.project("foo").upload(f"1.{number}")
    body = to_html(document(index))
    with pytest.raises(InvalidPageError):
        parse_html(body[: int(body.index(b"</body>") * cut)], name=NAME, url=URL)


@pytest.mark.parametrize("end", ["</body>", "</HTML\n>", "</body></html>\n<!--TIMESTAMP 1767225600-->\n"])
def test_html_page_with_an_end_tag_is_complete(end: str) -> None:
    """One of both end tags suffices, whatever follows it; a page without start tags needs none."""
    link = f'<a href="foo-1.0.zip#sha256={DIGEST}">foo-1.0.zip</a>'
    assert len(read(f"<!DOCTYPE html><html><body>{link}{end}").files) == 1
    assert len(read(f"<!DOCTYPE html><title>Links for foo</title>{link}").files) == 1


@pytest.mark.parametrize(
    "body",
    [
        '<a href="six-1.0.tar.gz">six-1.0.tar.gz</a>',
        "<title>Links for foo</title>",
        "<h1>root/pypi: links for foo</h1>",
        '<meta name="pypi:repository-version" content="1.0">',
    ],
)
def test_pages_of_other_servers_are_read(body: str) -> None:
    """Links to files, a common title, or PEP 629's meta tag: each alone identifies a page, empty or not."""
    assert read(body).files == ()


@pytest.mark.proves("security/project-owners")
@pytest.mark.parametrize(
    "page",
    [
        "<title>Links for bar</title>",
        "<title>Links for foo</title><h1>Links for bar</h1>",
        "<h1>root/pypi: links\n for foo-bar</h1>",
    ],
)
def test_page_naming_another_project_is_refused(page: str) -> None:
    """A page that names another project is refused: a proxy that confuses pages must not confuse projects."""
    with pytest.raises(InvalidPageError, match="not of 'foo'"):
        read(f'{page}<a href="foo-1.0.zip#sha256={DIGEST}">foo-1.0.zip</a>')


@pytest.mark.parametrize("title", ["Links for Foo", "Links for all packages!", "foo", "Foo &mdash; links for _", ""])
def test_title_without_a_project_name_is_ignored(title: str) -> None:
    """A title that names no project, or spells it differently, causes no refusal."""
    [file] = read(f'<title>{title}</title><a href="foo-1.0.zip#sha256={DIGEST}">foo-1.0.zip</a>').files
    assert file.filename == "foo-1.0.zip"


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://files.example/shared/", "https://files.example/shared/foo-1.0.zip"),
        ("//files.example/shared/x", "https://files.example/shared/foo-1.0.zip"),
        ("/shared/", "https://pypi.org/shared/foo-1.0.zip"),
        ("", "https://pypi.org/simple/foo/foo-1.0.zip"),
    ],
)
def test_base_resolves_relative_links(base: str, url: str) -> None:
    """Links are relative to the first ``<base href>``, as in pip, uv and browsers."""
    page = f'<base target="_top"><base href="{base}"><base href="https://other.example/">'
    links = "".join(
        f'<a href="{link}#sha256={DIGEST}">x</a>' for link in ("foo-1.0.zip", "https://pypi.org/foo-2.0.zip")
    )
    assert [file.url for file in read(page + links).files] == [url, "https://pypi.org/foo-2.0.zip"]


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("base", ["javascript:x/", "file:///etc/", "https://h/%2e%2e/", "ftp://h/"])
def test_invalid_base_refuses_relative_links(base: str) -> None:
    """With a base that is not http(s) or has dot segments, relative links are refused, and no others."""
    page = read(
        f'<base href="{base}"><a href="foo-1.0.zip#sha256={DIGEST}">1</a>'
        f'<a href="{URL}foo-2.0.zip#sha256={DIGEST}">2</a>'
    )
    assert ([file.filename for file in page.files], len(page.refused)) == (["foo-2.0.zip"], 1)
    with pytest.raises(InvalidPageError):
        read('<title>Links for foo</title><base href="http://[::1/">')


@pytest.mark.proves("reliability/upstream")
def test_repeated_entry_is_one_file() -> None:
    """Repeated entries of one file, complete or partial, in any order, are one file."""
    one, other = (f'<a href="foo-1.0.zip#sha256={digest}">foo-1.0.zip</a>' for digest in (DIGEST, "cd" * 32))
    silent = '<a href="foo-1.0.zip">foo-1.0.zip</a>'
    for page in (one * 3, silent + one, one + silent + silent, one.replace('">', '" data-requires-python="">') + one):
        parsed = read(page)
        assert ([file.sha256 for file in parsed.files], parsed.refused) == ([DIGEST], ()), page
    contradicted = read(one + other + one + other)
    assert ([file.sha256 for file in contradicted.files], len(contradicted.refused)) == ([DIGEST], 1)


@pytest.mark.proves("security/project-owners")
def test_control_characters_in_texts_are_replaced() -> None:
    """Control and bidirectional characters in upstream's texts are replaced, in every spelling."""
    evil = "&#27;[2J&#x9b;\x1b\u202e"
    page = read(
        f'<meta name="pypi:project-status-reason" content="{evil}"><title>Links for foo</title>'
        f'<a href="foo-1.0.zip#sha256={DIGEST}" data-yanked="{evil}" data-requires-python="{evil}">x</a>'
    )
    for text in (page.status_reason, page.files[0].yanked, page.files[0].requires_python):
        assert isinstance(text, str)
        assert text.isprintable()


def test_link_without_digest_is_refused() -> None:
    """A link without a digest is reported as refused, and the others are accepted."""
    page = read(f'<a href="foo-1.zip">1</a><a href="foo-2.zip#md5=0">2</a><a href="foo-3.zip#sha256={DIGEST}">3</a>')
    assert [file.filename for file in page.files] == ["foo-3.zip"]
    assert [refusal.filename for refusal in page.refused] == ["foo-1.zip", "foo-2.zip"]


@pytest.mark.parametrize(
    "url", ["../../packages/%2e%2e/foo-1.0-py3-none-any.whl", "http://[::1/x.whl", "http://h:99999/x.whl", "//"]
)
def test_invalid_link_is_refused_alone(url: str) -> None:
    """A link with an invalid URL or dot segments is refused; the next link is accepted."""
    page = read(f'<a href="{url}#sha256={DIGEST}">x</a><a href="foo-1.0.zip#sha256={DIGEST}">c</a>')
    assert [file.url for file in page.files] == ["https://pypi.org/simple/foo/foo-1.0.zip"]
    assert len(page.refused) == 1


@pytest.mark.parametrize(
    ("attributes", "core_metadata", "yanked"),
    [
        ("", False, False),
        ('data-core-metadata="true"', True, False),
        (f'data-core-metadata="sha256={DIGEST}"', DIGEST, False),
        (f'data-dist-info-metadata="sha256={DIGEST}"', DIGEST, False),
        (f'data-dist-info-metadata="true" data-core-metadata="sha256={DIGEST}"', DIGEST, False),
        ('data-core-metadata="md5=0"', True, False),
        ("data-yanked", False, True),
        ('data-yanked=""', False, True),
        ('data-yanked="&lt;why&gt;"', False, "<why>"),
    ],
)
def test_newer_metadata_and_yanked_attributes_apply(attributes: str, core_metadata: object, yanked: object) -> None:
    """The newer metadata attribute takes precedence (PEP 714); any yanked attribute means yanked (PEP 592)."""
    [file] = read(f'<a href="foo-1.0.zip#sha256={DIGEST}" {attributes}>c</a>').files
    assert (file.core_metadata, file.yanked) == (core_metadata, yanked)


def test_status_and_api_version_of_html_are_read() -> None:
    """A status is read with its reason (PEP 792), and an unknown major version is refused (PEP 629)."""
    status = '<meta name="pypi:project-status" content="{}"><meta name="pypi:project-status-reason" content="r">'
    page = read(f"<title>Links for foo</title>{status.format('quarantined')}<!--SERIAL {2**63}-->")
    assert (page.status, page.status_reason, page.serial) == (ProjectStatus.QUARANTINED, "r", None)
    assert read(f"<title>Links for foo</title>{status.format('new')}").status is ProjectStatus.ACTIVE
    with pytest.raises(InvalidPageError, match=r"api-version '2\.0'"):
        read('<meta name="pypi:repository-version" content="2.0">')


def test_content_type_selects_the_parser() -> None:
    """The content type selects the parser, and an unknown type is refused by name."""
    index = fakepypi.Index()
    index.project("foo").upload("1.0")
    page = document(index)

    def parsed(body: bytes, content_type: str) -> Page:
        return parse_page(body, content_type=content_type, name=NAME, url=URL, serial=None)

    assert len(parsed(to_json(page), "application/vnd.pypi.simple.v1+json").files) == 2
    assert len(parsed(to_html(page), "application/vnd.pypi.simple.v1+html").files) == 2
    for body, content_type in ((to_html(page), "application/json"), (to_json(page), "text/html"), (b"", "")):
        with pytest.raises(InvalidPageError):
            parsed(body, content_type)
