"""Every name from upstream is, once parsed, safe as a path component."""

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from mirror_syncer.errors import FileRejectedError
from mirror_syncer.model.names import (
    Filename,
    content_digest,
    full_path,
    parse_distribution_name,
    parse_filename,
    parse_package_path,
    parse_sha256,
    short_path,
)

law = settings(max_examples=150)
tricky = st.text(st.sampled_from("ab.-_+ %é☃/\\\x00\n\x7f\x85\u2028\u202e\ud800\U0001f40d"), max_size=90)
texts = tricky | st.text(max_size=90) | tricky.map(lambda text: f"{text}.whl")
digests = st.from_regex(re.compile("[0-9a-f]{64}"), fullmatch=True)


def accepted(text: str) -> bool:
    """Return whether a text is a file name."""
    try:
        parse_filename(text)
    except FileRejectedError:
        return False
    return True


filenames = texts.filter(accepted).map(parse_filename)


@pytest.mark.proves("security/upstream")
@law
@given(texts)
def test_accepted_name_is_one_visible_file(text: str) -> None:
    """An accepted name creates exactly one visible file, directly in the given directory."""
    if not accepted(text):
        return
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / parse_filename(text)).write_bytes(b"")
        assert [path.name for path in Path(directory).iterdir()] == [text]
    assert not text.startswith(".")
    assert not any(ord(character) < ord(" ") for character in text)


@law
@given(filenames, digests)
def test_places_are_read_back(filename: Filename, digest: str) -> None:
    """Both places of a file, short and full, stay below packages/, parse to themselves, and begin with its digest."""
    for place in (short_path(digest, filename), full_path(digest, filename)):
        assert parse_package_path(place) == place
        assert place.startswith(f"packages/{digest[:2]}/")
        assert Path("/srv/web", place).resolve().is_relative_to("/srv/web/packages")
        assert place.endswith(f"/{filename}")
    assert content_digest(f"/{full_path(digest, filename)}") == digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        ".htaccess",
        "/etc/passwd",
        "a/b.whl",
        "..\\b.whl",
        "a\0.whl",
        "a\n.whl",
        "a\x7f",
        "a\x85",
        "a\u2028b",
        "\ud800.whl",
        "six-1.0-py3-none-any.whl.metadata",
        "six-1.0.tar.gz.METADATA",
        "cd",
    ],
)
def test_unsafe_file_name_is_refused(text: str) -> None:
    """Separators, control characters, hidden names, another file's metadata and a full path's directory are refused."""
    with pytest.raises(FileRejectedError, match=r"is not a valid file name|could be mistaken for"):
        parse_filename(text)


@pytest.mark.proves("security/project-owners")
@pytest.mark.parametrize(
    "text",
    [
        *("foo_bar-1.0-py3-none-any.whl", "Foo.Bar-1.0-py3-none-any.whl", "foo-bar-1.0-py3-none-any.whl"),
        *("foo-bar-1.0.tar.gz", "Foo__Bar-1.0.ZIP", "foo.bar-1.0.tar.bz2", "foo_bar-1.0.tgz", "foo_bar-1.0.tar.Z"),
        *("foo_bar-1.0-py2.7.egg", "foo_bar-1.0.win32.exe", "foo_bar-1.0.msi", "foo_bar-1.0-1.noarch.rpm"),
        *("foo_bar-1.0.dmg", "foo-bar_1.0_all.deb", "foo_bar-grün.zip", "foo_bar-1.0-variants.json", "foo_bar_1.0.zip"),
    ],
)
def test_distribution_names_are_accepted(text: str) -> None:
    """Every file type that PyPI ever accepted is accepted, in every spelling of the project's name."""
    assert parse_distribution_name(text, project=NormalizedName("foo-bar")) == text


@pytest.mark.proves("security/project-owners")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("foo_bar-1.0.html", "has no file type"),
        ("foo_bar-1.0.svg", "has no file type"),
        ("foo_bar-1.0.whl.html", "has no file type"),
        ("foo_bar-1.0.js", "has no file type"),
        ("foo_bar-1.0", "has no file type"),
        ("bar-1.0.tar.gz", "another project"),
        ("foo-1.0.tar.gz", "another project"),
        ("foobar-1.0.tar.gz", "another project"),
        ("foo_bar_baz-1.0-py3-none-any.whl", "another project"),
        ("foo_barbaz-1.0.zip", "another project"),
        ("foo_bar-\u202egz.rat.tar.gz", "invisible characters"),
        ("foo_bar-\u200b1.0.tar.gz", "invisible characters"),
        ("foo_bar-\ufffd.tar.gz", "invisible characters"),
        ("../foo_bar-1.0.tar.gz", "is not a valid file name"),
    ],
)
def test_other_files_are_refused_with_the_reason(text: str, reason: str) -> None:
    """Another project's file, one that only a browser opens, and an invisible name are refused with the reason."""
    with pytest.raises(FileRejectedError, match=reason) as refusal:
        parse_distribution_name(text, project=NormalizedName("foo-bar"))
    assert str(refusal.value).isprintable()


def test_name_length_is_counted_in_bytes() -> None:
    """A file system counts bytes, not characters; the limit is 255."""
    assert parse_filename("é" * 127 + "a")
    with pytest.raises(FileRejectedError, match="256 bytes, at most 255"):
        parse_filename("é" * 128)


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "g" * 64, "0" * 64 + "\n", "１" * 64, "0x" + "0" * 62])
def test_invalid_digest_is_refused(text: str) -> None:
    """Anything but 64 hexadecimal ASCII digits is refused."""
    with pytest.raises(FileRejectedError, match="is not a valid sha256"):
        parse_sha256(text)


@given(digests)
@law
def test_digest_is_converted_to_lower_case(digest: str) -> None:
    """A digest in capitals is the same digest."""
    assert parse_sha256(digest.upper()) == parse_sha256(digest) == digest


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize(
    "text",
    [
        "packages/ab/../../etc/passwd",
        "packages/ab/..",
        "packages/ab/",
        "packages/AB/six.whl",
        "packages/abc/six.whl",
        "packages/ab/cd/six.whl",
        f"packages/ab/cd/{'0' * 60}/../six.whl",
        "/packages/ab/six.whl",
        "packages//six.whl",
        "packages/ab/six.whl\n",
        "simple/six/index.html",
    ],
)
def test_invalid_place_is_refused(text: str) -> None:
    """Only the two forms of a place are accepted, so that a damaged page cannot lead elsewhere."""
    with pytest.raises(FileRejectedError):
        parse_package_path(text)


@pytest.mark.parametrize(
    "path",
    [
        "/packages/source/s/six/six-1.0.tar.gz",
        "/packages/ab/six-1.0.tar.gz",
        f"/packages/ab/cd/{'0' * 59}g/six.whl",
        f"/mirror/packages/ab/cd/{'0' * 60}/six.whl",
        f"/packages/ab/cd/{'0' * 60}/",
        "",
    ],
)
def test_url_of_another_form_has_no_digest(path: str) -> None:
    """A URL of another form than PyPI's contains no digest, so that the content is hashed instead."""
    assert content_digest(path) is None
