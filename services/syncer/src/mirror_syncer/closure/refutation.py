"""Why some requirements cannot be installed together on a machine, in words for a person."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from packaging.utils import NormalizedName
from packaging.version import Version

_MAX_FACTS = 12
_MAX_NAMED = 3  # versions or lines in a row
_MAX_EXCLUSIONS = 3
_MAX_CHARACTERS = 100  # of a requirement


@dataclass(frozen=True, slots=True)
class Requires:
    """Releases with the same requirement, or a line: one of the facts of a refutation."""

    project: NormalizedName | None
    """Whose releases they are; None: it is a line."""
    extra: str | None
    versions: tuple[Version, ...]
    texts: tuple[str, ...]
    """The requirement; several where a release has more than one on the same project."""
    target: NormalizedName
    bits: int
    """The releases of the target that satisfy it."""

    @property
    def sentence(self) -> str:
        """The fact as a person reads it."""
        subject = f"{self.project}[{self.extra}]" if self.extra else self.project
        verb = "requires" if len(self.versions) == 1 else "require"
        return f"{subject} {_listed(str(version) for version in self.versions)} {verb} {_listed(self.texts)}"


@dataclass(frozen=True, slots=True)
class NoRelease:
    """A requirement that no candidate satisfies: one of the facts of a refutation."""

    project: NormalizedName
    text: str
    why: str

    @property
    def sentence(self) -> str:
        """The fact as a person reads it."""
        return f"{_cut(self.text)}: {self.why}"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Releases that satisfy a requirement, but that pip does not take: one of the facts of a refutation."""

    project: NormalizedName
    versions: tuple[Version, ...]
    is_yanked: bool
    """Otherwise they are pre-releases."""

    @property
    def sentence(self) -> str:
        """The fact as a person reads it."""
        subject = f"{self.project} {_listed(str(version) for version in self.versions)}"
        if self.is_yanked:
            return f"pip takes the yanked {subject} only where a requirement pins it"
        return f"pip takes the pre-release {subject} only where a requirement names one"


Fact = Requires | NoRelease | LeftOut


@dataclass(frozen=True, slots=True)
class Refutation:
    """Why there is no proof."""

    lines: tuple[str, ...]
    """The requirements that cannot be met together, out of those that were to be proved."""
    facts: tuple[str, ...]
    """A sentence each; together they exclude any solution."""
    is_proved: bool = True
    """False: the solver gave up, so that nobody knows."""

    def message(self, machine: str) -> str:
        """Return one line for an operator; the machine is named as in "Python 3.11 on linux-x86_64"."""
        lines = _listed(self.lines)
        if not self.is_proved:
            return f"cannot tell whether {lines} can be installed on {machine}: {'; '.join(self.facts)}"
        together = " together" if len(self.lines) > 1 else ""
        shown = self.facts[:_MAX_FACTS]
        more = f"; and {len(self.facts) - _MAX_FACTS} more reasons" if len(self.facts) > _MAX_FACTS else ""
        return f"{lines} cannot be installed{together} on {machine}: {'; '.join(shown)}{more}"


def refute(facts: Sequence[Fact]) -> Refutation:
    """Put the facts of a refutation in an order that a person can follow: from the lines to what has no release."""
    required = _ordered([fact for fact in dict.fromkeys(facts) if isinstance(fact, Requires)])
    missing = [fact for fact in dict.fromkeys(facts) if isinstance(fact, NoRelease)]
    left_out = [fact for fact in facts if isinstance(fact, LeftOut)]
    lines = tuple(dict.fromkeys(text for fact in required if fact.project is None for text in fact.texts))
    sentences = [
        *(fact.sentence for fact in required if fact.project is not None),
        *(fact.sentence for fact in missing),
        *(fact.sentence for fact in left_out),
        *_exclusions(required, {fact.project for fact in missing}),
    ]
    return Refutation(lines, tuple(dict.fromkeys(sentences)))


def _ordered(facts: Sequence[Requires]) -> list[Requires]:
    """Return facts so that what requires a project comes before what that project requires."""
    by_text = sorted(facts, key=lambda fact: fact.texts)
    newest_first = sorted(by_text, key=lambda fact: fact.versions, reverse=True)
    remaining = sorted(newest_first, key=lambda fact: (fact.project or "", fact.extra or "", fact.target))
    ordered: list[Requires] = []
    reached: set[NormalizedName | None] = {None}
    while remaining:
        next_facts = [fact for fact in remaining if fact.project in reached] or remaining
        ordered += next_facts
        reached |= {fact.target for fact in next_facts}
        remaining = [fact for fact in remaining if fact not in next_facts]
    return ordered


def _exclusions(facts: Sequence[Requires], explained: set[NormalizedName]) -> Iterator[str]:
    """Yield which requirements on one project exclude each other."""
    count = 0
    for one, other in combinations(facts, 2):
        if one.target == other.target and one.target not in explained and not one.bits & other.bits:
            count += 1
            if count > _MAX_EXCLUSIONS:
                return
            yield f"no release of {one.target} satisfies {_listed(dict.fromkeys((*one.texts, *other.texts)))}"


def _listed(items: Iterable[str]) -> str:
    """Return items as a sentence names them: the first ones, and the number of others."""
    named = [_cut(item) for item in items]
    if len(named) > _MAX_NAMED + 1:
        named[_MAX_NAMED:] = [f"{len(named) - _MAX_NAMED} more"]
    return " and ".join((", ".join(named[:-1]), named[-1]) if len(named) > 1 else named)


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"
