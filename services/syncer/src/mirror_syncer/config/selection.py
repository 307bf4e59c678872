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
class VersionRule:
    """The releases that one line of ``mirror.toml`` wants: the newest ones that match, or all."""

    specifier: SpecifierSet
    latest: int | None


@dataclass(frozen=True, slots=True)
class Selection:
    """The lines of ``mirror.toml`` for one project."""

    line: str
    """As it is written; several lines are joined by " or "."""
    rules: tuple[VersionRule, ...]
    """One for each line. A release that one of them wants is wanted: no PEP 440 specifier can say "1.1 or 2.0"."""
    named: bool = True
    """Whether a line names the project; a line that matches nothing is a mistake in ``mirror.toml``."""

    @property
    def words(self) -> str:
        """The selection as a message quotes it."""
        latest = {rule.latest for rule in self.rules}
        return f"{self.line!r}" + (f" with latest = {latest.pop()}" if len(latest) == 1 and None not in latest else "")

    def judge(self, name: NormalizedName, files: Sequence[F]) -> SelectedFiles[F]:
        """
        Divide a project's files into those that are wanted and those that are left out.

        A specifier also admits pre-releases, so that ``pip --pre`` finds them here. For each line, ``latest`` counts
        final releases that are not yanked (PEP 592: installers ignore them) and that an installer takes; it counts
        others only if the project has nothing better. A file whose name gives no version is wanted only if everything
        is.
        """
        if any(rule.latest is None and not rule.specifier for rule in self.rules):
            return SelectedFiles(tuple(files))
        read = [(*read_release(name, file.filename), bool(file.yanked)) for file in files]
        releases = [
            _Release(version, installers, yanked) for version, installers, yanked in read if version is not None
        ]
        matching, admitted = set[Version](), set[Version]()
        for rule in self.rules:
            matched = [release for release in releases if rule.specifier.contains(release.version, prereleases=True)]
            matching.update(release.version for release in matched)
            admitted |= _admitted(matched, rule.latest)
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
        if len(self.rules) == 1:
            return
        versions = {read_release(name, file.filename)[0] for file in files} - {None}
        for specifier in dict.fromkeys(rule.specifier for rule in self.rules):
            if specifier and not any(version and specifier.contains(version, prereleases=True) for version in versions):
                yield f"'{name}{specifier}' matches none of its releases; correct the line in mirror.toml"


def _admitted(matched: Sequence[_Release], latest: int | None) -> set[Version]:
    if latest is None:
        return {release.version for release in matched}
    # For each installer the newest that it takes: uv cannot install a release that exists as .tar.bz2 alone.
    takes_all = [release for release in matched if release.installers is Installers.ALL]
    takes_any = [release for release in matched if release.installers is not Installers.NONE]
    return _newest(takes_all, latest) | _newest(takes_any or matched, latest)


def _newest(releases: Sequence[_Release], count: int) -> set[Version]:
    offered = {release.version for release in releases if not release.yanked}
    offered = offered or {release.version for release in releases}
    finals = {version for version in offered if not version.is_prerelease}
    return set(nlargest(count, finals or offered))
