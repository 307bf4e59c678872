"""What the engine knows about a kind of run."""

from typing import Protocol

from mirror_syncer.runs import ActiveRun


class RunExecutor(Protocol):
    """Carries out the runs of one kind; it is given the ``RunContext`` when it is made."""

    async def execute(self, run: ActiveRun) -> None:
        """
        Do what the run's request says; return when all of it is done or the run is stopping.

        Raises:
            MirrorError: the run cannot continue, and fails.
        """

    async def save(self, run: ActiveRun) -> None:
        """
        Store the run's progress, so that it continues from there after a restart.

        Raises:
            StateError: the catalog cannot be written.
        """

    def conclude(self, run: ActiveRun) -> None:
        """
        Record what follows from a run of this kind that has ended. Blocks for the catalog.

        Raises:
            StateError: the catalog cannot be written.
        """
