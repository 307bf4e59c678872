"""A fake syncer that serves the private API from memory, and fails on demand."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest
from pydantic import BaseModel

from mirror_contract import (
    AddedLine,
    AddedLineRequest,
    Choice,
    Counts,
    DependencySummary,
    Disk,
    Failure,
    FileChanges,
    FilePreview,
    HeldFile,
    HeldSummary,
    KeptRelease,
    LineSource,
    PolicyCandidate,
    PolicyCheck,
    PolicyFile,
    PolicyProblem,
    PolicyState,
    Project,
    ProjectAbout,
    ProjectChanges,
    ProjectDependencies,
    ProjectFile,
    ProjectLink,
    ProjectState,
    Release,
    ReleaseRequest,
    Requirement,
    RequirementState,
    Requirer,
    Run,
    RunKind,
    RunRequest,
    RunState,
    Schedule,
    SelectedLine,
    SelectionCause,
    Status,
    Trigger,
    UnmetReason,
    UnmetRequirement,
    parse_project_name,
)

# Today: a status of another day would be of a mirror that has not synced since.
NOW = datetime.now(UTC).replace(microsecond=0)
INTERNALS = "Traceback: sqlite3.OperationalError in /var/lib/secret/catalog.db"


class Mood(Enum):
    """How the fake syncer answers."""

    WELL = auto()
    HANGING = auto()  # takes the request, never answers
    GARBLED = auto()  # HTML, 200
    BROKEN = auto()  # a problem, 500, that shows internals
    MISSHAPEN = auto()  # JSON of no shape we know
    BEHIND_A_PROXY = auto()  # away, says a proxy in text


@dataclass(frozen=True)
class Seen:
    """A request that the fake syncer received."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]


def half_dated_project() -> Project:
    """Return a project with two files, of which one has no upload time."""
    files = [
        ProjectFile(filename="six-1.0.tar.gz", version="1.0", url="packages/ab/six-1.0.tar.gz"),
        ProjectFile(
            filename="six-2.0.tar.gz",
            version="2.0",
            url="packages/ab/six-2.0.tar.gz",
            upload_time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        ),
    ]
    return Project(name="six", state=ProjectState.CURRENT, file_count=2, files=files, undated_files=1)


def judged_project() -> Project:
    """Return a project of a file that is kept, one that upstream took, and one that is not published."""
    files = [
        ProjectFile(
            filename="six-1.0.tar.gz", version="1.0", url="packages/ab/six-1.0.tar.gz", reason="mirror.toml selects it"
        ),
        ProjectFile(
            filename="six-0.9.tar.gz",
            version="0.9",
            url="packages/ab/six-0.9.tar.gz",
            decision=Choice.LOST,
            reason="upstream took it",
        ),
        ProjectFile(
            filename="six-2.0.tar.gz",
            version="2.0",
            decision=Choice.DROP,
            reason="its version does not match <b>'six<2'</b>",
        ),
    ]
    return Project(name="six", state=ProjectState.CURRENT, file_count=2, files=files, undated_files=2)


def held_project() -> Project:
    """Return a project of a file that waits and one that is blocked: its page is empty."""
    files = [
        ProjectFile(
            filename="six-2.0.tar.gz",
            version="2.0",
            decision=Choice.HOLD,
            reason="uploaded yesterday; this mirror waits 7 days",
            until=NOW + timedelta(days=6),
        ),
        ProjectFile(filename="six-1.0.tar.gz", version="1.0", decision=Choice.BLOCK, reason="<b>malware</b>"),
    ]
    return Project(name="six", state=ProjectState.WAITING, files=files, held_files=1, blocked_files=1, withheld_files=2)


