"""The filters of files by kind, and of projects by size and metadata: ``[files]``."""

import re
from collections.abc import Callable, Iterable
from decimal import Decimal

from mirror_syncer.commands.bandersnatch_conf.findings import Findings, Outcome
from mirror_syncer.commands.bandersnatch_conf.ini_file import IniFile
from mirror_syncer.commands.bandersnatch_conf.metadata_paths import remedy_for
from mirror_syncer.commands.bandersnatch_conf.plugins import EnabledPlugins
from mirror_syncer.commands.bandersnatch_conf.policy_document import PolicyDocument

# The kinds of files: PyPI's word, and ours.
_KINDS = {
    "bdist_wheel": "wheel",
    "sdist": "sdist",
    "bdist_egg": "egg",
    "bdist_dmg": "other",
    "bdist_dumb": "other",
    "bdist_msi": "other",
    "bdist_rpm": "other",
    "bdist_wininst": "other",
}
_MODES: dict[str, Callable[[Iterable[bool]], bool]] = {"any": any, "all": all, "none": lambda found: not any(found)}
_TRUE = ("1", "yes", "true", "on")
_SEARCH = "search"
_PACKAGE_TYPE = "release_file.packagetype"
_SIZE = re.compile(r"(\d{1,99}(?:\.\d{1,99})?)\s*([a-z]*)", re.IGNORECASE)
_PREFIXES = "kmgtpezy"
_UNITS = {"TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3}
_MAX_NUMBER = 1_000_000  # a size has at most six digits before its point
_IGNORED = "bandersnatch ignores its value"


class FileFilters:
    """The converter of the filters that look at a file's kind, and at a project's size and metadata."""

    def __init__(self, file: IniFile, plugins: EnabledPlugins, *, document: PolicyDocument, findings: Findings) -> None:
        self._file, self._plugins = file, plugins
        self._document, self._findings = document, findings

    def convert(self, *, size_matters: bool) -> None:
        """
        Convert the filters.

        Args:
            size_matters: False if each selected project is exempt from a limit of size.

        Raises:
            ConfigurationError: a value is one with which bandersnatch does not start.
        """
        self._convert_file_metadata("regex_release_file_metadata")
        self._record_project_metadata("regex_project_metadata")
        self._convert_size(matters=size_matters)
        self._record_version_count("versions_count_project_metadata")
        self._record_exemptions()

    def _convert_file_metadata(self, section: str) -> None:
        if section not in self._plugins:
            return
        kept, used = set(_KINDS), list[str]()
        for name in self._file.names(section):
            if name == _SEARCH:
                self._findings.record(section, name, Outcome.NEEDLESS, "the patterns of its section were read so")
                continue
            patterns = self._file.patterns(section, name)
            path = name.rpartition(":")[2]
            if path == _PACKAGE_TYPE and patterns:
                kept &= {kind for kind in _KINDS if self._matches(section, name, patterns, kind)}
                used.append(name)
            else:
                self._findings.record(section, name, Outcome.NO_TWIN, remedy_for(path))
        kinds = list(dict.fromkeys(_KINDS[one] for one in _KINDS if one in kept))
        if kinds and kept != set(_KINDS):
            self._document.set("files", "kinds", kinds, comment=f"[{section}]")
        inexact = [one for one, kind in _KINDS.items() if kind == "other" and one not in kept]
        outcome, sentence = Outcome.POLICY, "[files] kinds"
        if not kinds:
            outcome, sentence = Outcome.NO_TWIN, "it leaves out every file; name those that stay in [files] kinds"
        elif "other" in kinds and inexact:
            outcome, sentence = Outcome.NO_TWIN, f'[files] kinds; its "other" also includes {", ".join(inexact)}'
        for name in used:
            self._findings.record(section, name, outcome, sentence)

    def _matches(self, section: str, name: str, patterns: list[re.Pattern[str]], value: str) -> bool:
        searches = (self._file.value(section, _SEARCH) or "").lower() in _TRUE
        found = [bool(pattern.search(value) if searches else pattern.match(value)) for pattern in patterns]
        modes = [tag for tag in name.split(":")[:-1] if tag in _MODES]
        return _MODES[modes[-1] if modes else "any"](found)

    def _record_project_metadata(self, section: str) -> None:
        if section not in self._plugins:
            return
        for name in self._file.names(section):
            if name == _SEARCH:
                self._findings.record(section, name, Outcome.NEEDLESS, "says how to read the patterns of its section")
            else:
                self._file.patterns(section, name)
                self._findings.record(section, name, Outcome.NO_TWIN, remedy_for(name.rpartition(":")[2]))

    def _convert_size(self, *, matters: bool) -> None:
        section, name = "size_project_metadata", "max_package_size"
        if section not in self._plugins:
            return
        size = _parse_size(self._file.value(section, name) or "")
        if not size:
            self._findings.record(section, name, Outcome.NEEDLESS, _IGNORED)
        elif not matters:
            sentence = "has no effect in bandersnatch, since [allowlist] packages exempts all selected projects"
            self._findings.record(section, name, Outcome.NEEDLESS, sentence)
        elif (text := _size_text(size)) is None:
            self._findings.record(section, name, Outcome.NEEDLESS, "no project is that large")
        else:
            self._document.set("files", "max_project_size", text, comment=f"[{section}] {name}")
            sentence = (
                "[files] max_project_size; it keeps the newest releases that fit, not all of a project or nothing"
            )
            self._findings.record(section, name, Outcome.POLICY, sentence)
            if self._file.items("allowlist", "packages"):
                sentence = "its projects are not exempt from [files] max_project_size; choose it large enough for them"
                self._findings.record("allowlist", "packages", Outcome.NO_TWIN, sentence)

    def _record_version_count(self, section: str) -> None:
        if section not in self._plugins:
            return
        names = ("min_versions", "max_versions")
        values = [(self._file.value(section, name) or "0").strip() for name in names]
        least, most = (int(value) if re.fullmatch(r"[+-]?\d{1,9}", value) else None for value in values)
        active = least is not None and most is not None and bool(least or most) and not 0 < most < least
        sentence = "no key chooses projects by their number of versions; latest bounds how many are kept"
        for name in names:
            outcome = Outcome.NO_TWIN if active else Outcome.NEEDLESS
            self._findings.record(section, name, outcome, sentence if active else _IGNORED)

    def _record_exemptions(self) -> None:
        """Record an allowlist that exempts projects from a limit, and does nothing else."""
        option = self._file.option("allowlist", "packages")
        if option and self._plugins.readers("allowlist", "packages") and not self._findings.is_recorded(option):
            sentence = "only exempts projects from a limit, and none holds for them here"
            self._findings.record("allowlist", "packages", Outcome.NEEDLESS, sentence)


def _parse_size(text: str) -> int:
    """Return the bytes that a size such as ``1G`` means to bandersnatch, by powers of 1024; 0 if it means none."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return 0
    number, unit = Decimal(match[1]), match[2].lower()
    if not unit or unit.startswith("b"):
        return int(number)
    power = _PREFIXES.find(unit[0]) + 1
    return int(number * 1024**power) if power else 0


def _size_text(size: int) -> str | None:
    """Return a size as ``mirror.toml`` takes it, or None if it is too large for that."""
    exact = next((unit for unit, factor in _UNITS.items() if size % factor == 0 and size // factor < _MAX_NUMBER), None)
    unit = exact or next((unit for unit in ("kB", "MB", "GB", "TB") if size // _UNITS[unit] < _MAX_NUMBER), None)
    return f"{(Decimal(size) / _UNITS[unit]).normalize():f}{unit}" if unit else None
