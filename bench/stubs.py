"""An upstream as large as PyPI, of which only a line a project exists, and whole pages of those that change."""

import json
import os
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

from bench.corpus import File, legacy, page, store_file, write_page

PYPI = 886_323
"""Projects on PyPI in November 2026."""
_FIRST, _LATER = 10_000_000, 20_000_000  # serials: of eight digits, as PyPI's
_CONSONANTS, _VOWELS = "bcdfghjklmnprstvwxyz", "aeiou"
_PYTHONIC = 0.06  # begin with "py"
_SPELLED = 0.15  # the list says as people wrote it
_SIZE = 2_500  # bytes of a distribution: start and end of files are measured, not their middle


@dataclass(slots=True, kw_only=True)
class Stubs:
    """Projects, of which the list tells, and what became of those that changed."""

    directory: Path
    names: tuple[str, ...]
    """Normalized, in the order of the list, which is a database's collation and not that of bytes."""
    serials: dict[str, int]
    """Of those that changed."""
    releases: dict[str, list[File]] = field(default_factory=dict)
    _spelled: dict[str, str] = field(default_factory=dict)

    @property
    def list_size(self) -> int:
        """Bytes of the list."""
        return (self.directory / "simple.json").stat().st_size

    @property
    def newest(self) -> int:
        """The list's serial."""
        return max(self.serials.values(), default=_FIRST + len(self.names) - 1)

    def serial(self, name: str) -> int:
        """Return what the list says of a project."""
        return self.serials.get(name, _FIRST + int(name[-6:]))

    def change(self, count: int, *, origin: str) -> tuple[str, ...]:
        """Give some projects, always the same, a new release each; return which."""
        names = self.names[:: len(self.names) // count][:count]
        after = max(self.newest + 1, _LATER)
        for number, name in enumerate(names):
            own = self.releases.setdefault(name, [])
            version = f"1.{len(own)}.0"
            content = random.Random(f"{name} {version}").randbytes(_SIZE)
            filename = f"{name.replace('-', '_')}-{version}.tar.gz"
            packages = self.directory / "packages"
            own.append(store_file(filename, content, project=name, version=version, packages=packages))
            self.serials[name] = after + number
            for folder, document in (("simple", page), ("legacy", legacy)):
                path = self.directory / folder / f"{name}.json"
                write_page(path, document(name, own, origin, last=after + number))
        self.announce()
        return names

    def announce(self) -> None:
        """Write the list anew; nginx's ETag is of the second and the size, so its second is a new one."""
        lines = [
            f'{{"_last-serial":{self.serial(name)},"name":"{self._spelled.get(name, name)}"}}' for name in self.names
        ]
        path = self.directory / "simple.json"
        before = path.stat().st_mtime if path.exists() else 0.0
        meta = {"_last-serial": self.newest, "api-version": "1.4"}
        text = f'{{"meta":{json.dumps(meta)},"projects":[{",".join(lines)}]}}'
        # Beside, then renamed: whoever reads the list of before reads it to its end.
        write_page(self.directory / "next.json", text)
        for suffix in (".json", ".json.gz"):
            new = self.directory / f"next{suffix}"
            moment = max(new.stat().st_mtime, before + 1)
            os.utime(new, (moment, moment))
            new.rename(self.directory / f"simple{suffix}")


def build_stubs(projects: int, directory: Path) -> Stubs:
    """Write an upstream of so many projects below a fresh directory; equal numbers give equal names."""
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
