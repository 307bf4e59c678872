"""The page in a real browser: live, by keyboard, without JavaScript, on a phone, light and dark, with hostile input."""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from control.conftest import TOKEN
from control.fake_syncer import SUMMARY, TORN, FakeSyncer, held_project, required_project, rich_project
from control.live import Background
from control.log_lines import line
from mirror_contract import (
    Counts,
    Failure,
    PolicyState,
    Project,
    ProjectFile,
    ProjectState,
    Run,
    RunKind,
    RunRequest,
    RunState,
    Trigger,
)
from mirror_control.downloads.store import Position, Store
from mirror_control.downloads.tally import Tally
from mirror_control.settings import Settings
from page.conftest import REPOSITORY, Open

pytestmark = pytest.mark.docker

# Where a page can leave something for other documents of its origin.
STORED = """async () => [
  sessionStorage.length, localStorage.length, document.cookie, (await indexedDB.databases()).length
]"""

# What is wider than its place; only the code of a snippet and a hash may be.
WIDER = """() => {
  const places = document.querySelectorAll('html, nav .links, .scroll, .scroll td, .scroll th, .install pre');
  const wide = [...places].filter((one) => one.scrollWidth > one.clientWidth && one.checkVisibility());
  return wide.map((one) => one.outerHTML.slice(0, 200));
}"""

AXE = REPOSITORY / "services/control/assets/node_modules/axe-core/axe.min.js"
PATHS = (
    "/ui/",
    "/ui/projects",
    "/ui/projects/evil",
    "/ui/projects/absent",
    "/ui/projects/young",
    "/ui/projects/six",
    "/ui/projects/numpy",
    "/ui/projects/numpy?version=2.2.0",
    "/ui/held",
    "/ui/unmet",
    "/ui/runs/r7",
    "/ui/downloads",
    "/ui/use",
    "/ui/nothing",
)
HOSTILE = f"<img src=x onerror=alert(1)><script>alert(1)</script>\u202egnp.exe\x1b[2J{'x' * 300}"
NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def story(syncer: FakeSyncer, settings: Settings) -> None:
    """A mirror with a past, with downloads, and with a project whose upstream is hostile."""
    now = f"{NOW:%Y-%m-%dT%H:%M:%S}+00:00"
    lines = [line(time=now)] * 3 + [line(f"/simple/{'x' * 200}/", time=now, status="404", route="page")] * 2
    with Store(settings.control_state / "downloads.db") as store:
        store.add(Tally.of(lines), file="x", position=Position(1, b""))
    evil = Project(
        name="evil",
        state=ProjectState.PARTIAL,
        error=HOSTILE,
        attempts=2,
        due_at=NOW + timedelta(minutes=9),
        checked_at=NOW - timedelta(hours=1),
        files=[ProjectFile(filename=f"{HOSTILE}.whl", size=7, sha256="ab" * 32, url="packages/ab/evil.whl")],
    )
    syncer.projects["evil"] = evil
    young = held_project()
    files = [file.model_copy(update={"reason": HOSTILE}) for file in young.files or []]
    syncer.projects["young"] = young.model_copy(update={"name": "young", "files": files})
    for number in range(8):
        begin = NOW - timedelta(minutes=30 * (9 - number))
        syncer.runs[f"r{number}"] = Run(
            id=f"r{number}",
            request=RunRequest(kind=RunKind.SYNC),
            trigger=Trigger.SCHEDULE,
            state=RunState.INCOMPLETE,
            created_at=begin,
            started_at=begin,
            finished_at=begin + timedelta(seconds=30 + number),
            counts=Counts(projects_planned=3, projects_done=3, projects_changed=number, projects_failed=1),
            failures=[Failure(project="evil", file=HOSTILE, reason=HOSTILE)],
            message=HOSTILE,
        )
    required = required_project()
    assert required.dependencies
    for requirement in required.dependencies.requires[1:]:
        requirement.requirement, requirement.message = HOSTILE, HOSTILE
    required.dependencies.releases[1].because = required.dependencies.required_by[0].requirement = HOSTILE
    syncer.projects["six"] = required
    syncer.projects["numpy"] = rich_project()
    syncer.told = {
        "as_of": NOW,
        "last_run": syncer.runs["r7"],
        "failing": [evil, syncer.projects["zope-interface"]],
        "problems": [],
        "held": SUMMARY,
        "dependencies": TORN,
        "policy": PolicyState(file="mirror.toml", warnings=[HOSTILE, "locks/uv.lock: line 3: no version"]),
    }


