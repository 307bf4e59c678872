"""The memory of a first sync of many projects."""

from bench.check import check_stub_list, check_stub_pages
from bench.contenders import Ours
from bench.figures import Figures
from bench.ground import Ground
from bench.options import Options
from bench.report import say
from bench.service import running
from bench.stubs import build_stubs
from bench.trials import figures_of
from bench.upstream import PLAIN, serving

_MB = 1_000_000


class MemoryTrial:
    """The memory of the service during a first sync of many projects."""

    name = "memory"
    what = "peak memory of a first sync of 100,000 projects without files, all processes of the service"

    def run(self, options: Options, ground: Ground) -> Figures:
        """Run the trial once, which is enough to see growing memory."""
        ours = Ours()
        figures = figures_of(self, options, **{ours.name: ours.version()})
        room, home = ground.fresh(self.name), ground.fresh(ours.name)
        stubs = build_stubs(5_000 if options.quick else 100_000, room / "upstream")
        say(f"{figures.label}: {len(stubs.names):,} projects")
        upstream = serving(stubs.directory, PLAIN, directory=room, template="stubs.conf")
        with upstream, running(ours.service(home, line=PLAIN)) as service:
            ran = service.ask("sync")
            idle = service.idle
        ran.expect(projects_done=len(stubs.names), projects_changed=len(stubs.names), projects_failed=0)
        check_stub_list(ours, home, stubs)
        check_stub_pages(ours, home, stubs)
        figures.facts.append(f"{len(stubs.names):,} projects in {ran.wall:.0f} s")
        figures.add("resident, before the run", ours.name, idle / _MB, unit="MB")
        figures.add("peak", ours.name, ran.peak / _MB, unit="MB", at_most=250)
        return figures
