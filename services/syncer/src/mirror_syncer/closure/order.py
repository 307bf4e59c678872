"""The order of publication: what is required comes before what requires it, and a circle comes at once."""

from collections.abc import Iterable, Iterator, Mapping
from graphlib import TopologicalSorter

from packaging.utils import NormalizedName

Graph = Mapping[NormalizedName, Iterable[NormalizedName]]


def waves(required: Graph) -> tuple[tuple[NormalizedName, ...], ...]:
    """
    Return all projects in waves: each one's requirements are in earlier waves, or in its own if they form a circle.

    Args:
        required: for each project, those that it requires; names without an entry are left out.
    """
    circles = _Circles(required).number
    members: dict[int, list[NormalizedName]] = {}
    for name, circle in circles.items():
        members.setdefault(circle, []).append(name)
    sorter = TopologicalSorter(
        {
            circle: {circles[other] for name in names for other in required[name] if other in circles} - {circle}
            for circle, names in members.items()
        }
    )
    sorter.prepare()
    found = []
    while sorter.is_active():
        ready = sorter.get_ready()
        found.append(tuple(sorted(name for circle in ready for name in members[circle])))
        sorter.done(*ready)
    return tuple(found)


def circles(required: Graph) -> tuple[tuple[NormalizedName, ...], ...]:
    """Return the projects that require each other, each circle's together."""
    members: dict[int, list[NormalizedName]] = {}
    for name, circle in sorted(_Circles(required).number.items()):
        members.setdefault(circle, []).append(name)
    return tuple(tuple(names) for names in members.values() if len(names) > 1)


class _Circles:
    """
    The strongly connected components of a graph.

    Tarjan's algorithm with a stack of its own: a chain of requirements may be longer than Python's.

    Attributes:
        number: for each project the number of its component.
    """

    def __init__(self, required: Graph) -> None:
        self.number: dict[NormalizedName, int] = {}
        self._required = required
        self._index: dict[NormalizedName, int] = {}
        self._low: dict[NormalizedName, int] = {}
        self._open: list[NormalizedName] = []
        for root in sorted(required):
            if root not in self._index:
                self._search(root)

    def _search(self, root: NormalizedName) -> None:
        """Number all components that are reachable from a project."""
        stack = [(root, self._enter(root))]
        while stack:
            name, others = stack[-1]
            for other in others:
                if other not in self._index:
                    stack.append((other, self._enter(other)))
                    break
                if other not in self.number:
                    self._low[name] = min(self._low[name], self._index[other])
            else:
                stack.pop()
                if stack:
                    above = stack[-1][0]
                    self._low[above] = min(self._low[above], self._low[name])
                if self._low[name] == self._index[name]:
                    self._close(name)

    def _enter(self, name: NormalizedName) -> Iterator[NormalizedName]:
        self._index[name] = self._low[name] = len(self._index)
        self._open.append(name)
        return iter(sorted(other for other in set(self._required[name]) if other in self._required))

    def _close(self, first: NormalizedName) -> None:
        """Number the component that ends with a project on the stack of open ones."""
        name = None
        while name != first:
            name = self._open.pop()
            self.number[name] = self._index[first]
