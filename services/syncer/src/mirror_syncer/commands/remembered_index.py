"""Upstream's index for one command: it gives each page once, and up once upstream no longer answers."""

from packaging.utils import NormalizedName

from mirror_syncer.errors import UnreachableError
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.validators import Validators
from mirror_syncer.upstream import Client, Gone, Index, NotModified, PageResponse

MAX_UNREACHABLE_IN_A_ROW = 10
_MAX_REMEMBERED_BYTES = 128 * 2**20  # of bodies; what is beyond is requested again

Answer = PageResponse | NotModified | Gone


class RememberedIndex(Index):
    """
    An index that remembers the pages it gave: a plan resolves dependencies first, and then estimates each project.

    Attributes:
        unreachable: why upstream is not asked any more, once it failed to answer ten times in a row.
    """

    def __init__(self, origin: str, *, client: Client) -> None:
        super().__init__(origin, client=client)
        self.unreachable: UnreachableError | None = None
        self._failures = 0
        self._answers: dict[NormalizedName, tuple[Validators, Answer]] = {}
        self._remembered_bytes = 0

    async def page(self, name: NormalizedName, *, validators: Validators, priority: Priority) -> Answer:
        """Request a project's page, unless it was given before; errors as in ``Index.page``."""
        if (found := self._answers.get(name)) is not None:
            asked, answer = found
            if asked == validators or not isinstance(answer, NotModified):
                return answer
        if self.unreachable is not None:
            raise self.unreachable
        try:
            answer = await super().page(name, validators=validators, priority=priority)
        except UnreachableError as error:
            self._failures += 1
            if self._failures >= MAX_UNREACHABLE_IN_A_ROW:
                self.unreachable = error
            raise
        self._failures = 0
        size = len(answer.body) if isinstance(answer, PageResponse) else 0
        if self._remembered_bytes + size <= _MAX_REMEMBERED_BYTES:
            self._remembered_bytes += size
            self._answers[name] = validators, answer
        return answer