MACHINES = [f"Python 3.{minor} on linux-x86_64" for minor in (11, 12, 13)]
UNMET = [
    UnmetRequirement(
        project="torn",
        version="",
        requirement="torn[all]>=1",
        machines=MACHINES[:1],
        reason=UnmetReason.NO_PROOF,
        message="torn[all]>=1 cannot be installed on Python 3.11 on linux-x86_64: torn 1.0 needs <b>six\x1b[2J</b>",
    ),
    UnmetRequirement(
        project="six",
        version="1.0",
        requirement="<b>old\x1b[2J</b><1",
        machines=MACHINES,
        reason=UnmetReason.NO_RELEASE,
        message="no release of old matches '<1\x1b[2J'; the newest is 2.0",
    ),
]
DEPENDENCIES = DependencySummary(
    resolved_at=NOW - timedelta(minutes=5),
    projects={SelectionCause.LINE: 2, SelectionCause.REQUIRED: 203, SelectionCause.LOCK: 1},
    lines=2,
    proofs=3,
    unmet={UnmetReason.NO_RELEASE: 3, UnmetReason.HELD: 1},
)
TORN = DEPENDENCIES.model_copy(
    update={
        "lines_without_proof": 1,
        "without_proof": UNMET[:1],
        "unmet": DEPENDENCIES.unmet | {UnmetReason.NO_PROOF: 1},
    }
)


def required_project() -> Project:
    """Return a project that others require, with requirements that are here, unmet and unneeded."""
    return Project(
        name="six",
        state=ProjectState.CURRENT,
        selected="app → six>=1",
        dependencies=ProjectDependencies(
            releases=[
                KeptRelease(version="2.0", because="app → six>=1"),
                KeptRelease(version="1.0", because="witness of <b>torn\x1b[2J</b> on Python 3.11 on linux-x86_64"),
            ],
            requires=[
                Requirement(requirement="idna>=2", project="idna", releases=["2.0"], state=RequirementState.HERE),
                Requirement(
                    requirement=UNMET[1].requirement,
                    project="old",
                    releases=["2.0", "1.0", "0.9", "0.8"],
                    state=RequirementState.UNMET,
                    machines=MACHINES,
                    message=UNMET[1].message,
                ),
                Requirement(
                    requirement="",
                    releases=["1.0"],
                    state=RequirementState.UNNEEDED,
                    message="the sdist states its requirements only when it is built; it may need more",
                ),
            ],
            required_by=[Requirer(project="app", requirement="six>=1 <b>\x1b[2J</b>")],
        ),
    )


HELD = [
    HeldFile(
        project="six",
        filename="six-2.0.tar.gz",
        decision=Choice.HOLD,
        reason="uploaded yesterday; this mirror waits 7 days",
        until=NOW + timedelta(days=6),
    ),
    HeldFile(project="six", filename="six-1.0.tar.gz", decision=Choice.BLOCK, reason="<b>mal\x1b[2Jware</b>"),
]
SUMMARY = HeldSummary(held_files=1, blocked_files=1, projects=1, next_change_at=NOW + timedelta(days=6))


def rich_project() -> Project:
    """Return a project with releases for many machines, a yanked one, a pre-release, and words of its authors."""

    def file(version: str, ending: str, **more: Any) -> ProjectFile:
        name = f"numpy-{version}{ending}"
        fields = {"version": version, "size": 7_000_000, "sha256": "5f" * 32, "url": f"packages/ab/{name}"}
        uploaded = NOW - timedelta(days=400 - int(version.partition(".")[0]) * 100)
        return ProjectFile.model_validate(
            {"filename": name, "upload_time": uploaded, "requires_python": ">=3.11"} | fields | more
        )

    wheels = [
        f"-cp3{minor}-cp3{minor}-{platform}.whl"
        for minor in (11, 12, 13)
        for platform in (
            "manylinux_2_17_x86_64.manylinux2014_x86_64",
            "manylinux_2_28_aarch64",
            "musllinux_1_2_x86_64",
            "macosx_11_0_arm64",
            "win_amd64",
        )
    ]
    files = [
        file("1.0", ".tar.gz", yanked="wrong <b>metadata</b>", reason="mirror.toml selects it by 'numpy'"),
        *(file("2.0", ending) for ending in (*wheels[:5], ".tar.gz")),
        *(file("2.1.0", ending) for ending in (*wheels, ".tar.gz")),
        file("3.0rc1", "-py3-none-any.whl"),
        file(
            "2.2.0",
            ".tar.gz",
            url=None,
            decision=Choice.HOLD,
            reason="uploaded yesterday; this mirror waits 7 days",
            until=NOW + timedelta(days=6),
        ),
        file(
            "2.2.0",
            wheels[0],
            url=None,
            decision=Choice.HOLD,
            reason="uploaded yesterday; this mirror waits 7 days",
            until=NOW + timedelta(days=6),
        ),
        file("0.9", ".tar.gz", url=None, decision=Choice.DROP, reason="its version does not match 'numpy>=1'"),
    ]
    return Project(
        name="numpy",
        state=ProjectState.CURRENT,
        selected="numpy>=1",
        file_count=24,
        stored_bytes=168_000_000,
        newest_version="2.1.0",
        checked_at=NOW - timedelta(minutes=9),
        changed_at=NOW - timedelta(hours=7),
        held_files=2,
        withheld_files=3,
        undated_files=0,
        files=files,
        about=ProjectAbout(
            version="2.1.0",
            summary="Fundamental package for array computing in Python",
            license="BSD-3-Clause",
            links=[ProjectLink(label="Homepage", url="https://numpy.org/")],
        ),
    )


