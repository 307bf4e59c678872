"""An upstream as large as PyPI, with only a line per project, and full pages of changed projects."""

import json
import os
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

from bench.corpus import File, legacy, page, store_file, write_page

PYPI = 886_323
"""Projects on PyPI in November 2026."""
_FIRST, _LATER = 10_000_000, 20_000_000  # serials with eight digits, like PyPI's
_CONSONANTS, _VOWELS = "bcdfghjklmnprstvwxyz", "aeiou"
_PYTHONIC = 0.06  # the share of names that begin with "py"
_SPELLED = 0.15  # the share of names that the list does not normalize
_SIZE = 2_500  # bytes of a distribution: the benchmark measures the overhead of files, not their size


@dataclass(slots=True, kw_only=True)
class Stubs:
    """The listed projects, and the serials of changed ones."""

    directory: Path
    names: tuple[str, ...]
    """Normalized, in the list's order, which is a database collation and not the byte order."""
    serials: dict[str, int]
    """The serials of changed projects."""
    releases: dict[str, list[File]] = field(default_factory=dict)
    _spelled: dict[str, str] = field(default_factory=dict)

    @property
    def list_size(self) -> int:
        """The size of the list in bytes."""
        return (self.directory / "simple.json").stat().st_size

    @property
    def newest(self) -> int:
        """The list's serial."""
        return max(self.serials.values(), default=_FIRST + len(self.names) - 1)

    def serial(self, name: str) -> int:
        """Return a project's serial in the list."""
        return self.serials.get(name, _FIRST + int(name[-6:]))

    def change(self, count: int, *, origin: str, releases: int = 1) -> tuple[str, ...]:
        """Add releases to some projects, always the same ones; the first gets all of them, others one."""
        names = self.names[:: len(self.names) // count][:count]
        after = max(self.newest + 1, _LATER)
        for number, name in enumerate(names):
            own = self.releases.setdefault(name, [])
            packages = self.directory / "packages"
            for _ in range(1 if number else releases):
                version = f"1.{len(own)}.0"
                content = random.Random(f"{name} {version}").randbytes(_SIZE)
                filename = f"{name.replace('-', '_')}-{version}.tar.gz"
                own.append(store_file(filename, content, project=name, version=version, packages=packages))
            self.serials[name] = after + number
            for folder, document in (("simple", page), ("legacy", legacy)):
                path = self.directory / folder / f"{name}.json"
                write_page(path, document(name, own, origin, last=after + number))
        self.announce()
        return names

    def announce(self) -> None:
        """Rewrite the list with another second, because nginx's ETag only contains the second and the size."""
        lines = [
            f'{{"_last-serial":{self.serial(name)},"name":"{self._spelled.get(name, name)}"}}' for name in self.names
        ]
        path = self.directory / "simple.json"
        before = path.stat().st_mtime if path.exists() else 0.0
        meta = {"_last-serial": self.newest, "api-version": "1.4"}
        text = f'{{"meta":{json.dumps(meta)},"projects":[{",".join(lines)}]}}'
        # Write and rename, so that readers of the old list can finish.
        write_page(self.directory / "next.json", text)
        for suffix in (".json", ".json.gz"):
            new = self.directory / f"next{suffix}"
            moment = max(new.stat().st_mtime, before + 1)
            os.utime(new, (moment, moment))
            new.rename(self.directory / f"simple{suffix}")


def build_stubs(projects: int, directory: Path) -> Stubs:
    """Write an upstream with this many projects into a new directory; equal numbers give equal names."""
    for folder in ("simple", "legacy", "packages"):
        (directory / folder).mkdir(parents=True)
    dice = random.Random(projects)
    names, spelled = [], {}
    for number in range(projects):
        name = f"{_word(dice)}-{number:06}"
        names.append(name)
        if dice.random() < _SPELLED:
            spelled[name] = name.replace("-", "_").capitalize()
    names.sort(key=lambda name: re.sub("-", "", name))
    stubs = Stubs(directory=directory, names=tuple(names), serials={}, _spelled=spelled)
    stubs.announce()
    return stubs


def _word(dice: random.Random) -> str:
    start = "py" if dice.random() < _PYTHONIC else ""
    return start + "".join(dice.choice(_CONSONANTS) + dice.choice(_VOWELS) for _ in range(dice.randint(2, 7)))
