"""The rights of tokens, and the right that a run needs."""

from enum import StrEnum
from typing import Final, NamedTuple

from mirror_contract import RunKind, RunRequest


class Right(StrEnum):
    """What a token allows; each right includes the ones before it."""

    READ = "read"  # the misses, which may contain private names; all other reading is open to everyone
    TRIGGER = "trigger"  # start and cancel runs that remove nothing, add projects, pause and resume the schedule
    REMOVE = "remove"  # everything that can delete published or stored files, and releases, which override the policy

    def includes(self, other: "Right") -> bool:
        """Return whether this right grants another one."""
        order = list(Right)
        return order.index(self) >= order.index(other)


class TokenHolder(NamedTuple):
    """The holder of a request's token."""

    name: str
    right: Right


# These delete nothing. Every other kind or option of a run, including future ones, needs the right REMOVE.
_KEEPING_KINDS: Final = frozenset({RunKind.SYNC, RunKind.VERIFY})
_KEEPING_OPTIONS: Final = frozenset({"kind", "projects", "force", "offline", "upstream"})


def required_right(request: RunRequest) -> Right:
    """Return the right that a run needs: REMOVE if it may override the guard, repair, confirm or collect."""
    options = request.model_dump(exclude_defaults=True).keys() | {"kind"}
    return Right.TRIGGER if request.kind in _KEEPING_KINDS and options <= _KEEPING_OPTIONS else Right.REMOVE
