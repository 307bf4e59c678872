"""Small closures, one for each rule."""

import asyncio
from collections.abc import Iterable

import pytest
from packaging.utils import NormalizedName

from mirror_contract import UnmetReason
from mirror_syncer.closure.resolution import resolve
from mirror_syncer.config.policy.closure import Closure
from mirror_syncer.errors import LimitExceededError
from mirror_syncer.model.page import File
from syncer.closure.generated_pages import NOW, TWO_BY_TWO, GeneratedIndex, IndexMaker, MemorySource, Wanted

LIB = NormalizedName("lib")


class CountingSource(MemorySource):
    """A source that notes which files the closure announces that it will ask for."""

    def __init__(self, index: GeneratedIndex) -> None:
        super().__init__(index)
        self.announced: list[list[str]] = []

    async def prefetch(self, files: Iterable[File]) -> None:
        """Note the files."""
        self.announced.append(sorted(file.filename for file in files))


def close(source: MemorySource, *lines: str, more: str = "") -> Closure:
    """Return the closure of lines for two Pythons on Linux and Windows."""
    wanted = Wanted(tuple(f'{{ name = "{line}", latest = 1 }}' for line in lines), TWO_BY_TWO, more=more)
    return asyncio.run(resolve(wanted.policy(), source=source, now=NOW))


def test_extra_counts_only_where_it_is_asked_for() -> None:
    """What an extra requires is required on the machines on which somebody asks for the extra, and on no other."""
    index = IndexMaker()
    index.upload("user", "1.0", "app[x]; sys_platform == 'win32' and python_version < '3.12'")
    index.upload("app", "1.0", "nowhere; extra == 'x'", extras=("x",))
    closure = close(MemorySource(index.index()), "user", "app")
    [unmet] = [one for one in closure.unmet if one.reason is UnmetReason.NO_PROJECT]
    assert (unmet.requirement, unmet.machines) == ("nowhere; extra == 'x'", ("Python 3.11 on windows-amd64",))


def test_requirement_counts_for_those_that_can_install_its_release() -> None:
    """An installer that cannot install what requires something lacks nothing."""
    index = IndexMaker()
    # uv ignores an upper bound, and pip does not.
    index.upload("app", "1.0", "lib", requires_python="<3.11.1")
    index.upload("lib", "1.0", requires_python="<3.11.1")
    assert close(MemorySource(index.index()), "app").unmet == ()


@pytest.mark.parametrize("has_metadata", [True, False])
def test_wheels_of_a_release_that_exclude_each_other_are_proved_each_on_its_machine(*, has_metadata: bool) -> None:
    """What a wheel for one Python requires does not refute a line on another Python, where pip takes another wheel."""
    index = IndexMaker()
    for python, requirement in (("cp311", "lib<2"), ("cp313", "lib>=2")):
        for platform in ("manylinux_2_17_x86_64", "win_amd64"):
            index.upload("app", "1.0", requirement, tag=f"{python}-{python}-{platform}", has_metadata=has_metadata)
    index.upload("lib", "1.0")
    index.upload("lib", "2.0")
    source = MemorySource(index.index())
    if not has_metadata:
        app = NormalizedName("app")
        source.publish({app: source.index.pages[app].files})
    closure = close(source, "app")
    assert closure.unmet == ()
    assert {proof.machine: proof.releases[LIB] for proof in closure.proofs} == {
        "Python 3.11 on linux-x86_64": "1.0",
        "Python 3.11 on windows-amd64": "1.0",
        "Python 3.13 on linux-x86_64": "2.0",
        "Python 3.13 on windows-amd64": "2.0",
    }


def test_wheel_that_is_not_read_yet_requires_what_the_first_one_does() -> None:
    """Of wheels that are not here and have no digest of their metadata, the first one speaks for all."""
    index = IndexMaker()
    for python, requirement in (("cp311", "lib<2"), ("cp313", "lib>=2")):
        index.upload("app", "1.0", requirement, tag=f"{python}-{python}-manylinux_2_17_x86_64", has_metadata=False)
    index.upload("lib", "1.0")
    closure = close(MemorySource(index.index()), "app")
    assert (closure.unmet, {proof.releases[LIB] for proof in closure.proofs}) == ((), {"1.0"})


def test_line_that_pip_cannot_read_is_refuted_for_that() -> None:
    """Where pip passes over each release that a line admits, the refutation says so, and nothing about its files."""
    index = IndexMaker()
    for version in ("1.0", "2.0"):
        index.upload("app", version, "lib (>dev)")
        index.upload("app", version, sdist=True)  # left out, since there is a wheel
    index.upload("lib", "1.0")
    [refuted] = [one for one in close(MemorySource(index.index()), "app<3").unmet if one.reason is UnmetReason.NO_PROOF]
    assert (
        "installers pass over app 2.0 and others that match '<3': pip cannot read what they require" in refuted.message
    )


def test_catalog_is_asked_about_many_files_at_once() -> None:
    """Before releases are read one by one, all of a round are looked up together."""
    index = IndexMaker()
    names = [f"n{number}" for number in range(50)]
    index.upload("app", "1.0", *names)
    for name in names:
        index.upload(name, "1.0")
    source = CountingSource(index.index())
    close(source, "app")
    assert source.announced == [["app-1.0-py3-none-any.whl"], sorted(f"{name}-1.0-py3-none-any.whl" for name in names)]


def test_proof_looks_at_projects_within_the_limit() -> None:
    """A proof that an old release leads to ever more projects ends at ten times the limit, before it asks for more."""
    index = IndexMaker()
    # The newest release of each excludes the other, so the proof looks at an older one.
    index.upload("app", "1.0", "lib", "other")
    index.upload("lib", "2.0", "base<2")
    index.upload("lib", "1.0", *(f"n{number}" for number in range(1_500)))
    index.upload("other", "1.0", "base>=2")
    for version in ("1.0", "2.0"):
        index.upload("base", version)
    for number in range(1_500):
        index.upload(f"n{number}", "1.0")
    source = MemorySource(index.index())
    with pytest.raises(LimitExceededError, match="more than 1,000 projects are required"):
        close(source, "app", more="[limits]\nprojects = 5")
    assert len([one for one in source.requests if one.startswith("page ")]) <= 1_010
