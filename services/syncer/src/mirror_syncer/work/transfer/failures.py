"""The failures that a transfer reports although it succeeds: what upstream's page or an advisory says about files."""

from collections.abc import Iterator

from mirror_contract import Failure
from mirror_syncer.config.advisories import Advisory
from mirror_syncer.model.decision import Decision
from mirror_syncer.model.page import PublishedPage, names
from mirror_syncer.work.transfer.job import Work


def incidents(work: Work, decision: Decision, published: PublishedPage | None) -> Iterator[Failure]:
    """Yield a failure for each file that was published until an advisory blocked it: somebody may have installed it."""
    advised = tuple(one.reason for one in work.policy.blocks if isinstance(one, Advisory))
    before = published.files if advised and published else {}
    for file, reason in decision.blocked:
        if names(before, file) and reason.startswith(advised):
            incident = f"{reason}. It was published until now, so somebody may have installed it"
            yield Failure(project=work.name, file=file.filename, reason=incident)


def invalid_entries(decision: Decision) -> tuple[Failure, ...]:
    """Return the invalid entries of a page as failures."""
    return tuple(
        Failure(project=decision.page.name, file=refusal.filename, reason=refusal.reason)
        for refusal in decision.refused
    )
