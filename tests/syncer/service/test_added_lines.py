"""Added lines: a person adds a project beside mirror.toml, and removes it."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from contextlib import closing
from typing import Any

import pytest

import fakepypi
from mirror_contract import AddedLine, LineSource, Project, RunKind, RunState, SelectedLine
from mirror_contract.added_line import MAX_ADDED_LINES
from mirror_syncer.catalog import Catalog, StoredAddedLine
from mirror_syncer.service.selection_api import ADDED_BY, MAY_REPLACE
from syncer.installable import missing
from syncer.requiring import upload
from syncer.service.conftest import Serve, Service
from syncer.site import Site

WEB = {"line": "App>=1", "because": "the shop"}
GUARD = '[removal]\nguard = "100%"\ngrace = "24h"\n'

pytestmark = pytest.mark.proves("reliability/added-lines")


@pytest.fixture
def shop(site: Site, pypi: fakepypi.FakePyPI) -> fakepypi.FakePyPI:
    """An index with an application that needs two projects, for a mirror that selects another one."""
    upload(pypi, "app 1.0: lib>=2", "lib 1.0", "lib 2.0: base", "base 1.0", "other 1.0")
    site.policy.write_text(f'[mirror]\nprojects = ["other"]\n{GUARD}')
    return pypi


async def add(
    service: Service, body: dict[str, str] = WEB, *, by: str = "alice", may_replace: bool = False
) -> AddedLine:
    """Add a line and wait for the run that mirrors it."""
    headers = {ADDED_BY: by} | ({MAY_REPLACE: "yes"} if may_replace else {})
    answer = await service.http.post("/projects", json=body, headers=headers)
    assert answer.status == 201, await answer.text()
    return await finished(service, AddedLine.model_validate_json(await answer.read()))


async def remove(service: Service, name: str) -> AddedLine:
    """Remove a line and wait for the run that lets the project leave."""
    answer = await service.http.delete(f"/projects/{name}")
    assert answer.status == 200, await answer.text()
    return await finished(service, AddedLine.model_validate_json(await answer.read()))


async def finished(service: Service, line: AddedLine) -> AddedLine:
    """Wait for the run of a change."""
    assert line.run is not None
    run = service.running.mirror.runs.get(line.run)
    assert run is not None
    await service.running.ended(run)
    return line


async def refusal(service: Service, line: str, **more: str) -> tuple[int, str]:
    """Return the status and the text of a refused line."""
    answer = await service.http.post("/projects", json={"line": line, "because": "a test", **more})
    problem = await answer.json(content_type=None)
    details = [one["detail"] for one in problem.get("errors", [])]
    return answer.status, "; ".join((problem.get("detail", ""), *details))


async def lines(service: Service, query: str = "") -> tuple[list[SelectedLine], str | None]:
    """Return a part of the selection."""
    return await service.read_list(f"/selection{query}", SelectedLine)


async def test_added_project_comes_with_dependencies_stays_and_leaves(
    serve: Serve, site: Site, shop: fakepypi.FakePyPI
) -> None:
    """An added line installs with what it needs, also after a restart; removed, both leave the pages, files later."""
    async with serve() as service:
        await service.running.sync()
        before = site.pages()
        line = await add(service)
        with_app = site.pages()
        project, other = [
            Project.model_validate_json(await (await service.http.get(f"/projects/{name}")).read())
            for name in ("app", "other")
        ]
    assert (line.line, line.project, line.by, line.warnings) == ("App>=1", "app", "alice", [])
    assert (before, with_app, missing(site)) == (["other"], ["app", "base", "lib", "other"], [])
    assert (project.added_line, other.added_line) == ("App>=1", None)
    assert project.files is not None
    assert project.files[0].reason == "a line added with mirrorctl (the shop) selects it by 'App>=1'"

    async with serve() as service:
        restarted = await service.running.sync()
        site.policy.write_text("[mirror]\nprojects = 7\n")  # the last good policy stays in force
        broken = await service.running.sync()
        kept, files = site.pages(), site.published("app").places
        site.policy.write_text(f'[mirror]\nprojects = ["other"]\n{GUARD}')
        removed = await remove(service, "APP")
        left, (selection, _) = site.pages(), await lines(service)
        stays = [(site.web / place).exists() for place in files.values()]
        await service.running.ended(service.running.ask(RunKind.COLLECT, now=True))
    assert (restarted.state, broken.state) == (RunState.SUCCEEDED, RunState.INCOMPLETE)
    assert (kept, left) == (with_app, before)
    assert (removed.line, removed.because) == ("App>=1", "the shop")
    assert [one.line for one in selection] == ["other"]
    assert all(stays), "files stay for the grace period"
    assert not any((site.web / place).exists() for place in files.values())
    assert "/simple/app/" in shop.log.paths()


async def test_guard_withholds_the_removal_of_an_added_line(serve: Serve, site: Site, shop: fakepypi.FakePyPI) -> None:
    """A removed line leaves under the deletion guard, like one of mirror.toml."""
    del shop
    site.policy.write_text('[mirror]\nprojects = ["other"]\n[removal]\nguard = "0%"\n')
    async with serve() as service:
        await service.running.sync()
        await add(service, WEB)
        removed = await remove(service, "app")
        held_back = site.pages()
        run = service.running.mirror.runs.get(removed.run or "")
    assert run is not None
    assert (run.counts.projects_withheld, held_back) == (3, ["app", "base", "lib", "other"])


async def test_plan_of_another_process_is_what_the_sync_does(site: Site, shop: fakepypi.FakePyPI) -> None:
    """`mirror-syncer plan` and `check` count an added line and its dependencies as the sync then does."""
    await site.sync()
    with closing(Catalog.in_directory(site.state)) as catalog:
        catalog.added_lines.put(StoredAddedLine("app", "app", "the shop", "alice", 1))  # type: ignore[arg-type]

    async def command(*arguments: str) -> Any:
        environment = {**os.environ, **site.environment(MIRROR_FILE_HOSTS="127.0.0.1")}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mirror_syncer", *arguments, "--json", env=environment, stdout=PIPE
        )
        return json.loads((await process.communicate())[0])

    planned = {one["project"]: (one["action"], one["reason"]) for one in (await command("plan"))["projects"]}
    checked = await command("check")
    shop.log.forget()
    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert {name for name, (action, _) in planned.items() if action == "refresh"} == {"app", "base", "lib"}
    assert planned["app"][1] == "new in a line added with mirrorctl (the shop)"
    assert set(site.pages()) == set(planned)
    assert (checked["selected"], checked["arriving_names"]) == (2, ["app"])


async def test_line_that_would_publish_nothing_is_refused(serve: Serve, site: Site, shop: fakepypi.FakePyPI) -> None:
    """A blocked or quarantined project, and one that upstream lacks, is refused at once with the reason."""
    shop.index.project("idna").upload("1.0")
    shop.index.project("idna").quarantine()
    site.policy.write_text('[mirror]\nprojects = ["other"]\n[block]\nprojects = ["evil-*"]\n')
    async with serve() as service:
        refused = {name: await refusal(service, name) for name in ("Evil_Lib>=1", "idna", "appp", "other @ file:///x")}
        paths = shop.log.paths()
        selection, _ = await lines(service)

    assert {name: status for name, (status, _) in refused.items()} == {
        "Evil_Lib>=1": 409,
        "idna": 409,
        "appp": 422,
        "other @ file:///x": 422,
    }
    assert "evil-lib is blocked in mirror.toml: [block] projects names 'evil-*'" in refused["Evil_Lib>=1"][1]
    assert "quarantined" in refused["idna"][1]
    assert "upstream has no project appp" in refused["appp"][1]
    assert "not from a URL" in refused["other @ file:///x"][1]
    assert [path for path in paths if "evil" in path] == []
    assert [one.line for one in selection] == ["other"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"line": "six ="}, "must be a name with optional versions"),
        ({"line": "six>2,<1"}, "no version can match"),
        ({"line": "-e ./six"}, "must be a name with optional versions"),
        ({"line": "six" + "x" * 2000}, "at most 2000"),
        ({"line": "six;" + "(" * 1900}, "must be a name with optional versions"),
        ({"line": "six", "because": "a\u202eb"}, "without control characters"),
        ({"line": "six", "because": ""}, "must say why"),
        ({"line": "six", "by": "mallory"}, "not permitted"),
        ({"line": "ſix"}, "must be a name with optional versions"),
    ],
)
async def test_wrong_line_is_a_problem_that_points(serve: Serve, site: Site, body: dict[str, str], word: str) -> None:
    """A line that is none, or a reason that cannot be printed, is refused and changes nothing."""
    site.select("six")
    async with serve() as service:
        status, text = await refusal(service, **body)
        selection, _ = await lines(service)
    assert (status, len(selection)) == (422, 1)
    assert word in text


async def test_scope_everything_takes_no_line(serve: Serve, site: Site, shop: fakepypi.FakePyPI) -> None:
    """A mirror of everything says that it has the project already, or which rule leaves it out."""
    del shop
    site.policy.write_text('[mirror]\nscope = "everything"\nexclude = ["app"]\n')
    async with serve() as service:
        there, excluded = await refusal(service, "lib"), await refusal(service, "app")
    assert (there[0], excluded[0]) == (409, 409)
    assert "`mirrorctl sync lib`" in there[1]
    assert "give it a line in mirror.toml" in excluded[1]


async def test_extra_without_dependencies_is_refused(serve: Serve, site: Site) -> None:
    """Where dependencies are not followed, a line with an extra or a marker says what to write instead."""
    site.select("other")
    async with serve() as service:
        status, text = await refusal(service, "app[web]")
    assert status == 422
    assert 'write "app"' in text


async def test_line_is_stored_while_upstream_is_down(serve: Serve, site: Site, shop: fakepypi.FakePyPI) -> None:
    """Upstream's silence is a warning: the line is in force, and the next sync mirrors the project."""
    async with serve() as service:
        await service.running.sync()
        shop.faults.everywhere().status(503)
        line = await add(service)
        without = site.pages()
        shop.faults.clear()
        await service.running.sync()
    assert "whether upstream has app is not known yet" in line.warnings[0]
    assert without == ["other"]
    assert site.pages() == ["app", "base", "lib", "other"]


