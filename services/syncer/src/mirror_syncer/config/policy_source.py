"""The policy in force: read from a file that people edit at any time, and kept where the file cannot be used."""

import asyncio
import hashlib
import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import structlog
from packaging.utils import NormalizedName
from pydantic import BaseModel, ValidationError

from mirror_contract import PolicyProblem, PolicyState
from mirror_syncer.config.policy import PAGE_FORMAT, Policy
from mirror_syncer.config.policy_tables import parse_policy
from mirror_syncer.config.toml_document import DocumentError
from mirror_syncer.errors import ConfigurationError

log = structlog.get_logger()

WATCH_SECONDS = 2.0
_LAST_GOOD = "policy.json"  # in the state directory
_MAX_BYTES = 8 * 2**20  # a line for each project of PyPI that people name would be less


class PolicyError(ConfigurationError):
    """The policy's file cannot be read, or is wrong."""

    def __init__(self, path: Path, problems: list[PolicyProblem]) -> None:
        super().__init__(str(path), [str(problem) for problem in problems])
        self.path = path
        self.details = problems
        self.sentence = f"{path.name}, " + "; ".join(map(str, problems))
        """All problems in one line."""


class _LastGood(BaseModel):
    """What is kept of a policy across restarts."""

    path: str
    starter: bool
    """It was the shipped example's."""
    text: str
    starter_projects: frozenset[str]
    """Names of the example's policies, as long as no policy of the operator's has named them."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A policy, and the file that it is of."""

    path: Path
    starter: bool
    content: bytes
    policy: Policy


class PolicySource:
    """
    ``mirror.toml``, or ``mirror.example.toml`` beside it while there is none.

    A file that cannot be used, or has gone, leaves the last good policy in force, also across restarts.

    Args:
        path: of ``mirror.toml``.
        state: the directory that the last good policy is kept in.
        keeps: False: nothing is written there.

    Raises:
        PolicyError: the file cannot be used, and there is no last good policy.
    """

    def __init__(self, path: Path, *, state: Path, keeps: bool = True) -> None:
        self._path = path
        self._kept_in = state / _LAST_GOOD
        self._keeps = keeps
        self._lock = threading.Lock()
        self._error: PolicyError | None = None
        self._invalid_since: datetime | None = None
        self._starter_projects: frozenset[str] = frozenset()
        self._has_own = False
        last = self._recall()
        self._found = self._in_force = self._look_first(last)

    @property
    def current(self) -> Policy:
        """The policy in force."""
        return self._in_force.policy

    @property
    def replaceable(self) -> frozenset[NormalizedName]:
        """Projects that only the shipped example has named: the operator never asked for them."""
        return frozenset(map(NormalizedName, self._starter_projects))

    @property
    def error(self) -> PolicyError | None:
        """Why the file could not be used when it was last read."""
        return self._error

    @property
    def digest(self) -> str:
        """Return what changes when the policy in force does, or the form of what is published by it."""
        return hashlib.sha256(repr((PAGE_FORMAT, self.current)).encode()).hexdigest()

    def reload(self) -> list[str]:
        """Put the file's policy into force; where it cannot be used, return why, in one sentence."""
        with self._lock:
            self._look()
            self._put_into_force()
            return [f"{self._error.sentence}; the last good policy stays in force"] if self._error else []

    def on_disk(self) -> Policy:
        """Return the policy that the next run puts into force."""
        with self._lock:
            self._look()
            return self._found.policy

    def state(self) -> PolicyState:
        """Return what there is to say of the file."""
        found, error = self._found, self._error
        return PolicyState(
            file=str(error.path if error else found.path),
            starter=found.starter,
            changed=found.policy != self.current,
            problems=error.details if error else [],
            invalid_since=self._invalid_since,
        )

    async def watch(self, noticed: Callable[[PolicyState], None], *, every: float = WATCH_SECONDS) -> NoReturn:
        """Read the file every few seconds, and report each change; the policy in force changes with the next run."""
        told = self._found.content, self.state().problems
        while True:
            await asyncio.sleep(every)
            await asyncio.to_thread(self.on_disk)
            state = self.state()
            if (self._found.content, state.problems) != told:
                told = self._found.content, state.problems
                noticed(state)

    def _look_first(self, last: _LastGood | None) -> _Found:
        try:
            found = self._read()
        except PolicyError as error:
            if last is None:
                raise
            self._note(error)
            content = last.text.encode()
            return _Found(Path(last.path), last.starter, content, parse_policy(content))
        self._in_force = self._found = found
        self._put_into_force()
        return found

    def _look(self) -> None:
        try:
            self._found = self._read()
        except PolicyError as error:
            self._note(error)
        else:
            self._error = self._invalid_since = None

    def _note(self, error: PolicyError) -> None:
        self._error = error
        self._invalid_since = self._invalid_since or datetime.now(UTC)

    def _read(self) -> _Found:
        """
        Return what the file says now.

        Raises:
            PolicyError: it cannot be used.
        """
        path = self._path if self._has_own else choose_file(self._path)
        content = read_file(path, was_here=self._has_own)
        return _Found(path, path != self._path, content, judge_policy(content, path=path))

    def _put_into_force(self) -> None:
        self._in_force = found = self._found
        names = frozenset(map(str, found.policy.projects))
        self._has_own = self._has_own or not found.starter
        self._starter_projects = self._starter_projects | names if found.starter else self._starter_projects - names
        if self._keeps:
            self._keep(found)

    def _keep(self, found: _Found) -> None:
        """Keep a policy for the next start; where the disk refuses, this process has it all the same."""
        document = _LastGood(
            path=str(found.path),
            starter=not self._has_own,
            text=found.content.decode("utf-8-sig"),
            starter_projects=self._starter_projects,
        )
        text = document.model_dump_json()
        try:
            if self._kept_in.exists() and self._kept_in.read_text(encoding="utf-8") == text:
                return
            temporary = self._kept_in.with_suffix(".new")
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._kept_in)
        except OSError as error:
            log.warning("the policy is not kept for the next start", path=str(self._kept_in), reason=error.strerror)

    def _recall(self) -> _LastGood | None:
        """Return the last good policy; None where there is none, or this version cannot use it."""
        try:
            last = _LastGood.model_validate_json(self._kept_in.read_bytes())
            parse_policy(last.text.encode())
        except (OSError, ValidationError, DocumentError):
            return None
        self._has_own, self._starter_projects = not last.starter, last.starter_projects
        return last


