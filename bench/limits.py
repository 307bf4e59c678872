"""Each figure beside what the machine can do at best, so that the distance to the limit is seen."""

import json
import re
import shutil
from pathlib import Path

from bench.contenders import Ours
from bench.corpus import Corpus, build_corpus
from bench.figures import Figures
from bench.ground import Ground
from bench.measure import Command, measure
from bench.options import Options
from bench.report import say
from bench.scenarios import SCENARIOS, Scenario
from bench.service import running
from bench.trials import figures_of, in_turns
from bench.upstream import PLAIN, serving
from bench.verifying import bare_sha256
from bench.webserver import ServingTrial

_LIMIT_SECONDS = 3600
_DD_MEGABYTES, _QUICK_DD_MEGABYTES = 2_000, 300
_COPIED = re.compile(r", ([0-9.e+-]+) s, ")
_HEAVY_SHARE = 90  # targets in percent of the limit
_VERIFY_SHARE = 85


class LimitsTrial:
    """First syncs, a verify and nginx, each beside the parts that it cannot do without."""

    name = "limits"
    what = "each figure beside what the machine can do at best"

    def run(self, options: Options, ground: Ground) -> Figures:
        """Run the trial."""
        ours = Ours()
        figures = figures_of(self, options, **{ours.name: ours.version()})
        scenarios = {scenario.name: scenario for scenario in SCENARIOS}
        self._compare_small(figures, options, scenarios["wide"], ground)
        self._compare_large(figures, options, scenarios["heavy"], ground)
        served = ServingTrial().run(options, ground)
        figures.facts += served.facts
        figures.figures += [figure for figure in served.figures if "without access log" in figure.subject]
        return figures

    def _compare_small(self, figures: Figures, options: Options, scenario: Scenario, ground: Ground) -> None:
        room, corpus = _corpus(figures, options, scenario, ground)
        homes: list[Path] = []
        syncs: list[float] = []
        requests: list[float] = []
        creations: list[float] = []

        def create() -> None:
            homes.append(place := ground.fresh("creation"))
            creations.append(_ceiling(room, "creation", f"{place} {corpus.file_count} {mean}"))

        mean = max(1, corpus.byte_count // corpus.file_count)
        urls = [f"{PLAIN.origin}/simple/{name}/" for name in corpus.projects]
        urls += [f"{PLAIN.origin}/packages/{file.path}" for file in corpus.files]
        with serving(corpus.directory, PLAIN, directory=room):
            for number in range(options.pairs):
                in_turns(
                    number,
                    lambda: syncs.append(_sync(ground, homes)),
                    lambda: requests.append(_ceiling(room, "requests", "\n".join(urls))),
                    create,
                )
        _add(
            figures, "wide: requests to upstream", "requests/s", len(urls), {"pypi-mirror": syncs, "libcurl": requests}
        )
        made = {"pypi-mirror": syncs, "creation and rename": creations}
        _add(figures, "wide: files", "files/s", corpus.file_count, made)
        for home in (room, *homes):
            shutil.rmtree(home)

    def _compare_large(self, figures: Figures, options: Options, scenario: Scenario, ground: Ground) -> None:
        room, corpus = _corpus(figures, options, scenario, ground)
        homes: list[Path] = []
        syncs: list[float] = []
        written: list[float] = []
        hashed: list[float] = []
        verified: list[float] = []
        amount = corpus.byte_count / 1e6
        with serving(corpus.directory, PLAIN, directory=room):
            for number in range(options.pairs):
                in_turns(
                    number,
                    lambda: syncs.append(_sync(ground, homes)),
                    lambda: written.append(amount / _dd(ground, quick=options.quick)),
                )
        for number in range(options.pairs):
            in_turns(
                number,
                lambda: verified.append(_verify(homes[-1], corpus)),
                lambda: hashed.append(bare_sha256(homes[-1], corpus).wall),
            )
        limits = {"dd conv=fdatasync": written, "sha256": hashed}
        _add(figures, "heavy: written, hashed and synced", "MB/s", amount, {"pypi-mirror": syncs, **limits})
        slower = max(limits, key=lambda name: min(limits[name]))
        _share(figures, "heavy: share of the slower of the two", syncs, limits[slower], at_least=_HEAVY_SHARE)
        _add(figures, "verify", "MB/s", amount, {"pypi-mirror": verified, "sha256": hashed})
        _share(figures, "verify: share of sha256", verified, hashed, at_least=_VERIFY_SHARE)
        for home in (room, *homes):
            shutil.rmtree(home)


def _corpus(figures: Figures, options: Options, scenario: Scenario, ground: Ground) -> tuple[Path, Corpus]:
    room = ground.fresh(scenario.name)
    shape = scenario.quick if options.quick else scenario.shape
    corpus = build_corpus(shape, room / "corpus", origin=PLAIN.origin)
    fact = f"{scenario.name}: {corpus.file_count:,} files, {corpus.byte_count / 1e6:,.0f} MB"
    figures.facts.append(fact)
    say(f"{figures.label}: {fact}")
    return room, corpus


def _add(figures: Figures, subject: str, unit: str, amount: float, seconds: dict[str, list[float]]) -> None:
    for who, samples in seconds.items():
        figures.add(subject, who, *(amount / one for one in samples), unit=unit)


def _share(
    figures: Figures, subject: str, ours: list[float], limit: list[float], *, at_least: float | None = None
) -> None:
    # Per turn, because runs of one turn were disturbed equally.
    shares = [100 * theirs / its for its, theirs in zip(ours, limit, strict=True)]
    figures.add(subject, Ours.name, *shares, unit="%", at_least=at_least)


def _sync(ground: Ground, homes: list[Path]) -> float:
    """Return the seconds of a first sync, at whose end everything is on the disk."""
    ours = Ours()
    homes.append(home := ground.fresh(ours.name))
    return measure(ours.command(home, line=PLAIN), limit_seconds=_LIMIT_SECONDS).wall


def _verify(home: Path, corpus: Corpus) -> float:
    """Return the seconds of a whole verify in the running service."""
    with running(Ours().service(home, line=PLAIN)) as service:
        ran = service.ask("verify")
    ran.expect(files_verified=len(corpus.files), files_damaged=0, files_orphaned=0)
    return ran.wall


def _ceiling(room: Path, what: str, given: str) -> float:
    (room / "given").write_text(given)
    output = room / "seconds.json"
    command = Ours().python(room, "bench.ceilings", what, str(room / "given"), str(output))
    measure(command, limit_seconds=_LIMIT_SECONDS)
    seconds: float = json.loads(output.read_text())["seconds"]
    return seconds


def _dd(ground: Ground, *, quick: bool) -> float:
    """Return the MB/s of one program that only writes zeros and syncs them."""
    room = ground.fresh("dd")
    megabytes = _QUICK_DD_MEGABYTES if quick else _DD_MEGABYTES
    command = ["dd", "if=/dev/zero", f"of={room}/zeros", "bs=1MB", f"count={megabytes}", "conv=fdatasync"]
    measure(Command(command, {"LC_ALL": "C"}, room / "log"), limit_seconds=_LIMIT_SECONDS)
    said = (room / "log").read_text()
    shutil.rmtree(room)
    if (found := _COPIED.search(said)) is None:
        raise RuntimeError(f"dd said {said}")
    return megabytes / float(found[1])
