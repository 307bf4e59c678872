"""The pages of projects, downloads and clients in a real browser: walks of a new operator, keyboard, forms, phone."""

import os
import re
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Page, expect

from control.conftest import TOKEN
from control.fake_syncer import NOW, FakeSyncer
from mirror_contract import AddedLine
from page.conftest import REPOSITORY, Open
from page.test_page_in_a_browser import HOSTILE, WIDER, axe, story

__all__ = ["story"]

pytestmark = pytest.mark.docker

PATHS = (
    "/ui/projects",
    "/ui/projects?sort=downloads",
    "/ui/projects/numpy",
    "/ui/projects/requests",
    "/ui/projects/evil",
    "/ui/projects/absent",
    "/ui/downloads",
    "/ui/downloads?project=requests&days=365",
    "/ui/use",
    "/ui/held",
    "/ui/confirm?do=release&requirement=numpy==2.2.0",
    "/ui/confirm?do=remove-line&project=six",
)
# Each element that can be used by a keyboard and is shown; a group of radio buttons is none of ours.
USABLE = """() => [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')]
  .filter(one => one.checkVisibility({visibilityProperty: true}) && one.type !== 'hidden')
  .map((one, number) => (one.dataset.place = number, number))"""
PLACE = "() => document.activeElement?.dataset.place ?? null"
PICTURES = {"projects": "/ui/projects/numpy", "use": "/ui/use"}


@pytest.fixture(autouse=True)
def people(syncer: FakeSyncer, story: None) -> None:
    """Beside the story: a line that a person added, and a project that is downloaded."""
    syncer.added["six"] = AddedLine(line="six>=1", project="six", because=HOSTILE, by="ann", made_at=NOW)
    syncer.projects["six"] = syncer.projects["six"].model_copy(update={"added_line": "six>=1"})
    syncer.projects["requests"] = syncer.projects["numpy"].model_copy(update={"name": "requests"})


def picture(page: Page, name: str, scheme: str, width: int) -> None:
    """Store a picture in the directory that PAGE_PICTURES names, if it is set."""
    if pictures := os.environ.get("PAGE_PICTURES"):
        page.screenshot(path=Path(pictures) / f"{name}-{scheme}-{width}.png", full_page=True)


def send(page: Page, button: str) -> None:
    """Enter the token beside a button of a form, and press the button."""
    form = page.locator("form").filter(has=page.get_by_role("button", name=button, exact=False)).first
    form.locator("input[name=token]").fill(TOKEN)
    form.get_by_role("button").click()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_project_pages_are_accessible(opened: Open, client: httpx2.Client, scheme: str, width: int) -> None:
    """axe-core finds nothing on these pages and on the results of their forms, and nothing is wider than a phone."""
    assert client.post("/ui/actions", data={"token": TOKEN, "do": "pause"}).status_code == 303
    with opened("/ui/projects", color_scheme=scheme, viewport={"width": width, "height": 844}) as page:
        for path in PATHS:
            page.goto(path)
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            assert axe(page) == [], path
            assert page.evaluate(WIDER) == [], path
            picture(page, re.sub(r"\W+", "-", path.removeprefix("/ui/")).strip("-"), scheme, width)
        for path, button, title in (
            ("/ui/projects", "Show the lines", "Lines that select projects"),
            ("/ui/downloads", "Show the misses", "Misses"),
            ("/ui/policy", "Show the changes", "Who changed what"),
        ):
            page.goto(path)
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            send(page, button)
            expect(page.get_by_role("heading", level=1)).to_have_text(title)
            assert axe(page) == [], title
            assert page.evaluate(WIDER) == [], title
            picture(page, button.replace(" ", "-").lower(), scheme, width)


