"""Locks are read as the real tools write them, and refused with file and line where they cannot be read."""

import json
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.pylock import Pylock

from mirror_syncer.config.locks.formats import read_lock
from mirror_syncer.config.locks.lock_source import Locks
from mirror_syncer.config.locks.problem import LockError

Read = Callable[[str | bytes], Locks]
Written = Callable[[str], str]

SHA256 = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
# PDM writes the files of a local version under the public one, also in its export.
PDM_LOCAL = f"""[metadata]
lock_version = "4.5.1"
[[package]]
name = "foo"
version = "1.0"
files = [
    {{file = "foo-1.0+local1-py3-none-any.whl", hash = "sha256:{SHA256}"}},
    {{file = "foo-1.0.tar.gz", hash = "sha256:{OTHER}"}},
]
"""
PDM_EXPORT = f"""lock-version = "1.0"
created-by = "pdm"

[[packages]]
name = "foo"
version = "1.0"
wheels = [
    {{name = "foo-1.0+local1-py3-none-any.whl", url = "https://host.example/x.whl", hashes = {{sha256 = "{SHA256}"}}}},
]
"""
ALL = {"colorama 0.4.6", "idna 3.10", "six 1.16.0", "six 1.17.0", "typing-extensions 4.15.0"}


def releases(locks: Locks) -> set[str]:
    """Return name and version of each pin."""
    return {f"{pin.project} {pin.version}" for pins in locks.pins.values() for pin in pins}


def sources(locks: Locks) -> dict[str, str]:
    """Return the place of each pin."""
    return {f"{pin.project} {pin.version}": pin.source for pins in locks.pins.values() for pin in pins}


@pytest.mark.parametrize(
    ("name", "kind", "expected", "problems"),
    [
        ("uv.lock", "uv.lock", ALL, ["line 77: sniffio comes from a URL"]),
        ("poetry.lock", "poetry.lock", ALL - {"typing-extensions 4.15.0"}, ["line 77: sniffio comes from a URL"]),
        ("pdm.lock", "pdm.lock", {"colorama 0.4.6", "idna 3.10", "six 1.17.0"}, ["line 47: sniffio comes from a URL"]),
        ("pylock.uv.toml", "pylock.toml", ALL, ["line 38: sniffio comes from a URL"]),
        (
            "pylock.pdm.toml",
            "pylock.toml",
            {"colorama 0.4.6", "idna 3.10", "six 1.17.0"},
            ["line 49: sniffio comes from a URL"],
        ),
        ("pylock.pip.toml", "pylock.toml", {"idna 3.10", "six 1.17.0"}, []),
        ("requirements.txt", "requirements.txt", ALL, ["line 19: sniffio comes from a URL"]),
        ("Pipfile.lock", "Pipfile.lock", {"idna 3.10", "six 1.17.0"}, ["line 17: colorama has no version"]),
    ],
)
def test_lock_of_each_tool_is_read(
    name: str, kind: str, expected: set[str], problems: list[str], *, read_text: Read, written: Written
) -> None:
    """A lock of each tool is read, whatever its name; all versions and machines count, and each has its line."""
    text = written(name)
    locks = read_text(text)
    assert releases(locks) == expected
    assert [(file.file, file.kind, file.pins) for file in locks.files] == [("locks/a.lock", kind, len(expected))]
    told = [str(problem).removeprefix("locks/a.lock, ") for problem in locks.problems]
    assert [one[: len(prefix)] for one, prefix in zip(told, problems, strict=True)] == problems
    assert not any(problem.unusable for problem in locks.problems)
    lines = text.splitlines()
    for release, source in sources(locks).items():
        file, _, line = source.partition(", line ")
        assert file == "locks/a.lock"
        place = "".join(lines[int(line) - 1 : int(line) + 1])
        assert release.split()[0] in place, "the entry begins in this line"
    for pins in locks.pins.values():
        assert all(len(pin.hashes) == (1 if name == "pylock.pip.toml" else 2) for pin in pins)
        assert all(digest in text for pin in pins for digest in pin.hashes)


