"""What a candidate for mirror.toml would change is counted by the stored pages, before it is in force."""

import time
from contextlib import closing
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

import fakepypi
from mirror_contract import FilePreview, PolicyCheck, RunState
from mirror_syncer.catalog import Catalog, StoredExemption
from mirror_syncer.commands.checking import check_file
from mirror_syncer.config.mirror_toml.source import PolicySource
from mirror_syncer.config.mirror_toml.tables import parse_policy
from mirror_syncer.config.settings import Settings
from mirror_syncer.model.digests import Unhashed
from mirror_syncer.model.page import Page, PublishedPage
from mirror_syncer.model.project import ProjectRow
from mirror_syncer.runs.sync.policy_preview import MAX_JUDGED_PROJECTS, FilePreviewer, ProjectsConcerned
from mirror_syncer.volume import View
from mirror_syncer.work.transfer import StoredPages
from syncer.site import Site, memory_below

PAD = 10_000


def checked(site: Site, text: str) -> PolicyCheck:
    """Return the check of a candidate beside the service, as the command line does it."""
    candidate = site.policy.with_name("candidate.toml")
    candidate.write_text(text)
    settings = Settings.model_validate(
        {"data": site.data, "state": site.state, "policy": site.policy, "upstream": site.upstream}
    )
    return check_file(settings, candidate)


def files(check: PolicyCheck) -> FilePreview:
    """Return the preview of files."""
    assert check.files is not None
    return check.files


