"""What a command imports, by name and not by seconds, which depend on the machine."""

import asyncio
import os
import subprocess
import sys

import pytest

import fakepypi
from syncer.site import Site

HEAVY = {
    *("sqlalchemy", "alembic", "sqlite3", "pydantic", "pydantic_settings", "structlog", "asyncio", "pycurl", "msgspec"),
    *(
        "prometheus_client",
        "aiohttp",
        "apscheduler",
        "tomlkit",
        "nab_resolver",
        "packaging",
        "email",
        "http",
        "psycopg",
    ),
}


def imported_by(*arguments: str, **environment: str) -> set[str]:
    """Return the modules that a command imports until it ends."""
    told = (
        "import atexit, sys; atexit.register(lambda: print('\\0', *sys.modules, file=sys.stderr));"
        f"sys.argv = ['mirror-syncer', *{arguments!r}];"
        "from mirror_syncer.commands.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", told], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    return set(done.stderr.rpartition("\0")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["sync", "--help"], ["check", "--help"]])
def test_help_imports_nothing_that_only_a_run_needs(arguments: list[str]) -> None:
    """``--help`` imports neither database, HTTP client and models, nor any other room of the syncer."""
    imported = imported_by(*arguments)
    assert "mirror_syncer.commands.cli" in imported
    of_typer = {"pydantic", "email"} if len(arguments) > 1 else set()  # for the parameters of the command
    assert sorted(HEAVY & imported - of_typer) == []
    rooms = {".".join(name.split(".")[:2]) for name in imported if name.startswith("mirror_syncer.")}
    assert rooms == {"mirror_syncer.commands", "mirror_syncer.errors"}


async def test_sync_without_news_imports_no_more_than_it_needs(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync that finds nothing new starts no worker, and imports neither terminal, resolver nor other databases."""
    pypi.index.project("six").upload("1.0")
    site.select("six", follow=False)
    await asyncio.to_thread(imported_by, "sync", **site.environment())
    pypi.log.forget()
    imported = await asyncio.to_thread(imported_by, "sync", **site.environment())
    assert pypi.log.paths() == ["/simple/six/"]
    assert "mirror_syncer.runs.sync.selection" in imported
    unneeded = {"rich.console", "pygments", "nab_resolver", "cvss", "alembic", "aiohttp", "tomlkit", "yaml"}
    unneeded |= {
        "apscheduler.schedulers",
        "sqlalchemy.dialects.postgresql.base",
        "psycopg",
        "packaging.pylock",
        "mirror_syncer.closure.solver",
    }
    assert sorted(unneeded & imported) == []