class FakeSyncer:
    """
    Starts and stops on one port of the loopback.

    ``script`` holds what the next looks at a run bring about: a state to enter, or a mood for that one answer;
    ``told``, fields of its status that are not what they would be.

    Args:
        registry: its metrics.
    """

    def __init__(self, *, registry: CollectorRegistry | None = None) -> None:
        self.mood = Mood.WELL
        self.script: list[RunState | Mood] = []
        self.told: dict[str, Any] = {}
        self.runs: dict[str, Run] = {}
        self.waiting_most = 10_000
        self.runs_in_an_answer = 200
        self.projects = {
            "six": Project(
                name="six",
                state=ProjectState.CURRENT,
                file_count=1,
                stored_bytes=11050,
                selected="six",
                files=[
                    ProjectFile(
                        filename="six-1.17.0.tar.gz", version="1.17.0", size=11050, url="packages/ab/six-1.17.0.tar.gz"
                    )
                ],
            ),
            "zope-interface": Project(
                name="zope-interface", state=ProjectState.FAILING, error="upstream sends [red]\x1b[2J 500", attempts=3
            ),
        }
        self.absences: dict[str, tuple[str, str]] = {}
        """Why unknown projects are not here, and the detail."""
        self.releases: dict[str, Release] = {}
        self.file_lines = [
            SelectedLine(line="six", project="six", source=LineSource.FILE),
            SelectedLine(line='idna>=3; sys_platform == "win32"', latest=5, project="idna", source=LineSource.FILE),
        ]
        self.added: dict[str, AddedLine] = {}
        self.schedule = Schedule(cron="*/30 * * * *", next_run_at=NOW + timedelta(minutes=30))
        self.seen: list[Seen] = []
        self.asked = asyncio.Event()  # set by the first run
        self.policy = PolicyFile(state=PolicyState(file="mirror.toml"), text='[mirror]\nprojects = ["six"]\n')
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._stopping = asyncio.Event()
        self._registry = registry or _registry()

    @property
    def url(self) -> str:
        """Where it listens, or did."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._stopping.clear()
        app = web.Application(middlewares=[self._misbehave])
        app.add_routes(
            [
                web.get("/healthz", _healthz),
                web.get("/status", self._status),
                web.get("/metrics", self._metrics),
                web.get("/runs", self._find_runs),
                web.post("/runs", self._start_run),
                web.get("/runs/{id}", self._show_run),
                web.post("/runs/{id}/cancel", self._cancel_run),
                web.get("/projects", self._find_projects),
                web.get("/projects/{name}", self._show_project),
                web.post("/projects", self._add_line),
                web.delete("/projects/{name}", self._remove_line),
                web.get("/selection", self._find_lines),
                web.get("/held", self._find_held),
                web.get("/unmet", self._find_unmet),
                web.get("/releases", self._find_releases),
                web.post("/releases", self._release),
                web.delete("/releases/{id}", self._revoke),
                web.get("/policy", self._show_policy),
                web.post("/policy/check", self._check_policy),
                web.post("/schedule/{action}", self._schedule),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Die: open connections break, new ones are refused."""
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def move(self, run_id: str, state: RunState) -> Run:
        """Change the state of a run."""
        update: dict[str, Any] = {"state": state}
        if state.ended:
            update["finished_at"] = NOW + timedelta(seconds=8)
            update["counts"] = Counts(projects_planned=2, projects_done=2, files_fetched=3, bytes_fetched=4096)
        else:
            update["started_at"] = NOW
        if state is RunState.INCOMPLETE:
            update["failures"] = [Failure(project="six", reason="wrong hash: [bold]\x1b]0;owned\x07")]
        self.runs[run_id] = self.runs[run_id].model_copy(update=update)
        return self.runs[run_id]

    @web.middleware
    async def _misbehave(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.seen.append(Seen(request.method, request.path, list(request.query.items()), dict(request.headers)))
        mood = self.mood
        if request.path.startswith("/runs/") and request.method == "GET" and self.script:
            step = self.script.pop(0)
            if isinstance(step, Mood):
                mood = step
            else:
                self.move(request.path.rpartition("/")[2], step)
        match mood:
            case Mood.HANGING:
                await self._stopping.wait()
                return web.Response(status=500)
            case Mood.GARBLED:
                return web.Response(text="<html>hello", content_type="text/html")
            case Mood.BROKEN:
                return _problem(500, INTERNALS)
            case Mood.MISSHAPEN:
                return web.json_response({"surprise": [1, 2, 3]})
            case Mood.BEHIND_A_PROXY:
                return web.Response(text="control is away", status=502)
            case Mood.WELL:
                return await handler(request)

    async def _status(self, _: web.Request) -> web.Response:
        runs = list(self.runs.values())
        status = Status(
            syncer_up=True,
            as_of=NOW,
            version="0.1.0",
            upstream="https://pypi.org",
            scope="selected",
            started_at=NOW,
            schedule=self.schedule,
            running=[run for run in runs if run.state is RunState.RUNNING],
            queued=[run for run in runs if run.state is RunState.QUEUED],
            last_success_at=NOW,
            last_completed_at=NOW,
            projects={ProjectState.CURRENT: 1, ProjectState.FAILING: 1},
            needs_attention_since=NOW,
            installable=1,
            files=1,
            stored_bytes=11050,
            disk=Disk(size_bytes=10**12, free_bytes=4 * 10**11),
            failing=[self.projects["zope-interface"]],
            problems=["zope-interface fails: look upstream"],
        )
        return _answer(status.model_copy(update=self.told))

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _find_runs(self, request: web.Request) -> web.Response:
        states = request.query.getall("state", list(RunState))
        triggers = request.query.getall("trigger", list(Trigger))
        before, most = request.query.get("after", "~"), int(request.query.get("limit", "50"))
        most = min(most, self.runs_in_an_answer)
        wanted = [run for run in reversed(self.runs.values()) if run.state in states and run.trigger in triggers]
        found = [run for run in wanted if run.id < before]
        if kind := request.query.get("kind"):
            found = [run for run in found if run.request.kind == kind]
        if project := request.query.get("project"):
            found = [run for run in found if run.names(project)]
        part = [run.model_dump(mode="json") for run in found[:most]]
        return web.json_response({"items": part, "next": part[-1]["id"] if len(found) > most else None})

    async def _start_run(self, request: web.Request) -> web.Response:
        wanted = RunRequest.model_validate_json(await request.read())
        if "not-selected" in (wanted.projects or ()):
            detail = "not-selected is not selected: give it a line in mirror.toml"
            return _problem(422, detail, errors=[{"pointer": "#/projects/0", "detail": detail}])
        if self.waiting_most <= len(self.runs):
            busy = _problem(429, "Enough runs wait already; ask again when some have ended.")
            busy.headers["Retry-After"] = "10"
            return busy
        if wanted.force and not wanted.projects and not wanted.confirm:
            return _problem(409, "That would make 2 requests; say 'confirm' if you mean it.", requests=2)
        for run in self.runs.values():
            if run.state is RunState.QUEUED and run.request == wanted:
                return _answer(run, status=202)
        run = Run(
            id=f"20261122T161233-{len(self.runs):06x}",
            request=wanted,
            trigger=Trigger(request.headers["X-Trigger"]),
            state=RunState.QUEUED,
            created_at=NOW,
        )
        self.runs[run.id] = run
        self.asked.set()
        return _answer(run, status=202)

    async def _show_run(self, request: web.Request) -> web.Response:
        run = self.runs.get(request.match_info["id"])
        return _answer(run) if run else _problem(404, f"There is no run {request.match_info['id']}.")

    async def _cancel_run(self, request: web.Request) -> web.Response:
        run = self.runs.get(request.match_info["id"])
        if run is None:
            return _problem(404, f"There is no run {request.match_info['id']}.")
        if run.state.ended:
            return _problem(409, f"The run {run.id} has ended: {run.state}.")
        return _answer(self.move(run.id, RunState.CANCELLED), status=202)

    async def _find_projects(self, request: web.Request) -> web.Response:
        states, text = request.query.getall("state", list(ProjectState)), request.query.get("q", "")
        if names := request.query.getall("name", []):
            here = [self.projects[name] for name in names if name in self.projects]
            absent = {name: self.absences.get(name, ("unselected", ""))[0] for name in names}
            return web.json_response(
                {
                    "items": [one.model_dump(mode="json", exclude={"files"}) for one in here if one.state in states],
                    "absent": {name: why for name, why in absent.items() if name not in self.projects},
                }
            )
        found = [one for name, one in sorted(self.projects.items()) if one.state in states and text in name]
        if request.query.get("sort") == "size":
            found.sort(key=lambda one: -one.stored_bytes)
        most, after = int(request.query.get("limit", "50")), request.query.get("after")
        start = next((place for place, one in enumerate(found, 1) if one.name == after), 0)
        items = [one.model_dump(mode="json", exclude={"files"}) for one in found[start : start + most]]
        more = items[-1]["name"] if len(found) > start + most else None
        return web.json_response({"items": items, "next": more, "total": len(found) if text else None})

    async def _show_project(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if (project := self.projects.get(name)) is not None:
            return _answer(project)
        absence, detail = self.absences.get(name, ("unselected", "mirror.toml does not name this project."))
        return _problem(404, detail, absence=absence)

    async def _find_lines(self, request: web.Request) -> web.Response:
        added = [
            SelectedLine(source=LineSource.ADDED, **one.model_dump(exclude={"run", "warnings"}))
            for _, one in sorted(self.added.items())
        ]
        return _page([*self.file_lines, *added], request)

    async def _add_line(self, request: web.Request) -> web.Response:
        wanted = AddedLineRequest.model_validate_json(await request.read())
        name = parse_project_name(re.split(r"[^\w.-]", wanted.line)[0])
        if name == "evil":
            return _problem(409, "evil is blocked in mirror.toml: malware; remove it from [block] first.")
        line = AddedLine(
            line=wanted.line,
            project=name,
            because=wanted.because,
            by=request.headers["X-Added-By"],
            made_at=NOW,
        )
        if self.added.get(name, line).line != line.line and request.headers.get("X-May-Replace") != "yes":
            return _problem(403, "Another line was added for it; that needs a token with the right remove.")
        self.added[name] = line
        run = self._queue_run(request, projects=(name,))
        return _answer(line.model_copy(update={"run": run.id, "warnings": ["upstream is away \x1b[2J"]}), status=201)

    async def _remove_line(self, request: web.Request) -> web.Response:
        line = self.added.pop(request.match_info["name"], None)
        if line is None:
            return _problem(404, "No line was added for it.")
        return _answer(line.model_copy(update={"run": self._queue_run(request, projects=None).id}))

    def _queue_run(self, request: web.Request, *, projects: tuple[str, ...] | None) -> Run:
        run = Run(
            id=f"20261122T161233-{len(self.runs):06x}",
            request=RunRequest(kind=RunKind.SYNC, projects=projects),
            trigger=Trigger(request.headers["X-Trigger"]),
            state=RunState.QUEUED,
            created_at=NOW,
        )
        self.runs[run.id] = run
        self.asked.set()
        return run

    async def _find_held(self, request: web.Request) -> web.Response:
        decisions, project = request.query.getall("decision", list(Choice)), request.query.get("project")
        found = [one for one in HELD if one.decision in decisions and project in (None, one.project)]
        return _page(found, request)

    async def _find_unmet(self, request: web.Request) -> web.Response:
        reasons, project = request.query.getall("reason", list(UnmetReason)), request.query.get("project")
        found = [one for one in UNMET if one.reason in reasons and project in (None, one.project)]
        return _page(found, request)

    async def _find_releases(self, _: web.Request) -> web.Response:
        items = [one.model_dump(mode="json") for one in self.releases.values()]
        return web.json_response({"items": items, "next": None})

    async def _release(self, request: web.Request) -> web.Response:
        wanted = ReleaseRequest.model_validate_json(await request.read())
        if wanted.project == "evil":
            return _problem(409, "evil is blocked in mirror.toml: malware; a block beats every release.")
        release = Release(
            id=f"{len(self.releases):08x}",
            requirement=wanted.requirement,
            project=wanted.project,
            because=wanted.because,
            by=request.headers["X-Released-By"],
            made_at=NOW,
            until=NOW + wanted.duration,
        )
        self.releases[release.id] = release
        return _answer(self._apply(release, request, warnings=["six-1.0.exe stays unpublished \x1b[2J"]), status=201)

    async def _revoke(self, request: web.Request) -> web.Response:
        release = self.releases.pop(request.match_info["id"], None)
        return _answer(self._apply(release, request)) if release else _problem(404, "No release has this id.")

    def _apply(self, release: Release, request: web.Request, *, warnings: list[str] | None = None) -> Release:
        run = Run(
            id=f"20261122T161233-{len(self.runs):06x}",
            request=RunRequest(kind=RunKind.SYNC, projects=(release.project,), offline=True),
            trigger=Trigger(request.headers["X-Trigger"]),
            state=RunState.QUEUED,
            created_at=NOW,
        )
        self.runs[run.id] = run
        self.asked.set()
        return release.model_copy(update={"run": run.id, "warnings": warnings or []})

    async def _show_policy(self, _: web.Request) -> web.Response:
        return _answer(self.policy)

    async def _check_policy(self, request: web.Request) -> web.Response:
        candidate = PolicyCandidate.model_validate_json(await request.read())
        if "latest = 0" in candidate.text:
            said = "mirror.latest = 0: must be a whole number \x1b[2J"
            return _answer(PolicyCheck(problems=[PolicyProblem(line=2, key="mirror.latest", message=said)]))
        names = [f"p{number}" for number in range(20)]
        return _answer(
            PolicyCheck(
                scope="selected",
                selected=30,
                arriving=25,
                arriving_names=names,
                leaving=7,
                leaving_names=["six"],
                withheld=7,
                files=FilePreview(
                    projects=886_000,
                    judged=5_000,
                    total=FileChanges(
                        arriving=3, leaving=40, fetched_bytes=5_000_000, unknown_sizes=1, freed_bytes=1_200_000_000
                    ),
                    largest=[ProjectChanges(project="numpy", leaving=40, freed_bytes=1_200_000_000)],
                ),
            )
        )

    async def _schedule(self, request: web.Request) -> web.Response:
        self.schedule = self.schedule.model_copy(update={"paused": request.match_info["action"] == "pause"})
        return _answer(self.schedule)


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok")


def _answer(shape: BaseModel, *, status: int = 200) -> web.Response:
    return web.Response(text=shape.model_dump_json(), status=status, content_type="application/json")


def _page(found: Sequence[BaseModel], request: web.Request) -> web.Response:
    """Return the part of a list that a request asks for, and where the rest begins."""
    after, most = request.query.get("after", "").rpartition("/")[2], int(request.query.get("limit", "50"))
    start = int(after) if after in ("1", "2") else 0
    items = [one.model_dump(mode="json") for one in found[start : start + most]]
    following = f"place/{start + most}" if start + most < len(found) else None
    return web.json_response({"items": items, "next": following})


def _problem(status: int, detail: str, **more: object) -> web.Response:
    content = {"type": "about:blank", "title": "No", "status": status, "detail": detail, **more}
    return web.json_response(content, status=status, content_type="application/problem+json")


def _registry() -> CollectorRegistry:
    """Return a syncer's metrics: every type, and a process collector that control must not expose."""
    registry = CollectorRegistry()
    Info("pypi_mirror_build", "What runs.", registry=registry).info({"service": "syncer", "version": "0.1.0"})
    projects = Gauge("pypi_mirror_projects", "Projects by state.", ["state"], registry=registry)
    for state in ProjectState:
        projects.labels(state).set(7 if state is ProjectState.CURRENT else 0)
    Gauge("pypi_mirror_last_success_timestamp_seconds", "When.", ["kind"], registry=registry).labels("sync").set(1.7e9)
    Counter("pypi_mirror_runs", "Runs.", ["kind", "outcome"], registry=registry).labels("sync", "succeeded").inc(3)
    Histogram("pypi_mirror_run_duration_seconds", "Time.", ["kind"], registry=registry).labels("sync").observe(8)
    ProcessCollector(registry=registry)
    return registry