@pytest.mark.parametrize("name", ["pylock.uv.toml", "pylock.pdm.toml", "pylock.pip.toml"])
def test_pylock_is_read_as_packaging_reads_it(name: str, read_text: Read, written: Written) -> None:
    """Of each lock that packaging accepts, the pins are what packaging reads."""
    locks = read_text(written(name))
    for package in Pylock.from_dict(tomllib.loads(written(name))).packages:
        hashes = [wheel.hashes["sha256"] for wheel in package.wheels or ()]
        hashes += [package.sdist.hashes["sha256"]] if package.sdist else []
        found = [set(pin.hashes) for pin in locks.of(package.name) if pin.version == package.version]
        assert found == ([set(hashes)] if hashes else [])


@pytest.mark.parametrize("text", [PDM_LOCAL, PDM_EXPORT])
def test_local_version_under_its_public_one_is_kept(text: str, read_text: Read) -> None:
    """A file of 1.0+local1 that PDM lists under 1.0 is kept by its hash, though packaging refuses the export."""
    [[pin]] = read_text(text).pins.values()
    assert str(pin.version) == "1.0"
    assert pin.keeps(None, SHA256)


def test_export_that_installers_refuse_is_reported(read_text: Read) -> None:
    """A pylock that breaks the specification is reported once, and its pins count."""
    locks = read_text(PDM_EXPORT)
    [problem] = locks.problems
    assert "pip and uv may refuse this lock" in str(problem)
    assert "is not consistent" in str(problem)
    assert not problem.unusable


def test_pylock_of_a_later_minor_version_is_read(read_text: Read, written: Written) -> None:
    """A pylock of version 1.9 is read; the specification requires it."""
    locks = read_text(written("pylock.uv.toml").replace('lock-version = "1.0"', 'lock-version = "1.9"'))
    assert releases(locks) == ALL


def test_pylock_package_without_version_is_kept_by_hash(read_text: Read) -> None:
    """A package without a version pins its files; without a hash as well, it is reported."""
    text = 'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "foo"\nsdist = { name = "foo-1.0.tar.gz", '
    locks = read_text(f'{text}url = "https://host.example/foo-1.0.tar.gz", hashes = {{ sha256 = "{SHA256}" }} }}\n')
    [[pin]] = locks.pins.values()
    assert (pin.version, set(pin.hashes), locks.problems) == (None, {SHA256}, ())
    locks = read_text(f'{text}url = "https://host.example/foo-1.0.tar.gz", hashes = {{ md5 = "{SHA256[:32]}" }} }}\n')
    assert not locks.pins
    assert "line 3: foo has neither a version nor a sha256" in str(locks.problems[0])


def test_hash_other_than_sha256_is_reported_once(read_text: Read) -> None:
    """Packages with md5 alone are kept by version, and one message names the first of them."""
    packages = "".join(
        f'[[package]]\nname = "p{number}"\nversion = "1"\nfiles = [{{file = "x", hash = "md5:{SHA256[:32]}"}}]\n'
        for number in range(12)
    )
    locks = read_text(f'{packages}[metadata]\nlock-version = "2.1"\n')
    assert len(locks.pins) == 12
    assert [str(problem) for problem in locks.problems] == [
        "locks/a.lock, line 1: p0 and 11 more: only sha256 counts, not md5; kept by version alone"
    ]


