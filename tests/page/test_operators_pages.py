"""The operator's pages in a real browser: status, runs, policy and actions, by keyboard and without JavaScript."""

import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from control.conftest import TOKEN
from control.fake_syncer import FakeSyncer
from control.live import Background
from mirror_contract import (
    Counts,
    Disk,
    Failure,
    PolicyFact,
    PolicyProblem,
    PolicyState,
    Run,
    RunChange,
    RunKind,
    RunRequest,
    RunState,
    Trigger,
)
from mirror_control.settings import Settings
from page.conftest import REPOSITORY, Open

pytestmark = pytest.mark.docker

NOW = datetime.now(UTC)
AXE = REPOSITORY / "services/control/assets/node_modules/axe-core/axe.min.js"
PATHS = (
    "/ui/",
    "/ui/runs",
    "/ui/runs?project=zope-interface",
    "/ui/runs/r5",
    "/ui/runs/r9",
    "/ui/policy",
    "/ui/confirm?do=allow-removals&number=51",
    "/ui/confirm?do=release&requirement=numpy==2.2.0",
    "/api/docs",
    "/ui/alerts",
)
# What is wider than its place; only code may be.
WIDER = """() => {
  const places = document.querySelectorAll('html, nav .links, .scroll, .scroll td, .scroll th, .cause, .facts dd');
  const wide = [...places].filter((one) => one.scrollWidth > one.clientWidth + 1 && one.checkVisibility());
  return wide.map((one) => one.outerHTML.slice(0, 200));
}"""


@pytest.fixture(autouse=True)
def story(syncer: FakeSyncer, settings: Settings) -> None:
    """A mirror that grows, with a run under way, removals that are withheld, and a project that a run broke."""
    points = [
        {
            "at": (NOW - timedelta(hours=hour)).isoformat(),
            "size": 10**12,
            "free": 4 * 10**11 + hour * 4 * 10**8,
            "stored": 5,
        }
        for hour in reversed(range(240))
    ]
    (settings.control_state / "disk-history.json").write_text(json.dumps({"points": points}))
    reasons = [f"https://files.example.org/{number}: answered 503" for number in range(18)]
    failures = [Failure(project=f"project-{number}", reason=reason) for number, reason in enumerate(reasons)]
    failures.append(Failure(project="zope-interface", file="zope_interface-7.0.tar.gz", reason="wrong hash <b>"))
    for number in range(9):
        begin = NOW - timedelta(minutes=30 * (9 - number))
        broken = number >= 5
        syncer.runs[f"r{number}"] = Run(
            id=f"r{number}",
            request=RunRequest(kind=RunKind.VERIFY if number == 2 else RunKind.SYNC),
            trigger=Trigger.SCHEDULE,
            state=RunState.INCOMPLETE if broken else RunState.SUCCEEDED,
            created_at=begin,
            started_at=begin,
            finished_at=begin + timedelta(seconds=95 + number),
            counts=Counts(
                projects_planned=40,
                projects_done=40,
                projects_changed=3,
                projects_failed=19 if broken else 0,
                files_fetched=31,
                bytes_fetched=48_000_000,
                projects_withheld=51 if number == 8 else 0,
            ),
            failures=failures if broken else [],
            withheld=["zope-interface", "six", *(f"left-{n}" for n in range(40))] if number == 8 else [],
            changes=[
                RunChange(project="numpy", newest_version=f"2.{number}.0", files_fetched=29),
                RunChange(project="six", newest_version="1.17.0", files_fetched=2),
                RunChange(project="left-the-index", withdrawn=True),
            ],
            phases={"plan": 1.4, "resolve": 3.2, "transfer": 71.0, "publish": 12.5},
            message="19 projects failed; the previous versions are still served" if broken else None,
        )
    syncer.runs["r9"] = Run(
        id="r9",
        request=RunRequest(kind=RunKind.SYNC),
        trigger=Trigger.API,
        state=RunState.RUNNING,
        created_at=NOW,
        started_at=NOW - timedelta(seconds=40),
        counts=Counts(
            projects_planned=40, projects_done=10, projects_failed=1, files_fetched=9, bytes_fetched=12_000_000
        ),
        failures=[Failure(project="scipy", reason="https://files.example.org/x: answered 503")],
    )
    facts = {
        "scope": "only what lines select",
        "lines": "12 projects named, 2 lines added by people; the newest 3 releases of each",
        "machines": "Python 3.11, 3.12 on linux-x86_64; sdists where no wheel fits",
        "age": "files wait 7 days; what a lock file pins does not wait",
        "blocks": "3 names and patterns, versions of 2 projects",
    }
    syncer.told = {
        "as_of": NOW,
        "last_run": syncer.runs["r8"],
        "running": [syncer.runs["r9"]],
        "in_hand": ["numpy", "scipy", "zope-interface"],
        "disk": Disk(size_bytes=10**12, free_bytes=4 * 10**11),
        "problems": [],
        "upstream_news_at": NOW - timedelta(minutes=4),
        "policy": PolicyState(
            file="/etc/pypi-mirror/mirror.toml",
            read_at=NOW - timedelta(hours=5),
            facts=[PolicyFact(about=about, text=text) for about, text in facts.items()],
            problems=[PolicyProblem(line=6, key="mirror.latest", message="mirror.latest = 0: must be a whole number")],
            invalid_since=NOW - timedelta(hours=1),
            warnings=["locks/uv.lock: line 3: no version"],
        ),
    }


