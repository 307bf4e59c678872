"""The check of what an application requires: would it install, on which machines not, and why."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mirror_contract.text import printable
from mirror_syncer.catalog import Catalog
from mirror_syncer.closure.closure_source import ClosureSource
from mirror_syncer.closure.installation import Installation, PinnedRelease, find_pins, prove_together
from mirror_syncer.closure.mirror_source import MirrorSource
from mirror_syncer.closure.source import Source
from mirror_syncer.commands.estimate import open_index
from mirror_syncer.commands.import_choices import CheckAgainst
from mirror_syncer.commands.importing.required_file import RequiredFile
from mirror_syncer.commands.installable_files import InstallableFiles
from mirror_syncer.config import Policy, Rules, Scope
from mirror_syncer.config.locks import merge_pins
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import UpstreamError, VolumeMissingError
from mirror_syncer.volume import open_view

_MAX_LISTED = 20
_SHOWN_RELEASES = 3


@dataclass(frozen=True, slots=True)
class RequirementsCheck:
    """The answer about one file."""

    file: RequiredFile
    against: CheckAgainst
    installations: tuple[Installation, ...] = ()
    machines: tuple[str, ...] = ()
    """Of a lock."""
    pins: tuple[PinnedRelease, ...] = ()

    @property
    def missing(self) -> tuple[PinnedRelease, ...]:
        """The releases of a lock that no machine can install."""
        return tuple(one for one in self.pins if not one.machines)

    @property
    def installs_everywhere(self) -> bool:
        """Whether all of the file can be installed on each machine."""
        installs = all(one.releases is not None for one in self.installations)
        return installs and not self.missing and not self.file.is_incomplete

    def document(self) -> dict[str, Any]:
        """Return the answer as JSON types."""
        found: dict[str, Any] = {
            "file": self.file.name,
            "from": self.against.value,
            "installs_everywhere": self.installs_everywhere,
            "left_out": list(self.file.left_out),
        }
        if self.pins:
            missing = bool(self.missing)
            found["machines"] = [
                {
                    "machine": machine,
                    "installs": not missing,
                    "without_a_file": [_name(one) for one in self.pins if one.machines and machine not in one.machines],
                }
                for machine in self.machines
            ]
            found["missing"] = [{"release": _name(one), "reason": one.reason} for one in self.missing]
        else:
            found["machines"] = [
                {"requirements": one.subject, "machine": one.machine, "installs": one.releases is not None}
                | ({"reason": one.reason} if one.releases is None else {"releases": dict(one.releases)})
                for one in self.installations
            ]
        return found

    def show(self, console: Console) -> None:
        """Print the answer."""
        console.print(self._pin_table() if self.pins else self._table())
        for line in self._lines():
            console.print(Text(printable(line)))

    def _table(self) -> Table:
        several = len({one.subject for one in self.installations}) > 1
        table = Table(*(["requirements"] if several else []), "machine", "installs", "what", box=None, pad_edge=False)
        for one in self.installations:
            cells = [Text(printable(one.subject))] if several else []
            if one.releases is None:
                table.add_row(*cells, one.machine, Text("no", style="red"), "see below")
            else:
                count = len(one.releases)
                what = f"{count:,} releases" if count else "nothing counts here"
                table.add_row(*cells, one.machine, Text("yes", style="green"), what)
        return table

    def _pin_table(self) -> Table:
        table = Table("machine", "installs", "what", box=None, pad_edge=False)
        for machine in self.machines:
            absent = [_name(one) for one in self.pins if one.machines and machine not in one.machines]
            what = f"{len(self.pins) - len(absent) - len(self.missing):,} releases"
            if absent:
                more = f" and {len(absent) - _SHOWN_RELEASES:,} more" if len(absent) > _SHOWN_RELEASES else ""
                what += f"; no file here, so not for this machine: {', '.join(absent[:_SHOWN_RELEASES])}{more}"
            verdict = Text("no", style="red") if self.missing else Text("yes", style="green")
            table.add_row(machine, verdict, Text(printable(what)))
        return table

    def _lines(self) -> Iterator[str]:
        reasons = dict.fromkeys(one.reason for one in self.installations if one.releases is None)
        yield from _some(list(reasons))
        yield from _some([f"{_name(one)}: {one.reason}" for one in self.missing])
        if self.file.left_out:
            yield "Not checked:"
            yield from _some([f"  {one}" for one in self.file.left_out])
        yield from self.file.notes


def _some(lines: Sequence[str]) -> Iterator[str]:
    yield from lines[:_MAX_LISTED]
    if len(lines) > _MAX_LISTED:
        yield f"{len(lines) - _MAX_LISTED:,} more; --json lists all"


def _name(one: PinnedRelease) -> str:
    return one.pin.project if one.pin.version is None else f"{one.pin.project}=={one.pin.version}"


async def check_requirements(
    settings: Settings, file: RequiredFile, *, policy: Policy, catalog: Catalog, against: CheckAgainst
) -> RequirementsCheck:
    """
    Answer whether what a file requires can be installed; nothing is stored.

    Args:
        policy: in force, or a candidate. From upstream, it says what would be mirrored if the file's requirements were
            lines, or its lock were one of ``[dependencies] locks``. From the mirror, only its machines count.

    Raises:
        UpstreamError: upstream did not deliver what the answer needs.
        MirrorError: what is published cannot be read.
    """
    now = int(time.time())
    policy = _policy_for(policy, file, against)
    keeps = None if against is CheckAgainst.MIRROR or policy.dependencies.follow else policy
    async with _open_source(settings, catalog=catalog, against=against) as opened:
        source = InstallableFiles(opened, file.hashes, keeps, now, is_mirror=against is CheckAgainst.MIRROR)
        if file.pins:
            machines, pins = await find_pins(file.pins, policy, source=source, now=now)
            result = RequirementsCheck(file, against, machines=tuple(machines), pins=tuple(pins))
            failed = bool(result.missing)
        else:
            installations = await prove_together(file.roots, policy, source=source, now=now)
            result = RequirementsCheck(file, against, tuple(installations))
            failed = any(one.releases is None for one in installations)
    if failed and source.failures:
        raise UpstreamError(f"upstream gives no answer: {source.failures[0]}; `--from mirror` works without it")
    return result


def _policy_for(policy: Policy, file: RequiredFile, against: CheckAgainst) -> Policy:
    if against is CheckAgainst.MIRROR:
        return Policy(scope=Scope.EVERYTHING, rules=Rules(machines=policy.rules.machines))
    pins = merge_pins(pin for some in (*policy.pins.values(), file.pins) for pin in some)
    return replace(policy, pins=pins, closure=None)


@asynccontextmanager
async def _open_source(settings: Settings, *, catalog: Catalog, against: CheckAgainst) -> AsyncIterator[Source]:
    view = open_view(settings.location(), scratch=settings.scratch)
    if against is CheckAgainst.MIRROR:
        if not view.present:
            raise VolumeMissingError(f"{view.base} has no marker, so nothing is mirrored yet; is the disk mounted?")
        yield MirrorSource(catalog=catalog, view=view)
        return
    async with open_index(settings) as index:
        source = await asyncio.to_thread(
            ClosureSource.without_storing, settings, catalog=catalog, view=view, index=index
        )
        async with source:
            yield source
