"""
Examples for the OpenAPI document: one for each answer of each call, found by schema or status.

They are instances of the schemas, so each one is valid.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel

from mirror_contract import (
    AddedLine,
    Choice,
    Counts,
    DependencySummary,
    Disk,
    FileChanges,
    FilePreview,
    HeldFile,
    HeldSummary,
    KeptRelease,
    LineSource,
    PendingRemoval,
    PolicyCheck,
    PolicyFact,
    PolicyFile,
    PolicyState,
    Project,
    ProjectChanges,
    ProjectDependencies,
    ProjectFile,
    ProjectState,
    Release,
    Requirement,
    RequirementState,
    Requirer,
    Run,
    RunChange,
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
)
from mirror_control.client.download_schemas import ClientShare, Day, Downloads, MissedProject, Misses, Share
from mirror_control.client.schemas import (
    Check,
    FieldError,
    HeldPage,
    Problem,
    ProjectPage,
    Readiness,
    ReleasePage,
    RunPage,
    SelectionPage,
    UnmetPage,
)
from mirror_control.problems import reason_phrase

_NOW: Final = datetime(2026, 11, 22, 16, 12, 33, tzinfo=UTC)
_FIRST_DAY: Final = _NOW.date() - timedelta(days=29)
_RUN: Final = Run(
    id="20261122T161233042-3fa9c1",
    request=RunRequest(kind=RunKind.SYNC, projects=("requests", "urllib3")),
    trigger=Trigger.API,
    state=RunState.SUCCEEDED,
    created_at=_NOW,
    started_at=_NOW,
    finished_at=_NOW + timedelta(seconds=4),
    counts=Counts(projects_planned=2, projects_done=2, projects_changed=1, files_fetched=2, bytes_fetched=263_104),
    changes=[RunChange(project="requests", newest_version="2.32.5", files_fetched=2, bytes_fetched=61_000)],
    phases={"plan": 0.1, "transfer": 3.2, "publish": 0.4},
)
_POLICY: Final = PolicyState(
    file="/etc/pypi-mirror/mirror.toml",
    read_at=_NOW,
    facts=[PolicyFact(about="scope", text="only what lines select"), PolicyFact(about="age", text="files wait 7 days")],
)
_QUEUED: Final = _RUN.model_copy(
    update={
        "state": RunState.QUEUED,
        "started_at": None,
        "finished_at": None,
        "counts": Counts(),
        "changes": [],
        "phases": {},
    }
)
_SIX: Final = Project(
    name="six",
    state=ProjectState.CURRENT,
    serial=26_651_443,
    file_count=2,
    stored_bytes=45_081,
    checked_at=_NOW,
    changed_at=_NOW - timedelta(days=12),
    selected="six",
)
_FAILING: Final = Project(
    name="zope-interface",
    state=ProjectState.FAILING,
    error="upstream answers 500",
    attempts=3,
    due_at=_NOW + timedelta(minutes=20),
    checked_at=_NOW,
    selected="zope.interface",
)
_SCHEDULE: Final = Schedule(cron="*/30 * * * *", next_run_at=_NOW + timedelta(minutes=17, seconds=27))
_SYNCER: Final = Check(name="syncer", ok=True, detail="answers")

_HELD: Final = HeldFile(
    project="django",
    filename="django-5.2.19.tar.gz",
    decision=Choice.HOLD,
    reason="uploaded 2026-11-20 09:30 UTC; this mirror waits 7 days, until 2026-11-27 09:31 UTC",
    until=_NOW + timedelta(days=5),
)
_UNMET: Final = UnmetRequirement(
    project="jupyterlab",
    version="4.4.9",
    requirement='tomli>=1.2.2; python_version < "3.11"',
    machines=["Python 3.10 on linux-x86_64"],
    reason=UnmetReason.HELD,
    message="tomli-2.3.0-py3-none-any.whl is held: uploaded 2026-11-20 09:30 UTC; this mirror waits 7 days",
)
_RELEASE: Final = Release(
    id="9f1c2d3e",
    requirement="django==5.2.19",
    project="django",
    because="CVE-2026-1234",
    by="alice",
    made_at=_NOW,
    until=_NOW + timedelta(days=14),
)

_ADDED: Final = AddedLine(
    line="django[argon2]>=5.2", project="django", because="the shop's new backend", by="alice", made_at=_NOW
)

_BY_SCHEMA: Final[Mapping[str, BaseModel]] = {
    "PolicyFile": PolicyFile(state=_POLICY, text='[mirror]\nprojects = ["requests", "urllib3"]\n'),
    "Run": _RUN,
    "RunPage": RunPage(items=[_RUN], next=_RUN.id),
    "Project": _SIX.model_copy(
        update={
            "undated_files": 0,
            "files": [
                ProjectFile(
                    filename="six-1.17.0-py2.py3-none-any.whl",
                    size=11_050,
                    sha256="4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274",
                    url="packages/7f/six-1.17.0-py2.py3-none-any.whl",
                    reason="mirror.toml selects it by 'six'",
                    upload_time=datetime(2024, 12, 4, 17, 35, 26, tzinfo=UTC),
                )
            ],
            "dependencies": ProjectDependencies(
                releases=[
                    KeptRelease(version="1.17.0", because="python-dateutil → six>=1.5"),
                    KeptRelease(version="1.16.0", because="witness of legacy-app on Python 3.11 on linux-x86_64"),
                ],
                requires=[
                    Requirement(
                        requirement='enum34; python_version < "3.4"',
                        project="enum34",
                        releases=["1.17.0"],
                        state=RequirementState.UNNEEDED,
                    )
                ],
                required_by=[Requirer(project="python-dateutil", requirement="six>=1.5")],
            ),
        }
    ),
    "ProjectPage": ProjectPage(items=[_SIX], next="six"),
    "HeldPage": HeldPage(items=[_HELD], next="1764235890/django/1764235890/django-5.2.19.tar.gz"),
    "UnmetPage": UnmetPage(items=[_UNMET]),
    "Release": _RELEASE.model_copy(update={"run": _RUN.id}),
    "ReleasePage": ReleasePage(items=[_RELEASE]),
    "AddedLine": _ADDED.model_copy(update={"run": _RUN.id}),
    "SelectionPage": SelectionPage(
        items=[
            SelectedLine(line="numpy>=2", latest=5, project="numpy", source=LineSource.FILE),
            SelectedLine(source=LineSource.ADDED, **_ADDED.model_dump(exclude={"run", "warnings"})),
        ]
    ),
    "Schedule": _SCHEDULE,
    "Status": Status(
        syncer_up=True,
        as_of=_NOW + timedelta(seconds=30),
        version="0.1.0",
        upstream="https://pypi.org",
        scope="selected",
        started_at=_NOW - timedelta(days=3),
        schedule=_SCHEDULE,
        last_run=_RUN,
        last_success_at=_NOW - timedelta(hours=6),
        last_completed_at=_NOW + timedelta(seconds=4),
        projects=dict.fromkeys(ProjectState, 0) | {ProjectState.CURRENT: 41, ProjectState.FAILING: 1},
        needs_attention_since=_NOW - timedelta(hours=2),
        installable=41,
        files=1_204,
        stored_bytes=3_918_214_511,
        disk=Disk(size_bytes=1_000_000_000_000, free_bytes=412_000_000_000, free_inodes=61_000_000),
        pending_removal=PendingRemoval(
            files=12,
            bytes=48_118_002,
            first_at=_NOW + timedelta(hours=2),
            last_at=_NOW + timedelta(hours=24),
        ),
        held=HeldSummary(held_files=14, blocked_files=1, projects=6, next_change_at=_NOW + timedelta(hours=3)),
        dependencies=DependencySummary(
            resolved_at=_NOW,
            projects={SelectionCause.LINE: 3, SelectionCause.REQUIRED: 38, SelectionCause.LOCK: 1},
            lines=3,
            proofs=6,
            unmet=dict.fromkeys(UnmetReason, 0) | {_UNMET.reason: 1},
        ),
        policy=_POLICY,
        failing=[_FAILING],
    ),
    "PolicyCheck": PolicyCheck(
        scope="selected",
        selected=12,
        arriving=2,
        leaving=1,
        withheld=0,
        arriving_names=["django", "sqlparse"],
        leaving_names=["six"],
        files=FilePreview(
            projects=3,
            judged=3,
            total=FileChanges(arriving=2, leaving=41, fetched_bytes=12_000_000, freed_bytes=1_204_000_000),
            largest=[
                ProjectChanges(project="numpy", leaving=40, freed_bytes=1_200_000_000),
                ProjectChanges(project="idna", arriving=2, fetched_bytes=12_000_000),
                ProjectChanges(project="six", leaving=1, freed_bytes=4_000_000),
            ],
        ),
    ),
    "Readiness": Readiness(
        checks=[
            _SYNCER,
            Check(name="token", ok=True, detail="readable"),
            Check(name="access log", ok=True, detail="counted"),
        ]
    ),
    "Downloads": Downloads(
        since=_FIRST_DAY,
        until=_NOW.date(),
        downloads=4_711,
        days=[
            Day(day=_NOW.date() - timedelta(days=1), downloads=4_000),
            Day(day=_NOW.date(), downloads=711),
        ],
        projects=[Share(name="requests", downloads=2_000), Share(name="urllib3", downloads=1_500)],
        file_types=[Share(name="wheel", downloads=4_600), Share(name="sdist", downloads=111)],
        clients=[
            ClientShare(name="pip", version="25.1", downloads=3_000),
            ClientShare(name="uv", version="0.9.2", downloads=1_600),
        ],
        pythons=[Share(name="3.13", downloads=4_000), Share(name="3.12", downloads=711)],
    ),
    "Misses": Misses(
        since=_FIRST_DAY,
        until=_NOW.date(),
        requests=57,
        projects=[MissedProject(name="internal-lib", requests=40, pages=40, files=0, last_day=_NOW.date())],
    ),
}


def _problem(status: int, detail: str, **more: object) -> Problem:
    return Problem.model_validate({"title": reason_phrase(status), "status": status, "detail": detail, **more})


_WRONG_NAME: Final = FieldError(
    pointer="#/projects/0", detail="'/etc/x' is not a project name: use a-z and 0-9, and '.', '_' or '-' inside"
)
_WRONG_AFTER: Final = FieldError(
    pointer="query/after", detail="'Six' is not a project's name; pass on what 'next' said, or follow the Link header"
)
_RANGE: Final = FieldError(
    pointer="#/requirement",
    detail="must name exactly one version, such as 'django==5.2.19'; release each version by itself",
)
_ABSENT: Final = FieldError(pointer="#/line", detail="upstream has no project djnago; look at its name")
_REMEDY: Final = "Check `docker compose ps syncer` and `docker compose logs syncer`."
_PROBLEMS: Final[Mapping[str, Problem]] = {
    "400": _problem(400, "There was an error parsing the body"),
    "401": _problem(
        401,
        "This call needs 'Authorization: Bearer <token>'; `docker compose exec control mirrorctl token` shows a token.",
    ),
    "403": _problem(
        403,
        "The token 'ci' has the right 'trigger', but this call needs 'remove'. Use another token, or create one "
        "(`docker compose exec control mirrorctl token create NAME --right remove`).",
    ),
    "404": _problem(404, "There is no run '20261122T161233042-3fa9c1'."),
    "projects-show 404": _problem(
        404, "leftpad is not mirrored, and no line selects it; `mirrorctl add leftpad` adds one."
    ),
    "releases-revoke 404": _problem(404, "No release in force has the id '9f1c2d3e'."),
    "selection-remove 404": _problem(
        404, "No line was added for urllib3; it is mirrored because of requests → urllib3<3,>=1.26."
    ),
    "409": _problem(409, "Run 20261122T161233042-3fa9c1 has ended: succeeded."),
    "runs-start 409": _problem(
        409,
        'This would make 886,324 requests or more; confirm it with --confirm, or "confirm": true. '
        "To force only a few projects, name them.",
        requests=886_324,
    ),
    "releases-add 409": _problem(
        409,
        "django==5.2.19 stays unpublished: [block] projects names 'django==5.2.19'; a release does not change that.",
    ),
    "selection-add 409": _problem(
        409,
        "evilpkg is blocked in mirror.toml: [block] projects names 'evilpkg'; remove it from [block] first.",
    ),
    "selection-remove 409": _problem(409, "mirror.toml selects django by 'django>=5.2'; remove that line there."),
    "413": _problem(413, "The body is longer than 1,048,576 bytes; name fewer projects per run."),
    "421": _problem(
        421,
        "mirror.example.org is not a name of this mirror, so this request may be a DNS rebinding attack. If the name "
        "is yours, add it in .env (MIRROR_HOSTS=mirror.example.org) and run `docker compose up -d`; or use the "
        "mirror's address.",
    ),
    "422": _problem(422, f"{_WRONG_AFTER.pointer}: {_WRONG_AFTER.detail}", errors=[_WRONG_AFTER]),
    "runs-start 422": _problem(422, f"{_WRONG_NAME.pointer}: {_WRONG_NAME.detail}", errors=[_WRONG_NAME]),
    "releases-add 422": _problem(422, f"{_RANGE.pointer}: {_RANGE.detail}", errors=[_RANGE]),
    "selection-add 422": _problem(422, f"{_ABSENT.pointer}: {_ABSENT.detail}", errors=[_ABSENT]),
    "429": _problem(
        429,
        "The run queue is full (100 runs): retry later, cancel runs that are not needed, or name all projects in one "
        "run.",
    ),
    "502": _problem(502, f"The syncer failed to process this call. {_REMEDY}"),
    "503": _problem(
        503,
        f"The syncer does not answer (no answer within 5 s); nginx still serves all files. {_REMEDY}",
    ),
}
_BY_CALL: Final[Mapping[str, Any]] = {
    "runs-start 202": _QUEUED.model_dump(mode="json"),
    "health-alive 200": {"status": "ok"},
}


def add_examples(document: dict[str, Any]) -> None:
    """Add an example to each JSON answer: that of its call and status, of its schema, or of its status."""
    for calls in document["paths"].values():
        for call in calls.values():
            for status, answer in call["responses"].items():
                for content in answer.get("content", {}).values():
                    example = _example(f"{call['operationId']} {status}", content.get("schema", {}), status)
                    if example is not None:
                        content.setdefault("example", example)


def _example(answer: str, schema: Mapping[str, Any], status: str) -> Any:  # noqa: ANN401 - JSON
    if answer in _BY_CALL:
        return _BY_CALL[answer]
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found = (_PROBLEMS.get(answer) or _PROBLEMS.get(status)) if name == "Problem" else _BY_SCHEMA.get(name)
    return None if found is None else found.model_dump(mode="json", exclude_none=name == "Problem")