async def test_silent_upstream_holds_nobody_up(
    serve: Serve, shop: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upstream that takes the request and never answers is given up in time, and the line is stored."""
    monkeypatch.setattr("mirror_syncer.service.selection_api._UPSTREAM_SECONDS", 0.1)
    gate = shop.faults.on_page("app").gate()
    async with serve() as service:
        answer = await service.http.post("/projects", json=WEB)
        line = AddedLine.model_validate_json(await answer.read())
        gate.open()
        await finished(service, line)
    assert answer.status == 201
    assert line.warnings == ["whether upstream has app is not known yet: no answer within 0.1 s; the run asks again"]


async def test_line_that_selects_nothing_now_is_a_warning(serve: Serve, shop: fakepypi.FakePyPI) -> None:
    """A line that matches no release of upstream's page is stored, and the answer says so at once."""
    del shop
    async with serve() as service:
        line = await add(service, {"line": "app>=9", "because": "soon"})
    assert "'app>=9' selects none of its 1 files" in line.warnings[0]


async def test_line_whose_versions_are_blocked_is_a_warning(serve: Serve, site: Site, shop: fakepypi.FakePyPI) -> None:
    """A line that only blocked versions match is stored, and the answer names the block; upstream's files stay away."""
    del shop
    site.policy.write_text(
        '[mirror]\nprojects = ["other"]\n[block]\nprojects = [{ name = "app==1.0", because = "it is malware" }]\n'
    )
    async with serve() as service:
        line = await add(service, {"line": "app==1.0", "because": "the shop"})
    assert "'app==1.0' is selected and blocked (it is malware)" in line.warnings[0]
    assert "app-1.0-py3-none-any.whl" not in site.filenames("app")


async def test_second_line_for_a_project_replaces_the_first(serve: Serve, site: Site, shop: fakepypi.FakePyPI) -> None:
    """A project has one added line, however it is spelt; the same call again changes nothing."""
    del shop
    async with serve() as service:
        first = await add(service, {"line": "Lib>=2", "because": "the shop"})
        again = await add(service, {"line": "Lib>=2", "because": "the shop"})
        other = {"line": "lib==1.0", "because": "an old client"}
        answer = await service.http.post("/projects", json=other, headers={ADDED_BY: "bob"})
        refused = answer.status, (await answer.json(content_type=None))["detail"]
        second = await add(service, other, by="bob", may_replace=True)
        selection, _ = await lines(service)
    assert (again.made_at, again.warnings) == (first.made_at, [])
    told = "alice added 'Lib>=2' (the shop), and another line may remove files of it; that needs a token with the right"
    assert refused == (403, f"{told} remove.")
    assert second.warnings == ["it replaces 'Lib>=2', which alice added (the shop)"]
    assert [(one.line, one.by) for one in selection[1:]] == [("lib==1.0", "bob")]
    assert site.filenames("lib") == {"lib-1.0-py3-none-any.whl"}


async def test_line_beside_one_of_the_file_counts_in_addition(
    serve: Serve, site: Site, shop: fakepypi.FakePyPI
) -> None:
    """A project with lines in both places has what either selects; to remove, each is named with its place."""
    del shop
    site.policy.write_text(f'[mirror]\nprojects = ["other", "lib==1.0"]\n{GUARD}')
    async with serve() as service:
        await service.running.sync()
        await add(service, {"line": "lib==2.0", "because": "the shop"})
        both = site.filenames("lib")
        removed = await remove(service, "lib")
        alone = site.filenames("lib")
        of_file = await service.http.delete("/projects/lib")
        problem = await of_file.json(content_type=None)
        nowhere = await service.http.delete("/projects/unknown")
    assert both == {"lib-1.0-py3-none-any.whl", "lib-2.0-py3-none-any.whl"}
    assert alone == {"lib-1.0-py3-none-any.whl"}
    assert removed.warnings == ["mirror.toml still selects lib, by 'lib==1.0'"]
    assert (of_file.status, nowhere.status) == (409, 404)
    assert "remove that line there" in problem["detail"]


async def test_dependency_is_not_removed_by_name(serve: Serve, shop: fakepypi.FakePyPI) -> None:
    """A project that only others require has no line to remove; the answer says what requires it."""
    del shop
    async with serve() as service:
        await add(service)
        answer = await service.http.delete("/projects/lib")
        problem = await answer.json(content_type=None)
    assert answer.status == 404
    assert problem["detail"] == "No line was added for lib; it is mirrored because of App>=1 → lib>=2."


async def test_lines_are_listed_in_parts(serve: Serve, site: Site, shop: fakepypi.FakePyPI) -> None:
    """The selection lists the lines of mirror.toml in their order, then the added ones; each once, over the parts."""
    del shop
    site.policy.write_text('[mirror]\nprojects = [{ name = "other>=1", latest = 2 }, "lib"]\n')
    async with serve() as service:
        await add(service)
        await add(service, {"line": "base", "because": "a test"})
        found, after = list[SelectedLine](), ""
        while True:
            part, following = await lines(service, f"?limit=1{after}")
            found += part
            if following is None:
                break
            after = f"&after={following}"
    assert [(one.line, one.latest, one.source) for one in found] == [
        ("other>=1", 2, LineSource.FILE),
        ("lib", None, LineSource.FILE),
        ("App>=1", None, LineSource.ADDED),
        ("base", None, LineSource.ADDED),
    ]
    assert [(one.because, one.by) for one in found[1:3]] == [(None, None), ("the shop", "alice")]


async def test_lines_at_once_are_all_in_force_and_bounded(serve: Serve, shop: fakepypi.FakePyPI) -> None:
    """Of several additions at the same time, none is lost; there are a thousand at most."""
    names = [f"p{number}" for number in range(6)]
    upload(shop, *(f"{name} 1.0" for name in names))
    async with serve() as service:
        await asyncio.gather(*(add(service, {"line": name, "because": "a test"}) for name in names))
        in_force = set(service.running.mirror.policy.current.projects)
        table = service.running.mirror.catalog.added_lines
        for number in range(MAX_ADDED_LINES - len(names)):
            table.put(StoredAddedLine(f"q{number}", f"q{number}", "x", "ci", 1))  # type: ignore[arg-type]
        status, text = await refusal(service, "app")
        replaced = await service.http.post(
            "/projects", json={"line": "p1>=1", "because": "fits"}, headers={MAY_REPLACE: "yes"}
        )
    assert in_force == {"other", *names}
    assert (status, replaced.status) == (409, 201)
    assert "mirrorctl selection --toml" in text
