"""The filters of wheels by platform and Python: ``[machines]``."""

import re

from packaging.version import Version

from mirror_syncer.commands.bandersnatch_conf.findings import Findings, Outcome
from mirror_syncer.commands.bandersnatch_conf.ini_file import IniFile
from mirror_syncer.commands.bandersnatch_conf.metadata_paths import remedy_for
from mirror_syncer.commands.bandersnatch_conf.plugins import EnabledPlugins
from mirror_syncer.commands.bandersnatch_conf.policy_document import PolicyDocument

_LINUX = ("x86_64", "aarch64", "armv7l", "i686", "ppc64le", "s390x", "riscv64")
_PLATFORMS = {
    "linux": (*(f"linux-{one}" for one in _LINUX), *(f"musllinux-{one}" for one in _LINUX)),
    "macos": ("macos-arm64", "macos-x86_64"),
    "windows": ("windows-amd64", "windows-arm64", "windows-x86"),
    "freebsd": (),  # no wheel of it is on PyPI, and [machines] cannot name it
}
_SYSTEMS = {"windows": "windows", "win": "windows", "macos": "macos", "macosx": "macos"}
# In the names of wheels, and of installers.
_WINDOWS_TAGS = {
    "win_amd64": "windows-amd64",
    "win-amd64": "windows-amd64",
    "win_arm64": "windows-arm64",
    "win-arm64": "windows-arm64",
    "-win32": "windows-x86",
    ".win32": "windows-x86",
}
# Other tags that bandersnatch can leave out. [machines] leaves out whole Pythons and platforms only.
_OTHER_TAGS = re.compile(r"linux[-_]\w+|manylinux\d+_\w+|-manylinux_|musllinux|py2|py3")
_PYTHON = re.compile(r"py(\d)\.(\d+)")
_NEWEST_MINOR = 14  # of the Pythons that bandersnatch knows
_MINORS = range(3, _NEWEST_MINOR + 1)  # wheels exist since Python 3.3
_MINORS_WITH_THREADS = range(13, _NEWEST_MINOR + 1)
_MINORS_OF_PYPY = range(6, 12)
_VERSION_RANGES = "version_range_release_file_metadata"


class MachineFilters:
    """The converter of exclude_platform and version_range_release_file_metadata."""

    def __init__(self, file: IniFile, plugins: EnabledPlugins, *, document: PolicyDocument, findings: Findings) -> None:
        self._file, self._plugins = file, plugins
        self._document, self._findings = document, findings

    def convert(self) -> None:
        """
        Convert the filters.

        Raises:
            ConfigurationError: a value is one with which bandersnatch does not start.
        """
        required = self._required_pythons()
        excluded = self._excluded_items()
        pythons = required or (_all_pythons() if any(map(_PYTHON.fullmatch, excluded)) else [])
        pythons = [python for python in pythons if f"py{python.strip('pt')}" not in excluded]
        if pythons:
            self._document.set(
                "machines",
                "pythons",
                tuple(pythons),
                comment="The Pythons that remain; delete those that no machine has, and add new ones.",
            )
        if excluded & (_PLATFORMS.keys() | _WINDOWS_TAGS.keys()):
            platforms = [one for system in _PLATFORMS if system not in excluded for one in _PLATFORMS[system]]
            for tag in excluded & _WINDOWS_TAGS.keys():
                platforms = [platform for platform in platforms if platform != _WINDOWS_TAGS[tag]]
            self._document.set(
                "machines",
                "platforms",
                tuple(platforms),
                comment="The platforms that remain by [blocklist] platforms; delete those that no machine has.",
            )
        elif not pythons:
            return
        self._document.set("machines", "sdists", "all", comment="bandersnatch leaves out no sdist by its platform.")

    def _required_pythons(self) -> list[str]:
        """Return the Pythons that requires-python must admit, if any; record the options."""
        pythons: list[str] = []
        if _VERSION_RANGES not in self._plugins:
            return pythons
        for name in self._file.names(_VERSION_RANGES):
            *tags, path = name.split(":")
            versions = [self._version(name, item) for item in self._file.items(_VERSION_RANGES, name)]
            outcome, sentence = Outcome.NO_TWIN, remedy_for(path)
            if path == "release_file.requires_python" and "not-null" in tags:
                sentence = "a file without requires-python suits every Python here; list yours in [machines] pythons"
            elif path == "release_file.requires_python":
                found = [f"{version.major}.{version.minor}" for version in versions]
                usable = [python for python in found if python in _all_pythons()]
                pythons += usable
                outcome = Outcome.POLICY if usable == found and found else Outcome.NO_TWIN
                sentence = "[machines] pythons; it also leaves out wheels that are built for other Pythons"
                if unusable := [python for python in found if python not in usable]:
                    sentence = f"[machines] pythons does not know {', '.join(unusable)}"
                elif not found:
                    sentence = "an empty list; bandersnatch leaves out each file with requires-python by it"
            self._findings.record(_VERSION_RANGES, name, outcome, sentence)
        return list(dict.fromkeys(pythons))

    def _version(self, name: str, item: str) -> Version:
        try:
            return Version(item)
        except ValueError as error:  # InvalidVersion, or a number with more digits than Python reads
            reason = f"{item!r} is no version, and bandersnatch does not start"
            raise self._file.wrong(_VERSION_RANGES, name, reason) from error

    def _excluded_items(self) -> set[str]:
        """Return the systems, tags of Windows, and Pythons that exclude_platform excludes; record the option."""
        if "exclude_platform" not in self._plugins:
            return set()
        known, unknown, ignored = set[str](), list[str](), list[str]()
        for item in (self._file.value("blocklist", "platforms") or "").lower().split():
            if system := _system(item):
                known.add(system)
            elif item in _WINDOWS_TAGS or _is_known_python(item):
                known.add(item)
            elif _OTHER_TAGS.fullmatch(item):
                unknown.append(item)
            else:
                ignored.append(item)
        if known >= _PLATFORMS.keys() - {"freebsd"}:
            known -= _PLATFORMS.keys()
            unknown.append("every system")
        parts = ["[machines] names what remains; add new Pythons and platforms there"] if known else []
        if known & _WINDOWS_TAGS.keys():
            parts.append("a tag of Windows leaves out both wheels and installers")
        if unknown:
            parts.append(f"{', '.join(unknown)}: [machines] names whole Pythons and platforms; name those you have")
        if ignored:
            parts.append(f"bandersnatch does not know {', '.join(ignored)}")
        self._findings.record(
            "blocklist",
            "platforms",
            Outcome.NO_TWIN if unknown else Outcome.POLICY if known else Outcome.NEEDLESS,
            "; ".join(parts) or "names nothing",
        )
        return known


def _system(item: str) -> str | None:
    if item in _SYSTEMS:
        return _SYSTEMS[item]
    # bandersnatch compares these two in the other direction: any part of the word means it.
    return next((system for system in ("freebsd", "linux") if item in system), None)


def _is_known_python(item: str) -> bool:
    match = _PYTHON.fullmatch(item)
    return bool(match) and item in {
        *(f"py2.{minor}" for minor in range(4, 8)),
        *(f"py3.{minor}" for minor in range(_NEWEST_MINOR + 1)),
    }


def _all_pythons() -> list[str]:
    return [
        "2.7",
        *(f"3.{minor}" for minor in _MINORS),
        *(f"3.{minor}t" for minor in _MINORS_WITH_THREADS),
        *(f"pp3.{minor}" for minor in _MINORS_OF_PYPY),
    ]
