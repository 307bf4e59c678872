"""What is wanted of one project."""

from collections.abc import Sequence
from dataclasses import dataclass
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


class _Told(NamedTuple):
    """A file, for as much as its name and its page tell."""

    version: Version
    installers: Installers
    yanked: bool


@dataclass(frozen=True, slots=True)
class SelectedFiles(Generic[F]):
    """A project's files, parted."""

    wanted: tuple[F, ...]
    withheld: int
    """How many files upstream has and the policy leaves out."""


@dataclass(frozen=True, slots=True)
class VersionRule:
    """The releases that one line of ``mirror.toml`` wants: the newest ones that match, or all."""

    specifier: SpecifierSet
    latest: int | None


@dataclass(frozen=True, slots=True)
class Selection:
    """The lines of ``mirror.toml`` for one project: which of its releases are wanted."""

    line: str
    """As people read it; of several lines " or " is between them."""
    rules: tuple[VersionRule, ...]
    """One a line. A release that one of them wants is wanted: no specifier by PEP 440 can say "1.1 or 2.0"."""
    named: bool = True
    """A line of its own says so: if it matches nothing, somebody erred."""

    def judge(self, name: NormalizedName, files: Sequence[F]) -> SelectedFiles[F]:
        """
        Part the files of a project.

        A specifier admits pre-releases, too: who asks ``pip --pre`` of the mirror should find them. ``latest`` counts,
        for each line, final releases that are not yanked (PEP 592: installers pass them over) and that an installer
        takes, and others only of a project that has nothing better. A file whose version cannot be told is wanted only
        where everything is.
        """
        if any(rule.latest is None and not rule.specifier for rule in self.rules):
            return SelectedFiles(tuple(files), 0)
        read = [(*read_release(name, file.filename), bool(file.yanked)) for file in files]
        told = [_Told(version, installers, yanked) for version, installers, yanked in read if version is not None]
        admitted = {version for rule in self.rules for version in _admitted(rule, told)}
        wanted = tuple(file for file, (version, _, _) in zip(files, read, strict=True) if version in admitted)
        return SelectedFiles(wanted, len(files) - len(wanted))

    def idle(self, name: NormalizedName, files: Sequence[F]) -> tuple[SpecifierSet, ...]:
        """Return the specifiers that match none of a project's releases, where there are several: somebody erred."""
        if len(self.rules) == 1:
            return ()
        versions = {read_release(name, file.filename)[0] for file in files} - {None}
        return tuple(
            specifier
            for specifier in dict.fromkeys(rule.specifier for rule in self.rules)
            if specifier and not any(version and specifier.contains(version, prereleases=True) for version in versions)
        )


def _admitted(rule: VersionRule, told: Sequence[_Told]) -> set[Version]:
    matching = [one for one in told if rule.specifier.contains(one.version, prereleases=True)]
    if rule.latest is None:
        return {one.version for one in matching}
    # For each installer the newest that it takes: a release that exists as .tar.bz2 alone is none to uv.
    takes_all = [one for one in matching if one.installers is Installers.ALL]
    takes_any = [one for one in matching if one.installers is not Installers.NONE]
    return _newest(takes_all, rule.latest) | _newest(takes_any or matching, rule.latest)


def _newest(releases: Sequence[_Told], count: int) -> set[Version]:
    offered = {one.version for one in releases if not one.yanked} or {one.version for one in releases}
    finals = {version for version in offered if not version.is_prerelease}
    return set(sorted(finals or offered, reverse=True)[:count])