def example_of(path: Path) -> Path:
    """Return the shipped example beside a policy's file."""
    return path.with_name(f"{path.stem}.example{path.suffix}")


def choose_file(path: Path) -> Path:
    """Return a policy's file, or the example where there is none."""
    return example_of(path) if _is_missing(path) and not _is_missing(example_of(path)) else path


def read_policy(path: Path) -> Policy:
    """
    Read a policy's file, or the example where there is none.

    Raises:
        PolicyError: it cannot be read, or any of its keys is unknown or wrong.
    """
    path = choose_file(path)
    return judge_policy(read_file(path), path=path)


def judge_policy(content: bytes, *, path: Path) -> Policy:
    """
    Return the policy of a file's content.

    Raises:
        PolicyError: it is no TOML, or any of its keys is unknown or wrong; all of them are named.
    """
    try:
        return parse_policy(content)
    except DocumentError as error:
        raise PolicyError(path, error.problems) from error


def read_file(path: Path, *, was_here: bool = False) -> bytes:
    """
    Return the content of a policy's file.

    Args:
        was_here: it could be read before, so that a file that is missing has gone.

    Raises:
        PolicyError: it cannot be read; the message names the remedy.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            told = (
                f"is {'a directory' if path.is_dir() else 'no regular file'}; put a file with the policy in its place"
            )
        elif path.stat().st_size > _MAX_BYTES:
            told = f"has more than {_MAX_BYTES // 2**20} MiB; is it the right file?"
        else:
            return path.read_bytes()
    except PermissionError as error:
        told = f"cannot be read by user {os.getuid()} ({error.strerror}); on the host: {_permit(path)}"
    except FileNotFoundError as error:
        back = f"restore it, or copy {example_of(path).name} there to go back to the starter selection"
        told = (
            f"is missing; {back}" if was_here else f"cannot be read ({error.strerror}); create it or set MIRROR_POLICY"
        )
    except OSError as error:
        told = f"cannot be read ({error.strerror}); mount it or set MIRROR_POLICY"
    raise PolicyError(path, [PolicyProblem(message=f"{path.name} {told}")])


def _is_missing(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        pass  # it may be there
    return False


def _permit(path: Path) -> str:
    """Return the command that lets the syncer read a mounted file: a clone under a strict umask hides it."""
    with suppress(PermissionError):  # SELinux may hide even the mode
        if not path.parent.stat().st_mode & stat.S_IXOTH:
            return f"chmod -R o+rX the directory of {path.name}, such as config"
        if not path.stat().st_mode & stat.S_IROTH:
            return f"chmod o+r {path.name}"
    return f"chcon -t container_file_t {path.name} (its mode permits it, so SELinux is on)"
