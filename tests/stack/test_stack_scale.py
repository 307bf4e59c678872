"""The stack with its catalog on PostgreSQL by compose.scale.yaml, and the commands of docs/scale.md."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml

from stack.compose import REPOSITORY, Stack, until
from stack.conftest import YEARLY, write_policy
from stack.mirror import Mirror

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900), pytest.mark.usefixtures("images")]

PLAIN = (REPOSITORY / "compose.yaml", REPOSITORY / "tests/stack/compose.yaml")
FILES = (*PLAIN, REPOSITORY / "compose.scale.yaml", REPOSITORY / "tests/stack/compose.scale.yaml")
PIP = ("pip", "install", "--index-url=http://nginx:8080/simple/", "--trusted-host=nginx", "--target=/tmp/scale")
SERVICES = ("syncer", "nginx", "control")


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Return a running stack whose catalog is on PostgreSQL."""
    policy = write_policy(tmp_path_factory.mktemp("policy") / "config/mirror.toml", "filler-00001", "filler-00002")
    settings = {
        "MIRROR_UPSTREAM": "http://fakepypi:8000",
        "MIRROR_CONFIG": str(policy.parent),
        "MIRROR_SCHEDULE": YEARLY,
        "MIRROR_DISK_RESERVE": "0%",
    }
    stack = Stack(settings=settings, files=FILES)
    try:
        stack.compose("build", "--quiet", "postgres")
        stack.up("fakepypi", "client")
        stack.up()
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="module")
def mirror(scaled: Stack) -> Iterator[Mirror]:
    """Return the mirror after its first sync."""
    token = scaled.execute("control", "mirrorctl", "token")
    with httpx2.Client(base_url=scaled.url("nginx", 8080), trust_env=False, timeout=30) as client:
        mirror = Mirror(client, token)
        until(mirror.idle, seconds=60)
        yield mirror


def stored(stack: Stack) -> str:
    """Return the projects in the database."""
    query = "SELECT string_agg(name, ' ' ORDER BY name) FROM project WHERE published"
    return stack.execute("postgres", "psql", "--dbname=mirror", "--tuples-only", "--no-align", f"--command={query}")


@pytest.mark.proves("reliability/database")
def test_syncer_continues_after_a_restart_of_the_database(scaled: Stack, mirror: Mirror) -> None:
    """The stack syncs into PostgreSQL, pip installs, and after a restart of the database the same syncer goes on."""
    assert stored(scaled) == "filler-00001 filler-00002"
    scaled.execute("client", *PIP, "--no-deps", "filler-00001")
    started = scaled.compose("ps", "--format={{.ID}} {{.RunningFor}}", "syncer").split()[0]
    scaled.compose("restart", "postgres")
    scaled.up("postgres")

    run = mirror.sync()

    assert run["state"] == "succeeded", run
    assert scaled.compose("ps", "--format={{.ID}}", "syncer") == started
    assert mirror.missing(["filler-00001", "filler-00002"]) == []


@pytest.mark.proves("reliability/database")
def test_serving_goes_on_without_the_database(scaled: Stack, mirror: Mirror) -> None:
    """While the database is stopped pip installs, a run fails with the remedy, and the next one succeeds."""
    scaled.compose("stop", "postgres")
    scaled.execute("client", "rm", "-rf", "/tmp/scale")
    scaled.execute("client", *PIP, "--no-deps", "filler-00002")
    failed = mirror.sync()
    scaled.up("postgres")
    assert failed["state"] == "failed"
    assert "check that PostgreSQL runs" in failed["message"]
    assert mirror.sync()["state"] == "succeeded"


@pytest.mark.proves("reliability/database")
def test_backup_restores_the_catalog(scaled: Stack, mirror: Mirror, tmp_path: Path) -> None:
    """The documented backup and restore bring the catalog back, and the next sync downloads no file again."""
    documented = (REPOSITORY / "docs/scale.md").read_text()
    backup = ("pg_dump", "--format=custom", "mirror")
    restore = ("pg_restore", "--clean", "--if-exists", "--single-transaction", "--dbname=mirror")
    assert " ".join(backup) in documented
    assert " ".join(restore) in documented
    scaled.execute("postgres", "sh", "-c", f"{' '.join(backup)} > /tmp/catalog.dump")
    scaled.compose("stop", "syncer")
    scaled.execute("postgres", "psql", "--dbname=mirror", "--command=DELETE FROM project; DELETE FROM about")

    scaled.execute("postgres", "sh", "-c", f"{' '.join(restore)} < /tmp/catalog.dump")
    scaled.up("syncer")

    assert stored(scaled) == "filler-00001 filler-00002"
    run = mirror.sync()
    assert (run["state"], run["counts"]["files_fetched"]) == ("succeeded", 0)


@pytest.mark.proves("reliability/database")
def test_catalog_moves_to_sqlite_and_back(scaled: Stack, mirror: Mirror) -> None:
    """The catalog moves to SQLite and back by the documented command, and no file is downloaded again."""
    scaled.compose("stop", "syncer")
    moved = scaled.compose("run", "--rm", "--no-TTY", "syncer", "migrate-catalog", "--to", "sqlite")
    assert "rows copied and compared; now set MIRROR_CATALOG= and start" in moved
    plain = Stack(settings=scaled.settings, files=PLAIN, project=scaled.project)
    plain.up(*SERVICES)
    run = mirror.sync()
    assert (run["state"], run["counts"]["files_fetched"]) == ("succeeded", 0)

    scaled.compose("stop", "syncer")
    drop = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
    scaled.execute("postgres", "psql", "--dbname=mirror", f"--command={drop}")
    target = "postgresql://mirror@/mirror?host=/run/postgresql"
    asked = ("run", "--rm", "--no-TTY", "--env=MIRROR_CATALOG=", "syncer", "migrate-catalog", "--to", target)
    assert "rows copied and compared" in scaled.compose(*asked)
    scaled.up(*SERVICES)
    run = mirror.sync()
    assert (run["state"], run["counts"]["files_fetched"]) == ("succeeded", 0)
    assert stored(scaled) == "filler-00001 filler-00002"


@pytest.mark.proves("security/containers")
def test_database_runs_without_privileges(scaled: Stack) -> None:
    """PostgreSQL runs read-only, without capabilities, network and superuser; only the syncer shares its socket."""
    shipped = yaml.safe_load((REPOSITORY / "compose.scale.yaml").read_text())["services"]["postgres"]
    assert shipped["read_only"] is True
    assert shipped["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in shipped["security_opt"]
    assert shipped["network_mode"] == "none"
    assert "ports" not in shipped
    query = "SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname = current_user"
    asked = ("psql", "--dbname=mirror", "--tuples-only", "--no-align", f"--command={query}")
    assert scaled.execute("postgres", *asked) == "0"
    scaled.execute("postgres", "psql", "--username=postgres", "--dbname=mirror", status=2)
