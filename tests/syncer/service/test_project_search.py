"""The list of projects: what a search finds, in which order, in how many parts, and how current it is."""

import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName, canonicalize_name

from mirror_contract import Project, ProjectSort, ProjectState
from mirror_syncer.catalog import Catalog, ProjectFigures
from mirror_syncer.model.project import CatalogUpdate, ProjectRow
from mirror_syncer.service import project_index, project_list
from mirror_syncer.service.problems import ProblemError
from mirror_syncer.service.project_index import Hits, ProjectIndex
from mirror_syncer.service.project_list import ProjectList

NAMES = ["dateutil", "dateutils", "dateutil-next", "python-dateutil", "my-dateutil-fork", "candateutil", "six"]
names = st.from_regex(r"[ab]{1,3}(-[ab]{1,3}){0,2}", fullmatch=True)
rows = st.builds(
    ProjectFigures,
    names,
    st.sampled_from(["current", "failing"]),
    st.integers(0, 2),
    st.integers(0, 2),
    st.none() | st.integers(1, 2),
)


def index_of(*found: str) -> ProjectIndex:
    """Return an index of names."""
    return ProjectIndex(ProjectFigures(name, "current", 1, 1, None) for name in sorted(found))


def names_of(hits: Hits) -> list[str]:
    """Return the names that a search found."""
    return [hit.name for hit in hits.hits]


def expected(found: list[ProjectFigures], text: str, states: set[ProjectState], sort: ProjectSort) -> list[str]:
    """Return what a search finds, told in another way."""

    def rank(name: str) -> int:
        return 0 if name == text else 1 if name.startswith(text) else 2 if f"-{text}" in name else 3

    keys: dict[ProjectSort, Callable[[ProjectFigures], tuple[int, int] | None]] = {
        ProjectSort.NAME: lambda _: (0, 0),
        ProjectSort.MATCH: lambda row: (rank(row.name), len(row.name)) if text else (0, 0),
        ProjectSort.SIZE: lambda row: (-row.stored_bytes, len(row.name)),
        ProjectSort.FILES: lambda row: (-row.file_count, len(row.name)),
        ProjectSort.CHANGED: lambda row: (-(row.changed_at or 0), len(row.name)),
    }
    matching = [row for row in found if text in row.name and (not states or row.state in states)]
    return [row.name for row in sorted(matching, key=lambda row: (keys[sort](row), row.name))]


@pytest.mark.parametrize("most", [0, 5_000])
def test_best_match_comes_first(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """The name itself comes first, then names that begin with the text, then those with such a word, then others."""
    monkeypatch.setattr(project_index, "_MAX_RANKED", most)
    found = index_of(*NAMES).find("dateutil", sort=ProjectSort.MATCH, limit=9)
    assert names_of(found) == [
        "dateutil",
        "dateutils",
        "dateutil-next",
        "python-dateutil",
        "my-dateutil-fork",
        "candateutil",
    ]
    assert (found.total, found.more) == (6 if most else None, False)


@pytest.mark.parametrize("most", [0, 3, 5_000])
@given(
    found=st.lists(rows, unique_by=lambda row: row.name, max_size=25),
    text=st.sampled_from(["", "a", "b", "ab", "ba-a", "-", "-a", "a-", "aba"]),
    states=st.sets(st.sampled_from([ProjectState.CURRENT, ProjectState.FAILING])),
    sort=st.sampled_from(ProjectSort),
    limit=st.integers(1, 4),
)
def test_each_match_is_listed_once_and_in_order(
    *, most: int, found: list[ProjectFigures], text: str, states: set[ProjectState], sort: ProjectSort, limit: int
) -> None:
    """However the matches are found, their parts together are the sorted list of all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(project_index, "_MAX_RANKED", most)
        index = ProjectIndex(sorted(found))
        listed, after = list[str](), None
        while True:
            part = index.find(text, states=states, sort=sort, after=after, limit=limit)
            listed += names_of(part)
            assert part.total is None or part.total == len(expected(found, text, states, sort))
            if not part.more:
                break
            after = part.hits[-1].place
    assert listed == expected(found, text, states, sort)


@pytest.mark.parametrize("most", [0, 5_000])
@pytest.mark.parametrize("sort", ProjectSort)
def test_list_continues_where_its_last_project_has_gone(
    monkeypatch: pytest.MonkeyPatch, sort: ProjectSort, most: int
) -> None:
    """If the project at the end of a part has left the mirror, the next part begins with the one after it."""
    monkeypatch.setattr(project_index, "_MAX_RANKED", most)
    first = index_of(*NAMES).find("dateutil", sort=sort, limit=3)
    last = first.hits[-1]
    rest = index_of(*(name for name in NAMES if name != last.name)).find(
        "dateutil", sort=sort, after=last.place, limit=9
    )
    assert sorted(names_of(first) + names_of(rest)) == sorted(name for name in NAMES if name != "six")


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """An empty catalog."""
    found = Catalog.in_directory(tmp_path)
    yield found
    found.close()


def add(catalog: Catalog, *added: str, state: ProjectState = ProjectState.CURRENT) -> None:
    """Store rows of projects."""
    catalog.commit([CatalogUpdate(ProjectRow(canonicalize_name(name), state=state)) for name in added])


def list_of(catalog: Catalog) -> ProjectList:
    """Return the list of a catalog."""
    return ProjectList(catalog, describe=lambda row: Project(name=row.name, state=row.state))


def search(listed: ProjectList, text: str = "", *states: ProjectState) -> list[str]:
    """Return the names that a search lists."""
    return [one.name for one in listed.list_projects(text=text, states=states, limit=9).projects]


def test_search_of_a_small_mirror_is_current(catalog: Catalog) -> None:
    """In a mirror of a selection, a search knows each project as soon as the catalog does."""
    listed = list_of(catalog)
    add(catalog, "six")
    first = search(listed, "s")
    add(catalog, "sphinx")
    assert (first, search(listed, "s")) == (["six"], ["six", "sphinx"])


def test_large_index_is_read_again_in_the_background(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where reading all names takes long, a search answers from the last ones, and shows each project as it is now."""
    monkeypatch.setattr(project_list, "_QUICK_SECONDS", -1.0)
    add(catalog, "six", "six-gone")
    listed = list_of(catalog)
    before = search(listed, "six")
    add(catalog, "six-new")
    add(catalog, "six", state=ProjectState.FAILING)
    catalog.projects.forget([NormalizedName("six-gone")])
    resting = search(listed, "six"), search(listed, "six", ProjectState.CURRENT)
    monkeypatch.setattr(project_list, "_REST_FACTOR", -1e9)
    search(listed, "six")
    for thread in [one for one in threading.enumerate() if one.name == "project-index"]:
        thread.join()
    assert (before, resting) == (["six", "six-gone"], (["six"], []))
    assert search(listed, "six") == ["six", "six-new"]


def test_search_before_the_first_index_says_when_to_retry(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the first index of many names is being read, a search is refused with the time to retry."""
    monkeypatch.setattr(project_list, "_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(ProjectList, "_refresh_in_background", lambda _: None)
    with pytest.raises(ProblemError, match="still being read; search again") as refused:
        search(list_of(catalog), "six")
    assert (refused.value.status, refused.value.headers) == (HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "2"})
