"""The policy: what is mirrored, and how content leaves."""

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from mirror_syncer.config.selection import Selection, VersionRule

# Of the pages, and of what is read of upstream's; with a new number each of upstream's pages is asked for once more,
# without validators, and ours is written from it. Files stay. 2: URLs escape what PyPI's do; text is cleaned; upload
# times in any offset are read; file names and provenance are checked.
PAGE_FORMAT = 2
_ANY = SpecifierSet()


class Scope(StrEnum):
    """How much of upstream is wanted."""

    SELECTED = "selected"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Removal:
    """How content leaves the mirror."""

    grace: timedelta = timedelta(hours=24)
    """A file that no page names any more stays this long, for those who still hold its URL."""
    guard: float = 0.01
    """The share of all projects, at least 50 or half of them, that may lose something in a day without a word."""

    floor: int = 50

    def allowed(self, published: int) -> int:
        """Return how many of so many published projects may lose something; of a small mirror half, so never all."""
        return max(min(self.floor, max(1, published // 2)), int(self.guard * published))


@dataclass(frozen=True, slots=True)
class Serve:
    """What is published besides the Simple API."""

    legacy_json: bool = False
    """``/pypi/<project>/json``; it costs a request for each project that changed."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is mirrored."""

    scope: Scope = Scope.SELECTED
    projects: dict[NormalizedName, Selection] = field(default_factory=dict)
    """Each named project with what is wanted of it; with everything, those that differ from all others."""
    latest: int | None = None
    removal: Removal = Removal()
    serve: Serve = Serve()

    @property
    def everything(self) -> bool:
        """Whether upstream's list of projects says what is mirrored."""
        return self.scope is Scope.EVERYTHING

    @property
    def usual(self) -> Selection:
        """What is wanted, with everything, of a project that is not named."""
        return Selection('scope = "everything"', (VersionRule(_ANY, self.latest),), named=False)

    def selection(self, name: NormalizedName) -> Selection | None:
        """Return what is wanted of a project, or None where it is not selected."""
        named = self.projects.get(name)
        if named is None and self.everything:
            return self.usual
        return named


def fingerprint(selection: Selection, *, serve: Serve) -> str:
    """Return a digest that changes when what is wanted of a project does, or what is published of it, or how."""
    wanted = (sorted((str(rule.specifier), rule.latest or 0) for rule in selection.rules), serve)
    return f"{PAGE_FORMAT}-{hashlib.sha256(repr(wanted).encode()).hexdigest()[:16]}"


def is_this_format(by: str | None) -> bool:
    """Return whether a page was published, by the policy of that fingerprint, as this program publishes pages."""
    return by is not None and by.startswith(f"{PAGE_FORMAT}-")
