"""
``mirror.toml``: what is mirrored.

An unknown or wrong key is an error that names the key; all of them are told at once.
"""

import difflib
import hashlib
import os
import re
import stat
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from mirror_contract import parse_project_name
from mirror_syncer.config.selection import Selection
from mirror_syncer.errors import ConfigurationError

# Of the pages, and of what is read of upstream's; with a new number each of upstream's pages is asked for once more,
# without validators, and ours is written from it. Files stay. 2: URLs escape what PyPI's do; text is cleaned; upload
# times in any offset are read; file names and provenance are checked.
PAGE_FORMAT = 2
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d{1,5})([mhdw])")
_SHARE = re.compile(r"(\d{1,3}(?:\.\d+)?)%")
_ANY = SpecifierSet()


class Scope(StrEnum):
    """How much of upstream is wanted."""

    SELECTED = "selected"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Removal:
    """How content leaves the mirror."""

    grace: timedelta = timedelta(hours=24)
    """A file that no page names any more stays this long, for those who still hold its URL."""
    guard: float = 0.01
    """The share of all projects, at least 50 or half of them, that may lose something in a day without a word."""

    floor: int = 50

    def allowed(self, published: int) -> int:
        """Return how many of so many published projects may lose something; of a small mirror half, so never all."""
        return max(min(self.floor, max(1, published // 2)), int(self.guard * published))


@dataclass(frozen=True, slots=True)
class Serve:
    """What is published besides the Simple API."""

    legacy_json: bool = False
    """``/pypi/<project>/json``; it costs a request for each project that changed."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is mirrored."""

    scope: Scope = Scope.SELECTED
    projects: dict[NormalizedName, Selection] = field(default_factory=dict)
    """Each named project with what is wanted of it; with everything, those that differ from all others."""
    latest: int | None = None
    removal: Removal = Removal()
    serve: Serve = Serve()

    @property
    def everything(self) -> bool:
        """Whether upstream's list of projects says what is mirrored."""
        return self.scope is Scope.EVERYTHING

    @property
    def usual(self) -> Selection:
        """What is wanted, with everything, of a project that is not named."""
        return Selection(line='scope = "everything"', specifiers=(_ANY,), latest=self.latest, named=False)

    def selection(self, name: NormalizedName) -> Selection | None:
        """Return what is wanted of a project, or None where it is not selected."""
        named = self.projects.get(name)
        if named is None and self.everything:
            return self.usual
        return named


def fingerprint(selection: Selection, *, serve: Serve) -> str:
    """Return a digest that changes when what is wanted of a project does, or what is published of it, or how."""
    wanted = (sorted(map(str, selection.specifiers)), selection.latest, serve)
    return f"{PAGE_FORMAT}-{hashlib.sha256(repr(wanted).encode()).hexdigest()[:16]}"


def is_this_format(by: str | None) -> bool:
    """Return whether a page was published, by the policy of that fingerprint, as this program publishes pages."""
    return by is not None and by.startswith(f"{PAGE_FORMAT}-")


def read_policy(path: Path) -> Policy:
    """
    Read and check the whole document.

    Raises:
        ConfigurationError: it cannot be read, or any of its keys is unknown or wrong.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Notepad and PowerShell write a BOM
    except PermissionError as error:
        said = f"cannot be read by user {os.getuid()} ({error.strerror}); on the host: {_permit(path)}"
        raise ConfigurationError(str(path), [said]) from error
    except OSError as error:
        raise ConfigurationError(
            str(path), [f"cannot be read ({error.strerror}); mount it or set MIRROR_POLICY"]
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(path), [f"is not TOML: {error}"]) from error
    reader = _Reader()
    policy = reader.policy(document)
    if reader.problems:
        raise ConfigurationError(str(path), reader.problems)
    return policy


def _permit(path: Path) -> str:
    """Return the command that lets the syncer read a mounted file: a clone under a strict umask hides it."""
    with suppress(PermissionError):  # SELinux may hide even the mode
        if not path.parent.stat().st_mode & stat.S_IXOTH:
            return f"chmod o+rx the directory of {path.name}"
        if not path.stat().st_mode & stat.S_IROTH:
            return f"chmod o+r {path.name}"
    return f"chcon -t container_file_t {path.name} (its mode permits it, so SELinux is on)"


class _Reader:
    """Turns tables into a policy and keeps every problem it meets."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def policy(self, document: dict[str, Any]) -> Policy:
        self._known("", document, {"mirror", "removal", "serve"})
        mirror = self._table(document, "mirror")
        self._known("mirror.", mirror, {"scope", "projects", "latest"})
        scope = mirror.get("scope", "selected")
        if scope not in list(Scope):
            self.problems.append(f"mirror.scope = {scope!r}: one of {', '.join(map(repr, map(str, Scope)))}")
            scope = Scope.SELECTED
        latest = mirror.get("latest")
        if latest is not None and (not isinstance(latest, int) or isinstance(latest, bool) or latest < 1):
            self.problems.append(f"mirror.latest = {latest!r}: a whole number of releases, 1 or more; without it, all")
            latest = None
        scope = Scope(scope)
        return Policy(
            scope=scope,
            projects=self._projects(mirror.get("projects", []), latest=latest, needed=scope is Scope.SELECTED),
            latest=latest,
            removal=self._removal(self._table(document, "removal")),
            serve=self._serve(self._table(document, "serve")),
        )

    def _projects(self, lines: object, *, latest: int | None, needed: bool) -> dict[NormalizedName, Selection]:
        if not isinstance(lines, list):
            self.problems.append(f"mirror.projects = {lines!r}: a list of strings")
            return {}
        if needed and not lines:
            self.problems.append('mirror.projects names no project; write, say, projects = ["requests", "idna>=3"]')
        projects: dict[NormalizedName, Selection] = {}
        for line in lines:
            try:
                requirement = Requirement(line)
                name = parse_project_name(requirement.name)
            except (InvalidRequirement, TypeError, ValueError) as error:
                self.problems.append(f"mirror.projects: {line!r} is no requirement ({str(error).splitlines()[0]})")
                continue
            if requirement.url or requirement.marker or requirement.extras:
                self.problems.append(
                    f"mirror.projects: {line!r}: a name and versions alone (a mirror keeps files for every platform; "
                    "what an extra needs is a project of its own line)"
                )
            else:
                specifier = SpecifierSet(str(requirement.specifier))
                if (before := projects.get(name)) is None:
                    projects[name] = Selection(line=line, specifiers=(specifier,), latest=latest)
                elif specifier not in before.specifiers:
                    both = (*before.specifiers, specifier)
                    projects[name] = replace(before, line=f"{before.line} or {line}", specifiers=both)
        return projects

    def _removal(self, table: dict[str, Any]) -> Removal:
        self._known("removal.", table, {"grace", "guard"})
        grace, guard = Removal().grace, Removal().guard
        if "grace" in table:
            match = _DURATION.fullmatch(str(table["grace"]))
            if match:
                grace = timedelta(**{_UNITS[match[2]]: int(match[1])})
            else:
                self.problems.append(f"removal.grace = {table['grace']!r}: a number with m, h, d or w, as in '24h'")
        if "guard" in table:
            share = _SHARE.fullmatch(str(table["guard"]))
            if share and float(share[1]) <= 100:  # noqa: PLR2004 - per cent
                guard = float(share[1]) / 100
            else:
                self.problems.append(f"removal.guard = {table['guard']!r}: a share of all projects, as in '1%'")
        return Removal(grace=grace, guard=guard)

    def _serve(self, table: dict[str, Any]) -> Serve:
        self._known("serve.", table, {"legacy_json"})
        legacy_json = table.get("legacy_json", False)
        if not isinstance(legacy_json, bool):
            self.problems.append(f"serve.legacy_json = {legacy_json!r}: true or false, without quotes")
            legacy_json = False
        return Serve(legacy_json=legacy_json)

    def _table(self, document: dict[str, Any], key: str) -> dict[str, Any]:
        table = document.get(key, {})
        if not isinstance(table, dict):
            self.problems.append(f"{key} = {table!r}: a table, [{key}]")
            return {}
        return table

    def _known(self, prefix: str, table: dict[str, Any], known: set[str]) -> None:
        for key in sorted(set(table) - known):
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {prefix}{close[0]}?" if close else f"known: {', '.join(sorted(known))}"
            self.problems.append(f"{prefix}{key} is not a key of mirror.toml; {hint}")
