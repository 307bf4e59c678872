"""The status page: what is under way, how the disk fills, what is new, the policy in force, and the certificate."""

import json
import re
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from control.conftest import Serve
from control.fake_syncer import FakeSyncer
from control.live import Background
from mirror_contract import (
    Counts,
    Disk,
    Failure,
    PolicyFact,
    PolicyState,
    Project,
    ProjectState,
    Run,
    RunChange,
    RunKind,
    RunRequest,
    RunState,
    Trigger,
)
from mirror_control.downloads.certificate import read_certificate_end
from mirror_control.settings import Settings

NOW = datetime.now(UTC)
HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.exe\x1b[2J" + "x" * 1_000_000
SIZE = 10**12


def make_run(number: int = 1, **other: Any) -> Run:
    """Return a sync that ended."""
    begin = NOW - timedelta(hours=number)
    fields = {
        "id": f"r{number}",
        "request": RunRequest(kind=RunKind.SYNC),
        "trigger": Trigger.SCHEDULE,
        "state": RunState.SUCCEEDED,
        "created_at": begin,
        "started_at": begin,
        "finished_at": begin + timedelta(minutes=5),
    }
    return Run.model_validate(fields | other)


def running(done: int, **other: Any) -> Run:
    """Return a running sync."""
    counts = Counts(projects_planned=40, projects_done=done, projects_failed=2, files_fetched=9, bytes_fetched=10**7)
    fields = {"id": "r0", "state": RunState.RUNNING, "finished_at": None, "counts": counts}
    return make_run(**fields | other)


def history(settings: Settings, *, days: float, per_day: int, free: int = 4 * 10**11) -> None:
    """Write a history of the disk: an hourly point, the last one now."""
    points = [
        {
            "at": (NOW - timedelta(hours=hour)).isoformat(),
            "size": SIZE,
            "free": free + hour * per_day // 24,
            "stored": 5,
        }
        for hour in reversed(range(int(days * 24) + 1))
    ]
    (settings.control_state / "disk-history.json").write_text(json.dumps({"points": points}))


def text_of(page: str) -> str:
    """Return a page's text on one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_running_run_stands_above_old_failures(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A run under way is above all but the headline: its progress, projects in hand, failures so far, and Cancel."""
    failed = [Failure(project="evil", reason="wrong <hash>")]
    syncer.told = {
        "running": [running(10, failures=failed)],
        "in_hand": ["numpy", "scipy"],
        "last_run": make_run(state=RunState.FAILED, message="upstream is away"),
        "damaged_files": 1,
    }
    page = client.get("/ui/").text
    now = page.index('id="now"')
    assert page.index("</header>") < now < page.index("damaged file")
    section = text_of(page[now : page.index("</section>", now)])
    for said in ("10 of 40 projects", "9 files, 10.0 MB", "2 failed or partial", "wrong &lt;hash&gt;", "Cancel"):
        assert said in section
    assert "Working on: numpy , scipy" in section
    assert "left" not in section, "nothing is known of its speed yet"


@pytest.mark.parametrize(
    ("days", "per_day", "told"),
    [
        (10, 10**10, "full in 40 d at 10.0 GB a day"),
        (10, -(10**10), "does not fill"),
        (10, 2 * 10**7, "fills slowly"),
        (2, 10**10, "how fast it fills will be known in 23 h ;"),
        (0.5, 10**10, "how fast it fills will be known in 2 d ;"),
    ],
)
def test_disk_is_forecast_only_with_enough_history(  # noqa: PLR0917 - fixtures and cases
    serve: Serve, settings: Settings, syncer: FakeSyncer, days: float, per_day: int, told: str
) -> None:
    """The page says when the disk will be full, once it has three days of history; before, it says when it will."""
    history(settings, days=days, per_day=per_day)
    syncer.told = {"disk": Disk(size_bytes=SIZE, free_bytes=4 * 10**11), "as_of": NOW}
    with serve() as client:
        page = text_of(client.get("/ui/").text)
    assert told in page
    assert len(re.findall("full in|does not fill|fills slowly|how fast it fills will be known", page)) == 1


def test_unusable_disk_history_is_forgotten(serve: Serve, settings: Settings) -> None:
    """A history that cannot be read is forgotten, and control starts."""
    (settings.control_state / "disk-history.json").write_text('{"points": [{"at": "yesterday"}]}')
    with serve() as client:
        assert client.get("/ui/").status_code == 200


def test_page_says_what_is_new_since_yesterday(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The page sums up the runs of the last day: changed pages, files, and the newest version of each project."""
    changes = [
        RunChange(project="numpy", newest_version="2.4", files_fetched=3, bytes_fetched=5 * 10**6),
        RunChange(project="old", withdrawn=True),
    ]
    counts = Counts(projects_changed=1, projects_withdrawn=1, files_fetched=3, bytes_fetched=5 * 10**6)
    syncer.runs = {"r2": make_run(2, changes=changes, counts=counts)}
    page = text_of(client.get("/ui/").text)
    assert (
        "New since yesterday 1 run since 24 h ago : 1 changed page, 3 files downloaded (5.0 MB), 1 project removed"
        in page
    )
    assert "Most was downloaded for numpy (5.0 MB). numpy 2.4 old removed" in page
    asked = [dict(seen.query)["since"] for seen in syncer.seen if "since" in dict(seen.query)]
    assert len(asked) == 1
    assert NOW - timedelta(hours=25) < datetime.fromisoformat(asked[0]) < NOW - timedelta(hours=23)
    client.get("/ui/")
    assert len([seen for seen in syncer.seen if "since" in dict(seen.query)]) == 1, "not with each reload"


def test_policy_in_force_stands_in_words(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The page says in words what the policy in force says, and when it was read."""
    facts = [PolicyFact(about="age", text="files wait 7 days"), PolicyFact(about="blocks", text="3 names")]
    read = NOW - timedelta(hours=5)
    syncer.told = {"policy": PolicyState(file="mirror.toml", facts=facts, read_at=read)}
    page = text_of(client.get("/ui/").text)
    assert "Policy In force: mirror.toml; read 5 h ago" in page
    assert "Age files wait 7 days Blocks 3 names" in page


def test_certificate_end_is_told(client: httpx2.Client, settings: Settings, tmp_path: Path) -> None:
    """The page says when the certificate ends that nginx serves; without HTTPS or with nonsense, nothing."""
    logs = settings.access_log
    logs.mkdir(exist_ok=True)
    assert "Certificate" not in client.get("/ui/").text
    for days, subject in ((30, "/CN=mirror.example.org"), (400, f"/O={'long ' * 12}/CN=mirror")):
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(tmp_path / "key")]
        command += ["-days", str(days), "-subj", subject, "-out", str(logs / "certificate.pem")]
        subprocess.run(command, check=True, capture_output=True)
        end = read_certificate_end(logs)
        assert end is not None
        assert abs(end - datetime.now(UTC) - timedelta(days=days)) < timedelta(hours=1)
        page = text_of(client.get("/ui/").text)
        assert re.search(rf"Certificate ends in ({days}|{days - 1}) d {end:%Y-%m-%d}", page)
    whole = (logs / "certificate.pem").read_text()
    der = ssl.PEM_cert_to_DER_cert(whole)
    for broken in (b"", b"nonsense", whole[:300].encode(), ssl.DER_cert_to_PEM_cert(der[:80]).encode(), b"\xff" * 99):
        (logs / "certificate.pem").write_bytes(broken)
        assert read_certificate_end(logs) is None
        assert client.get("/ui/").status_code == 200


def test_last_known_state_stays_with_its_age(client: httpx2.Client, syncer: FakeSyncer, background: Background) -> None:
    """While the syncer is away, what was known of runs, growth and policy stays, and nothing can be cancelled."""
    syncer.told = {
        "running": [running(10)],
        "as_of": datetime.now(UTC) - timedelta(minutes=3),
        "policy": PolicyState(file="mirror.toml", facts=[PolicyFact(about="age", text="files wait 7 days")]),
    }
    client.get("/ui/")
    background.run(syncer.stop())
    answer = client.get("/ui/")
    page = text_of(answer.text)
    assert answer.status_code == 200
    for said in ("last known status, 3 min ago", "10 of 40 projects", "files wait 7 days"):
        assert said in page
    assert 'name="do" value="cancel"' not in answer.text, "nothing can be cancelled now"


def test_syncs_are_charted_in_time(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """Duration and projects of each sync are bars with their numbers; a pause of the schedule is a gap between them."""
    for number, failed in ((9, 0), (1, 0), (0, 2)):
        counts = Counts(projects_changed=4, projects_failed=failed)
        syncer.runs[f"r{9 - number}"] = make_run(number, id=f"r{9 - number}", counts=counts)
    syncer.told = {"last_run": syncer.runs["r9"]}
    durations, projects = re.findall(r"<figure.*?</figure>", client.get("/ui/").text, re.DOTALL)
    assert re.findall(r"<title>.+?: ([^<]+)</title>", durations) == ["5 min"] * 3
    assert re.findall(r'<rect x="([\d.]+)"', durations) == ["0.0", "881.8", "992.0"]
    assert "Duration of each sync, at most 5 min" in durations
    assert re.findall(r"<title>.{16}: ([^<]+)</title>", projects) == [
        "4 projects changed, 0 failed",
        "4 projects changed, 0 failed",
        "4 projects changed, 2 failed",
    ]
    assert re.findall(r'class="part".+?height="([\d.]+)"', projects) == ["33.3"]
    assert "per sync, at most 6" in projects
    syncer.runs = {"r9": syncer.runs["r9"]}
    syncer.told = {"last_run": make_run(0, id="r10")}
    assert "<figure" not in client.get("/ui/").text, "one sync has no course"


def test_busy_page_is_bounded(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """With many syncs and failing projects whose reasons are long, the page has 150 kB at most, assets included."""
    name = "x" * 25
    failing = [
        Project(name=f"{name}-{number}", state=ProjectState.FAILING, error="y" * 2000, attempts=3, due_at=NOW)
        for number in range(20)
    ]
    syncer.runs = {f"r{number}": make_run(number) for number in range(300, 0, -1)}
    syncer.told = {"last_run": syncer.runs["r1"], "failing": failing, "problems": ["z" * 5000]}
    page = client.get("/ui/")
    assets = set(re.findall(r'(?:src|href)="[./]+(/ui/static/[^"]+)"', page.text))
    size = len(page.content) + sum(len(client.get(url).content) for url in assets)
    assert page.text.count(">Retry<span") == 10
    assert size <= 150_000, size


@pytest.mark.proves("security/upstream")
def test_hostile_text_is_short_and_harmless(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """Megabytes of markup in messages, reasons and the policy are shown as text, and the page stays small."""
    hostile = make_run(
        state=RunState.FAILED,
        message=HOSTILE,
        failures=[Failure(project="evil", file=HOSTILE[:2000], reason=HOSTILE)] * 100,
        changes=[RunChange(project="evil", newest_version=HOSTILE)],
    )
    policy = PolicyState(
        file=HOSTILE, warnings=[HOSTILE, *[HOSTILE[:2000]] * 99], facts=[PolicyFact(about="age", text=HOSTILE)]
    )
    syncer.runs = {"r1": hostile}
    syncer.told = {
        "last_run": hostile,
        "running": [running(1, failures=hostile.failures)],
        "policy": policy,
        "upstream": HOSTILE,
    }
    for path in ("/ui/", "/ui/runs", "/ui/runs?project=evil", "/ui/runs/r1", "/ui/policy"):
        page = client.get(path)
        assets = set(re.findall(r'(?:src|href)="[./]+(/ui/static/[^"]+)"', page.text))
        size = len(page.content) + sum(len(client.get(url).content) for url in assets)
        assert size <= 150_000, (path, size)
        assert "&lt;img src=x onerror=alert(1)&gt;" in page.text, path
        for evil in ("<img src=x", "\u202e", "\x1b"):
            assert evil not in page.text, path
