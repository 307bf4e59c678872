"""The inspector of a worker: runs the inspections of projects in threads, slice by slice."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from packaging.utils import NormalizedName

from mirror_syncer.volume import AnyView
from mirror_syncer.work.inspection import Inspection, InspectionResult
from mirror_syncer.work.rate_limit import RateLimit


@dataclass(frozen=True, slots=True)
class InspectionJob:
    """
    One slice of an inspection.

    Attributes:
        seconds: the duration of the slice; 0: discard the inspection.
        bandwidth: bytes per second for all inspections of this worker, until another job changes it; None: unlimited.
        page_sha256: digest of the page that was published last, if known.
    """

    run_id: str
    name: NormalizedName
    seconds: float
    bandwidth: int | None
    page_sha256: str | None = None


class Inspector:
    """
    Inspects projects in threads, so that the worker's event loop stays free.

    The threads are its own: in the event loop's pool a slow disk would delay reads of the catalog and of pages. One
    thread per core is enough for files of a megabyte, which hashlib reads without holding the GIL. For small files two
    threads are hardly faster than one; for these the pool starts more workers.
    """

    def __init__(self, view: AnyView) -> None:
        self._view = view
        self._rate_limit = RateLimit()
        self._pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="inspect")
        self._inspections: dict[tuple[str, NormalizedName], Inspection] = {}

    async def inspect(self, job: InspectionJob) -> InspectionResult | None:
        """
        Start or continue an inspection; return its result, or None if it needs a further slice.

        A slice that is cancelled ends on its own.

        Raises:
            VolumeError: the disk failed; the inspection is discarded.
        """
        self._rate_limit.rate = job.bandwidth
        # Removed for the duration of the slice, so that an error discards it.
        inspection = self._inspections.pop((job.run_id, job.name), None)
        if job.seconds <= 0:
            return None
        inspection = inspection or Inspection(self._view, job.name, rate_limit=self._rate_limit)
        inspection.page_sha256 = job.page_sha256
        done = await asyncio.get_running_loop().run_in_executor(self._pool, lambda: inspection.run(seconds=job.seconds))
        if done:
            return inspection.result
        self._inspections[job.run_id, job.name] = inspection
        return None

    def close(self) -> None:
        """Start no further slice; a running slice ends on its own."""
        self._pool.shutdown(wait=False, cancel_futures=True)
