"""JSON pages are read as PyPI means them, and an invalid entry affects only itself."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from packaging.utils import NormalizedName

import fakepypi
from fakepypi.pages import Document, project_document, to_json
from mirror_syncer.errors import InvalidPageError
from mirror_syncer.model.names import MAX_FILE_BYTES
from mirror_syncer.model.page import File, Page, ProjectStatus
from mirror_syncer.upstream import parse_json, repair

law = settings(max_examples=60)
NAME = NormalizedName("foo-bar")
URL = "https://pypi.org/simple/foo-bar/"
ORIGIN = "https://files.pythonhosted.org"


def document() -> Document:
    """Return warehouse's page of two releases, one of them yanked, as a dictionary to be spoiled."""
    project = fakepypi.Index().project("Foo.Bar")
    project.upload("1.0", requires_python=">=3.9", provenance=True)
    project.upload("2.0", wheel=False)
    project.yank("1.0", reason="a <reason>")
    return project_document(project.listing(), file_origin=ORIGIN)


def parse(page: Document, *, serial: int | None = None) -> Page:
    """Parse a page as upstream would send it."""
    return parse_json(to_json(page), name=NAME, url=URL, serial=serial)


def test_page_of_warehouse_is_read_completely() -> None:
    """Every attribute on a page of PyPI is parsed, and nothing is refused."""
    page = document()
    parsed = parse(page)
    assert parsed.refused == ()
    assert [file.filename for file in parsed.files] == [entry["filename"] for entry in page["files"]]
    wheel, entry = parsed.files[0], page["files"][0]
    assert wheel == File(
        filename=entry["filename"],
        url=entry["url"],
        sha256=entry["hashes"]["sha256"],
        size=entry["size"],
        upload_time=entry["upload-time"],
        requires_python=">=3.9",
        yanked="a <reason>",
        core_metadata=entry["core-metadata"]["sha256"],
        provenance=entry["provenance"],
    )
    assert (parsed.versions, parsed.api_version, parsed.serial) == (("1.0", "2.0"), "1.4", page["meta"]["_last-serial"])


@pytest.mark.parametrize(
    "spoilt",
    [
        {"filename": None},
        {"filename": 3},
        {"filename": "../../etc/cron.d/x"},
        {"filename": "a\0b.whl"},
        {"hashes": None},
        {"hashes": {}},
        {"hashes": {"md5": "0" * 32}},
        {"hashes": {"sha256": None}},
        {"hashes": {"sha256": "0" * 63}},
        {"hashes": {"sha256": "０" * 64}},
        {"hashes": ["sha256"]},
        {"url": None},
        {"url": {"href": "x"}},
        {"url": "ftp://files.pythonhosted.org/x.whl"},
        {"url": "javascript:alert(1)"},
        {"url": "https://[::1/x.whl"},
        {"url": "https://files.pythonhosted.org:99999/x.whl"},
        {"url": "https://files.pythonhosted.org/a b.whl"},
        {"size": -1},
        {"size": 10**30},
        {"size": MAX_FILE_BYTES + 1},
        {"size": "100"},
        {"size": 1.5},
        {"size": True},
        {"yanked": 3},
        {"requires-python": 3.9},
        {"core-metadata": "yes"},
        {"core-metadata": {"sha256": "short"}},
        {"provenance": ["https://pypi.org/"]},
    ],
    ids=str,
)
def test_invalid_entry_is_refused_alone(spoilt: dict[str, Any]) -> None:
    """An entry with a field of the wrong type or value is refused with a reason; the others are accepted."""
    page = document()
    good = parse(page).files
    page["files"][1] |= spoilt
    parsed = parse(page)
    assert parsed.files == (good[0], *good[2:])
    assert len(parsed.refused) == 1
    assert parsed.refused[0].reason


@pytest.mark.parametrize("entry", [None, 1, "six.whl", [], {}], ids=str)
def test_entry_that_is_not_an_object_is_refused_alone(entry: object) -> None:
    """An entry that is not an object is refused like any invalid entry."""
    page = document()
    good = parse(page).files
    page["files"].insert(1, entry)
    parsed = parse(page)
    assert (parsed.files, len(parsed.refused)) == (good, 1)


def test_null_in_optional_fields_means_absent() -> None:
    """Null in an optional field means absent, as Artifactory and Nexus write it."""
    page = document()
    for key in ("requires-python", "size", "upload-time", "yanked", "core-metadata", "provenance"):
        page["files"][0][key] = None
    page["files"][0]["data-dist-info-metadata"] = None
    page["project-status"] = None
    first = parse(page).files[0]
    assert first == File(filename=first.filename, url=first.url, sha256=first.sha256)