def test_every_action_works_by_a_form_without_scripts(opened: Open, syncer: FakeSyncer) -> None:
    """Without JavaScript, forms with a token add a line, remove it, sync, and show lines and misses."""
    with opened("/ui/projects/absent", java_script_enabled=False) as page:
        page.get_by_label("Why it is needed").fill("a <b>test</b>")
        send(page, "Add")
        expect(page.get_by_role("heading", level=1)).to_have_text("absent is added")
        expect(page.get_by_text("upstream is away �[2J")).to_be_visible()
        assert page.url.endswith("/ui/projects")
        page.goto("/ui/projects/six")
        page.get_by_role("button", name="Sync now").click()
        send(page, "Sync now")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Sync of six")
        page.goto("/ui/projects/six")
        page.get_by_role("button", name="Remove the line").click()
        expect(page.get_by_text("The next sync removes six and what only it needs")).to_be_visible()
        send(page, "Remove the line")
        expect(page.get_by_role("heading", level=1)).to_have_text("The line of six is removed")
        page.goto("/ui/projects")
        page.get_by_text("Lines that select projects").click()
        send(page, "Show the lines")
        expect(page.get_by_text("a <b>test</b>")).to_be_visible()
        page.goto("/ui/downloads")
        send(page, "Show the misses")
        expect(page.get_by_role("link", name="x" * 200)).to_be_visible()
        page.goto("/ui/projects/absent")
        page.get_by_label("Why it is needed").fill("x")
        page.get_by_role("button", name="Add").click()
        expect(page.get_by_text("This needs the mirror's token")).to_be_visible()
    assert list(syncer.added) == ["absent"]


def test_removal_of_a_line_asks_first_with_scripts(opened: Open, syncer: FakeSyncer) -> None:
    """With JavaScript, too, a page says what the removal of a line does before it is sent; a sync starts at once."""
    with opened("/ui/projects/six") as page:
        page.get_by_role("button", name="Sync now").click()
        page.get_by_role("dialog").get_by_label("Token", exact=True).fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("The run is queued:")
        page.get_by_role("button", name="Remove the line").click()
        expect(page.get_by_text("The next sync removes six and what only it needs")).to_be_visible()
        assert syncer.added
        send(page, "Remove the line")
        expect(page.get_by_role("heading", level=1)).to_have_text("The line of six is removed")
    assert not syncer.added


@pytest.mark.parametrize("scripts", [True, False])
def test_version_is_released_and_held_again_by_forms(opened: Open, syncer: FakeSyncer, scripts: bool) -> None:  # noqa: FBT001
    """From a project's page, a version that waits is released with a reason; from the held files, the release ends."""
    with opened("/ui/projects/numpy", java_script_enabled=scripts) as page:
        page.get_by_role("button", name="Release numpy==2.2.0").click()
        expect(page.get_by_text("It publishes numpy==2.2.0 now")).to_be_visible()
        page.get_by_label("Why it cannot wait").fill("CVE-2026-1")
        page.get_by_label("How long the release holds").fill("3d")
        send(page, "Release")
        expect(page.get_by_role("heading", level=1)).to_contain_text("numpy==2.2.0 is released until")
        assert [one.because for one in syncer.releases.values()] == ["CVE-2026-1"]
        page.goto("/ui/held")
        send(page, "Show the releases in force")
        expect(page.get_by_role("row", name="numpy==2.2.0")).to_contain_text("CVE-2026-1")
        assert not scripts or axe(page) == []
        page.get_by_role("button", name="End the release numpy==2.2.0").click()
        send(page, "End the release")
        expect(page.get_by_role("heading", level=1)).to_have_text("The release of numpy==2.2.0 is ended")
    assert not syncer.releases


def test_version_is_released_by_the_keyboard(opened: Open, syncer: FakeSyncer) -> None:
    """With the keyboard alone, one releases a version: the button, the reason, the duration, the token, and Enter."""
    with opened("/ui/held") as page:
        page.get_by_role("button", name="Release six==2.0").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_label("Why it cannot wait")).to_be_visible()
        page.get_by_label("Why it cannot wait").focus()
        page.keyboard.type("CVE-2026-1")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.type(TOKEN)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text("six==2.0 is released until")
    assert [one.requirement for one in syncer.releases.values()] == ["six==2.0"]


