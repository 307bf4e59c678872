"""Pages that were seen, while the syncer is away."""

import re

import httpx2
import pytest

from control.fake_syncer import FakeSyncer
from control.live import Background


@pytest.mark.parametrize(
    "path",
    [
        "/ui/projects",
        "/ui/projects?state=failing&sort=size",
        "/ui/projects/zope-interface",
        "/ui/projects/zope-interface?version=1.0",
        "/ui/held",
        "/ui/held?decision=block",
        "/ui/unmet",
    ],
)
def test_seen_page_stays_while_the_syncer_is_away(
    client: httpx2.Client, syncer: FakeSyncer, background: Background, path: str
) -> None:
    """What was seen stays visible with its age, without buttons that could do nothing."""
    seen = client.get(path)
    assert seen.status_code == 200
    assert "does not answer" not in seen.text
    background.run(syncer.stop())
    answer = client.get(path)
    assert answer.status_code == 200
    assert re.search("The syncer does not answer. This is what was known <time[^>]+>[0-9]+ s ago", answer.text)
    assert 'class="act-on"' not in answer.text
    names = re.compile(r'<th scope="row">(?:<a[^>]+>)?([^<]+)')
    assert names.findall(answer.text) == names.findall(seen.text)


@pytest.mark.parametrize("path", ["/ui/projects", "/ui/projects/zope-interface", "/ui/held", "/ui/unmet"])
def test_page_that_nobody_saw_says_that_the_syncer_is_away(
    client: httpx2.Client, syncer: FakeSyncer, background: Background, path: str
) -> None:
    """Without an earlier answer, a page says that the syncer does not answer, and that nginx serves on."""
    background.run(syncer.stop())
    answer = client.get(path)
    assert answer.status_code == 503
    assert "nginx still serves all mirrored files" in answer.text


def test_search_pushes_out_nothing_that_was_seen(
    client: httpx2.Client, syncer: FakeSyncer, background: Background
) -> None:
    """The letters that somebody types into the search leave the page of a project that was seen."""
    client.get("/ui/projects/zope-interface")
    for length in range(1, 40):
        client.get("/ui/projects", params={"q": "a" * length})
    background.run(syncer.stop())
    assert client.get("/ui/projects/zope-interface").status_code == 200