def test_poetry_lock_of_version_1_is_read(read_text: Read) -> None:
    """A lock of Poetry 1.1, which lists the files of all packages at its end, is read with their hashes."""
    locks = read_text(f"""[[package]]
name = "Foo_Bar"
version = "1.0"

[metadata]
lock-version = "1.1"

[metadata.files]
Foo_Bar = [
    {{file = "foo_bar-1.0.tar.gz", hash = "sha256:{SHA256}"}},
]
""")
    [(name, [pin])] = locks.pins.items()
    assert (str(name), set(pin.hashes), pin.source) == ("foo-bar", {SHA256}, "locks/a.lock, line 1")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("version = 2\nrequires-python = '>=3.11'\n", "uv.lock version 2 is unknown; this mirror reads version 1"),
        (
            'version = 1\nrequires-python = ">=3.11"\n[[distribution]]\nname = "six"\nversion = "1.0"\n',
            "an early version of uv wrote this file; lock again with uv 0.4 or newer",
        ),
        ('lock-version = "2.0"\ncreated-by = "x"\npackages = []\n', "lock-version '2.0' is unknown"),
        ('lock-version = "1.0"\ncreated-by = "x"\n', "lists no packages; lock again"),
        (
            '[metadata]\nlock-version = "3.0"\n',
            "poetry.lock version '3.0' is unknown; this mirror reads version 1 and 2",
        ),
        ('[metadata]\nlock_version = "5.0"\n', "pdm.lock version '5.0' is unknown; this mirror reads version 4"),
        ('{"_meta": {"pipfile-spec": 7}}', "Pipfile.lock version 7 is unknown; this mirror reads version 6"),
        ('{"lockfileVersion": 3}', "is JSON, but not a Pipfile.lock; if it is no lock, remove it"),
        (
            'version = 4\n[[package]]\nname = "libc"\nversion = "1.0.0"\n',
            "is TOML, but not a lock that this mirror reads",
        ),
        ("version: 6\nenvironments:\n  default: x\n", "line 1: is not a lock that this mirror reads"),
        ("version = 1\npackage = 3\nrequires-python = '>=3'\n", "package must be a list of tables; lock again"),
        ("version = 1\n\n[[package]\n", "line 3: is not TOML: "),
        ('{"_meta": {\n"pipfile-spec": 6,\n', "line 3: is not JSON: "),
        ("", "is empty; copy it again, or remove it if it should pin nothing"),
        (" \n\n", "is empty; copy it again"),
        (
            b"six==1.0\n\x7fELF\x00",
            "is a binary file; if it is no lock, remove it, or narrow the pattern in [dependencies] locks",
        ),
        (b"six==1.0\n# caf\xe9\n", "line 2: is not UTF-8; save the file as UTF-8"),
    ],
)
def test_unusable_lock_is_reported_with_its_line(text: str | bytes, problem: str, read_text: Read) -> None:
    """A lock of an unknown version or form is reported with file, line if known, and remedy; it pins nothing."""
    locks = read_text(text)
    [found] = locks.problems
    assert str(found).removeprefix("locks/a.lock, ").removeprefix("locks/a.lock: ").startswith(problem)
    assert found.message.endswith("; it pins nothing")
    assert found.unusable
    assert not locks.pins
    assert not locks.files


