"""The copy of a lock in ``locks/`` beside ``mirror.toml``."""

from dataclasses import dataclass
from pathlib import Path

from mirror_contract.text import printable
from mirror_syncer.commands.importing.input_file import InputFile, unusable
from mirror_syncer.commands.importing.policy_file import READ_ONLY
from mirror_syncer.commands.whole_file import save_file
from mirror_syncer.config.locks.collector import Reading
from mirror_syncer.config.locks.formats import read_lock
from mirror_syncer.config.locks.patterns import is_match, parse_lock_pattern
from mirror_syncer.config.locks.problem import LockError
from mirror_syncer.errors import ConfigurationError

_DIRECTORY = "locks"
_MAGIC = frozenset("*?[]/\\")
_MAX_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class LockCopy:
    """A lock, and where its copy is to be."""

    reading: Reading
    content: bytes
    directory: Path
    """Of ``mirror.toml``."""
    file: str
    """Relative to the directory."""
    is_there: bool
    """Whether the same content is there already."""

    def is_covered(self, patterns: tuple[str, ...]) -> bool:
        """Return whether a pattern of ``[dependencies] locks`` names the copy."""
        return any(is_match(self.file, pattern) for pattern in patterns)

    def save(self) -> None:
        """
        Write the copy.

        Raises:
            ConfigurationError: it cannot be written.
        """
        target = self.directory / self.file
        try:
            target.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                str(target.parent), [f"cannot be created ({error.strerror}); {READ_ONLY}"]
            ) from error
        save_file(self.content, target, replace=True, remedy=READ_ONLY)


def read_lock_file(file: InputFile) -> Reading:
    """
    Return what a lock says.

    Raises:
        ConfigurationError: it cannot be used, or pins nothing.
    """

    def refuse(name: str) -> str:
        raise LockError(file.name, f"includes {printable(name)}; copy both to locks/ yourself")

    try:
        reading = read_lock(file.name, file.text, include=refuse)
    except LockError as error:
        raise unusable(error) from error
    if not reading.pins:
        problems = [str(problem) for problem in reading.problems] or ["pins nothing"]
        raise ConfigurationError(file.name, [*problems, "no line of it pins a release, so it is not copied"])
    return reading


def choose_copy(file: InputFile, reading: Reading, *, directory: Path, name: str | None, force: bool) -> LockCopy:
    """
    Return where a lock's copy is to be.

    Raises:
        ConfigurationError: the name cannot be used, or another lock has it.
    """
    name = name or (file.path.name if file.path and _is_usable(file.path.name) else reading.kind)
    if not _is_usable(name):
        raise ConfigurationError(f"--name {printable(name)}", ["must be a plain file name, as in shop.lock"])
    target = directory / _DIRECTORY / name
    try:
        if not target.parent.resolve().is_relative_to(directory.resolve()):
            message = "is a symlink out of the directory of mirror.toml, where locks are not read"
            raise ConfigurationError(str(target.parent), [message])
        old = target.read_bytes() if target.exists() else None
    except OSError as error:
        raise ConfigurationError(str(target), [f"cannot be read ({error.strerror})"]) from error
    is_there = old == file.content
    if old is not None and not is_there and not force:
        message = (
            "is there with other content; --force replaces it if it is an older lock of the same application, "
            "--name NAME.lock adds this one beside it"
        )
        raise ConfigurationError(str(target), [message])
    return LockCopy(reading, file.content, directory, f"{_DIRECTORY}/{name}", is_there)


def _is_usable(name: str) -> bool:
    """Return whether a name can be a pattern of its own; ``*`` skips hidden files."""
    if name.startswith(".") or _MAGIC & set(name) or len(name) > _MAX_NAME_LENGTH or name != name.strip():
        return False
    try:
        parse_lock_pattern(f"{_DIRECTORY}/{name}")
    except ValueError:
        return False
    return True