DIRTY = "a\x1b[2J\x07\x9b\u202eb\u2066\u200f\r\nc\ud83d"
CLEAN = "a\ufffd[2J\ufffd\ufffd\ufffdb\ufffd\ufffd c\ufffd"


@pytest.mark.proves("security/project-owners")
def test_control_characters_in_texts_are_replaced() -> None:
    """Control and bidirectional characters in upstream's texts are replaced, in every spelling."""
    page = document()
    page["files"][0] |= {"yanked": DIRTY, "requires-python": DIRTY}
    page |= {"versions": [DIRTY, 7], "project-status": {"status": "archived", "reason": DIRTY}}
    parsed = parse_json(json.dumps(page).encode(), name=NAME, url=URL)
    assert (parsed.files[0].yanked, parsed.files[0].requires_python) == (CLEAN, CLEAN)
    assert (parsed.versions, parsed.status_reason) == ((CLEAN,), CLEAN)
    page["files"][0]["filename"] = f"foo_bar-{DIRTY}.zip"
    [refusal] = parse_json(json.dumps(page).encode(), name=NAME, url=URL).refused
    assert f"{refusal.filename}{refusal.reason}".isprintable()


NOT_STRICT = (
    *(
        b'"\\ud83d"',
        b'"\\udc00 a"',
        b"NaN",
        b"-Infinity",
        b"1e400",
        b"9" * 5_000,
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\x01"',
    ),
)


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("value", NOT_STRICT, ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("key", ["x-score", "yanked", "size", "url", "hashes", "filename"])
def test_value_only_a_tolerant_parser_accepts_affects_only_its_entry(key: str, value: bytes) -> None:
    """Half a surrogate pair, NaN, a huge number or invalid UTF-8 never affects another file."""
    page = document()
    others = parse(page).files[1:]
    page["files"][0][key] = "HERE"
    parsed = parse_json(to_json(page).replace(b'"HERE"', value), name=NAME, url=URL)
    assert parsed.files[-len(others) :] == others
    assert len(parsed.files) + len(parsed.refused) == len(page["files"])
    if key == "x-score":
        assert parsed.refused == ()


def test_page_with_a_byte_order_mark_is_read() -> None:
    """A byte order mark before UTF-8 does not matter."""
    body = to_json(document())
    assert parse_json(b"\xef\xbb\xbf" + body, name=NAME, url=URL) == parse_json(body, name=NAME, url=URL)


@pytest.mark.proves("reliability/upstream")
def test_repair_is_limited_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that only a tolerant parser accepts is repaired up to a limit of bytes and of values."""
    body = to_json(document()).replace(b'"name"', b'"x":NaN,"name"')
    assert parse_json(body, name=NAME, url=URL).refused == ()
    for bound in ("_MAX_BODY_BYTES", "_MAX_VALUES"):
        with monkeypatch.context() as changed:
            changed.setattr(repair, bound, 10)
            with pytest.raises(InvalidPageError, match="malformed"):
                parse_json(body, name=NAME, url=URL)


@pytest.mark.proves("security/upstream", "security/project-owners")
def test_provenance_at_allowed_hosts_is_kept() -> None:
    """Another index may name provenance at its own host, or at PyPI if it mirrors PyPI."""
    page = document()
    for number, host in enumerate(("index.example:8443", "pypi.org", "other.example")):
        page["files"][number]["provenance"] = f"https://{host}/integrity/x"
    files = parse_json(to_json(page), name=NAME, url="https://index.example/simple/foo-bar/").files
    told = [file.provenance for file in files]
    assert told == ["https://index.example:8443/integrity/x", "https://pypi.org/integrity/x", None]


@pytest.mark.proves("security/upstream", "security/project-owners")
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://pypi.org/integrity/foo/1.0/foo-1.0.tar.gz/provenance", True),
        ("https://test.pypi.org/integrity/foo/1.0/foo-1.0.tar.gz/provenance?a=1&b=2", True),
        ("https://pypi.org.evil.example/provenance", False),
        ("https://nexus.example.org:8443/foo.provenance?a=1&b=2", False),
        ("http://pypi.org/integrity/foo/1.0/foo-1.0.tar.gz/provenance", False),
        ("/integrity/foo/1.0/foo-1.0.tar.gz/provenance", False),
        ("../foo-1.0.tar.gz.provenance", False),
        ("https://", False),
        ("https:///provenance", False),
        ("https://pypi.org@evil.example/provenance", False),
        ('https://pypi.org/" onclick=alert(1) x', False),
        ("https://pypi.org/\r\nX: y", False),
        ("javascript:alert(1)//https://pypi.org/", False),
        (f"https://pypi.org/{'x' * 5000}", False),
        ("https://pypi.org:65535/provenance", True),
        ("https://pypi.org:65536/provenance", False),
        ("https://pypi.org/<script>", False),
        ("https://pypi.org/\\provenance", False),
    ],
)
def test_provenance_must_be_a_full_https_url(given: str, *, kept: bool) -> None:
    """A provenance is a fully qualified https URL (PEP 740); any other value is omitted."""
    page = document()
    before = parse(page).files[1]
    page["files"][1]["provenance"] = given
    parsed = parse(page)
    assert parsed.refused == ()
    assert parsed.files[1] == replace(before, provenance=given if kept else None)


@pytest.mark.parametrize(
    "url",
    [
        "https://files.pythonhosted.org/packages/../../etc/passwd",
        "https://files.pythonhosted.org/packages/%2e%2e/x.whl",
        "https://files.pythonhosted.org/packages/%2E./x.whl",
        "https://files.pythonhosted.org/packages/..%2fx.whl",
        "https://files.pythonhosted.org/packages/..\\x.whl",
        "https://files.pythonhosted.org/packages/..%5Cx.whl",
        "../../packages/../../x.whl",
        "../../packages/%2e%2e/x.whl",
        "/packages/../x.whl",
        "..",
    ],
)
def test_url_with_dot_segments_is_refused(url: str) -> None:
    """Dot segments in a URL are refused in every encoding, because proxies and servers may resolve them differently."""
    page = document()
    page["files"][0]["url"] = url
    [refusal] = parse(page).refused
    assert "climbs out of its directory" in refusal.reason


@pytest.mark.parametrize(
    ("url", "absolute"),
    [
        ("../../packages/ab/x.whl#sha256=0", "https://pypi.org/packages/ab/x.whl"),
        ("./x.whl", "https://pypi.org/simple/foo-bar/x.whl"),
        ("x.whl", "https://pypi.org/simple/foo-bar/x.whl"),
        ("/packages/x%20y.whl", "https://pypi.org/packages/x%20y.whl"),
        ("//files.example.org/x.whl", "https://files.example.org/x.whl"),
        ("http://10.0.0.1:8081/repository/x.whl?download=1", "http://10.0.0.1:8081/repository/x.whl?download=1"),
        ("../../../../../../x.whl", "https://pypi.org/x.whl"),
    ],
)
def test_relative_url_is_resolved_within_its_host(url: str, absolute: str) -> None:
    """A relative URL, as on static mirrors, becomes absolute and never leaves the host."""
    page = document()
    page["files"][0]["url"] = url
    assert parse(page).files[0].url == absolute


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize(
    "contradiction",
    [
        {"hashes": {"sha256": "0" * 64}},
        {"size": 7},
        {"requires-python": ">=4"},
        {"core-metadata": {"sha256": "0" * 64}},
    ],
    ids=str,
)
def test_contradicting_entry_is_refused(contradiction: dict[str, Any]) -> None:
    """Of contradicting entries with one name the first counts, however often the second is repeated."""
    page = document()
    good = parse(page).files
    page["files"] += [page["files"][0] | contradiction] * 3
    parsed = parse(page)
    assert parsed.files == good
    [refusal] = parsed.refused
    assert (refusal.filename, "lists it twice" in refusal.reason) == (good[0].filename, True)


@pytest.mark.proves("reliability/upstream")
@law
@given(st.data())
def test_repeated_entry_is_one_file(data: st.DataObject) -> None:
    """Repeated entries of one file, complete or partial, in any order, are one file."""
    page = document()
    good = parse(page)
    facts = (
        "requires-python",
        "size",
        "upload-time",
        "yanked",
        "core-metadata",
        "data-dist-info-metadata",
        "provenance",
    )
    again = []
    for entry in data.draw(st.lists(st.sampled_from(page["files"]), max_size=6)):
        silent = data.draw(st.sets(st.sampled_from(facts)))
        hashes = data.draw(st.sampled_from([entry["hashes"], {}, {"md5": "0" * 32}]))
        again.append({key: value for key, value in entry.items() if key not in silent} | {"hashes": hashes})
    page["files"] = data.draw(st.permutations([*page["files"], *again]))
    parsed = parse(page)
    assert parsed.refused == ()
    assert set(parsed.files) == set(good.files)


def test_yank_and_later_upload_time_win() -> None:
    """A yank in either entry counts, and so does the later of two upload times."""
    page = document()
    older = {"yanked": False, "upload-time": "2001-01-01T00:00:00.5Z"}
    for copies in ([page["files"][0], page["files"][0] | older], [page["files"][0] | older, page["files"][0]]):
        [first, *_] = parse(page | {"files": copies}).files
        assert first.yanked == "a <reason>"
        assert first.upload_time == page["files"][0]["upload-time"]


@pytest.mark.parametrize("said", ["foo", "", "foo-bar-baz", "../foo-bar"])
def test_page_naming_another_project_is_refused(said: str) -> None:
    """A page that names another project is refused: a proxy that confuses pages must not confuse projects."""
    with pytest.raises(InvalidPageError, match=r"not of 'foo-bar'"):
        parse(document() | {"name": said})


def test_display_name_is_accepted() -> None:
    """A page may spell the project's name as its author does."""
    assert parse(document() | {"name": "Foo.Bar"}).name == NAME


@pytest.mark.parametrize("said", ["2.0", "1", "1.", "0.9", "1.0.0", "01.0", "1.٣", "latest", "", 1.0, None])
def test_unknown_major_version_is_refused(said: object) -> None:
    """A page whose api-version is not 1.x is refused as a whole (PEP 629)."""
    page = document()
    page["meta"]["api-version"] = said
    with pytest.raises(InvalidPageError):
        parse(page)


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize(
    "said",
    [
        *("2025-02-31T00:00:00Z", "2025-13-01T00:00:00Z", "2025-01-01", "２０25-01-01T00:00:00Z", "soon", "2025-W01-1"),
        *("2025-01-01T00:00:00", "2025-01-01T00:00:00+24:00", "0001-01-01T00:00:00+01:00", "2025-01-01T23:59:60Z"),
        *(1_700_000_000, 1.7e9, True, ["2025-01-01T00:00:00Z"], {"$date": 1_700_000_000_000}),
    ],
)
def test_invalid_upload_time_is_dropped_and_counted(said: object) -> None:
    """An invalid upload time is not published, and is counted; its file is published."""
    page = document()
    page["files"][0]["upload-time"] = said
    parsed = parse(page)
    assert (parsed.files[0].upload_time, parsed.refused, parsed.dropped_upload_times) == (None, (), 1)


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("2025-01-02T03:04:05Z", "2025-01-02T03:04:05Z"),
        ("2025-01-02T03:04:05.678901Z", "2025-01-02T03:04:05.678901Z"),
        ("2025-01-02T03:04:05.5Z", "2025-01-02T03:04:05.500000Z"),
        ("2025-01-02T03:04:05.123456789Z", "2025-01-02T03:04:05.123456Z"),
        ("2025-01-02T03:04:05.000Z", "2025-01-02T03:04:05Z"),
        ("2025-01-02T03:04:05+00:00", "2025-01-02T03:04:05Z"),
        ("2025-01-02T03:04:05+05:30", "2025-01-01T21:34:05Z"),
        ("2025-01-02T03:04:05-0800", "2025-01-02T11:04:05Z"),
        ("2025-01-02T03:04:05-00", "2025-01-02T03:04:05Z"),
        ("2025-01-02 03:04:05.5z", "2025-01-02T03:04:05.500000Z"),
        ("2025-01-02t03:04Z", "2025-01-02T03:04:00Z"),
    ],
)
def test_upload_time_with_any_offset_is_normalized(said: str, read: str) -> None:
    """An upload time with any offset and fraction is published as on PyPI: in UTC, with six digits or none."""
    page = document()
    page["files"][0]["upload-time"] = said
    parsed = parse(page)
    assert (parsed.files[0].upload_time, parsed.dropped_upload_times) == (read, 0)