def axe(page: Page) -> list[str]:
    """Return what axe-core finds, each in a line. By the debugger: the page's policy lets no foreign script in."""
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": AXE.read_text()})
    found: list[str] = page.evaluate(
        "axe.run().then(({violations}) => violations.flatMap(v => v.nodes.map(n => `${v.id}: ${n.html}`)))"
    )
    return found


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_operators_pages_are_accessible(opened: Open, scheme: str, width: int) -> None:
    """
    axe-core finds no problem on any page, in light and dark mode, on a phone and a desktop, and nothing is cut.

    A picture of each page lands in the directory that PAGE_PICTURES names, if it is set.
    """
    for path in PATHS:
        with opened(path, color_scheme=scheme, viewport={"width": width, "height": 844}) as page:
            assert axe(page) == [], path
            assert page.evaluate(WIDER) == [], path
            if pictures := os.environ.get("PAGE_PICTURES"):
                name = re.sub(r"\W+", "-", path.removeprefix("/ui/")).strip("-") or "status"
                page.screenshot(path=Path(pictures) / f"{name}-{scheme}-{width}.png", full_page=path != "/api/docs")


def test_actions_work_without_javascript(opened: Open, syncer: FakeSyncer) -> None:
    """Without JavaScript, a run is cancelled, removals are allowed, and a candidate is previewed, all by forms."""
    with opened("/ui/", java_script_enabled=False) as page:
        page.get_by_role("button", name="Cancel r9").click()
        expect(page.get_by_text("It ends the run r9 within seconds.")).to_be_visible()
        page.get_by_label("Token with the right trigger").fill(TOKEN)
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("cancelled")
        page.get_by_role("link", name="Status", exact=True).click()
        page.get_by_role("button", name="Allow 51 removals").click()
        expect(page.get_by_text("lets up to 51 projects leave it")).to_be_visible()
        expect(page.get_by_role("row", name="zope-interface")).to_contain_text("upstream sends")
        expect(page.get_by_text("9 more projects:")).to_be_visible()
        page.get_by_label("Token with the right remove").fill("wrong")
        page.get_by_role("button", name="Allow 51 removals").click()
        expect(page.get_by_text("This token is invalid")).to_be_visible()
        page.goto("/ui/confirm?do=allow-removals&number=51")
        page.get_by_label("Token with the right remove").fill(TOKEN)
        page.get_by_role("button", name="Allow 51 removals").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Sync of the whole mirror")
        assert list(syncer.runs.values())[-1].request.allow_removals == 51
        page.get_by_role("link", name="Policy", exact=True).click()
        page.get_by_label("A candidate for mirror.toml").fill("[mirror]\nlatest = 0\n")
        page.get_by_label("Token with the right read").first.fill(TOKEN)
        page.get_by_role("button", name="Preview").click()
        expect(page.locator("#result")).to_contain_text("It cannot be used")
        expect(page.locator("#result").get_by_role("row", name="2 mirror.latest")).to_be_visible()


def test_actions_are_reachable_by_keyboard(opened: Open, syncer: FakeSyncer) -> None:
    """With the keyboard alone, each button of the status is reached in its order, and one that deletes asks first."""
    with opened("/ui/") as page:
        wanted = ["Allow 51 removals", "Cancel r9", "Sync now", "Verify", "Pause the schedule", "Retry zope-interface"]
        reached: list[str] = []
        for _ in range(90):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.textContent.trim()"))
        for name in wanted:
            assert name in reached, reached
        page.get_by_role("button", name="Allow 51 removals").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_label("Token with the right remove")).to_be_visible()
        assert len(syncer.runs) == 10


def test_scripts_spare_the_detour(opened: Open, syncer: FakeSyncer) -> None:
    """With scripts, what deletes nothing starts from the page itself; the token is asked for once."""
    with opened("/ui/") as page:
        page.get_by_role("button", name="Verify", exact=True).click()
        page.get_by_label("Token", exact=True).fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("The run is queued")
        page.get_by_role("button", name="Pause the schedule").click()
        expect(page.get_by_role("status")).to_contain_text("The schedule is paused.")
        assert syncer.schedule.paused
        assert list(syncer.runs.values())[-1].request.kind is RunKind.VERIFY


def test_three_clicks_lead_to_the_run_that_broke_a_project(opened: Open) -> None:
    """From the first page, two clicks name the run that broke a project, also without JavaScript."""
    with opened("/ui/", java_script_enabled=False) as page:
        page.get_by_role("link", name="its runs of zope-interface").click()
        expect(page.get_by_text("zope-interface has failed since")).to_be_visible()
        page.locator("p.lead").get_by_role("link").click()
        expect(page.get_by_text("wrong hash <b>").first).to_be_visible()
        expect(page.get_by_text("r5", exact=True)).to_be_visible()


def test_commands_are_copied(opened: Open) -> None:
    """A command of a remedy is copied by the button behind it, also over plain HTTP."""
    with opened("/ui/") as page:
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        page.get_by_role("button", name="Copy docker compose exec control mirrorctl sync --allow-removals 51").click()
        expect(page.get_by_role("status")).to_have_text("Copied.")
        copied = page.evaluate("getSelection().toString()")
        assert copied == "docker compose exec control mirrorctl sync --allow-removals 51"


def test_what_was_known_stays_on_the_page(opened: Open, syncer: FakeSyncer, background: Background) -> None:
    """When the syncer goes away, the pages keep what was known, with its age."""
    with opened("/ui/") as page:
        page.goto("/ui/runs")
        background.run(syncer.stop())
        page.reload()
        expect(page.get_by_text("This is what was known")).to_be_visible()
        expect(page.get_by_role("row", name="Sync of the whole mirror").first).to_be_visible()
        page.goto("/ui/policy")
        expect(page.get_by_text("files wait 7 days")).to_be_visible()
