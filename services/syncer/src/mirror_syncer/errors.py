"""
What can go wrong, as a tree.

MirrorError
├── ConfigurationError (ValueError)   a setting or the policy is wrong; lists every problem at once
├── UpstreamError                     what was asked for could not be had
│   ├── Unreachable (ConnectionError) no answer, or 5xx and 429 after all retries
│   ├── Refused                       an answer that says no (403, 404 for a file, …)
│   └── StalePage                     an older page than the one we have
├── InvalidPage (ValueError)          upstream's page breaks the specification or our bounds
├── FileRejected (ValueError)         a file is not what its page says, or may not be stored
├── TooManyRuns                       as many wait as may; ask again later
├── WorkerLost                        the process that had a project in hand ended
├── Abandoned                         the run that waited for upstream was cancelled
├── WrongRequest (ValueError)         what was asked for makes no sense here; the message says what would
├── KeyReused                         an Idempotency-Key came with another request than its first
├── PathError (OSError)               one file or directory of the tree cannot be read or written
└── VolumeError (OSError)             tree or state cannot be read or written; the message says what to do
    ├── VolumeAbsent                  the disk is not mounted, or belongs to another catalog
    ├── VolumeFull                    less free than the reserve
    ├── StateError                    it is the disk of the catalog, and of what is kept beside it
    └── VolumeInUse                   another syncer writes here

A project fails by UpstreamError, InvalidPage or PathError, a file by FileRejected, UpstreamError or PathError; a
VolumeError ends the run.
"""


class MirrorError(Exception):
    """Anything the mirror knows to explain in one sentence."""


class ConfigurationError(MirrorError, ValueError):
    """
    Settings or policy are wrong.

    Attributes:
        problems: each one sentence that names the key and the remedy.
    """

    def __init__(self, source: str, problems: list[str]) -> None:
        self.source = source
        self.problems = problems
        super().__init__(
            f"{source}: {len(problems)} problem(s)\n" + "\n".join(f"  - {problem}" for problem in problems)
        )


class UpstreamError(MirrorError):
    """What was asked for could not be had."""


class Unreachable(UpstreamError, ConnectionError):
    """No answer, or none but errors, after all retries."""


class Refused(UpstreamError):
    """An answer that says no, and would say it again."""


class StalePage(UpstreamError):
    """Upstream shows an older page than the one we have."""


class InvalidPage(MirrorError, ValueError):
    """A page that breaks the specification, or our bounds."""


class FileRejected(MirrorError, ValueError):
    """A file is not what its page says, or may not be stored."""


class TooManyRuns(MirrorError):
    """As many runs wait as may: who asks for another asks again later."""


class WorkerLost(MirrorError):
    """The process that had a project in hand ended."""


class Abandoned(MirrorError):
    """Nobody waits any more for what upstream was asked: its run was cancelled."""


class WrongRequest(MirrorError, ValueError):
    """What was asked for makes no sense here, and would make none later."""


class KeyReused(MirrorError):
    """An Idempotency-Key came with another request than its first."""


class PathError(MirrorError, OSError):
    """One file or directory of the tree cannot be read or written; it fails alone, or its project does."""


class VolumeError(MirrorError, OSError):
    """The tree, or the state, cannot be read or written: no project's fault, and the end of a run."""


class VolumeAbsent(VolumeError):
    """The disk is not mounted, or its tree belongs to another catalog."""


class VolumeFull(VolumeError):
    """Less space is free than the reserve."""


class StateError(VolumeError):
    """The disk of the catalog, and of what is kept beside it, says no."""


class VolumeInUse(VolumeError):
    """Another syncer writes here."""
