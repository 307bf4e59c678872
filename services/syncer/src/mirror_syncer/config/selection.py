"""The policy for one project: which of its files are selected."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Generic, NamedTuple, Protocol, TypeVar

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_contract.distributions import Installers, read_release


class _Released(Protocol):
    @property
    def filename(self) -> str: ...
    @property
    def yanked(self) -> bool | str: ...


F = TypeVar("F", bound=_Released)


class _Release(NamedTuple):
    """What a file's name and its page say about its release."""

    version: Version
    installers: Installers
    yanked: bool


@dataclass(frozen=True, slots=True)
class SelectedFiles(Generic[F]):
    """A project's files, divided by the policy."""

    wanted: tuple[F, ...]
    left_out: tuple[tuple[F, str], ...] = ()
    """Files that the policy leaves out, each with the reason."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The lines of ``mirror.toml`` for one project."""

    line: str
    """As it is written; several lines are joined by " or "."""
    specifiers: tuple[SpecifierSet, ...]
    """One for each line. A file is wanted if one of them wants it: no PEP 440 specifier can say "1.1 or 2.0"."""
    latest: int | None
    named: bool = True
    """Whether a line names the project; a line that matches nothing is a mistake in ``mirror.toml``."""

    @property
    def words(self) -> str:
        """The selection as a message quotes it."""
        return f"{self.line!r}" + ("" if self.latest is None else f" with latest = {self.latest}")

    def judge(self, name: NormalizedName, files: Sequence[F]) -> SelectedFiles[F]:
        """
        Divide a project's files into those that are wanted and those that are left out.

        A specifier also admits pre-releases, so that ``pip --pre`` finds them here. For each line, ``latest`` counts
        final releases that are not yanked (PEP 592: installers ignore them) and that an installer takes; it counts
        others only if the project has nothing better. A file whose name gives no version is wanted only if everything
        is.
        """
        if self.latest is None and not all(self.specifiers):
            return SelectedFiles(tuple(files))
        read = [(*read_release(name, file.filename), bool(file.yanked)) for file in files]
        releases = [
            _Release(version, installers, yanked) for version, installers, yanked in read if version is not None
        ]
        matching, admitted = set[Version](), set[Version]()
        for specifier in self.specifiers:
            matched = [release for release in releases if specifier.contains(release.version, prereleases=True)]
            matching.update(release.version for release in matched)
            admitted |= self._admitted(matched)
        wanted, left_out = list[F](), list[tuple[F, str]]()
        unreadable = f"its name gives no version, and mirror.toml selects {self.words}"
        other = f"its version does not match {self.line!r} in mirror.toml"
        older = f"it is not among the newest releases that mirror.toml selects by {self.words}"
        for file, (version, _, _) in zip(files, read, strict=True):
            if version in admitted:
                wanted.append(file)
            else:
                left_out.append((file, unreadable if version is None else older if version in matching else other))
        return SelectedFiles(tuple(wanted), tuple(left_out))

    def idle_lines(self, name: NormalizedName, files: Sequence[F]) -> Iterator[str]:
        """Yield, for a project with several lines, a sentence about each line that matches none of its releases."""
        if len(self.specifiers) == 1:
            return
        versions = {read_release(name, file.filename)[0] for file in files} - {None}
        for specifier in self.specifiers:
            if specifier and not any(version and specifier.contains(version, prereleases=True) for version in versions):
                yield f"'{name}{specifier}' matches none of its releases; correct the line in mirror.toml"

    def _admitted(self, matched: Sequence[_Release]) -> set[Version]:
        if self.latest is None:
            return {release.version for release in matched}
        # For each installer the newest that it takes: uv cannot install a release that exists as .tar.bz2 alone.
        takes_all = [release for release in matched if release.installers is Installers.ALL]
        takes_any = [release for release in matched if release.installers is not Installers.NONE]
        return self._newest(takes_all) | self._newest(takes_any or matched)

    def _newest(self, releases: Sequence[_Release]) -> set[Version]:
        offered = {release.version for release in releases if not release.yanked}
        offered = offered or {release.version for release in releases}
        finals = {version for version in offered if not version.is_prerelease}
        return set(nlargest(self.latest or len(offered), finals or offered))
