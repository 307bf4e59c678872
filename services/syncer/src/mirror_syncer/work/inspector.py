"""A worker's desk: the looks at projects that it has under way on behalf of verifies."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from packaging.utils import NormalizedName

from mirror_syncer.volume import View
from mirror_syncer.work.inspection import Inspection, InspectionResult
from mirror_syncer.work.rate_limit import RateLimit


@dataclass(frozen=True, slots=True)
class InspectionJob:
    """A slice of a look at a project."""

    run_id: str
    name: NormalizedName
    seconds: float
    """For how long; none: forget it."""
    bandwidth: int | None
    """Bytes a second that all looks at this desk may read together, until another one says otherwise."""
    page_sha256: str | None = None
    """Of the page that was published last, where that is known."""


class Inspector:
    """
    Looks, in threads: a worker's loop stays free.

    The threads are its own: in the loop's pool a slow disk would hold up everybody who waits for the catalog or a page.
    There is one a core, which is enough for files of a megabyte: hashlib reads these without holding the interpreter.
    Of small ones two threads do hardly more than one; then it is other workers that help.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._rate_limit = RateLimit()
        self._pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="look")
        self._inspections: dict[tuple[str, NormalizedName], Inspection] = {}

    async def look(self, look: InspectionJob) -> InspectionResult | None:
        """
        Begin, or go on with, a look; return what it told, or None where there is more to look at.

        A slice that is cancelled ends by itself.

        Raises:
            VolumeError: the disk says no; the look is forgotten.
        """
        self._rate_limit.rate = look.bandwidth
        # Out of the table meanwhile: whatever happens to it, nothing is left behind.
        inspection = self._inspections.pop((look.run_id, look.name), None)
        if look.seconds <= 0:
            return None
        inspection = inspection or Inspection(self._view, look.name, rate_limit=self._rate_limit)
        inspection.page_sha256 = look.page_sha256
        over = await asyncio.get_running_loop().run_in_executor(
            self._pool, lambda: inspection.go_on(seconds=look.seconds)
        )
        if over:
            return inspection.verdict
        self._inspections[look.run_id, look.name] = inspection
        return None

    def close(self) -> None:
        """Begin nothing more; a slice under way ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)
