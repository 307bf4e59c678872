"""
The errors that the syncer raises, as a tree.

MirrorError
├── ConfigurationError (ValueError)      a setting or the policy is wrong; lists every problem at once
├── UpstreamError                        upstream did not deliver what was requested
│   ├── UnreachableError (ConnectionError)  no answer, or only 5xx and 429, after all retries
│   ├── RefusedError                        a definite refusal (403, 404 for a file, …)
│   └── StalePageError                      an older page than the one that is published
├── InvalidPageError (ValueError)        a page breaks the specification or our limits
├── FileRejectedError (ValueError)       a file is not what its page says, or must not be stored
├── TooManyRunsError                     the run queue is full
├── WorkerLostError                      the worker process that had the project died
├── AbandonedError                       the run that waited for upstream was cancelled
├── InvalidRequestError (ValueError)     the request makes no sense here; the message says which would
├── KeyReusedError                       an Idempotency-Key came with a different request
├── PathError (OSError)                  one file or directory of the tree cannot be read or written
└── VolumeError (OSError)                tree or state cannot be read or written; the message names the remedy
    ├── VolumeMissingError                  the disk is not mounted, or belongs to another catalog
    ├── VolumeFullError                     less free space than the reserve
    ├── StateError                          the disk or the server that holds the catalog failed
    │   └── CatalogRefusedError                the catalog's database refuses the syncer: password, user, database
    └── VolumeInUseError                    another syncer writes to the tree

An UpstreamError, InvalidPageError or PathError fails one project. A FileRejectedError, UpstreamError or PathError fails
one file. A VolumeError ends the run.
"""


class MirrorError(Exception):
    """An error that one sentence explains to a person."""


class ConfigurationError(MirrorError, ValueError):
    """
    Settings or policy are wrong.

    Attributes:
        problems: one sentence each, with the key and the remedy.
    """

    def __init__(self, source: str, problems: list[str]) -> None:
        self.source = source
        self.problems = problems
        super().__init__(
            f"{source}: {len(problems)} problem(s)\n" + "\n".join(f"  - {problem}" for problem in problems)
        )


class LimitExceededError(MirrorError):
    """What the lines need exceeds ``[limits]``."""


class UpstreamError(MirrorError):
    """Upstream did not deliver what was requested."""


class UnreachableError(UpstreamError, ConnectionError):
    """Upstream did not answer, or answered with errors only, after all retries."""


class RefusedError(UpstreamError):
    """Upstream refused, and would refuse again."""


class StalePageError(UpstreamError):
    """Upstream shows an older page than the published one."""


class InvalidPageError(MirrorError, ValueError):
    """A page breaks the specification or our limits."""


class FileRejectedError(MirrorError, ValueError):
    """A file is not what its page says, or must not be stored."""


class TooManyRunsError(MirrorError):
    """The run queue is full; retry later."""


class WorkerLostError(MirrorError):
    """The worker process that had the project died."""


class AbandonedError(MirrorError):
    """The run that waited for upstream was cancelled."""


class InvalidRequestError(MirrorError, ValueError):
    """The request makes no sense here, now or later."""


class KeyReusedError(MirrorError):
    """An Idempotency-Key came with a different request than the first time."""


class PathError(MirrorError, OSError):
    """One file or directory of the tree cannot be read or written; only its file or project fails."""


class VolumeError(MirrorError, OSError):
    """The tree or the state cannot be read or written: no project is at fault, and the run ends."""


class VolumeMissingError(VolumeError):
    """The disk is not mounted, or its tree belongs to another catalog."""


class VolumeFullError(VolumeError):
    """Less space is free than the reserve."""


class StateError(VolumeError):
    """The disk or the database server that holds the catalog, or the disk of what lies beside it, failed."""


class CatalogRefusedError(StateError):
    """The catalog's database refuses the syncer: a wrong password, or an unknown user or database."""


class VolumeInUseError(VolumeError):
    """Another syncer writes to the tree."""
