"""What a lock takes from another index than the mirrored one is not asked of upstream."""

import json
from collections.abc import Callable, Mapping

import pytest

from mirror_syncer.config.locks.lock_source import Locks

Read = Callable[[str | bytes], Locks]

PYPI, MIRROR, OWN = "https://pypi.org/simple", "http://mirror.example:8080/simple/", "https://pypi.corp.example/simple"


def uv_lock(packages: Mapping[str, str | None]) -> str:
    """Return a uv.lock of packages by the URL of their index."""
    tables = "".join(
        f'[[package]]\nname = "{name}"\nversion = "1.0"\nsource = {{ registry = "{index}" }}\n'
        for name, index in packages.items()
    )
    return f'version = 1\nrequires-python = ">=3.11"\n{tables}'


def poetry_lock(packages: Mapping[str, str | None]) -> str:
    """Return a poetry.lock; a package from PyPI may have no source."""
    tables = "".join(
        f'[[package]]\nname = "{name}"\nversion = "1.0"\n'
        + (f'[package.source]\ntype = "legacy"\nurl = "{index}"\nreference = "x"\n' if index else "")
        for name, index in packages.items()
    )
    return f'{tables}[metadata]\nlock-version = "2.1"\n'


def pylock(packages: Mapping[str, str | None]) -> str:
    """Return a pylock.toml; the index is optional."""
    file = f'url = "https://files.example/x-1.0.tar.gz", hashes = {{ sha256 = "{"0" * 64}" }}'
    tables = "".join(
        f'[[packages]]\nname = "{name}"\nversion = "1.0"\n'
        + (f'index = "{index}"\n' if index else "")
        + f'sdist = {{ name = "{name.replace("-", "_")}-1.0.tar.gz", {file} }}\n'
        for name, index in packages.items()
    )
    return f'lock-version = "1.0"\ncreated-by = "x"\n{tables}'


def pipfile_lock(packages: Mapping[str, str | None]) -> str:
    """Return a Pipfile.lock; pipenv names the index of what the Pipfile names."""
    indexes = sorted({index for index in packages.values() if index})
    document = {
        "_meta": {
            "pipfile-spec": 6,
            "sources": [{"name": f"n{at}", "url": index} for at, index in enumerate(indexes)],
        },
        "default": {
            name: {"version": "==1.0", **({"index": f"n{indexes.index(index)}"} if index else {})}
            for name, index in packages.items()
        },
    }
    return json.dumps(document, indent=1)


ALL = pytest.mark.parametrize("write", [uv_lock, poetry_lock, pylock, pipfile_lock])


@pytest.mark.proves("security/mistakes")
@ALL
def test_package_of_another_index_than_pypi_is_reported(write: Callable[..., str], read_text: Read) -> None:
    """In a lock that names PyPI, a package from another index is no pin and is reported without a password."""
    locks = read_text(write({"six": PYPI, "our-a": OWN.replace("//", "//user:secret@"), "our-b": OWN}))
    assert list(locks.pins) == ["six"]
    assert [problem.message for problem in locks.problems] == [
        f"our-{letter} comes from another index ('{OWN}'), so the mirror does not keep it" for letter in "ab"
    ]


@ALL
def test_lock_made_from_the_mirror_counts(write: Callable[..., str], read_text: Read) -> None:
    """A lock that names no PyPI counts by the index of most packages: its own name for this mirror is not known."""
    assert list(read_text(write({"idna": MIRROR, "six": MIRROR})).pins) == ["idna", "six"]
    locks = read_text(write({"idna": MIRROR, "six": MIRROR.rstrip("/"), "our-app": OWN}))
    assert list(locks.pins) == ["idna", "six"]
    assert len(locks.problems) == 1


def test_package_without_an_index_counts(read_text: Read) -> None:
    """Of a package whose lock does not say where it comes from, the mirror may be the index."""
    assert list(read_text(pylock({"idna": None, "six": PYPI, "our-app": OWN})).pins) == ["idna", "six"]
    assert list(read_text(pipfile_lock({"idna": None, "our-app": OWN})).pins) == ["idna", "our-app"]


def test_poetry_package_without_a_source_is_of_pypi(read_text: Read) -> None:
    """Poetry writes no source for PyPI, so all that has one comes from elsewhere."""
    assert list(read_text(poetry_lock({"idna": None, "our-app": OWN, "our-lib": OWN})).pins) == ["idna"]


def test_indexes_with_as_many_packages_all_count(read_text: Read) -> None:
    """Where no index has most packages, none is left out: what a lock pins is not dropped by chance."""
    assert list(read_text(uv_lock({"idna": MIRROR, "our-app": OWN})).pins) == ["idna", "our-app"]


@pytest.mark.parametrize("index", ["", "  ", "//[", "https://host.example:port/simple", "../wheels"])
def test_odd_index_is_read(index: str, read_text: Read) -> None:
    """An index that is no URL, such as a directory, never makes a lock unusable."""
    locks = read_text(uv_lock({"six": PYPI, "our-app": index}))
    assert "six" in locks.pins
    assert not any(problem.unusable for problem in locks.problems)
