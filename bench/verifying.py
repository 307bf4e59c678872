"""A verify compared with bare sha256 of the same files, both from the page cache to exclude the disk."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.contenders import Ours
from bench.corpus import Corpus, Shape, build_corpus
from bench.figures import Figures
from bench.ground import Ground
from bench.measure import Command, Cost, measure
from bench.options import Options
from bench.report import say
from bench.service import Ran, running
from bench.trials import figures_of, in_turns
from bench.upstream import PLAIN, serving

_LIMIT_SECONDS = 3600
_SHARE = 85  # target: percent of bare sha256's throughput
_LARGE = {"smallest": 1_000_000, "largest": 1_000_000}
_SMALL = {"smallest": 500, "largest": 5_000}
_SHA256 = "sha256"


@dataclass(frozen=True, slots=True)
class _Kind:
    what: str
    shape: Shape
    quick: Shape
    unit: str
    """The unit: bytes if hashing dominates, distributions if opening files and reading pages does."""
    bar: float | None

    def amount(self, corpus: Corpus) -> float:
        """Return how many units a verify has processed."""
        return corpus.byte_count / 1e6 if self.unit == "MB" else len(corpus.files)


_KINDS = (
    _Kind(
        "files of 1 MB",
        Shape(projects=1_030, releases=4, **_LARGE),
        Shape(projects=20, releases=4, **_LARGE),
        "MB",
        _SHARE,
    ),
    _Kind(
        "small files",
        Shape(projects=4_000, releases=2.25, **_SMALL),
        Shape(projects=400, releases=2.25, **_SMALL),
        "distributions",
        None,
    ),
)


class VerifyTrial:
    """A full verify, in the running service and by the command line including its start."""

    name = "verify"
    what = "a whole verify beside bare sha256 of the same files, a process a core, all in the page cache"

    def run(self, options: Options, ground: Ground) -> Figures:
        """Run the trial."""
        ours = Ours()
        figures = figures_of(self, options, **{ours.name: ours.version()})
        for kind in _KINDS:
            room, home = ground.fresh(self.name), ground.fresh(ours.name)
            shape = kind.quick if options.quick else kind.shape
            corpus = build_corpus(shape, room / "corpus", origin=PLAIN.origin)
            fact = f"{kind.what}: {corpus.file_count:,} (each `.metadata` counted), {corpus.byte_count / 1e6:,.0f} MB"
            figures.facts.append(fact)
            say(f"{figures.label}: {fact}")
            with serving(corpus.directory, PLAIN, directory=room):
                measure(ours.command(home, line=PLAIN), limit_seconds=_LIMIT_SECONDS)
            shutil.rmtree(room)  # frees its half of the page cache
            self._compare(figures, options, kind, corpus, home)
        return figures

    def _compare(self, figures: Figures, options: Options, kind: _Kind, corpus: Corpus, home: Path) -> None:
        ours = Ours()
        bare_sha256(home, corpus)  # into the page cache
        in_service: list[Ran] = []
        bare: list[Hashed] = []
        by_command: list[Cost] = []
        for number in range(options.pairs):
            in_turns(
                number,
                lambda: in_service.append(_verify(home, corpus)),
                lambda: bare.append(bare_sha256(home, corpus)),
                lambda: by_command.append(measure(ours.verification(home, line=PLAIN), limit_seconds=_LIMIT_SECONDS)),
            )
        for who, how, seconds in (
            (ours.name, ": in the service", [ran.wall for ran in in_service]),
            (ours.name, ": `mirror-syncer verify`, with its start", [cost.wall for cost in by_command]),
            (_SHA256, "", [hashed.wall for hashed in bare]),
        ):
            speeds = (kind.amount(corpus) / one for one in seconds)
            figures.add(f"{kind.what}{how}", who, *speeds, unit=f"{kind.unit}/s")
        # Per turn, because runs of one turn were disturbed equally.
        pairs = list(zip(in_service, bare, strict=True))
        shares = [100 * hashed.wall / ran.wall for ran, hashed in pairs]
        figures.add(f"{kind.what}: share of bare sha256", ours.name, *shares, unit="%", at_least=kind.bar)
        shares = [100 * hashed.processor / ran.processor for ran, hashed in pairs]
        figures.add(f"{kind.what}: the same, of processor seconds", ours.name, *shares, unit="%")


@dataclass(frozen=True, slots=True)
class Hashed:
    """Seconds of all processes together, and of the processor."""

    wall: float
    processor: float


def _verify(home: Path, corpus: Corpus) -> Ran:
    with running(Ours().service(home, line=PLAIN)) as service:
        ran = service.ask("verify")
    ran.expect(files_verified=len(corpus.files), files_damaged=0, files_orphaned=0)
    return ran


def bare_sha256(home: Path, corpus: Corpus) -> Hashed:
    """Return what it costs only to hash every file of a mirror, with a process a core."""
    output = home / "hashing.json"
    packages = Ours().web(home) / "packages"
    environment = {"PYTHONPATH": str(Path(__file__).parent.parent)}
    arguments = [sys.executable, "-m", "bench.hashing", str(packages), str(output)]
    measure(Command(arguments, environment, home / "log"), limit_seconds=_LIMIT_SECONDS)
    said = json.loads(output.read_text())
    if said["files"] != corpus.file_count or said["bytes"] < corpus.byte_count:
        raise RuntimeError(
            f"sha256 found {said['files']:,} files of {said['bytes']:,} bytes, not {corpus.file_count:,}"
        )
    return Hashed(said["seconds"], said["processor"])
