"""File names of distributions: policy, pages and download statistics share one parser."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging import tags
from packaging.utils import InvalidWheelFilename, NormalizedName, parse_wheel_filename
from packaging.version import Version

from mirror_contract.distributions import Installers, parse_distribution, parse_version, read_release, read_version

law = settings(max_examples=150)
FOO = NormalizedName("foo")
names = st.sampled_from(["foo", "foo-bar", "foo-2", "zope-interface"])
versions = st.from_regex(r"[0-3]\.[0-9](\.[0-2])?((a|rc)[1-2])?(\.post1)?(\.dev1)?", fullmatch=True)
endings = st.sampled_from(
    ["{}-py3-none-any.whl", "{}.tar.gz", "{}.zip", "{}.tar.bz2", "{}-py2.7.egg", "{}.win32.exe", "{}.dmg"]
)
filenames = st.text(max_size=40) | st.builds(
    lambda ending, name, version: ending.format(f"{name}-{version}"), endings, names, versions
)


@pytest.mark.parametrize(
    ("filename", "version"),
    [
        ("foo-1.0.tar.gz", "1.0"),
        ("foo-1.0-py3-none-any.whl", "1.0"),
        ("foo-1.0-1-cp311-cp311-manylinux_2_17_x86_64.whl", "1.0"),
        ("foo-1.0-py2.7.egg", "1.0"),
        ("Foo-1.0rc1-py2.4-linux-x86_64.egg", "1.0rc1"),
        ("foo-1.0.win32.exe", "1.0"),
        ("foo-1.0.win-amd64-py3.4.exe", "1.0"),
        ("foo-1.0.win32-py2.7.msi", "1.0"),
        ("foo-1.0.linux-x86_64.tar.gz", "1.0"),
        ("foo-1.0.macosx-10.9-x86_64.zip", "1.0"),
        ("foo-1.0-1.noarch.rpm", "1.0"),
        ("foo-1.0.tar.bz2", "1.0"),
        ("foo-1.0.tgz", "1.0"),
        ("FOO-1.0.ZIP", "1.0"),
        ("foo-1.0-1.tar.gz", "1.0.post1"),
        ("foo-1!2.0+local.7.tar.gz", "1!2.0+local.7"),
        ("foo-2004d.tar.gz", None),
        ("foo-latest.zip", None),
        ("foo-1.2.public.tar.gz", None),
        ("foo-1.1-SNAPSHOT.tar.gz", None),
        ("foo-1.2.public.exe", None),
        ("foo-1.0-beta-py2.7.egg", "1.0b0"),
        ("foo-1,1,0.zip", None),
        ("foo-bar-1.0.zip", None),
        ("foo.tar.gz", None),
        ("foo", None),
        ("", None),
    ],
)
def test_old_file_name_has_its_version(filename: str, version: str | None) -> None:
    """The parser finds the version in file names from twenty years of packaging, or none."""
    assert read_version(FOO, filename) == (version and Version(version))


def test_hyphen_in_project_name_is_not_a_version() -> None:
    """A hyphen in a project's name, in any spelling, does not start a version; another project's file has none."""
    for filename in ("zope.interface-7.2-py2.7.egg", "zope-interface-7.2.tar.bz2", "zope_interface-7.2.tar.gz"):
        assert read_version(NormalizedName("zope-interface"), filename) == Version("7.2")
    assert read_version(NormalizedName("python-foo"), "foo-7.2.tar.gz") is None


@law
@given(filenames)
def test_any_file_name_is_parsed_without_error(filename: str) -> None:
    """No file name makes the parser raise."""
    assert isinstance(read_version(FOO, filename), Version | None)
    parse_distribution(filename)


def test_version_with_too_many_digits_is_none() -> None:
    """A version with more digits than Python parses counts as none and does not crash."""
    assert parse_version("9" * 5_000) is None


@law
@given(st.lists(st.sampled_from(["foo", "1.0", "1", "x", "py3", "py2.py3", "none", "any", "a..b", ".a", "", "é", "3"])))
@example(["foo", "1.0", "py2.py3", "none", "any"])
@example(["foo", "1.0", "1", "py3", "none", "a..b"])
@example(["foo", "1.0", "py3.a..b", "none", "any"])
def test_wheel_is_one_if_packaging_parses_its_name(parts: list[str]) -> None:
    """A name is a wheel's, for pip and uv, if and only if ``packaging`` parses it."""
    filename = f"{'-'.join(parts)}.whl"
    try:
        parse_wheel_filename(filename)
    except InvalidWheelFilename:
        assert read_release(FOO, filename)[1] is Installers.NONE
    else:
        assert read_release(FOO, filename)[1] is Installers.ALL


