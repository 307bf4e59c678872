"""How soon the syncer answers what control asks for Prometheus and for people, with all of PyPI in its catalog."""

from bench.contenders import Ours
from bench.figures import Figures
from bench.ground import Ground
from bench.lists import mark_published
from bench.options import Options
from bench.report import say
from bench.service import running
from bench.stubs import PYPI, build_stubs
from bench.trials import figures_of
from bench.upstream import PLAIN, serving

_LOOKS = 30  # a pair
# What is asked, and within how many milliseconds it should be answered.
_CALLS = {
    "/status": 20,
    "/metrics": 20,
    "/projects?q=py": 50,
    "/projects?q=pyt&state=current&state=failing": 50,
    "/projects?q=zzzzzz": 50,
    "/projects?limit=200": 50,
    "/runs": 50,
}


class ApiTrial:
    """Calls of the private API, one after the other, of a service that has nothing else to do."""

    name = "api"
    what = "as many projects as PyPI in the catalog: status, metrics and searches"

    def run(self, options: Options, ground: Ground) -> Figures:
        """Measure."""
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
            with running(ours.service(home, line=PLAIN)) as service:
                for path, most in _CALLS.items():
                    service.look(path)  # the first warms caches that a scrape twice a minute keeps warm
                    looks = [service.look(path) * 1000 for _ in range(_LOOKS * options.pairs)]
                    figures.add(path, ours.name, *looks, unit="ms", at_most=most)
        return figures
