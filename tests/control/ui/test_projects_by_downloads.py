"""The list of projects, sorted by downloads: control's counts, joined with what is here."""

import re
from datetime import UTC, datetime

import httpx2
import pytest

from control.conftest import Serve
from control.fake_syncer import FakeSyncer
from control.log_lines import line
from mirror_contract import Project, ProjectState
from mirror_control.downloads.store import Position, Store
from mirror_control.downloads.tally import Tally
from mirror_control.settings import Settings

NOW = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}+00:00"


def count(settings: Settings, downloads: dict[str, int]) -> None:
    """Count downloads of projects."""
    with Store(settings.control_state / "downloads.db") as store:
        for place, (name, number) in enumerate(downloads.items()):
            lines = [line(f"/packages/ab/{name.replace('-', '_')}-1.0.tar.gz", time=NOW)] * number
            store.add(Tally.of(lines), file="x", position=Position(place, b""))


def names(page: str) -> list[str]:
    """Return the listed projects, in order."""
    return re.findall(r'<th scope="row"><a href="\.\./ui/projects/([^"]+)">', page)


def test_projects_are_sorted_by_downloads(client: httpx2.Client, syncer: FakeSyncer, settings: Settings) -> None:
    """The most downloaded come first, each with its number; what is no longer here is left out."""
    count(settings, {"six": 3, "zope-interface": 5, "gone": 9})
    page = client.get("/ui/projects?sort=downloads").text
    assert names(page) == ["zope-interface", "six"]
    assert '<option value="downloads" selected>' in page
    assert re.search(r'data-label="Downloads">5<.+?data-label="Downloads">3<', page, re.DOTALL)
    assert names(client.get("/ui/projects?sort=downloads&q=zope").text) == ["zope-interface"]
    assert names(client.get("/ui/projects?sort=downloads&state=failing").text) == ["zope-interface"]
    assert "No project that was downloaded" in client.get("/ui/projects?sort=downloads&q=nothing").text
    asked = next(seen.query for seen in syncer.seen if seen.path == "/projects")
    assert [value for name, value in asked if name == "name"] == ["gone", "zope-interface", "six"]


def test_long_ranking_has_pages(
    client: httpx2.Client, syncer: FakeSyncer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long ranking continues on further pages, also if a page lacks projects that are not here."""
    monkeypatch.setattr("mirror_control.ui.project_list._PAGE_SIZE", 2)
    syncer.projects["a"] = Project(name="a", state=ProjectState.CURRENT)
    count(settings, {"six": 7, "gone": 6, "zope-interface": 5, "a": 4})
    first = client.get("/ui/projects?sort=downloads").text
    link = re.search(r'href="\.\.(/ui/projects\?[^"]+)">Next page', first)
    assert link
    second = client.get(link[1].replace("&amp;", "&")).text
    assert (names(first), names(second), "Next page" in second) == (["six"], ["zope-interface", "a"], False)


def test_unreadable_statistics_break_only_this_order(serve: Serve, settings: Settings) -> None:
    """If the statistics can't be read, this order says so, and the others work."""
    (settings.control_state / "downloads.db").write_bytes(b"no database" * 1000)
    with serve() as client:
        answer = client.get("/ui/projects?sort=downloads")
        assert (answer.status_code, "statistics can&#39;t be read" in answer.text) == (503, True)
        assert names(client.get("/ui/projects").text) == ["six", "zope-interface"]
