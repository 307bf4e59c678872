"""docs/api.md, as its reader would try it: each block in a shell, against a live mirror behind a live control."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

import fakepypi
from control import live
from mirror_control.settings import Settings
from mirror_syncer.config.crontab import crontab
from mirror_syncer.service.private_api import PrivateApi
from mirror_syncer.service.status import StatusReader
from mirror_syncer.service.timetable import Timetable
from syncer.site import Site

_DOCUMENT = Path(__file__).parents[3] / "docs" / "api.md"
_TOKEN = "a-token-of-the-tests-0123456789"


def _blocks() -> list[tuple[str, str, str]]:
    """Return what is to be run, and as what its answer is shown: none, if it is not."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", _DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    following = [*found[1:], ("sh", "")]
    return [
        (text, kind if kind != "sh" else "", shown)
        for (what, text), (kind, shown) in zip(found, following, strict=True)
        if what == "sh"
    ]


def _differences(shown: Any, answered: Any, place: str = "") -> Iterator[str]:
    """Yield where two documents are not of one shape. Null may be anything: often it is what has not come yet."""
    match shown, answered:
        case dict(), dict() if shown.keys() == answered.keys():
            for key in shown:
                yield from _differences(shown[key], answered[key], f"{place}/{key}")
        case list(), list() if shown and answered:
            yield from _differences(shown[0], answered[0], f"{place}/0")
        case (list(), list()) | (None, _) | (_, None):
            pass
        case _ if type(shown) is not type(answered) or isinstance(shown, dict):
            yield f"{place}: shown {shown!r}, answered {answered!r}"


def _check(kind: str, shown: str, answered: str) -> list[str]:
    match kind:
        case "json":
            return list(_differences(json.loads(shown), json.loads(answered)))
        case "http":
            (status, *wanted), (line, *headers) = shown.splitlines(), answered.splitlines()
            names = {header.partition(":")[0].lower() for header in headers}
            absent = [f"no {name}" for header in wanted if (name := header.partition(":")[0]) not in names]
            return absent if line.strip() == status else [f"shown {status}, answered {line}"]
        case _:
            return []


@pytest.fixture
def background() -> Iterator[live.Background]:
    """The thread that control runs in."""
    background = live.Background()
    yield background
    background.close()


async def test_every_call_of_the_document_answers_as_shown(
    site: Site, pypi: fakepypi.FakePyPI, background: live.Background, tmp_path: Path
) -> None:
    """What docs/api.md tells people to type works, in its order, and the answers are of the shape that it shows."""
    pypi.index.project("six").upload("1.17.0")
    pypi.index.project("idna").upload("3.10")
    pypi.index.project("zope.interface").upload("7.1")
    slow = pypi.faults.on_page("zope-interface").gate()
    site.select("six", "zope.interface", "no-such-project", follow=True)
    (tmp_path / "control").mkdir()
    (tmp_path / "token").write_text(_TOKEN)
    blocks = _blocks()
    script = "set -euo pipefail\n" + "\nprintf '\\0'\n".join(text for text, _, _ in blocks)
    async with site.running() as running:
        await running.sync("six", "no-such-project")
        timetable = Timetable(crontab("*/30 * * * *", time_zone="UTC"), sync=lambda: None, paused=False)
        timetable.start()
        async with TestServer(
            PrivateApi(running.mirror, StatusReader(running.mirror, timetable)).application()
        ) as syncer:
            settings = Settings(
                control_state=tmp_path / "control",
                control_token_file=tmp_path / "token",
                access_log=tmp_path,
                syncer_url=str(syncer.make_url("/")),
            )
            with live.control(settings, background=background) as url:
                shell = await asyncio.create_subprocess_exec(
                    *("bash", "-c", script),
                    env={"PATH": "/usr/bin:/bin", "MIRROR": url, "TOKEN": _TOKEN},
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                )
                said, complaint = await shell.communicate()
        slow.open()
        timetable.stop()

    answers = said.decode().split("\0")
    assert (shell.returncode, complaint.decode(), len(answers)) == (0, "", len(blocks))
    wrong = {
        text: differences
        for (text, kind, shown), answered in zip(blocks, answers, strict=True)
        if (differences := _check(kind, shown, answered))
    }
    assert wrong == {}
