"""``mirror.toml`` as an import finds it, and its next version, which the syncer's own parser has accepted."""

from collections.abc import Sequence
from pathlib import Path
from stat import S_IMODE
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from mirror_syncer.commands.importing.findings import Identity, Wanted, identity_of
from mirror_syncer.commands.importing.policy_edit import EditError, add_lines, lines_of_projects
from mirror_syncer.commands.whole_file import save_file
from mirror_syncer.config.mirror_toml.file import PolicyError, choose_file, judge_policy, read_file
from mirror_syncer.config.policy.policy import Scope
from mirror_syncer.config.toml.document import load_toml
from mirror_syncer.errors import ConfigurationError

_MAX_ROUNDS = 10
READ_ONLY = "mount the directory of mirror.toml so that your user may write there, or use --print"
_KEY = "mirror.projects: "
_EMPTY = b"[mirror]\nprojects = [\n]\n"


class PolicyFile:
    """
    The file, or the shipped example where there is none yet.

    Raises:
        PolicyError: it has mistakes already, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        source = choose_file(path)
        self.example = source if source != path else None
        """The example that the new file begins as."""
        self._exists = source.exists()
        self.content = read_file(source) if self._exists else _EMPTY
        self.source = source
        """Where ``content`` is from."""
        self.scope, self.locks, self.pythons = Scope.SELECTED, tuple[str, ...](), frozenset[str]()
        if self._exists:
            policy = judge_policy(self.content, path=source)
            self.scope, self.locks = policy.scope, policy.locks
            self.pythons = frozenset(map(str, policy.rules.machines.pythons))
        projects: Any = load_toml(self.content.decode("utf-8-sig")).get("mirror", {}).get("projects", [])
        self._texts = [one["name"] if isinstance(one, dict) else one for one in projects]
        self._known: dict[Identity, int] = {}
        self._by_project: dict[str, tuple[str, int]] = {}
        lines = lines_of_projects(self.content)
        for number, text in enumerate(self._texts):
            try:
                identity = identity_of(Requirement(text))
            except (InvalidRequirement, RecursionError):
                continue
            self._known.setdefault(identity, lines.get(number, 0))
            self._by_project.setdefault(identity[0], (text, lines.get(number, 0)))

    def has(self, wanted: Wanted) -> bool:
        """Return whether a line says the same, however it is written."""
        return identity_of(wanted.requirement) in self._known

    def other_line(self, wanted: Wanted) -> tuple[str, int] | None:
        """Return the first line for the same project, and where it stands."""
        return self._by_project.get(identity_of(wanted.requirement)[0])

    def extend(self, added: Sequence[Wanted], *, locks: Sequence[str]) -> tuple[bytes, dict[int, str]]:
        """
        Return the file with more lines, and why the parser refuses lines, by position; those are not in it.

        Raises:
            PolicyError: the parser refuses the whole; each problem is named.
            ConfigurationError: the file's form cannot be edited.
        """
        refused: dict[int, str] = {}
        for _ in range(_MAX_ROUNDS):
            accepted = [number for number in range(len(added)) if number not in refused]
            try:
                content = add_lines(self.content, projects=[added[one].text for one in accepted], locks=locks)
            except EditError as error:
                raise ConfigurationError(str(self.path), [str(error)]) from error
            try:
                if self._exists or accepted or locks:
                    judge_policy(content, path=self.path)
            except PolicyError as error:
                lines = lines_of_projects(content)
                places = {lines.get(len(self._texts) + index): one for index, one in enumerate(accepted)}
                found = {
                    places[one.line]: one.message.removeprefix(_KEY) for one in error.details if one.line in places
                }
                if not found:
                    raise
                refused |= found
            else:
                return content, refused
        raise ConfigurationError(str(self.path), ["the lines contradict each other; add them by hand"])

    def save(self, content: bytes) -> None:
        """
        Write the next version: all of it or nothing, also through a symlink.

        Raises:
            ConfigurationError: it cannot be written.
        """
        if not self.path.exists():
            save_file(content, self.path, replace=False, remedy=READ_ONLY)
            return
        mode = S_IMODE(self.path.stat().st_mode)
        save_file(content, self.path.resolve(), replace=True, mode=mode, remedy=READ_ONLY)