def under_way(syncer: FakeSyncer, done: int) -> None:
    """Let a running sync finish a number of its 40 projects."""
    run = syncer.runs["r7"].model_copy(
        update={
            "id": "r8",
            "state": RunState.RUNNING,
            "finished_at": None,
            "counts": Counts(projects_planned=40, projects_done=done),
        }
    )
    syncer.told = syncer.told | {"running": [run]}


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(opened: Open, syncer: FakeSyncer, scheme: str, width: int) -> None:
    """
    axe-core finds no problem on any page, in light and dark mode, on a phone and a desktop.

    A picture of each page lands in the directory that PAGE_PICTURES names, if it is set.
    """
    under_way(syncer, 10)
    for path in PATHS:
        with opened(path, color_scheme=scheme, viewport={"width": width, "height": 844}) as page:
            violations = axe(page)
            assert violations == [], path
            if pictures := os.environ.get("PAGE_PICTURES"):
                name = re.sub(r"\W+", "-", path.removeprefix("/ui/")).strip("-") or "status"
                page.screenshot(path=Path(pictures) / f"{name}-{scheme}-{width}.png", full_page=True)


def axe(page: Page) -> list[str]:
    """Return what axe-core finds, each in a line. By the debugger: the page's policy lets no foreign script in."""
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": AXE.read_text()})
    found: list[str] = page.evaluate(
        "axe.run().then(({violations}) => violations.flatMap(v => v.nodes.map(n => `${v.id}: ${n.html}`)))"
    )
    return found


def test_page_fits_a_phone(opened: Open, syncer: FakeSyncer) -> None:
    """At 360 pixels, no page is wider than the screen, and no table or command is cut, whatever upstream sends."""
    under_way(syncer, 10)
    for path in PATHS:
        with opened(path, viewport={"width": 360, "height": 740}) as page:
            assert page.evaluate(WIDER) == [], path


def test_page_works_without_javascript(opened: Open) -> None:
    """Without JavaScript, everything can be read, searched and done; controls that need it are hidden."""
    with opened("/ui/", java_script_enabled=False) as page:
        expect(page.get_by_role("heading", level=1)).to_contain_text("Not up to date")
        expect(page.get_by_role("button", name="Copy")).to_have_count(0)
        expect(page.get_by_role("button", name="Retry evil")).to_be_visible()
        page.get_by_text("as a table").click()
        expect(page.get_by_role("link", name=f"{NOW - timedelta(minutes=60):%Y-%m-%d %H:%M}")).to_be_visible()
        page.get_by_role("link", name="Projects", exact=True).click()
        page.get_by_label("Name contains").fill("zo")
        page.get_by_role("button", name="Find").click()
        expect(page.get_by_role("link", name="zope-interface")).to_be_visible()
        expect(page.get_by_role("link", name="six")).to_have_count(0)
        page.get_by_role("link", name="Use this mirror").click()
        expect(page.get_by_text("index-url = http://127.0.0.1:")).to_be_visible()


def test_page_updates_itself(opened: Open, syncer: FakeSyncer, background: Background) -> None:
    """Progress, a new failure and an outage of the syncer appear without a reload; open details stay open."""
    under_way(syncer, 10)
    with opened("/ui/") as page:
        expect(page.get_by_text("10 of 40 projects")).to_be_visible()
        page.get_by_text("as a table").click()
        page.get_by_role("button", name="Retry evil").focus()
        under_way(syncer, 30)
        expect(page.get_by_text("30 of 40 projects")).to_be_visible()
        expect(page.get_by_role("progressbar")).to_have_js_property("value", 30)
        expect(page.get_by_role("table", name="").last).to_be_visible()
        expect(page.get_by_role("button", name="Retry evil")).to_be_focused()
        background.run(syncer.stop())
        expect(page.get_by_role("heading", level=1)).to_contain_text("The syncer does not answer")
        expect(page).to_have_title("✗ The syncer does not answer · pypi-mirror")
        expect(page.get_by_text("30 of 40 projects")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False])
