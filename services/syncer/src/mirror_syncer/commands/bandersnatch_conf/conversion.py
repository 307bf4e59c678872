"""The conversion of a configuration: a ``mirror.toml``, and what became of every option."""

import sys
from dataclasses import dataclass
from pathlib import Path

from mirror_syncer.commands.bandersnatch_conf.file_filters import FileFilters
from mirror_syncer.commands.bandersnatch_conf.findings import Findings, Outcome
from mirror_syncer.commands.bandersnatch_conf.ini_file import DEFAULT_SECTION, IniFile, Option
from mirror_syncer.commands.bandersnatch_conf.machine_filters import MachineFilters
from mirror_syncer.commands.bandersnatch_conf.mirror_options import MirrorOptions
from mirror_syncer.commands.bandersnatch_conf.plugins import EnabledPlugins, is_known
from mirror_syncer.commands.bandersnatch_conf.policy_document import PolicyDocument
from mirror_syncer.commands.bandersnatch_conf.project_filters import ProjectFilters
from mirror_syncer.commands.bandersnatch_conf.project_lists import ProjectLists
from mirror_syncer.commands.bandersnatch_conf.release_filters import ReleaseFilters
from mirror_syncer.errors import ConfigurationError

_STANDARD_INPUT = "-"
_OLD_SECTIONS = {"whitelist": "allowlist", "blacklist": "blocklist"}
_UNKNOWN = "bandersnatch 8.2 does not know it; nothing was written for it"


@dataclass(frozen=True, slots=True)
class Conversion:
    """The result of a conversion."""

    document: str | None
    """A ``mirror.toml``; None if bandersnatch mirrors no file with this configuration."""
    findings: Findings


def read_configuration(path: Path) -> IniFile:
    """
    Read a configuration file, or standard input for ``-``.

    Raises:
        ConfigurationError: it cannot be read; the error names the line.
    """
    if str(path) == _STANDARD_INPUT:
        return IniFile(sys.stdin.buffer.read(), name="standard input")
    try:
        return IniFile(path.read_bytes(), name=path.name)
    except OSError as error:
        raise ConfigurationError(str(path), [f"cannot be read ({error.strerror})"]) from error


def convert(file: IniFile) -> Conversion:
    """
    Convert a configuration.

    Raises:
        ConfigurationError: a value is one with which bandersnatch does not start; the error names the line.
    """
    plugins, findings = EnabledPlugins(file), Findings(file)
    document = PolicyDocument([f"Written by mirror-syncer import-config from {file.name}."])
    lists = ProjectLists(file, plugins)
    releases = ReleaseFilters(file, plugins, lists, document=document, findings=findings)
    projects = ProjectFilters(file, plugins, lists, document=document, findings=findings)
    projects.convert(latest=releases.latest_of_lines)
    releases.convert()
    MachineFilters(file, plugins, document=document, findings=findings).convert()
    FileFilters(file, plugins, document=document, findings=findings).convert(size_matters=lists.size_matters)
    MirrorOptions(file, document=document, findings=findings).convert()
    selects = lists.selects_everything or bool(lists.lines)
    _record_plugins(file, plugins, findings, selects=selects)
    for option in file.options:
        if not findings.is_recorded(option):
            outcome, sentence = _judge_remaining(option)
            findings.record(option.section, option.name, outcome, sentence)
    if without_twin := findings.without_twin():
        document.append_comments(["Not written, since it has no twin:", *map(str, without_twin)])
    return Conversion(document.render() if selects else None, findings)


def _record_plugins(file: IniFile, plugins: EnabledPlugins, findings: Findings, *, selects: bool) -> None:
    outcome, sentence = Outcome.POLICY, "by the options of these plug-ins"
    if not selects:
        outcome, sentence = Outcome.NO_TWIN, "bandersnatch leaves out every file by these filters together"
    elif plugins.all:
        sentence = "by the options of all plug-ins of bandersnatch; others that were installed are unknown here"
    elif not plugins.known:
        outcome, sentence = Outcome.NEEDLESS, "enables no filter of bandersnatch"
    findings.record("plugins", "enabled", outcome, sentence)
    for name in plugins.unknown:
        sentence = "is no filter of bandersnatch 8.2; nothing was written for it"
        findings.record_plugin(name, Outcome.NO_TWIN, sentence)
    if not plugins.all:
        for name in plugins.without_options(file):
            findings.record_plugin(name, Outcome.NEEDLESS, "has no options, so it filters nothing")


def _judge_remaining(option: Option) -> tuple[Outcome, str]:
    """Return what becomes of an option that no converter has read."""
    if is_known(option.section, option.name):
        return Outcome.NEEDLESS, "has no effect in bandersnatch, since no enabled plug-in reads it"
    if option.section == DEFAULT_SECTION:
        return Outcome.NEEDLESS, "no section of the file reads it; other values may refer to it"
    if renamed := _OLD_SECTIONS.get(option.section):
        return (
            Outcome.NO_TWIN,
            f"since 5.0 bandersnatch reads [{renamed}] instead; rename the section, and import again",
        )
    return Outcome.NO_TWIN, _UNKNOWN