@pytest.mark.parametrize("name", ["uv.lock", "poetry.lock", "pylock.uv.toml", "pdm.lock", "Pipfile.lock"])
def test_lock_cut_within_an_entry_is_unusable(name: str, read_text: Read, written: Written) -> None:
    """A lock that ends within an entry, such as a copy under way, cannot be used."""
    text = written(name)
    for end in range(len(text) // 4, len(text) - 40, len(text) // 7):
        cut = text[:end].rstrip() + " ="
        [problem] = [one for one in read_text(cut).problems if one.unusable]
        assert problem.line or name == "poetry.lock"


def test_uv_lock_cut_between_packages_is_unusable(read_text: Read, written: Written) -> None:
    """A uv.lock that ends between two packages is recognized by a dependency that it does not contain."""
    text = written("uv.lock")
    [problem] = read_text(text[: text.index('[[package]]\nname = "sniffio"')]).problems
    assert problem.unusable
    assert "is incomplete: our-app depends on 'sniffio', which it does not contain; copy it again" in str(problem)


def test_wrong_entry_costs_only_itself(read_text: Read) -> None:
    """An entry with a wrong name, version or hash is reported with its line; all others count."""
    locks = read_text(f"""version = 1
requires-python = ">=3.11"

[[package]]
name = "../evil"
version = "1.0"
source = {{ registry = "https://pypi.org/simple" }}

[[package]]
name = "six"
version = "1.0 or so"
source = {{ registry = "https://pypi.org/simple" }}

[[package]]
name = 7

[[package]]
name = "idna"
version = "3.10"
sdist = {{ hash = "sha256:1234" }}
wheels = [ 5, {{ hash = ["x"] }}, {{ hash = "sha256:{SHA256}" }} ]
""")
    assert releases(locks) == {"idna 3.10"}
    assert [problem.line for problem in locks.problems] == [4, 9, 14, 17]
    assert "'../evil' is not a project name" in locks.problems[0].message
    assert "six: '1.0 or so' is not a version" in locks.problems[1].message
    assert "idna: a hash is malformed and ignored" in locks.problems[3].message
    [[idna]] = locks.pins.values()
    assert idna.hashes == {SHA256}


def test_workspace_members_are_passed_over(read_text: Read) -> None:
    """A project's own parts, which no index has, are neither pinned nor reported; git and URLs are reported."""
    kinds = ['virtual = "."', 'editable = "lib"', 'directory = "x"', 'path = "x.whl"', 'git = "https://a:secret@x/y"']
    packages = "".join(
        f'[[package]]\nname = "p{number}"\nversion = "1"\nsource = {{ {kind} }}\n' for number, kind in enumerate(kinds)
    )
    locks = read_text(f'version = 1\nrequires-python = ">=3"\n{packages}')
    assert not locks.pins
    assert [str(problem) for problem in locks.problems] == [
        "locks/a.lock, line 19: p4 comes from a git repository, so the mirror does not keep it"
    ]


@pytest.mark.parametrize(
    "text",
    ["# pip freeze\n", 'lock-version = "1.0"\ncreated-by = "pdm"\npackages = []\n', '{"_meta": {"pipfile-spec": 6}}'],
)
def test_lock_without_packages_is_reported(text: str, read_text: Read) -> None:
    """A valid lock that pins nothing is in force, and reported: pdm export without a pdm.lock writes such a file."""
    locks = read_text(text)
    assert [str(problem) for problem in locks.problems] == ["locks/a.lock: pins nothing; lock again, or remove it"]
    assert [file.pins for file in locks.files] == [0]


KEYS = (
    *("name", "version", "source", "sdist", "wheels", "files", "hash", "hashes", "sha256", "url", "git", "vcs"),
    *("archive", "directory", "dependencies", "default", "metadata", "registry", "type"),
)
words = st.sampled_from(["six", "1.0", "2.1", ">=3", "==1.0", "*", "", "sha256:" + SHA256, SHA256, "a b"])
values = st.recursive(
    words | st.integers(-1, 7) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)
entries = st.lists(st.dictionaries(st.sampled_from(KEYS), values, max_size=5) | values, max_size=3)


def toml(value: object) -> str:
    """Return a value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


@pytest.mark.parametrize(
    ("key", "head"),
    [
        ("package", {"version": 1, "requires-python": ">=3"}),
        ("packages", {"lock-version": "1.0", "created-by": "x"}),
        ("package", {"metadata": {"lock-version": "2.1"}}),
        ("package", {"metadata": {"lock_version": "4.5"}}),
        ("default", {"_meta": {"pipfile-spec": 6}}),
    ],
    ids=["uv", "pylock", "poetry", "pdm", "pipenv"],
)
@settings(max_examples=200)
@given(packages=entries | values)
def test_entries_of_any_type_are_read_or_reported(key: str, head: dict[str, Any], packages: object) -> None:
    """A document of any shape is read or reported, in words that fit a line; it never ends the syncer."""
    if key == "default" and isinstance(packages, list):
        packages = dict(zip(("six", "idna", "a b"), packages, strict=False))
    document = {**head, key: packages}
    text = (
        json.dumps(document) if key == "default" else "".join(f"{part} = {toml(document[part])}\n" for part in document)
    )
    try:
        reading = read_lock("a.lock", text, include=str)
    except LockError as error:
        problems = [error.problem]
    else:
        problems = list(reading.problems)
        assert reading.pins or problems or "source" in text, "a part of the project itself"
    assert all(str(problem).isprintable() for problem in problems)


def test_many_problems_are_counted(read_text: Read) -> None:
    """A lock with hundreds of wrong entries is reported in 51 lines."""
    packages = '[[package]]\nname = "a b"\nversion = "1"\n' * 300
    problems = read_text(f'{packages}[metadata]\nlock-version = "2.1"\n').problems
    assert len(problems) == 51
    assert problems[-1].message == "250 more entries have problems"


@pytest.mark.proves("security/mistakes")
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\n" * 1_000_001, "has more than 1,000,000 lines; if it is no lock, remove it"),
        ("six==1" + " " * 1_000_000, "has a line that is too long; if it is no lock, remove it"),
        ("six==1 \\\n" * 200_000, "has a line that is too long; if it is no lock, remove it"),
        ("a." * 101 + "b = 1", "nests more than 100 levels deep; lock again"),
        ("[metadata]\nx = " + "[" * 101 + "]" * 101, "nests more than 100 levels deep; lock again"),
    ],
    ids=["lines", "line", "joined", "key", "lists"],
)
def test_lock_beyond_a_bound_is_not_read(text: str, told: str, read_text: Read) -> None:
    """A lock with too many lines, too long a line or too deep a nesting is refused before it is read."""
    [problem] = read_text(text).problems
    assert problem.message.startswith(told)
    assert problem.unusable
