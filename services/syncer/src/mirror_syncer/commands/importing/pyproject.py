"""``pyproject.toml``: dependencies, optional ones, dependency groups, what builds the project, and Poetry's tables."""

from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from mirror_syncer.commands.importing.findings import Findings
from mirror_syncer.commands.importing.input_file import InputFile
from mirror_syncer.commands.importing.poetry_tables import PoetryTables
from mirror_syncer.commands.importing.toml_input import TomlInput
from mirror_syncer.errors import ConfigurationError

BUILD = "the build"
_ELSEWHERE = {
    "index": "another index",
    "git": "a git repository",
    "url": "a URL",
    "path": "a path",
    "workspace": "the workspace",
}


class PyprojectReader:
    """The reader of one ``pyproject.toml``: all that installs the project, builds it or develops it."""

    def __init__(self, file: InputFile, findings: Findings) -> None:
        self._name = file.name
        self._toml = TomlInput(file)
        self._findings = findings
        self._poetry = PoetryTables(self._toml, findings)
        self._elsewhere = self._poetry.sources() | {
            canonicalize_name(name): _place_of(source)
            for name, source in self._toml.table("tool", "uv", "sources").items()
        }
        own = self._toml.get("project", "name")
        self._own = canonicalize_name(own) if isinstance(own, str) else None
        self.includes: dict[str, list[str]] = {}
        """The groups that a group includes, by their parts of the findings."""

    def read(self) -> None:
        """
        Add the requirements of all tables.

        Raises:
            ConfigurationError: there is none in the whole file.
        """
        self._list("project", "dependencies")
        for extra in self._toml.table("project", "optional-dependencies"):
            self._list("project", "optional-dependencies", extra, part=f"extra {extra}")
        for group in self._toml.table("dependency-groups"):
            self._list("dependency-groups", group, part=f"group {group}")
        self._list("tool", "uv", "dev-dependencies", part="group dev")
        for group in self._toml.table("tool", "pdm", "dev-dependencies"):
            self._list("tool", "pdm", "dev-dependencies", group, part=f"group {group}")
        self._list("build-system", "requires", part=BUILD)
        self._poetry.read()
        for key in self._toml.items("project", "dynamic"):
            if key in ("dependencies", "optional-dependencies"):
                sentence = f"{key} is dynamic, so the build decides it; import what uv pip compile makes of the project"
                self._findings.leave_out(sentence, self._toml.origin("project", "dynamic"))
        if not self._findings.wanted and not self._findings.left_out:
            raise ConfigurationError(self._name, ["requires nothing: no dependencies, dependency groups or build"])

    def _list(self, *path: str, part: str = "") -> None:
        self._findings.part = part
        for number, item in enumerate(self._toml.items(*path)):
            self._item(item, (*path, number))

    def _item(self, item: Any, path: tuple[str | int, ...]) -> None:  # noqa: ANN401 - any value of TOML
        origin = self._toml.origin(*path)
        if isinstance(item, dict) and "include-group" in item:
            self.includes.setdefault(self._findings.part, []).append(f"group {item['include-group']}")
            return  # every group is taken
        if not isinstance(item, str):
            self._findings.leave_out("is not a requirement; write a text in quotes", origin)
            return
        try:
            requirement = Requirement(item)
        except (InvalidRequirement, RecursionError):
            self._findings.want(item, origin)  # which leaves it out
            return
        name = canonicalize_name(requirement.name)
        if name == self._own:
            return  # "shop[all]": the project's own extras, which are taken
        if place := self._elsewhere.get(name):
            self._findings.leave_out(
                f"{requirement.name} comes from {place}, and the mirror takes files from its upstream alone; "
                f"add the line yourself if it is to come from there",
                origin,
            )
            return
        self._findings.want(item, origin)


def _place_of(source: object) -> str:
    """Return where a source of uv's is."""
    first = source[0] if isinstance(source, list) and source else source
    keys = first if isinstance(first, dict) else {}
    return next((place for key, place in _ELSEWHERE.items() if key in keys), "another source")
