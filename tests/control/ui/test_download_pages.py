"""The pages of downloads: over time, by project, version, client, Python and file type; CSV; and the misses."""

import csv
import re
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx2
import pytest

from control.conftest import TOKEN, Serve
from control.fake_syncer import FakeSyncer
from control.live import Background
from control.log_lines import line
from mirror_contract import Project, ProjectState
from mirror_control.client.download_schemas import Day
from mirror_control.downloads import queries
from mirror_control.downloads.store import Position, Store
from mirror_control.downloads.tally import Tally
from mirror_control.settings import Settings
from mirror_control.ui import download_pages
from mirror_control.ui.chart import draw_downloads

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
NEW, OLD = "/packages/ab/requests-2.32.3-py3-none-any.whl", "/packages/ab/requests-2.31.0.tar.gz"


def request(uri: str, *, days_ago: int = 0, **told: str) -> bytes:
    """Return a log line that is a number of days old."""
    return line(uri, time=(TODAY - timedelta(days=days_ago)).isoformat(), **told)


@pytest.fixture
def counted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was counted before control started, as seen on the day on which the tests began."""
    monkeypatch.setattr(queries, "_today", TODAY.date)
    monkeypatch.setattr(download_pages, "_today", TODAY.date)
    miss = partial(request, status="404", route="page")
    lines = [
        *[request(NEW)] * 5,
        *[request(NEW, days_ago=1, agent="uv/0.9.2", python="3.12")] * 3,
        *[request(OLD, days_ago=2, agent="bandersnatch/8.2.0 (CPython 3.13.5)")] * 2,
        request(OLD, days_ago=2, agent="Nexus/3.70.1-02 (OSS; Linux)", python="<b>"),
        *[request(OLD, days_ago=80)] * 7,
        request("/packages/cd/six-1.17.0.tar.gz", agent="curl/8", python=""),
        *[miss("/simple/internal_lib/")] * 4,
        *[miss("/simple/left-pad/")] * 3,
        *[miss("/simple/six/")] * 2,
        request("/packages/ab/zope_interface-9.9.tar.gz", status="404"),
    ]
    with Store(settings.control_state / "downloads.db") as store:
        store.add(Tally.of(lines), file="x", position=Position(1, b""))


def section(page: str, title: str) -> dict[str, str]:
    """Return the rows of a list: each name with its count."""
    part = page.partition(f"<h2>{title}</h2>")[2].partition("</section>")[0]
    rows = re.findall(r"<bdi>([^<]*)</bdi>.*?class=\"count\">([^<]+)<", part, re.DOTALL)
    return dict(rows)


def test_page_shows_downloads_by_everything(counted: None, client: httpx2.Client) -> None:
    """The page shows downloads by project, client, Python and file type, and other mirrors apart from clients."""
    page = client.get("/ui/downloads").text
    assert "12 downloads from" in page
    assert "of which 3 by other mirrors" in page
    assert section(page, "By project") == {"requests": "11", "six": "1"}
    assert section(page, "By client") == {"pip 25.1": "5", "uv 0.9.2": "3", "other": "1"}
    assert section(page, "By other mirrors") == {"bandersnatch 8.2.0": "2", "nexus 3.70.1-02": "1"}
    assert section(page, "By Python") == {"3.13": "7", "3.12": "3", "unknown": "2"}
    assert section(page, "By file type") == {"wheel": "8", "sdist": "4"}
    assert '<a href="projects/requests"><bdi>requests</bdi></a>' in page


def test_page_shows_a_project_and_a_period(counted: None, client: httpx2.Client) -> None:
    """A project has its downloads by version; a longer period has more; an odd one is the usual one."""
    page = client.get("/ui/downloads?project=Requests&days=90").text
    assert "18 downloads from" in page
    assert section(page, "By version") == {"2.31.0": "10", "2.32.3": "8"}
    assert '<a href="projects/requests?version=2.31.0">' in page
    assert '<option value="90" selected>' in page
    for odd in ("31", "-1", "９０", "x" * 50):
        assert "12 downloads from" in client.get("/ui/downloads", params={"days": odd}).text
    assert client.get("/ui/downloads?project=..%2Fetc").status_code == 422


def test_chart_has_a_bar_and_a_number_for_each_day(counted: None, client: httpx2.Client) -> None:
    """Downloads over time are bars in SVG, and the same numbers in a table; both need no script."""
    page = client.get("/ui/downloads").text
    chart = page.partition("<figure")[2].partition("</figure>")[0]
    assert chart.count("<title>") == 3
    assert f"<title>{TODAY.date()}: 6</title>" in chart
    assert chart.count('class="part"') == 1
    assert "Downloads per day, at most 6" in chart
    table = page.partition("Downloads per day as a table")[2].partition("</details>")[0]
    row = table.partition(f"{(TODAY - timedelta(days=2)).date()}</th>")[2].partition("</tr>")[0]
    assert re.findall(r">(\d+)</td>", row) == ["3", "3"]


def test_long_period_has_a_bar_for_each_week() -> None:
    """The chart of a year has 53 bars, each a week; none is lost, and an empty one has no height."""
    since, until = TODAY.date() - timedelta(days=364), TODAY.date()
    days = [Day(day=since + timedelta(days=n), downloads=n % 3, mirrors=1) for n in range(300)]
    drawn = draw_downloads(days, since=since, until=until)
    assert (len(drawn.bars), drawn.unit) == (53, "week")
    assert sum(bar.value for bar in drawn.bars) == sum(day.downloads for day in days)
    assert max(bar.height for bar in drawn.bars) == 100
    assert drawn.bars[-1].height == 0
    assert draw_downloads([], since=since, until=until).most == 0


def test_downloads_come_as_csv(counted: None, client: httpx2.Client) -> None:
    """The page links to the same period as CSV and JSON, of all projects or of one."""
    page = client.get("/ui/downloads?project=requests&days=90").text
    links = re.findall(r'href="\.\.(/ui/downloads\.csv\?[^"]+|/api/v1/downloads\?[^"]+)"', page)
    as_csv, as_json = (client.get(link.replace("&amp;", "&")) for link in links)
    assert as_csv.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.reader(as_csv.text.splitlines()))
    assert rows[0] == ["by", "name", "downloads"]
    assert ["version", "2.31.0", "10"] in rows
    assert ["client", "bandersnatch 8.2.0", "2"] in rows
    assert sum(int(count) for by, _, count in rows if by == "day") == as_json.json()["downloads"] == 18
    assert client.get("/ui/downloads.csv?since=soon").status_code == 422


@pytest.mark.proves("security/clients")
def test_csv_has_no_formula(settings: Settings, client: httpx2.Client) -> None:
    """A cell of the CSV that a spreadsheet would take for a formula begins with an apostrophe."""
    with Store(settings.control_state / "downloads.db") as store:
        tally = Tally.of([request(NEW)])
        (key,) = tally.downloads
        tally.downloads[key._replace(version="=cmd()", project="requests")] = 1
        store.add(tally, file="x", position=Position(1, b""))
    assert "version,'=cmd(),1" in client.get("/ui/downloads.csv?project=requests").text


@pytest.mark.proves("security/clients")
def test_misses_are_shown_to_a_token_with_their_state(counted: None, client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The open page has only the number of misses; with a token, each has its name and what is known of it by now."""
    syncer.absences["left-pad"] = "upstream", "upstream has no such project"
    page = client.get("/ui/downloads").text
    assert "10 requests for pages or files" in page
    assert "internal-lib" not in page
    answer = client.post("/ui/misses", data={"token": TOKEN, "days": "30"})
    told = re.sub(r"<[^>]+>|\s+", " ", answer.text)
    told = re.sub(r" +", " ", told)
    assert "internal-lib missing still missing: no line selects it 4 0" in told
    assert "left-pad not on upstream upstream has no such project, as far as it was asked 3 0" in told
    assert "six here its page is here by now 2 0" in told
    assert "zope-interface here the project is here; its page says which releases are not 0 1" in told
    assert answer.headers["Cache-Control"] == "no-store"


