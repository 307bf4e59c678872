"""The phases of each kind of run, in order."""

from mirror_contract import RunKind

PHASES = {
    RunKind.SYNC: ("plan", "resolve", "withdraw", "transfer", "publish", "collect"),
    RunKind.VERIFY: ("verify", "orphans", "publish", "collect"),
    RunKind.COLLECT: ("collect",),
}
"""
The phases by kind of run.

``resolve`` finds what the selected projects need. ``publish`` is that of the project list, while pages are published in
``transfer``.
"""