@pytest.mark.parametrize(("said", "yanked"), [(True, True), (False, False), ("why", "why"), ("", False)])
def test_truthy_yanked_value_means_yanked(said: object, yanked: object) -> None:
    """A truthy value means yanked (PEP 691), and its reason is kept."""
    page = document()
    page["files"][0]["yanked"] = said
    assert parse(page).files[0].yanked == yanked


@pytest.mark.parametrize("said", [True, -1, 2**63, 10**4000, 1.0, None, [7]], ids=lambda said: str(said)[:20])
def test_invalid_serial_is_ignored(said: object) -> None:
    """A serial that the catalog cannot store is ignored, and affects nothing else."""
    page = document()
    page["meta"]["_last-serial"] = said
    assert parse(page).serial is None
    assert parse(page, serial=7).serial == 7


@pytest.mark.parametrize(
    ("said", "status"),
    [("quarantined", ProjectStatus.QUARANTINED), ("archived", ProjectStatus.ARCHIVED), ("new", ProjectStatus.ACTIVE)],
)
def test_status_is_read_with_its_reason(said: str, status: ProjectStatus) -> None:
    """A status is read with its reason; an unknown one counts as active (PEP 792)."""
    parsed = parse(document() | {"project-status": {"status": said, "reason": "r"}})
    assert (parsed.status, parsed.status_reason) == (status, "r")
