"""The filters of releases by age, pre-release and pattern: ``latest`` and ``[files] prereleases``."""

import re

from packaging.utils import canonicalize_name

from mirror_syncer.commands.bandersnatch_conf.findings import Findings, Outcome
from mirror_syncer.commands.bandersnatch_conf.ini_file import IniFile
from mirror_syncer.commands.bandersnatch_conf.plugins import EnabledPlugins
from mirror_syncer.commands.bandersnatch_conf.policy_document import PolicyDocument
from mirror_syncer.commands.bandersnatch_conf.project_lists import ProjectLine, ProjectLists
from mirror_syncer.commands.bandersnatch_conf.requirement_lines import NamedVersions

# The patterns of prerelease_release; in [filter_regex] releases they mean the same.
_PRERELEASES = frozenset({r".+rc\d+$", r".+a(lpha)?\d+$", r".+b(eta)?\d+$", r".+dev\d+$"})
_OFF = "[files] prereleases = false; they stay where a project has nothing else, or a line names one"


class ReleaseFilters:
    """The converter of latest_release, prerelease_release and regex_release."""

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

    @property
    def latest_of_lines(self) -> int | None:
        """The ``latest`` that each line needs of its own, because bandersnatch keeps all releases of another line."""
        return self._latest if self._ranges_of_pins else None

    @property
    def _ranges_of_pins(self) -> list[ProjectLine]:
        """The lines of requirement files that admit more than one version."""
        return [line for line in self._lists.lines if line.pinned and not _is_one_version(line.versions)]

    @property
    def _keep(self) -> int:
        """The releases that bandersnatch keeps of a project; 0: all. It ignores a value that is not a number."""
        value = (self._file.value("latest_release", "keep") or "").strip()
        return int(value) if "latest_release" in self._plugins and re.fullmatch(r"[+-]?\d{1,9}", value) else 0

    @property
    def _latest(self) -> int | None:
        return self._keep if self._keep > 0 else None

    def convert(self) -> None:
        """
        Convert the filters.

        Raises:
            ConfigurationError: a value is one with which bandersnatch does not start.
        """
        if "latest_release" in self._plugins:
            self._convert_latest()
        self._convert_prereleases()
        if "regex_release" in self._plugins:
            self._record_patterns()

    def _convert_latest(self) -> None:
        section, latest = "latest_release", self._latest
        if latest and not self.latest_of_lines:
            self._document.set("mirror", "latest", latest, comment=f"[{section}] keep")
        outcome, sentence = Outcome.NEEDLESS, "keeps all releases"
        if latest:
            outcome = Outcome.POLICY
            sentence = "latest; it counts final releases that all other filters leave, where bandersnatch counts all"
        elif self._keep:
            outcome = Outcome.NO_TWIN
            sentence = "drops the oldest releases; latest keeps the newest: write how many into [mirror] latest"
        self._findings.record(section, "keep", outcome, sentence)
        if latest and self._file.value(section, "sort_by") == "time":
            outcome = Outcome.NO_TWIN
            sentence = "latest counts by version; [files] uploaded_after leaves out what is older than a date"
        else:
            outcome, sentence = Outcome.NEEDLESS, "latest counts by version"
        self._findings.record(section, "sort_by", outcome, sentence)

    def _convert_prereleases(self) -> None:
        filtered = "prerelease_release" in self._plugins
        items = self._file.items("filter_prerelease", "packages") if filtered else []
        names = set(map(canonicalize_name, items))  # bandersnatch ignores what is no name
        selected = {line.versions.name for line in self._lists.lines if not line.pinned}
        covers_all = not names or (not self._lists.selects_everything and selected <= names)
        by_pattern = _PRERELEASES.issubset(self._lists.release_patterns)
        if (filtered and covers_all) or by_pattern:
            comment = "prerelease_release" if filtered and covers_all else "[filter_regex] releases"
            self._document.set("files", "prereleases", value=False, comment=comment)
        elif self._latest or not self._lists.selects_everything:
            comment = "bandersnatch mirrors pre-releases, too."
            self._document.set("files", "prereleases", value=True, comment=comment)
        if not filtered:
            return
        outcome, sentence = self._judge_switch()
        if not covers_all:
            outcome, sentence = Outcome.NEEDLESS, "filters only the projects of [filter_prerelease] packages"
        self._findings.record_plugin("prerelease_release", outcome, sentence)
        if not names:
            outcome, sentence = Outcome.NEEDLESS, "names no project, so pre-releases of all are filtered"
        elif not covers_all:
            outcome = Outcome.NO_TWIN
            sentence = "prereleases holds for all projects; set [files] prereleases = false if that is right"
        self._findings.record("filter_prerelease", "packages", outcome, sentence)

    def _judge_switch(self) -> tuple[Outcome, str]:
        """Return whether ``prereleases = false`` is a twin for the selected projects, and the sentence about it."""
        ranges = [str(line.versions) for line in self._ranges_of_pins]
        if not ranges:
            return Outcome.POLICY, _OFF
        # bandersnatch filters nothing that requirement files pin; there is no such exception here.
        return Outcome.NO_TWIN, f"{_OFF}; name the pre-releases of {', '.join(ranges)} that you need"

    def _record_patterns(self) -> None:
        patterns = self._lists.release_patterns
        others = [pattern for pattern in patterns if pattern not in _PRERELEASES]
        if not patterns:
            outcome, sentence = Outcome.NEEDLESS, "has no pattern"
        elif not others and _PRERELEASES.issubset(patterns):
            outcome, sentence = self._judge_switch()
        else:
            outcome = Outcome.NO_TWIN
            sentence = (
                f"no key takes a pattern for versions ({', '.join(others or patterns)}); leave versions out by "
                '[block] projects, as in "foo==1.2", or by [files] prereleases = false'
            )
        self._findings.record("filter_regex", "releases", outcome, sentence)


def _is_one_version(line: NamedVersions) -> bool:
    return any(
        one.operator == "===" or (one.operator == "==" and not one.version.endswith(".*")) for one in line.specifier
    )