def test_misses_are_shown_without_the_syncer(
    counted: None, client: httpx2.Client, syncer: FakeSyncer, background: Background
) -> None:
    """While the syncer is away, misses are listed without their state."""
    syncer.projects["left-pad"] = Project(name="left-pad", state=ProjectState.WITHDRAWN)
    assert client.post("/ui/misses", data={"token": TOKEN}).text.count("still missing") == 2
    background.run(syncer.stop())
    page = client.post("/ui/misses", data={"token": TOKEN}).text
    assert page.count("the syncer does not answer") == 4


def test_corrupt_store_breaks_only_the_pages_of_downloads(serve: Serve, settings: Settings) -> None:
    """A corrupt store only breaks the pages of downloads, which show the error; that of a project says so."""
    (settings.control_state / "downloads.db").write_bytes(b"no database" * 1000)
    with serve() as client:
        for answer in (
            client.get("/ui/downloads"),
            client.get("/ui/downloads.csv"),
            client.post("/ui/misses", data={"token": TOKEN}),
        ):
            assert (answer.status_code, "nginx still serves all files" in answer.text) == (503, True)
        assert "The statistics can’t be read" in client.get("/ui/projects/six").raise_for_status().text
        assert client.get("/ui/").status_code == 200


def test_project_page_has_its_downloads_and_runs(counted: None, client: httpx2.Client) -> None:
    """A project's page has its downloads over time and by version."""
    page = client.get("/ui/projects/six").text.partition('<h2 id="downloads">')[2]
    assert "<title>" in page
    assert '<a href="../../ui/downloads?project=six">' in page
    assert re.search(r'<bdi>1\.17\.0</bdi></th><td class="number" data-label="Downloads">1<', page)
