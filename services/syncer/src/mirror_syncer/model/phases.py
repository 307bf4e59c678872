"""The phases of each kind of run, in their order."""

from mirror_contract import RunKind

PHASES = {
    RunKind.SYNC: ("plan", "withdraw", "transfer", "publish", "collect"),
    RunKind.VERIFY: ("verify", "orphans", "publish", "collect"),
    RunKind.COLLECT: ("collect",),
}
"""What runs do, by kind; ``publish`` is the project list, while each page is part of ``transfer``."""
