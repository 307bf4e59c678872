"""Hypothesis strategies for small indexes: markers, extras, circles, conflicts, pre-releases, yanked releases."""

from dataclasses import dataclass
from random import Random

from hypothesis import strategies as st

from syncer.closure.small_index import SmallIndex

PROJECTS = ("a", "b", "c", "d")
_FINALS = ("1.0", "1.1", "2.0")
_VERSIONS = (*_FINALS, "1.1rc1", "2.0a1", "3.0b1", "1.0+cpu", "1.0.0")
_RANGES = ("", "", "", ">=1.1", "<2.0", ">=2.0", "!=1.1", "==1.0", "==1.*", ">1.1", "~=1.0")
_SPECIFIERS = (*_RANGES, "===1.0", ">=2.0a1", "==3.0b1", ">=1.1rc1,!=2.0", "<=1,>=1", ">5")
_MARKERS = ("", "", "", "; extra == 'x'", "; extra == 'y'", "; sys_platform == 'linux'", "; sys_platform == 'win32'")


@dataclass(frozen=True)
class Kinds:
    """What an index may contain."""

    versions: tuple[str, ...]
    specifiers: tuple[str, ...]
    projects: tuple[str, ...]

    def needs(self) -> st.SearchStrategy[str]:
        """Return a strategy for a requirement of a release."""
        return st.builds(
            "{}{}{}{}".format,
            st.sampled_from(self.projects),
            st.sampled_from(("", "", "", "[x]", "[y]", "[x,y]")),
            st.sampled_from(self.specifiers),
            st.sampled_from(_MARKERS),
        )

    def random_needs(self, random: Random) -> list[str]:
        """Return the requirements of a release: enough of them that about half of the lines exclude each other."""
        parts = self.projects, ("", "", "[x]", "[y]"), self.specifiers, _MARKERS
        return ["".join(random.choice(part) for part in parts) for _ in range(random.randrange(2, 6))]

    def lines(self) -> st.SearchStrategy[list[str]]:
        """Return a strategy for lines that are to be proved together."""
        needs = self.needs().map(lambda text: text.partition(";")[0])
        return st.lists(needs, min_size=1, max_size=3, unique=True)

    def projects_by_name(self) -> st.SearchStrategy[dict[str, dict[str, list[str]]]]:
        """Return a strategy for releases and their requirements."""
        releases = st.dictionaries(
            st.sampled_from(self.versions), st.lists(self.needs(), max_size=3), min_size=1, max_size=4
        )
        return st.dictionaries(st.sampled_from(PROJECTS), releases, min_size=2, max_size=len(PROJECTS))


ANY = Kinds(_VERSIONS, _SPECIFIERS, (*PROJECTS, "missing"))
FINALS = Kinds(_FINALS, _RANGES, PROJECTS)
"""What pip and uv agree on."""


@st.composite
def indexes(draw: st.DrawFn) -> SmallIndex:
    """Return indexes of any kind, in which some releases are kept, yanked or withheld."""
    projects = draw(ANY.projects_by_name())
    releases = [f"{name} {version}" for name, versions in projects.items() for version in versions]
    kept, yanked, withheld = (frozenset(draw(st.lists(st.sampled_from(releases), max_size=size))) for size in (6, 3, 2))
    return SmallIndex(projects, kept=kept, yanked=yanked, withheld=withheld)