async def test_preview_counts_what_the_next_sync_does(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A preview counts the files and bytes that leave and arrive as the sync after it does, without a request."""
    for version in ("1.0", "2.0", "3.0"):
        for name in ("idna", "six"):
            pypi.index.project(name).upload(version, padding=PAD)
    site.select("idna<2", "six", grace="0h")
    await site.sync()
    pypi.log.forget()
    candidate = site.policy.read_text().replace('"idna<2", "six"', '"idna", "six>1"')
    preview = files(checked(site, candidate))
    requests = pypi.log.paths()
    site.policy.write_text(candidate)
    run = await site.sync()

    assert requests == []
    assert (preview.projects, preview.judged) == (2, 2)
    assert (preview.total.arriving, preview.total.leaving) == (4, 2)
    assert (preview.total.fetched_bytes, preview.total.unknown_sizes) == (run.counts.bytes_fetched, 0)
    assert (preview.total.arriving, preview.total.leaving) == (run.counts.files_fetched, run.counts.files_removed)
    assert preview.total.freed_bytes == run.counts.bytes_removed
    assert [(one.project, one.arriving, one.leaving) for one in preview.largest] == [("idna", 4, 0), ("six", 0, 2)]


async def test_preview_shows_what_is_held_and_blocked(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A preview counts published files that would wait or be blocked, each once, apart from those that leave."""
    for name in ("idna", "six", "toml"):
        pypi.index.project(name).upload("1.0", wheel=False)
    pypi.index.project("idna").upload("2.0", wheel=False)
    site.select("idna", "six", "toml")
    await site.sync()
    rules = '[block]\nprojects = ["six", "idna==1.0"]\n[age]\nnot_after = 2020-01-01\n'
    check = checked(site, f"{site.policy.read_text()}{rules}")
    preview = files(check)

    assert (check.leaving, check.leaving_names, check.withheld) == (1, ["six"], 0)
    assert (preview.total.blocked, preview.total.held, preview.total.leaving) == (2, 2, 0)
    assert preview.total.freed_bytes == 0
    assert "'six' is selected and blocked ([block] projects names 'six'): it is not mirrored" in check.warnings
    assert "files: 2 are held, 2 are blocked" in check.sentences()


async def test_preview_knows_what_people_released(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A version that a person released does not count as held by a candidate's cooldown."""
    for version in ("1.0", "2.0"):
        pypi.index.project("six").upload(version, wheel=False)
    site.select("six")
    await site.sync()
    now = int(time.time())
    with closing(Catalog.in_directory(site.state)) as catalog:
        released = StoredExemption("1", NormalizedName("six"), "==2.0", "CVE-1", "security", now, now + 900)
        catalog.exemptions.add(released, now=now)
    preview = files(checked(site, f"{site.policy.read_text()}[age]\nnot_after = 2020-01-01\n"))

    assert (preview.total.held, preview.total.leaving) == (1, 0)


async def test_preview_judges_only_projects_whose_rules_differ(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A candidate that says the same of a project reads none of its pages."""
    for name in ("idna", "six"):
        pypi.index.project(name).upload("1.0")
    site.select("idna", "six")
    await site.sync()
    read = list[str]()
    original = StoredPages.read

    def noted(pages: StoredPages, name: NormalizedName) -> tuple[Page, PublishedPage | None]:
        read.append(name)
        return original(pages, name)

    monkeypatch.setattr(StoredPages, "read", noted)
    nothing = checked(site, site.policy.read_text())
    one = checked(site, site.policy.read_text().replace('"six"', '"six>=1"'))

    assert nothing.sentences()[-1] == "files: none change"
    assert (read, files(one).projects) == (["six"], 1)


async def test_check_of_the_file_in_use_compares_with_what_was_applied(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The edited file itself is compared with the policy that the last run applied."""
    for version in ("1.0", "2.0"):
        pypi.index.project("six").upload(version, wheel=False)
    site.select("six")
    await site.sync()
    site.select("six<2")
    check = check_file(
        Settings.model_validate(
            {"data": site.data, "state": site.state, "policy": site.policy, "upstream": site.upstream}
        ),
        None,
    )

    assert files(check).total.leaving == 1


async def test_line_that_no_machine_can_install_is_named(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A candidate whose machines can install nothing of a named project says so, with the reason of a file."""
    pypi.index.project("six").upload("1.0")
    pypi.index.project("idna").upload_file("idna-1.0-cp27-cp27m-win32.whl", b"x", version="1.0")
    site.select("idna", "six")
    await site.sync()
    rules = '[machines]\npythons = ["3.12"]\nplatforms = ["linux-x86_64"]\n'
    check = checked(site, f"{site.policy.read_text()}{rules}")

    assert (files(check).unmatched, check.leaving) == (1, 0)
    (warning,) = files(check).unmatched_lines
    assert warning.startswith("'idna' selects none of its 1 files: ")
    assert any(line.startswith("warning: 'idna' selects none") for line in check.sentences())


async def test_preview_says_what_the_guard_would_withhold(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The check of a candidate that leaves many projects without a file says how many the guard would withhold."""
    names = [f"project-{number:02}" for number in range(12)]
    for name in names:
        pypi.index.project(name).upload("1.0", wheel=False)
    site.everything()
    await site.sync()
    candidate = f'{site.policy.read_text()}[files]\nkinds = ["wheel"]\n'
    check = checked(site, candidate)
    site.policy.write_text(candidate)
    run = await site.sync()

    assert (check.withheld, files(check).emptied, files(check).total.leaving) == (12, 12, 12)
    assert check.sentences()[-1] == (
        "the deletion guard would withhold 12 removals (12 projects would have no file left); "
        "to allow them, run sync --allow-removals 12"
    )
    assert (run.state, run.counts.projects_withheld) == (RunState.INCOMPLETE, 12)


async def test_excluded_projects_leave_with_their_files(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """With scope everything, too, a preview counts the projects that `exclude` removes, and their files."""
    for name in ("acme-one", "acme-two", "six", "idna", "toml"):
        pypi.index.project(name).upload("1.0")
    site.everything()
    await site.sync()
    check = checked(site, site.policy.read_text().replace("[removal]", 'exclude = ["acme-*"]\n[removal]'))

    assert (check.leaving, check.leaving_names, check.withheld) == (2, ["acme-one", "acme-two"], 0)
    assert (files(check).total.leaving, files(check).projects) == (4, 2)


async def test_preview_of_too_many_projects_judges_the_largest_and_says_so(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """If there are too many projects, a preview judges the largest, and says how many these are."""
    for number in range(4):
        pypi.index.project(f"project-{number}").upload("1.0", padding=PAD * number)
    site.everything()
    await site.sync()
    source = PolicySource(site.policy, state=site.state)
    candidate = parse_policy(f"{site.policy.read_text()}[files]\nkinds = ['wheel']".encode())
    with closing(Catalog.in_directory(site.state)) as catalog:
        pages = StoredPages(
            View(site.data), kept=catalog.kept_pages.get, without_hash=Unhashed.OWN_HOST, upstream=site.upstream
        )
        concerned = ProjectsConcerned(source.current, candidate, catalog, limit=2)
        preview = FilePreviewer(source.current, candidate, pages=pages, seconds=600).preview(concerned)
        hurried = FilePreviewer(source.current, candidate, pages=pages, seconds=-1).preview(
            ProjectsConcerned(source.current, candidate, catalog)
        )

    assert [one.project for one in preview.largest] == ["project-3", "project-2"]
    assert preview.sentences()[0].endswith("; of the 2 largest of 4 projects")
    assert (hurried.projects, hurried.judged) == (4, 0)


async def test_preview_changes_nothing(site: Site, pypi: fakepypi.FakePyPI, tmp_path: Path) -> None:
    """A preview writes nothing: neither in the tree nor in the state directory."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()

    def state() -> dict[Path, tuple[int, int]]:
        paths = (path for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith("catalog.sqlite-"))
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}

    (site.policy.with_name("candidate.toml")).write_text("")
    before = state()
    checked(site, '[mirror]\nprojects = ["six>=2"]\n')
    after = state()

    changed = {path.name for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed == {"candidate.toml"}


def test_plan_of_very_many_projects_keeps_few_in_memory(tmp_path: Path) -> None:
    """Finding the projects that a candidate concerns keeps a bounded number of them in memory."""
    current, narrower, selection = (
        parse_policy(text.encode())
        for text in (
            '[mirror]\nscope = "everything"',
            '[mirror]\nscope = "everything"\nlatest = 1',
            '[mirror]\nprojects = ["six"]',
        )
    )
    rows = [
        ProjectRow(NormalizedName(f"project-{number:05}"), published=True, file_count=3, stored_bytes=number)
        for number in range(30_000)
    ]
    with closing(Catalog.in_directory(tmp_path)) as catalog:
        catalog.projects.replace(rows)
        del rows
        with memory_below(8_000_000):  # rows of all of them take 36 MB
            some = ProjectsConcerned(current, narrower, catalog)
            none = ProjectsConcerned(current, selection, catalog)

    assert (some.others, some.leaving, len(some.largest)) == (30_000, 0, MAX_JUDGED_PROJECTS)
    assert some.largest[0] == "project-29999"
    assert (none.others, none.leaving, none.guarded, len(none.leaving_names)) == (0, 30_000, 30_000, 20)
    assert (none.files.total.leaving, none.files.largest()[0].project) == (90_000, "project-29999")
