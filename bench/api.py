"""Response times of control and the syncer with all of PyPI in the catalog, and 50 million counted downloads."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.contenders import Ours
from bench.figures import Figures
from bench.ground import Ground
from bench.lists import mark_published
from bench.measure import last_words, start
from bench.options import Options
from bench.report import say
from bench.service import PORT, look, running
from bench.stubs import PYPI, build_stubs
from bench.trials import figures_of
from bench.upstream import PLAIN, await_port, serving

_LOOKS = 30  # per pair
_CONTROL = 8081
_STOP_SECONDS = 20
_NAMES_SECONDS = 60
_COUNT_SECONDS = 600
_CHANGED, _RELEASES = 100, 500
_PAGE_MILLISECONDS = 60
# Calls, by service, and the milliseconds within which they should be answered.
_CALLS = {
    (PORT, "/status"): 20,
    (PORT, "/metrics"): 20,
    (PORT, "/projects?q=py"): 50,
    (PORT, "/projects?q=pyt&state=current&state=failing"): 50,
    (PORT, "/projects?q=zzzzzz"): 50,
    (PORT, "/projects?sort=size"): 50,
    (PORT, "/projects?limit=200"): 50,
    (PORT, "/runs"): 50,
    (_CONTROL, "/api/v1/status"): 20,
    (_CONTROL, "/metrics"): 20,
    (_CONTROL, "/api/v1/projects?q=py"): 50,
    (_CONTROL, "/api/v1/runs"): 50,
}
# Pages of control; {project} has 500 releases.
_PAGES = (
    "/ui/",
    "/ui/projects",
    "/ui/projects?q=py",
    "/ui/projects?sort=size",
    "/ui/projects?sort=downloads",
    "/ui/projects/{project}",
    "/ui/held",
    "/ui/unmet",
    "/ui/runs",
    "/ui/runs?project={project}",
    "/ui/downloads",
    "/ui/downloads?days=365",
    "/ui/downloads?project={project}",
    "/ui/policy",
    "/ui/use",
    "/ui/alerts",
)


class ApiTrial:
    """Sequential calls of both APIs, with idle services."""

    name = "api"
    what = "as many projects as PyPI in the catalog: status, metrics and searches"

    def run(self, options: Options, ground: Ground) -> Figures:
        """Run the trial."""
        ours = Ours()
        figures = figures_of(self, options, **{ours.name: ours.version()})
        room, home = ground.fresh(self.name), ground.fresh(ours.name)
        stubs = build_stubs(PYPI // 10 if options.quick else PYPI, room / "upstream")
        figures.facts.append(f"{len(stubs.names):,} projects")
        say(f"{figures.label}: {figures.facts[0]}")
        with serving(stubs.directory, PLAIN, directory=room, template="stubs.conf"):
            with running(ours.service(home, line=PLAIN)) as service:
                service.ask_for_plan("sync")
            mark_published(home, stubs)
            changed = stubs.change(_CHANGED, origin=PLAIN.origin, releases=_RELEASES)
            _count_downloads(ours, home, changed)
            with running(ours.service(home, line=PLAIN)) as service, _control(ours, home):
                service.ask("sync").expect(projects_changed=len(changed))
                _await_names()
                pages = {(_CONTROL, path.format(project=changed[0])): _PAGE_MILLISECONDS for path in _PAGES}
                for page in pages:
                    figures.add(
                        f"control: first view of {page[1]}",
                        ours.name,
                        look(page[1], port=_CONTROL) * 1000,
                        unit="ms",
                        at_most=_PAGE_MILLISECONDS,
                    )
                for (port, path), most in (_CALLS | pages).items():
                    look(path, port=port)  # warms caches that regular scrapes keep warm
                    looks = [look(path, port=port) * 1000 for _ in range(_LOOKS * options.pairs)]
                    asked = "control" if port == _CONTROL else "the syncer"
                    figures.add(f"{asked}: {path}", ours.name, *looks, unit="ms", at_most=most)
        return figures


def _count_downloads(ours: Ours, home: Path, projects: Sequence[str]) -> None:
    """
    Fill control's store with 50 million downloads.

    Raises:
        RuntimeError: it failed, or took longer than ten minutes.
    """
    (home / "control").mkdir(exist_ok=True)
    command = ours.python(home, "bench.downloads", str(home / "control" / "downloads.db"), *projects)
    try:
        failed = start(command).wait(timeout=_COUNT_SECONDS)
    except subprocess.TimeoutExpired:
        failed = True
    if failed:
        raise RuntimeError(f"no downloads could be counted:\n{last_words(command)}")


def _await_names() -> None:
    """Search until the syncer has read all names; before, it refuses."""
    deadline = time.monotonic() + _NAMES_SECONDS
    while True:
        try:
            look("/projects?q=py", port=PORT)
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
        else:
            return


@contextmanager
def _control(ours: Ours, home: Path) -> Iterator[None]:
    command = ours.control(home, syncer=f"http://127.0.0.1:{PORT}", listen=f"127.0.0.1:{_CONTROL}")
    process = start(command)
    try:
        try:
            await_port(_CONTROL, process)
        except RuntimeError as error:
            raise RuntimeError(f"{error}:\n{last_words(command)}") from None
        yield
    finally:
        process.terminate()
        process.wait(timeout=_STOP_SECONDS)