@pytest.mark.parametrize("scripts", [True, False])
def test_new_operator_finds_everything_within_three_clicks(opened: Open, scripts: bool) -> None:  # noqa: FBT001
    """From the first page: why a version is missing, what grows the disk, which run failed on it, how CI is set up."""
    with opened("/ui/", java_script_enabled=scripts) as page:
        clicks = 0

        def click(role: str, name: str) -> None:
            nonlocal clicks
            clicks += 1
            page.get_by_role(role, name=name, exact=True).first.click()  # type: ignore[arg-type]

        def begin() -> None:
            nonlocal clicks
            assert clicks <= 3
            clicks = 0
            page.goto("/ui/")

        click("link", "Projects")
        click("link", "numpy")
        page.get_by_label("Version").fill("2.2.0")
        click("button", "Show")
        expect(page.get_by_text("Release 2.2.0 is not here.")).to_be_visible()
        expect(page.get_by_role("table").get_by_text("this mirror waits 7 days")).to_have_count(1)
        begin()
        click("link", "Projects")
        page.get_by_label("Sort by").select_option("size")
        click("button", "Find")
        expect(page.locator("tbody th").first).to_have_text("numpy")
        expect(page.locator("tbody tr").first.locator("[data-label=Size]")).to_have_text("168.0 MB")
        begin()
        click("link", "Projects")
        click("link", "evil")
        clicks += 1
        page.locator("#runs ~ .scroll").first.get_by_role("link").first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Sync of the whole mirror")
        begin()
        click("link", "Use this mirror")
        click("link", "GitHub Actions")
        expect(page.get_by_text("PIP_INDEX_URL: http://127.0.0.1")).to_have_count(1)
        expect(page.locator("#actions")).to_be_in_viewport()
        assert clicks <= 3


@pytest.mark.parametrize("path", PATHS)
def test_every_element_is_reached_by_the_keyboard(opened: Open, path: str) -> None:
    """By the Tab key alone, each link, button, field and scrolling part of a page gets the focus, once."""
    with opened(path) as page:
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        wanted = page.evaluate(USABLE)
        reached: list[int] = []
        for _ in range(len(wanted) + 5):
            page.keyboard.press("Tab")
            place = page.evaluate(PLACE)
            if place is None:
                break
            reached.append(int(place))
        assert sorted(set(reached)) == wanted, path


def test_line_is_added_by_the_keyboard(opened: Open, syncer: FakeSyncer) -> None:
    """With the keyboard alone, one opens the form, fills it, and gives the token; the focus returns to the button."""
    with opened("/ui/projects") as page:
        page.get_by_text("Add a project").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.type("idna>=3")
        page.keyboard.press("Tab")
        page.keyboard.type("a test")
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Add")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.type(TOKEN)
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("It is added.")
        expect(page.get_by_role("button", name="Add")).to_be_focused()
    assert syncer.added["idna"].because == "a test"


def test_pictures_of_the_readme_are_small(opened: Open) -> None:
    """The README shows two pages by pictures below 150 kB; README_PICTURES=docs makes them again."""
    shown = re.findall(r"docs/(page-\w+\.png)", (REPOSITORY / "README.md").read_text())
    assert shown == [f"page-{name}.png" for name in PICTURES]
    for name, path in PICTURES.items():
        # Without a scroll bar, and with the name that the documents use.
        named = {"X-Forwarded-Host": "mirror.example:8080"}
        size = {"width": 1000, "height": 720}
        with opened(path, viewport=size, is_mobile=True, extra_http_headers=named) as page:
            taken = page.screenshot()
            if pictures := os.environ.get("README_PICTURES"):
                (Path(pictures) / f"page-{name}.png").write_bytes(taken)
        assert len(taken) < 150_000
        assert (REPOSITORY / f"docs/page-{name}.png").stat().st_size < 150_000
