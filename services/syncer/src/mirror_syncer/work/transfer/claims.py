"""The places that a project's files may take; each is noted in the catalog before its bytes are written."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from packaging.utils import NormalizedName

from mirror_syncer.model.names import PackagePath, Sha256
from mirror_syncer.model.project import Pending

Claim = Callable[[Sequence[Pending]], Awaitable[set[PackagePath]]]
"""Notes what is about to be changed; returns places that another project uses, or that once held other content."""


class Claims:
    """
    The places of one project in one refresh; its page is noted with the first of them.

    Args:
        published: what its page names now, by place. Nothing else may lie there: no URL ever changes its bytes.
        damaged: places whose content is known to be wrong; only these are overwritten.
    """

    def __init__(
        self,
        name: NormalizedName,
        *,
        claim: Claim,
        published: Mapping[PackagePath, Sha256],
        damaged: frozenset[str],
    ) -> None:
        self.name = name
        self._claim = claim
        self._published = published
        self.damaged = damaged
        self._free: dict[tuple[PackagePath, Sha256], bool] = {}

    async def claim(self, *wanted: tuple[PackagePath, Sha256]) -> bool:
        """Return whether all of these places may hold these contents."""
        if new := [one for one in wanted if one not in self._free]:
            files = [Pending(self.name, place, sha256) for place, sha256 in new]
            taken = await self._claim(files if self._free else [Pending.page(self.name), *files])
            for place, sha256 in new:
                self._free[place, sha256] = place not in taken and self._published.get(place, sha256) == sha256
        return all(self._free[one] for one in wanted)