@pytest.mark.proves("security/upstream", "security/clients")
def test_wheel_with_many_tags_makes_no_combinations_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for a wheel's name grows with the number of its tags, not with that of their combinations."""
    made: list[tuple[str, ...]] = []

    def make_tag(*parts: str) -> tuple[str, ...]:
        made.append(parts)
        return parts

    read_release(FOO, "foo-1.0-py3-none-any.whl")  # makes what is made once, whichever test is first
    monkeypatch.setattr(tags, "Tag", make_tag)
    many = ".".join(f"a{number}" for number in range(20))
    assert read_release(FOO, f"foo-1.0-{many}-{many}-{many}.whl") == (Version("1.0"), Installers.ALL)
    assert 0 < len(made) <= 20


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("requests-2.32.3-py3-none-any.whl", ("requests", "2.32.3", "wheel")),
        ("zope_interface-7.2.tar.gz", ("zope-interface", "7.2", "sdist")),
        ("Zope.Interface-3.0b1.zip", ("zope-interface", "3.0b1", "sdist")),
        ("python-dateutil-2.9.0.post0.tar.gz", ("python-dateutil", "2.9.0.post0", "sdist")),
        ("pytz-2004d.tar.gz", ("pytz", "2004d", "sdist")),
        ("foo-bar-1.0.tar.bz2", ("foo-bar", "1.0", "sdist")),
        ("setuptools-0.6c11-py2.6.egg", ("setuptools", "0.6rc11", "egg")),
        ("pywin32-223.win32-py3.6.exe", ("pywin32", "223", "other")),
        ("foo-1.0-1.tar.gz", ("foo", "1.0.post1", "sdist")),
        ("foo-2-1.0.tar.gz", ("foo-2", "1.0", "sdist")),
        ("foo-1.0.win32.exe", ("foo", "1.0", "other")),
        ("foo-1.0.dmg", ("foo", "1.0", "other")),
        ("foo-1.0.deb", ("foo", "1.0", "other")),
        ("foo-bar-1.0-py3-none-any.whl", ("foo-bar", "1.0", "wheel")),
        ("odd-wheel.whl", ("odd-wheel", "", "wheel")),
        ("foo.tar.gz", ("foo", "", "sdist")),
        (".tar.gz", None),
        # What people published; pyfurby's page names the first.
        ("pyfurby-0.1 (1).tar.gz", ("pyfurby", "0.1", "sdist")),
        ("GuildWars2 API Client-0.5.2.tar.gz", ("guildwars2-api-client", "0.5.2", "sdist")),
        ("Blackboard LMS CLI-0.0.9.tar.gz", ("blackboard-lms-cli", "0.0.9", "sdist")),
        ("scikit-highs-('0.6.0',).tar.gz", ("scikit-highs", "0.6.0", "sdist")),
        ("Grün & Blau-1.0-py2.egg", ("gr-n-blau", "1.0", "egg")),
        ("two  blanks-1.0 (2) (3).zip", ("two-blanks", "1.0", "sdist")),
        ("foo--1.0.tar.gz", ("foo", "1.0", "sdist")),
        ("<b>-1.0.tar.gz", ("b", "1.0", "sdist")),
        ("(((.tar.gz", None),
        ("README", None),
        (f"{'a' * 300}-1.0.tar.gz", None),
    ],
)
def test_name_of_unknown_project_is_split(filename: str, expected: tuple[str, str, str] | None) -> None:
    """The parser splits standard names by the standards and old names as their authors meant them."""
    assert parse_distribution(filename) == expected


@law
@given(names, versions, endings)
@example("foo", "1.0-1", "{}.tar.gz")
@example("foo", "1.0", "{}.win32.exe")
def test_policy_and_statistics_agree_on_the_version(project: str, version: str, ending: str) -> None:
    """Statistics find the same project and version in a file name as the policy."""
    sdist = ending.startswith(("{}.tar", "{}.zip"))
    written = project if sdist else project.replace("-", "_")
    filename = ending.format(f"{written}-{version}")

    assert (found := parse_distribution(filename)) is not None
    assert found.project == project
    assert found.version == str(read_version(NormalizedName(project), filename))
