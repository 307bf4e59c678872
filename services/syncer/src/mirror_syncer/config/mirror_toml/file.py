"""``mirror.toml`` on the disk: which file it is, its content, and why that cannot be used."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from mirror_contract import PolicyProblem
from mirror_syncer.config.mirror_toml.tables import parse_policy
from mirror_syncer.config.policy.policy import Policy
from mirror_syncer.config.toml.document import DocumentError
from mirror_syncer.errors import ConfigurationError

_MAX_BYTES = 8 * 2**20  # a line for each project of PyPI that people name would be less


class PolicyError(ConfigurationError):
    """The policy's file cannot be read, or is wrong."""

    def __init__(self, path: Path, problems: list[PolicyProblem]) -> None:
        super().__init__(str(path), [str(problem) for problem in problems])
        self.path = path
        self.details = problems
        self.sentence = f"{path.name}, " + "; ".join(map(str, problems))
        """All problems in one line."""


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
        return parse_policy(content, path=path)
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
            message = (
                f"is {'a directory' if path.is_dir() else 'no regular file'}; put a file with the policy in its place"
            )
        elif path.stat().st_size > _MAX_BYTES:
            message = f"has more than {_MAX_BYTES // 2**20} MiB; is it the right file?"
        else:
            return path.read_bytes()
    except PermissionError as error:
        message = f"cannot be read by user {os.getuid()} ({error.strerror}); on the host: {_permit(path)}"
    except FileNotFoundError as error:
        back = f"restore it, or copy {example_of(path).name} there to go back to the starter selection"
        message = (
            f"is missing; {back}" if was_here else f"cannot be read ({error.strerror}); create it or set MIRROR_POLICY"
        )
    except OSError as error:
        message = f"cannot be read ({error.strerror}); mount it or set MIRROR_POLICY"
    raise PolicyError(path, [PolicyProblem(message=f"{path.name} {message}")])


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
