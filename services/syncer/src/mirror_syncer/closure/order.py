"""The order of publication: what is required comes before what requires it, and a circle comes at once."""

from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter

from packaging.utils import NormalizedName

Graph = Mapping[NormalizedName, Iterable[NormalizedName]]


def waves(required: Graph) -> tuple[tuple[NormalizedName, ...], ...]:
    """
    Return all projects in waves: each one's requirements are in earlier waves, or in its own if they form a circle.

    Args:
        required: for each project, those that it requires; names without an entry are left out.
    """
    circles = _circles(required)
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


def _circles(required: Graph) -> dict[NormalizedName, int]:
    """
    Return for each project the number of its strongly connected component.

    Tarjan's algorithm with a stack of its own: a chain of requirements may be longer than Python's.
    """
    index: dict[NormalizedName, int] = {}
    low: dict[NormalizedName, int] = {}
    circle: dict[NormalizedName, int] = {}
    open_names: list[NormalizedName] = []
    for root in sorted(required):
        if root in index:
            continue
        stack = [(root, iter(sorted(set(required[root]))))]
        while stack:
            name, others = stack[-1]
            if name not in index:
                index[name] = low[name] = len(index)
                open_names.append(name)
            for other in others:
                if other not in required:
                    continue
                if other not in index:
                    stack.append((other, iter(sorted(set(required[other])))))
                    break
                if other not in circle:
                    low[name] = min(low[name], index[other])
            else:
                stack.pop()
                if stack:
                    low[stack[-1][0]] = min(low[stack[-1][0]], low[name])
                if low[name] == index[name]:
                    _close(name, open_names, circle, number=index[name])
    return circle


def _close(
    first: NormalizedName, open_names: list[NormalizedName], circle: dict[NormalizedName, int], *, number: int
) -> None:
    """Number the component that ends with a project on the stack of open ones."""
    while True:
        name = open_names.pop()
        circle[name] = number
        if name == first:
            return
