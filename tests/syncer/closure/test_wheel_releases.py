"""Where a release would have to be built, an older one with a wheel is kept beside it, if one can be installed."""

import asyncio

from mirror_syncer.closure.resolution import resolve
from mirror_syncer.config.policy.closure import Closure
from syncer.closure.generated_pages import NOW, TWO_BY_TWO, IndexMaker, MemorySource, Wanted

LINUX, WINDOWS = "py3-none-manylinux_2_17_x86_64", "py3-none-win_amd64"


def maker() -> IndexMaker:
    """Return an index with what builds an sdist."""
    index = IndexMaker()
    index.upload("setuptools", "80.0")
    index.upload("wheel", "0.40")
    return index


def maker_of_lib() -> IndexMaker:
    """Return an index whose app needs lib, which has a wheel only in the older release, and that needs base."""
    index = maker()
    index.upload("app", "1.0", "lib")
    index.upload("lib", "2.0", sdist=True)
    index.upload("lib", "1.0", "base")
    return index


def close(index: IndexMaker, *, machines: str = TWO_BY_TWO) -> Closure:
    """Return the closure of the line ``app``."""
    return close_from(MemorySource(index.index()), machines=machines)


def close_from(source: MemorySource, *, machines: str = TWO_BY_TWO) -> Closure:
    """Return the closure of the line ``app``, by a source that counts."""
    wanted = Wanted(('{ name = "app", latest = 1 }',), machines)
    return asyncio.run(resolve(wanted.policy(), source=source, now=NOW))


def kept(closure: Closure, name: str) -> set[str]:
    """Return the releases of a project that are kept."""
    return {version for project, one in closure.projects.items() if project == name for version in one.resolved}


def proved(closure: Closure, name: str) -> dict[str, str]:
    """Return the release of a project in the proof of each machine."""
    return {
        proof.machine: version
        for proof in closure.proofs
        for project, version in proof.releases.items()
        if project == name
    }


def test_older_release_with_a_wheel_is_kept_beside_one_that_is_built() -> None:
    """Where the newest release that fits is an sdist, the line can also be installed from wheels alone."""
    index = maker()
    index.upload("app", "1.0", "lib")
    index.upload("lib", "2.0", sdist=True)
    index.upload("lib", "1.1", "base")
    index.upload("lib", "1.0")
    index.upload("base", "1.0")
    closure = close(index)
    assert kept(closure, "lib") == {"2.0", "1.1"}
    assert kept(closure, "base") == {"1.0"}
    assert set(proved(closure, "lib").values()) == {"1.1"}
    assert closure.unmet == ()
    [chain] = [one.chains["1.1"] for name, one in closure.projects.items() if name == "lib"]
    assert chain == "witness of app on Python 3.11 on linux-x86_64"


def test_only_the_machines_without_a_wheel_get_another_release() -> None:
    """A machine that has a wheel of the newest release is proved with it."""
    index = maker()
    index.upload("app", "1.0", "lib")
    index.upload("lib", "2.0", tag=LINUX)
    index.upload("lib", "2.0", sdist=True)
    index.upload("lib", "1.0", tag=WINDOWS)
    closure = close(index)
    assert proved(closure, "lib") == {
        f"Python {python} on {platform}": version
        for python in ("3.11", "3.13")
        for platform, version in (("linux-x86_64", "2.0"), ("windows-amd64", "1.0"))
    }


def test_line_itself_is_kept_with_a_wheel() -> None:
    """What a line names is no exception."""
    index = maker()
    index.upload("app", "2.0", sdist=True)
    index.upload("app", "1.0")
    assert kept(close(index), "app") == {"2.0", "1.0"}


def test_release_is_built_where_no_wheel_meets_what_is_required() -> None:
    """If no release with a wheel meets the requirements, the proof builds, and nothing older is kept."""
    index = maker()
    index.upload("app", "1.0", "lib>=2")
    index.upload("lib", "2.0", sdist=True)
    index.upload("lib", "1.0")
    closure = close(index)
    assert kept(closure, "lib") == {"2.0"}
    assert len(proved(closure, "lib")) == 4


def test_older_release_that_needs_no_build_is_kept() -> None:
    """Where a new requirement has to be built, the last release without it is kept, too."""
    index = maker()
    for version in ("2.2", "2.1", "2.0"):
        index.upload("app", version, "engine")
    index.upload("app", "1.9")
    index.upload("app", "1.8")
    index.upload("engine", "1.0", sdist=True)
    closure = close(index)
    assert kept(closure, "app") == {"2.2", "1.9"}
    assert set(proved(closure, "app").values()) == {"1.9"}


def test_wheel_that_needs_a_build_in_turn_is_no_help() -> None:
    """If the release with a wheel requires something that has none, the newest releases are built."""
    index = maker_of_lib()
    index.upload("base", "1.0", sdist=True)
    assert kept(close(index), "lib") == {"2.0"}


def test_build_is_avoided_in_two_steps() -> None:
    """What the release with a wheel requires is taken with a wheel, too."""
    index = maker_of_lib()
    index.upload("base", "2.0", sdist=True)
    index.upload("base", "1.0")
    closure = close(index)
    assert (kept(closure, "lib"), kept(closure, "base")) == ({"2.0", "1.0"}, {"2.0", "1.0"})
    assert set(proved(closure, "base").values()) == {"1.0"}


def test_search_for_wheels_ends_early() -> None:
    """A search that leads through ever more old releases ends after a few requests; the line stays proved."""
    index = maker()
    index.upload("app", "1.0", "lib", "base>=2")
    index.upload("base", "2.0")
    index.upload("base", "1.0")
    index.upload("lib", "500.0", sdist=True)
    for version in range(200):
        index.upload("lib", f"{version}.0", f"base<{1 + version / 1000}")  # each in words of its own
    source = MemorySource(index.index())
    closure = close_from(source)
    assert kept(closure, "lib") == {"500.0"}
    assert len(proved(closure, "lib")) == 4
    assert len(source.requests) <= 30


def test_without_machines_the_usual_ones_count() -> None:
    """Without ``[machines]``, wheels are looked for on the machines that proofs take then."""
    index = maker()
    index.upload("app", "1.0", "lib")
    index.upload("lib", "2.0", sdist=True)
    index.upload("lib", "1.0")
    assert kept(close(index, machines=""), "lib") == {"2.0", "1.0"}
