"""
A judge of closures: it looks at what the mirror would keep, and shares no code with what resolved it.

The only questions that it asks of the program are which files a page's judgement keeps, and which machines a file fits.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from mirror_contract.distributions import Installers
from mirror_syncer.config import Policy, decide
from mirror_syncer.config.machines.compatibility import compatibility
from mirror_syncer.config.policy.closure import Closure, Unmet
from mirror_syncer.model.page import File, PublishedPage
from syncer.closure.generated_pages import NOW, GeneratedIndex

Node = tuple[NormalizedName, str | None, int]
"""A project, one of its extras or none, and a machine as a bit."""


@dataclass(frozen=True)
class Kept:
    """A file that the mirror keeps."""

    project: NormalizedName
    version: Version
    file: File
    fits: int
    """The machines on which pip can install it."""
    taken: int
    """Those on which pip does so: it builds an sdist where no wheel of the release fits."""
    requires: tuple[str, ...]

    @property
    def build_requires(self) -> tuple[str, ...]:
        """What is installed before it is built; setuptools once asked for wheel by code."""
        return () if self.file.filename.endswith(".whl") else ("setuptools", "wheel")


@lru_cache(maxsize=10_000)
def read(line: str) -> Requirement | None:
    """Return a requirement; None: pip cannot read it, or it goes by URL."""
    try:
        found = Requirement(line)
    except InvalidRequirement:
        return None
    return None if found.url or "<>" in line else found


class ClosureJudge:
    """
    Looks at the files that a policy with a closure keeps of an index.

    Args:
        on_disk: what is published.
    """

    def __init__(
        self,
        index: GeneratedIndex,
        policy: Policy,
        closure: Closure,
        *,
        on_disk: Mapping[NormalizedName, PublishedPage] | None = None,
    ) -> None:
        self.index = index
        self.policy = policy
        self.closure = closure
        self._machines = policy.rules.machines
        self._fits = compatibility(self._machines)
        self.bits = [1 << bit for bit in range(self._fits.pip.bit_length())]
        self.pairs = [
            (str(python or ""), str(platform or ""))
            for python in self._machines.pythons or (None,)
            for platform in self._machines.platforms or (None,)
        ]
        self._on_disk = on_disk or {}
        self.files: dict[NormalizedName, tuple[File, ...]] = {
            name: files for name in index.pages if (files := self._keep(name))
        }
        self.kept = {name: self._take([self._read(name, file) for file in files]) for name, files in self.files.items()}
        self.asked = self._walk()

    @property
    def releases(self) -> set[tuple[NormalizedName, Version]]:
        """The kept releases."""
        return {(name, one.version) for name, files in self.kept.items() for one in files}

    def _keep(self, name: NormalizedName) -> tuple[File, ...]:
        project_policy = replace(self.policy, closure=self.closure).project(name)
        if project_policy is None:
            return ()
        decision = decide(self.index.pages[name], self._on_disk.get(name), project_policy, now=NOW)
        # A page of which nothing is wanted stays as it is, with a problem: here it is not published.
        return decision.keep

    def _read(self, name: NormalizedName, file: File) -> Kept:
        is_wheel = file.filename.endswith(".whl")
        version = parse_wheel_filename(file.filename)[1] if is_wheel else parse_sdist_filename(file.filename)[1]
        fits = self._fits.fits(file.filename, Installers.ALL, file.requires_python)
        fits &= self._fits.pip
        return Kept(name, version, file, fits, fits, self.index.lines[file.sha256].requires_dist)

    def _take(self, files: Sequence[Kept]) -> list[Kept]:
        """Return files with the machines that take them."""
        wheels: dict[Version, int] = {}
        for kept in files:
            if kept.file.filename.endswith(".whl"):
                wheels[kept.version] = wheels.get(kept.version, 0) | kept.fits
        return [
            kept
            if kept.file.filename.endswith(".whl")
            else replace(kept, taken=kept.fits & ~wheels.get(kept.version, 0))
            for kept in files
        ]

    def counts(self, requirement: Requirement, bit: int, extra: str | None) -> bool:
        """Return whether a requirement counts on a machine with an extra; the markers are those that are generated."""
        if requirement.marker is None:
            return True
        python, platform = self.pairs[bit.bit_length() - 1]
        return all(_holds(part, python, platform, extra) for part in str(requirement.marker).split(" and "))

    def lines(self) -> Iterator[tuple[str, Requirement]]:
        """Yield the lines and the items of groups with what they are proved as."""
        for line in self.policy.lines:
            yield line.text, Requirement(line.text)
        for group, items in self.policy.groups.items():
            for item in items:
                yield f"group {group}", Requirement(item.text)

    def _walk(self) -> set[Node]:
        """Return each project and extra that somebody asks for, and the machine on which."""
        left: list[Node] = [
            (canonicalize_name(line.name), extra, bit)
            for _, line in self.lines()
            for extra in (None, *map(canonicalize_name, line.extras))
            for bit in self.bits
            if self.counts(line, bit, None)
        ]
        seen = set(left)
        while left:
            name, extra, bit = left.pop()
            for kept in self.kept.get(name, ()):
                for requirement in self.required(kept, bit, (extra,)):
                    for other in (None, *map(canonicalize_name, requirement.extras)):
                        node = canonicalize_name(requirement.name), other, bit
                        if node not in seen:
                            seen.add(node)
                            left.append(node)
        return seen

    def required(self, kept: Kept, bit: int, extras: Sequence[str | None]) -> Iterator[Requirement]:
        """Yield what a file requires on a machine that it fits; not what pip cannot read."""
        if not kept.taken & bit:
            return
        for line in kept.requires:
            found = read(line)
            # A release that requires its own project is there itself.
            if found is None or (canonicalize_name(found.name) == kept.project and not found.extras):
                continue
            if any(self.counts(found, bit, extra) for extra in extras):
                yield found

    def extras(self, name: NormalizedName, bit: int) -> list[str | None]:
        """Return the extras of a project that somebody asks for on a machine, with None if anybody needs it there."""
        return [extra for project, extra, where in self.asked if project == name and where == bit]

    def is_met(self, requirement: Requirement, bit: int) -> bool:
        """Return whether a kept file satisfies a requirement on a machine."""
        is_pin = any(one.operator in ("==", "===") and not one.version.endswith(".*") for one in requirement.specifier)
        return any(
            one.fits & bit
            and requirement.specifier.contains(one.version, prereleases=True)
            and (not one.file.yanked or is_pin)
            for one in self.kept.get(canonicalize_name(requirement.name), ())
        )

    def name(self, bit: int) -> str:
        """Return the name of a machine."""
        return self._fits.names(bit)[0]

    def bit(self, name: str) -> int:
        """Return the bit of a machine."""
        return next(bit for bit in self.bits if self.name(bit) == name)

    def faults(
        self, lines: Sequence[Requirement], assignment: Mapping[NormalizedName, Version], bit: int
    ) -> Iterator[str]:
        """Yield what an assignment lacks to be installed from the kept files on a machine; pre-releases aside."""
        left = [("the line", line) for line in lines]
        seen = set[tuple[NormalizedName, str | None]]()
        while left:
            by, requirement = left.pop()
            name = canonicalize_name(requirement.name)
            version = assignment.get(name)
            files = [one for one in self.kept.get(name, ()) if one.version == version and one.fits & bit]
            if version is None or not files or not requirement.specifier.contains(version, prereleases=True):
                yield f"{by} requires {requirement}, and {version} is assigned"
                continue
            for extra in (None, *map(canonicalize_name, requirement.extras)):
                if (name, extra) not in seen:
                    seen.add((name, extra))
                    left += [(one.file.filename, need) for one in files for need in self.required(one, bit, (extra,))]

    def named(self, bit: int) -> Iterator[Unmet]:
        """Yield what the closure names as unmet on a machine."""
        (name,) = self._fits.names(bit)
        return (one for one in self.closure.unmet if name in one.machines)

    def unnamed(self) -> Iterator[str]:
        """Yield each requirement of a kept file that nothing meets and that the closure does not name."""
        for bit in self.bits:
            named = _keys(self.named(bit))
            for name, files in self.kept.items():
                extras = self.extras(name, bit)
                for kept in files:
                    for requirement in self.required(kept, bit, extras):
                        texts = {line for line in kept.requires if read(line) is requirement}
                        if not self.is_met(requirement, bit) and not any(
                            (name, kept.version, text) in named for text in texts
                        ):
                            yield f"{kept.file.filename} on {self._fits.names(bit)}: {requirement}"
        named = _keys(self.closure.unmet)
        for name, files in self.kept.items():
            for kept in files:
                for line in kept.requires:
                    if (
                        read(line) is None
                        and self._is_needed_where_fits(kept)
                        and (name, kept.version, line) not in named
                    ):
                        yield f"{kept.file.filename}: {line}"

    def _is_needed_where_fits(self, kept: Kept) -> bool:
        return any(kept.taken & bit and (kept.project, None, bit) in self.asked for bit in self.bits)


def _keys(unmet: Iterable[Unmet]) -> set[tuple[NormalizedName, Version, str]]:
    return {(one.project, Version(one.version), one.requirement) for one in unmet if one.version}


def _holds(condition: str, python: str, platform: str, extra: str | None) -> bool:
    """Return whether one of the generated conditions holds; what is not known may hold."""
    variable, operator, value = condition.replace('"', "").split()
    if variable == "extra":
        return extra == value
    if variable == "python_version":
        minor = int(python.partition(".")[2]) if python else None
        return minor is None or (minor < 12 if operator == "<" else minor >= 12)
    if not platform:
        return True
    return (operator == "==") == (platform.startswith("windows"))
