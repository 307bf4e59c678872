"""The filters of projects, and the versions that they name: ``[mirror]`` and ``[block]``."""

from collections.abc import Iterable

from mirror_syncer.commands.bandersnatch_conf.findings import Findings, Outcome
from mirror_syncer.commands.bandersnatch_conf.ini_file import IniFile
from mirror_syncer.commands.bandersnatch_conf.name_patterns import whole_name_pattern
from mirror_syncer.commands.bandersnatch_conf.plugins import EnabledPlugins
from mirror_syncer.commands.bandersnatch_conf.policy_document import PolicyDocument
from mirror_syncer.commands.bandersnatch_conf.project_lists import ProjectLists
from mirror_syncer.commands.bandersnatch_conf.requirement_lines import NamedVersions

_NORMALIZED = "names are normalized here, such as foo-bar for Foo_Bar"
_MAX_NAMES = 10  # that a sentence lists


class ProjectFilters:
    """The converter of the allowlist, the blocklist, requirement files and patterns for names."""

    def __init__(
        self,
        file: IniFile,
        plugins: EnabledPlugins,
        lists: ProjectLists,
        *,
        document: PolicyDocument,
        findings: Findings,
    ) -> None:
        self._file, self._plugins, self._lists = file, plugins, lists
        self._document, self._findings = document, findings

    def convert(self, *, latest: int | None) -> None:
        """
        Convert the filters.

        Args:
            latest: the ``latest`` that each line needs of its own; None: lines need none.
        """
        lists = self._lists
        if lists.selects_everything:
            comment = "No enabled filter names the projects: all of PyPI."
            self._document.set("mirror", "scope", "everything", comment=comment)
        elif lists.lines:
            self._document.set(
                "mirror",
                "projects",
                [
                    {"name": str(line.versions), "latest": latest} if latest and not line.pinned else str(line.versions)
                    for line in lists.lines
                ],
                comment=f"What {' and '.join(lists.named_by)} leave.",
            )
            self._document.set(
                "dependencies",
                "follow",
                value=False,
                comment="bandersnatch mirrors the named projects alone; without this line, also what they require.",
            )
        else:
            self._explain_emptiness()
        self._record_allowlist()
        self._record_requirement_files()
        self._convert_patterns()
        self._convert_blocklist()

    def _explain_emptiness(self) -> None:
        for plugin, names in self._lists.named_by.items():
            if not names:
                sentence = "bandersnatch leaves out every file, since this plug-in's list is empty; disable it"
                self._findings.record_plugin(plugin, Outcome.NO_TWIN, sentence)

    def _record_allowlist(self) -> None:
        lists, readers = self._lists, self._plugins.readers("allowlist", "packages")
        if readers and not lists.allowed:
            self._findings.record("allowlist", "packages", Outcome.NEEDLESS, "names no project")
        elif any(reader.startswith("allowlist") for reader in readers):
            sentence = "[mirror] projects"
            if not lists.reads_versions and any(line.specifier for line in lists.allowed):
                sentence += ", without versions, since allowlist_release is not enabled"
            sentence += self._left_out(lists.allowed)
            self._findings.record("allowlist", "packages", Outcome.POLICY, sentence)

    def _record_requirement_files(self) -> None:
        lists = self._lists
        if not self._plugins.readers("allowlist", "requirements"):
            return
        read = ", ".join(map(str, lists.requirement_files)) or "none exists"
        sentence = f"[mirror] projects, as the files are now ({read}); import again when they change"
        if not lists.pins and any(line.specifier for line in lists.required):
            sentence += "; without versions, since project_requirements_pinned is not enabled"
        sentence += self._left_out(lists.required)
        self._findings.record("allowlist", "requirements", Outcome.POLICY, sentence)
        sentence = "the requirement files were read from there"
        self._findings.record("allowlist", "requirements_path", Outcome.NEEDLESS, sentence)

    def _left_out(self, lines: Iterable[NamedVersions]) -> str:
        """Return the end of a sentence: which names the filters together leave out."""
        names = list(dict.fromkeys(line.name for line in lines if line.name not in self._lists.selected))
        more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
        return f"; all filters together leave out {', '.join(names[:_MAX_NAMES])}{more}" if names else ""

    def _convert_patterns(self) -> None:
        patterns = {pattern: whole_name_pattern(pattern) for pattern in self._lists.name_patterns}
        twins = [twin for twin in patterns.values() if twin]
        unclear = ", ".join(pattern for pattern, twin in patterns.items() if twin is None)
        if self._lists.selects_everything:
            if twins:
                self._document.set("mirror", "exclude", twins, comment=f"[filter_regex] packages; {_NORMALIZED}.")
            outcome, sentence = Outcome.POLICY, f"[mirror] exclude; {_NORMALIZED}"
            remedy = "write the pattern into [mirror] exclude so"
        else:
            outcome, sentence = Outcome.POLICY, f"[mirror] projects does not name what it excludes; {_NORMALIZED}"
            remedy = "check whether [mirror] projects names what it excludes"
        if unclear:
            outcome, sentence = Outcome.NO_TWIN, f"{unclear}: {_NORMALIZED}; {remedy}"
        elif not patterns:
            outcome, sentence = Outcome.NEEDLESS, "has no pattern"
        if "regex_project" in self._plugins:
            self._findings.record("filter_regex", "packages", outcome, sentence)

    def _convert_blocklist(self) -> None:
        lists = self._lists
        if not self._plugins.readers("blocklist", "packages"):
            return
        blocks = [*lists.blocked_projects, *(line for line in lists.blocked_releases if line.name not in lists.pinned)]
        written = {str(line): line for line in blocks if not line.matches_nothing}
        if written:
            because = f"blocklist of {self._file.name}"
            self._document.set(
                "block",
                "projects",
                [{"name": name, "because": because} if line.specifier else name for name, line in written.items()],
                comment="[blocklist] packages; their published files leave at once.",
            )
        sentence = "[block] projects; their published files leave at once" if written else "blocks nothing"
        exempt = [str(line) for line in lists.blocked_releases if line.name in lists.pinned]
        if exempt:
            sentence += f"; not {', '.join(exempt)}, since bandersnatch filters nothing that requirement files pin"
        if "blocklist_release" not in self._plugins:
            listed = [item for item in self._file.items("blocklist", "packages") if not item.startswith("#")]
            if len(listed) > len(lists.blocked_projects):
                sentence += "; lines with versions have no effect, since blocklist_release is not enabled"
        self._findings.record("blocklist", "packages", Outcome.POLICY if written else Outcome.NEEDLESS, sentence)
