"""The lists by which bandersnatch's filters choose projects and releases, and what they choose together."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from packaging.utils import NormalizedName

from mirror_syncer.commands.bandersnatch_conf.ini_file import IniFile
from mirror_syncer.commands.bandersnatch_conf.plugins import EnabledPlugins
from mirror_syncer.commands.bandersnatch_conf.requirement_lines import (
    NamedVersions,
    find_requirement_files,
    read_requirement_file,
    without_comments,
)

_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True)
class ProjectLine:
    """A line of ``projects``."""

    versions: NamedVersions
    pinned: bool
    """bandersnatch applies no other filter of releases to it."""


class ProjectLists:
    """
    The lists of one configuration, as far as enabled plug-ins read them.

    Attributes:
        allowed: ``[allowlist] packages``.
        required: the lines of the requirement files.
        requirement_files: the files that were read.
        blocked_projects: what the filter of projects blocks; it skips lines that are more than a name.
        blocked_releases: what the filter of releases blocks.
        name_patterns: ``[filter_regex] packages``; projects that match are excluded.
        release_patterns: ``[filter_regex] releases``.

    Raises:
        ConfigurationError: a list has a line with which bandersnatch does not start; the error names the line.
    """

    def __init__(self, file: IniFile, plugins: EnabledPlugins) -> None:
        self._file, self._plugins = file, plugins
        self.allowed = self._read_allowlist()
        self.requirement_files = self._find_requirement_files()
        self.required = [line for path in self.requirement_files for line in read_requirement_file(path)]
        blocked = self._read_blocklist()
        names = [line for line in blocked if _NAME.fullmatch(line.text)]
        self.blocked_projects = names if "blocklist_project" in plugins else []
        self.blocked_releases = blocked if "blocklist_release" in plugins else []
        self.name_patterns = self._read_patterns("packages", "regex_project")
        self.release_patterns = self._read_patterns("releases", "regex_release")

    def _read_allowlist(self) -> list[NamedVersions]:
        readers = self._plugins.readers("allowlist", "packages")
        # The filter of releases skips what looks like an option of pip; the other readers do not start with it.
        skip = ("#", "-") if readers == ["allowlist_release"] else ("#",)
        items = self._file.items("allowlist", "packages") if readers else []
        return [self._parse("allowlist", text) for _, text in without_comments(items, skip=skip)]

    def _read_blocklist(self) -> list[NamedVersions]:
        # Unlike in the allowlist, a comment may not follow a name.
        items = self._file.items("blocklist", "packages") if self._plugins.readers("blocklist", "packages") else []
        return [self._parse("blocklist", item) for item in items if not item.startswith("#")]

    def _parse(self, section: str, text: str) -> NamedVersions:
        try:
            return NamedVersions.parse(text)
        except ValueError as error:
            reason = f"{text!r} is not a name with optional versions, and bandersnatch does not start: {error}"
            raise self._file.wrong(section, "packages", reason) from error

    def _find_requirement_files(self) -> list[Path]:
        if not self._plugins.readers("allowlist", "requirements"):
            return []
        directory = Path(self._file.value("allowlist", "requirements_path") or "")
        try:
            return list(find_requirement_files(self._file.items("allowlist", "requirements"), directory=directory))
        except (NotImplementedError, ValueError) as error:  # as pathlib's glob refuses "/*.txt" and "**a"
            reason = f"must be file names and globs below requirements_path ({error})"
            raise self._file.wrong("allowlist", "requirements", reason) from error

    def _read_patterns(self, name: str, plugin: str) -> list[str]:
        patterns = self._file.patterns("filter_regex", name) if plugin in self._plugins else []
        return [pattern.pattern for pattern in patterns]

    @property
    def pins(self) -> bool:
        """Whether project_requirements_pinned is enabled."""
        return "project_requirements_pinned" in self._plugins

    @property
    def reads_versions(self) -> bool:
        """Whether the versions in ``[allowlist] packages`` count."""
        return "allowlist_release" in self._plugins

    @cached_property
    def pinned(self) -> set[NormalizedName]:
        """The projects whose versions a requirement file alone decides."""
        return {line.name for line in self.required if line.specifier} if self.pins else set()

    @cached_property
    def named_by(self) -> dict[str, set[NormalizedName]]:
        """The filters that name projects, each with its names; a project that one of them lacks gets no files."""
        allowed = {line.name for line in self.allowed}
        required = {line.name for line in self.required}
        named: dict[str, set[NormalizedName]] = {}
        if "allowlist_project" in self._plugins and allowed:
            named["allowlist_project"] = allowed
        if "project_requirements" in self._plugins and required:
            named["project_requirements"] = required
        # With an empty list the filters of projects do nothing, and those of releases leave out all.
        if self.reads_versions:
            named["allowlist_release"] = allowed | self.pinned
        if self.pins:
            named["project_requirements_pinned"] = required
        return named

    @property
    def selects_everything(self) -> bool:
        """Whether no enabled filter names the projects."""
        return not self.named_by

    @cached_property
    def lines(self) -> list[ProjectLine]:
        """The lines of named projects that all filters together leave."""
        return [] if self.selects_everything else list(self._lines())

    def _lines(self) -> Iterator[ProjectLine]:
        wanted = set.intersection(*self.named_by.values())
        wanted -= {line.name for line in self.blocked_projects}
        wanted -= {line.name for line in self.blocked_releases if not line.specifier} - self.pinned
        for name in dict.fromkeys(line.name for line in (*self.allowed, *self.required)):
            if name not in wanted or any(re.match(pattern, name) for pattern in self.name_patterns):
                continue
            source: Iterable[NamedVersions] = [NamedVersions.parse(name)]
            if name in self.pinned:
                source = self.required
            elif self.reads_versions:
                source = self.allowed
            lines = {str(line): line for line in source if line.name == name and not line.matches_nothing}
            for line in lines.values():
                yield ProjectLine(line, pinned=name in self.pinned)

    @property
    def selected(self) -> set[NormalizedName]:
        """The named projects with a release that may be mirrored."""
        return {line.versions.name for line in self.lines}

    @property
    def size_matters(self) -> bool:
        """Whether a limit of size affects a project: those of ``[allowlist] packages`` are exempt from it."""
        return self.selects_everything or not self.selected <= {line.name for line in self.allowed}