def test_charts_show_the_last_syncs(opened: Open, syncer: FakeSyncer, scripts: bool) -> None:  # noqa: FBT001
    """Two charts show duration and counts, also without JavaScript; with it, a new sync appears without a reload."""
    with opened("/ui/", java_script_enabled=scripts) as page:
        charts = page.locator(".charts svg")
        expect(charts).to_have_count(2)
        expect(charts.first.locator("g")).to_have_count(8)
        box = charts.first.bounding_box()
        assert box is not None
        assert box["width"] > 200
        if scripts:
            newer = syncer.runs["r7"].model_copy(update={"id": "r8"})
            syncer.runs["r8"] = newer
            syncer.told = syncer.told | {"last_run": newer}
            expect(charts.first.locator("g")).to_have_count(9)


@pytest.mark.proves("security/neighbours")
def test_retry_button_asks_for_the_token(opened: Open, syncer: FakeSyncer) -> None:
    """The retry button asks for the token, reports a wrong one, sends the right one, and keeps it only in memory."""
    with opened("/ui/") as page:
        page.get_by_role("button", name="Retry evil").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Token", exact=True).fill("wrong")
        dialog.get_by_role("button", name="Continue").click()
        expect(dialog.get_by_role("alert")).to_contain_text("This token is invalid")
        assert page.evaluate(STORED) == [0, 0, "", 0]
        dialog.get_by_label("Token", exact=True).fill(TOKEN)
        dialog.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("status")).to_contain_text("The run is queued")
        assert [run.request.projects for run in syncer.runs.values()][-1] == ("evil",)
        # Known by now: no second question.
        page.get_by_role("button", name="Retry zope-interface").click()
        expect(dialog).to_be_hidden()
        expect(page.get_by_role("status").get_by_role("link")).to_have_text("20261122T161233-000009")
        # Nowhere that another document of this origin, such as a file of another mirror, could look.
        assert page.evaluate(STORED) == [0, 0, "", 0]
        assert page.evaluate("document.querySelector('#token').value") == ""
        page.reload()
        page.get_by_role("button", name="Retry zope-interface").click()
        expect(dialog).to_be_visible()
        dialog.get_by_label("Token", exact=True).fill(TOKEN)
        dialog.get_by_role("button", name="Continue").click()
        page.get_by_role("status").get_by_role("link").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Sync of zope-interface")


def test_missing_project_is_added_from_its_page(opened: Open, syncer: FakeSyncer) -> None:
    """The page of a project that is not here adds it, with a reason, and links to the run that mirrors it."""
    with opened("/ui/projects/absent") as page:
        page.get_by_label("Why it is needed").fill("the shop's <b>backend</b>")
        page.keyboard.press("Enter")
        page.get_by_label("Token", exact=True).fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("It is added. upstream is away")
        expect(page.get_by_role("status").get_by_role("link")).to_have_count(1)
        assert {name: line.because for name, line in syncer.added.items()} == {"absent": "the shop's <b>backend</b>"}
    with opened("/ui/projects/evil-twin") as page:
        page.get_by_role("button", name="Add").click()
        expect(page.get_by_role("dialog")).to_be_hidden()  # without a reason, the browser says so


def test_api_error_is_shown(opened: Open, syncer: FakeSyncer, background: Background) -> None:
    """An error of the API is shown, and the button can be used again."""
    with opened("/ui/projects/evil") as page:
        background.run(syncer.stop())
        page.get_by_role("button", name="Sync now").click()
        page.get_by_label("Token", exact=True).fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("The syncer does not answer")
        expect(page.get_by_role("button", name="Sync now")).to_be_enabled()


