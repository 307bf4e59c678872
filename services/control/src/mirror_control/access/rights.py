"""What a token's holder may do, and which right a run needs."""

from enum import StrEnum
from typing import Final, NamedTuple

from mirror_contract import RunKind, RunRequest


class Right(StrEnum):
    """What a token allows; each right includes those before it."""

    READ = "read"  # what names nobody's secrets is open to all; this reads the rest: the misses
    TRIGGER = "trigger"  # start and cancel runs, pause and resume the schedule; nothing published is removed
    REMOVE = "remove"  # whatever can remove what is published or kept

    def includes(self, other: "Right") -> bool:
        """Return whether this right is the other one, or more."""
        order = list(Right)
        return order.index(self) >= order.index(other)


class Holder(NamedTuple):
    """Whose token a request brought."""

    name: str
    right: Right


# Of these nothing is removed. Any other kind or option of a run, also one that is yet to come, needs more.
_KINDS: Final = frozenset({RunKind.SYNC, RunKind.VERIFY})
_OPTIONS: Final = frozenset({"kind", "projects", "force", "upstream"})


def right_for(request: RunRequest) -> Right:
    """Return the right that a run needs: to remove, where it may override a guard, repair, confirm or collect."""
    asked = request.model_dump(exclude_defaults=True).keys() | {"kind"}
    return Right.TRIGGER if request.kind in _KINDS and asked <= _OPTIONS else Right.REMOVE
