"""Poetry's own tables of ``pyproject.toml``: ``[tool.poetry.dependencies]`` and its groups."""

from collections.abc import Iterator
from typing import Any

from packaging.utils import canonicalize_name

from mirror_syncer.commands.importing.findings import FileLine, Findings
from mirror_syncer.commands.importing.poetry_constraint import join_markers, python_marker, requirements_of
from mirror_syncer.commands.importing.toml_input import Table, TomlInput

_TABLE = ("tool", "poetry")
_ELSEWHERE = {"git": "a git repository", "url": "a URL", "path": "a path", "file": "a path", "source": "another index"}


class PoetryTables:
    """The dependencies that Poetry's own tables name."""

    def __init__(self, toml: TomlInput, findings: Findings) -> None:
        self._toml = toml
        self._findings = findings

    def sources(self) -> dict[str, str]:
        """Return the projects that come from elsewhere, each with the place, also for ``[project] dependencies``."""
        found = dict[str, str]()
        for name, value in self._toml.table(*_TABLE, "dependencies").items():
            for entry in value if isinstance(value, list) else [value]:
                if place := _place_of(entry):
                    found[canonicalize_name(name)] = place
        return found

    def read(self) -> None:
        """Add the dependencies of all groups."""
        declared = self._declared()
        for path in self._tables():
            group = path[-2] if "group" in path else "dev"
            self._findings.part = "" if path == (*_TABLE, "dependencies") else f"group {group}"
            for name, value in self._toml.table(*path).items():
                if canonicalize_name(name) == "python":
                    continue  # Poetry's own requires-python
                origin = self._toml.origin(*path, name)
                several = value if isinstance(value, list) else [value]
                for number, entry in enumerate(several):
                    place = self._toml.origin(*path, name, number) if isinstance(value, list) else origin
                    self._entry(name, entry, place, enriches=canonicalize_name(name) in declared)

    def _declared(self) -> frozenset[str]:
        """The projects of ``[project] dependencies``, which Poetry's table then only enriches."""
        listed = self._toml.items("project", "dependencies")
        return frozenset(canonicalize_name(_name_of(item)) for item in listed if isinstance(item, str))

    def _tables(self) -> Iterator[tuple[str, ...]]:
        yield (*_TABLE, "dependencies")
        yield (*_TABLE, "dev-dependencies")
        for group in self._toml.table(*_TABLE, "group"):
            yield (*_TABLE, "group", group, "dependencies")

    def _entry(self, name: str, entry: Any, origin: FileLine, *, enriches: bool) -> None:  # noqa: ANN401 - any value of TOML
        if place := _place_of(entry):
            if not enriches:  # else its line in [project] tells it
                sentence = f"{name} comes from {place}, and the mirror takes files from its upstream alone"
                self._findings.leave_out(f"{sentence}; add the line yourself if it is to come from there", origin)
            return
        table: Table = {"version": entry} if isinstance(entry, str) else entry if isinstance(entry, dict) else {}
        if enriches and "version" not in table:
            return
        try:
            for text in requirements_of(
                name,
                _text(table, "version", default="" if not table else "*"),
                extras=_extras(table),
                marker=join_markers(_python(table), _platform(table), _text(table, "markers")),
            ):
                self._findings.want(text, origin)
        except ValueError as error:
            self._findings.leave_out(f"{name}: {error}; add the line yourself", origin)
            return
        if table.get("allow-prereleases") or table.get("allows-prereleases"):
            remedy = "set [files] prereleases = true, or name one in the line, as in django>=6.0a1"
            self._findings.leave_out(f"{name} allows pre-releases, which the line does not; {remedy}", origin)


def _place_of(entry: object) -> str | None:
    keys = entry if isinstance(entry, dict) else {}
    return next((place for key, place in _ELSEWHERE.items() if key in keys), None)


def _text(table: Table, key: str, *, default: str = "") -> str:
    value = table.get(key, default)
    if not isinstance(value, str):
        raise ValueError(f"{key} must be a text")  # noqa: TRY004 - the reader's one error
    return value


def _extras(table: Table) -> list[str]:
    value = table.get("extras", [])
    if not isinstance(value, list) or not all(isinstance(extra, str) for extra in value):
        raise ValueError("extras must be a list of texts")
    return value


def _python(table: Table) -> str:
    text = _text(table, "python")
    return python_marker(text) if text else ""


def _platform(table: Table) -> str:
    text = _text(table, "platform")
    if not text.isalnum() and text:
        raise ValueError("platform must be one word")
    return f"sys_platform == '{text}'" if text else ""


def _name_of(requirement: str) -> str:
    """Return the part of a requirement that is its name."""
    end = next((index for index, char in enumerate(requirement) if not (char.isalnum() or char in "._-")), None)
    return requirement[:end]
