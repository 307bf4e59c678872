"""The speed at which control counts the access log."""

import json
import random
from collections.abc import Callable
from pathlib import Path

from bench.contenders import Ours
from bench.figures import Figures
from bench.ground import Ground
from bench.measure import measure, start
from bench.options import Options
from bench.report import say
from bench.trials import figures_of

_LINES = 300_000
_WANTED = 20_000
_LIMIT_SECONDS = 600
_MB = 1_000_000
_MINUTE = "2026-11-22T12:00"
# pip's full user agent, which is half of each of its lines.
_PIP = (
    '{"ci":null,"cpu":"x86_64","distro":{"id":"noble","libc":{"lib":"glibc","version":"2.39"},"name":"Ubuntu",'
    '"version":"24.04"},"implementation":{"name":"CPython","version":"3.12.3"},"installer":{"name":"pip"},"openssl_version":'
    '"OpenSSL 3.0.13 30 Jan 2024","python":"3.12.3","system":{"name":"Linux","release":"6.8.0-45-generic"}}'
)

_Line = Callable[[random.Random], tuple[str, bool]]


class IntakeTrial:
    """Lines of an access log per second: of a usual site, and of a flood without equal lines."""

    name = "intake"
    what = f"lines of the access log that control counts a second, {_LINES:,} of them"

    def run(self, options: Options, ground: Ground) -> Figures:
        """Run the trial."""
        ours = Ours()
        figures = figures_of(self, options, **{ours.name: ours.version()})
        number = _LINES // 10 if options.quick else _LINES
        for subject, line, rate in (
            ("a site's log", _of_a_site, None),
            ("no two lines alike", _of_a_flood, None),
            (f"a site's log, {_WANTED:,} lines a second", _of_a_site, _WANTED),
        ):
            say(f"{figures.label}: {subject}")
            walls, processors, lags, longest, peaks = zip(
                *(_count(ours, ground.fresh(self.name), line, number, rate=rate) for _ in range(options.pairs)),
                strict=True,
            )
            if rate is None:
                figures.add(f"{subject}: a second of one core", ours.name, *processors, unit="lines", at_least=_WANTED)
                figures.add(f"{subject}: a second", ours.name, *walls, unit="lines")
            figures.add(f"{subject}: the loop is late, 99 of 100 times", ours.name, *lags, unit="ms", at_most=20)
            figures.add(f"{subject}: the loop is late, at worst", ours.name, *longest, unit="ms")
            figures.add(f"{subject}: peak", ours.name, *peaks, unit="MB")
        return figures


def _count(
    ours: Ours, home: Path, line: _Line, number: int, *, rate: int | None
) -> tuple[float, float, float, float, float]:
    logs, output = home / "logs", home / "counting.json"
    logs.mkdir()
    chance = random.Random(1)
    wanted = 0
    # Lines that arrive at a rate are written elsewhere.
    path = (home if rate else logs) / f"access-{_MINUTE.replace(':', '')}.jsonl"
    with path.open("w") as file:
        for _ in range(number):
            text, counts = line(chance)
            file.write(text)
            wanted += counts
    counting = ours.python(home, "bench.counting", str(logs), str(home / "downloads.db"), str(number), str(output))
    feeding = ours.python(home, "bench.feeding", str(path), str(logs), str(rate))
    feeder = start(feeding) if rate else None
    try:
        cost = measure(counting, limit_seconds=_LIMIT_SECONDS)
    finally:
        if feeder is not None:
            feeder.kill()
            feeder.wait()
    told = json.loads(output.read_text())
    if told["counted"] != wanted:
        raise RuntimeError(f"{told['counted']:,.0f} were counted, not {wanted:,}")
    return (
        number / told["seconds"],
        number / told["processor"],
        told["lag"] * 1000,
        told["longest"] * 1000,
        cost.rss / _MB,
    )


def _of_a_site(chance: random.Random) -> tuple[str, bool]:
    """Return a request of an install, and whether it counts: half are pages, a tenth of these unknown."""
    number = min(int(chance.paretovariate(0.7)), 2_000)
    agent = chance.choice((f"pip/25.{chance.randrange(4)} {_PIP}", f"uv/0.9.{chance.randrange(20)}"))
    file = f"/packages/{number % 256:02x}/project_{number}-1.{chance.randrange(3)}.0-py3-none-any.whl"
    (kind,) = chance.choices(("unknown", "page", "metadata", "file"), weights=(5, 45, 20, 30))
    match kind:
        case "unknown":
            return _line(f"/simple/private-{number}/", agent, route="page", status="404"), True
        case "page":
            return _line(f"/simple/project-{number}/", agent, route="page", status="304"), False
        case "metadata":
            return _line(f"{file}.metadata", agent), False
        case _:
            return _line(file, agent), True


def _of_a_flood(chance: random.Random) -> tuple[str, bool]:
    """Return a unique request, for which caches of earlier lines are useless."""
    number = chance.getrandbits(48)
    agent = f"pip/{number}.{chance.randrange(100)} {_PIP}"
    if chance.getrandbits(1):
        return _line(f"/simple/flood-{number}/", agent, route="page", status="404"), True
    return _line(f"/packages/ab/flood_{number}-1.0-cp313-cp313-manylinux_2_28_x86_64.whl", agent), True


def _line(uri: str, agent: str, *, route: str = "package", status: str = "200") -> str:
    told = {
        "time": f"{_MINUTE}:00+00:00",
        "client": "10.10.10.77",
        "method": "GET",
        "uri": uri,
        "route": route,
        "status": status,
        "bytes": 64928,
        "seconds": 0.001,
        "range": "",
        "agent": agent,
    }
    return json.dumps(told, separators=(",", ":")) + "\n"