def test_page_works_by_keyboard(opened: Open, syncer: FakeSyncer) -> None:
    """With the keyboard alone, one can skip to the content, retry, cancel, and return to the same place."""
    with opened("/ui/") as page:
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
        button = page.get_by_role("button", name="Retry evil")
        for _ in range(40):
            page.keyboard.press("Tab")
            if button.evaluate("it => it === document.activeElement"):
                break
        expect(button).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_label("Token", exact=True)).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(button).to_be_focused()
        assert len(syncer.runs) == 8


def test_search_updates_while_typing(opened: Open) -> None:
    """Results follow the typed text, and the focus stays."""
    with opened("/ui/projects") as page:
        expect(page.get_by_role("link", name="six")).to_be_visible()
        page.get_by_label("Name contains").press_sequentially("zop")
        expect(page.get_by_role("link", name="six")).to_have_count(0)
        expect(page.get_by_role("link", name="zope-interface")).to_be_visible()
        expect(page.get_by_label("Name contains")).to_be_focused()
        page.get_by_label("Name contains").fill("")
        page.get_by_label("State").select_option("partial")
        expect(page.get_by_role("link", name="evil")).to_be_visible()
        expect(page.get_by_role("link", name="zope-interface")).to_have_count(0)


@pytest.mark.proves("security/upstream")
def test_hostile_text_stays_text(opened: Open) -> None:
    """Upstream's markup is shown as text on every page; nothing of it is loaded or run."""
    for path in ("/ui/", "/ui/projects", "/ui/projects/evil", "/ui/runs/r7"):
        with opened(path) as page:
            page.on("dialog", lambda dialog: pytest.fail(dialog.message))
            expect(page.get_by_text("<script>alert(1)</script>�gnp.exe").first).to_be_visible()
            assert page.locator("img[src=x], main script").count() == 0


def test_copy_button_copies_a_snippet(opened: Open) -> None:
    """The copy button also works over plain HTTP, where the browser offers no clipboard."""
    with opened("/ui/use") as page:
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        page.get_by_role("button", name="Copy for pip", exact=True).click()
        expect(page.get_by_role("status")).to_have_text("Copied.")
        assert page.evaluate("getSelection().toString()").startswith("[global]\nindex-url = http://127.0.0.1:")


def test_hash_is_copied_whole(opened: Open) -> None:
    """The page shows the beginning of a hash; a click without JavaScript, or the button, takes all of it."""
    with opened("/ui/projects/numpy", java_script_enabled=False) as page:
        code = page.locator("#hash-1")
        box = code.bounding_box()
        assert box is not None
        assert box["width"] < 200
        code.click()
        assert page.evaluate("getSelection().toString()") == "5f" * 32
        expect(page.get_by_role("button", name="Copy for pip")).to_have_count(0)
    with opened("/ui/projects/numpy") as page:
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        page.get_by_role("button", name="Copy the hash of").first.click()
        expect(page.get_by_role("status")).to_have_text("Copied.")
        assert page.evaluate("getSelection().toString()") == "5f" * 32


def test_page_says_why_a_version_is_missing(opened: Open) -> None:
    """From the first page, three clicks tell why a version is not here, also without JavaScript."""
    with opened("/ui/", java_script_enabled=False) as page:
        page.get_by_role("link", name="Projects", exact=True).click()
        page.get_by_role("link", name="numpy").click()
        page.get_by_label("Version").fill("2.2.0")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_text("Release 2.2.0 is not here.")).to_be_visible()
        expect(page.get_by_role("table").get_by_text("this mirror waits 7 days")).to_have_count(1)


def test_page_shows_lost_connection(opened: Open) -> None:
    """If control stops answering, the page says so and shows its age."""
    with opened("/ui/") as page:
        page.route("**/ui/", lambda route: route.fulfill(status=502, body="502: the control service does not answer"))
        expect(page.get_by_role("alert")).to_contain_text("does not answer")
        expect(page.get_by_role("alert")).to_contain_text("the state at")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Not up to date")
        page.unroute("**/ui/")
        expect(page.get_by_role("alert")).to_be_hidden(timeout=15_000)
