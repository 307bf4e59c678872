"""
Which machines a file fits, by its name and its requires-python.

The answer is a bit mask of *clients*. Each machine counts as three, since they read requires-python differently: pip,
uv, and pip on the first patch release of its Python. So the newest releases of each client are right for both
installers, and for a machine with 3.11.2 where the newest release wants 3.11.5.
"""

from collections.abc import Callable, Hashable, Iterable
from functools import lru_cache
from typing import TypeVar

from mirror_contract.distributions import Installers
from mirror_syncer.config.machines.legacy_formats import read_legacy_target
from mirror_syncer.config.machines.machines import Machines, Sdists
from mirror_syncer.config.machines.requires_python import MAX_LENGTH, read_requires_python

# As constants, because an enumeration looks its members up slowly.
_NO_INSTALLER, _PIP_ALONE = Installers.NONE, Installers.PIP
_WHERE_NEEDED, _NONE = Sdists.WHERE_NEEDED, Sdists.NONE
_WHEEL = ".whl"
# A page has tens of different tags and requires-python, all of PyPI thousands; a hostile one any number of them.
_MAX_ENTRIES = 16_384
_MAX_SHOWN = 100  # characters of tags, or of a requires-python, in a reason
_ANY_PYTHON = (3, 99)

T = TypeVar("T", bound=Hashable)
V = TypeVar("V")


class _Memo(dict[str, V]):
    """Answers by text. It forgets all of them when there are too many, and keeps none about a long text."""

    def __init__(self, answer: Callable[[str], V]) -> None:
        super().__init__()
        self._answer = answer

    def __missing__(self, text: str) -> V:
        answer = self._answer(text)
        if len(text) <= MAX_LENGTH:
            if len(self) >= _MAX_ENTRIES:
                self.clear()
            self[text] = answer
        return answer


class Compatibility:
    """What fits the machines of ``mirror.toml``. It remembers what it has read: a file costs half a microsecond."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines
        self._sdists = machines.sdists
        self._pythons = machines.pythons or (None,)
        self._platforms = machines.platforms or (None,)
        self._machine_count = len(self._pythons) * len(self._platforms)
        self.pip = (1 << self._machine_count) - 1
        """pip on each of the machines. The bits of uv follow, in the same order, and those of first patch releases."""
        self.uv = self.pip << self._machine_count
        self.everyone = self._all(self.pip)
        """Every client."""
        self._every_platform = (1 << len(self._platforms)) - 1
        # Bits of Pythons and of platforms by the parts of a tag. Where any Python installs, its bit is in each of them.
        self._native = _index(python.native() for python in machines.pythons)
        self._portable = _index(python.portable() for python in machines.pythons)
        self._interpreters = {interpreter for interpreter, _ in (*self._native, *self._portable)}
        self._abis = {abi for _, abi in (*self._native, *self._portable)}
        self._platform = _index(platform.tags() for platform in machines.platforms)
        self._any_python, self._any_platform = int(not machines.pythons), int(not machines.platforms)
        self._tagged = _Memo(self._read_tags)
        self._admitted = _Memo(self._read_requires_python)
        self._reasons = _Memo(self._explain)

    def fits(self, filename: str, installers: Installers, requires_python: str | None) -> int:
        """
        Return the clients that can use a file.

        Args:
            installers: as ``mirror_contract.distributions.read_release`` returns them. What neither pip nor uv installs
                fits the machines that its name tells, since people install it by hand.
            requires_python: as on the page.
        """
        admitted = self._admitted[requires_python or ""]
        if installers is _NO_INSTALLER:
            return self._read_legacy_name(filename) & admitted
        if filename.endswith(_WHEEL):
            return self.fits_wheel(filename, requires_python)
        return admitted & ~self.uv if installers is _PIP_ALONE else admitted

    def fits_wheel(self, filename: str, requires_python: str | None) -> int:
        """Return the clients that can use a file with a wheel's name."""
        return self._tagged[filename.split("-", 2)[2]] & self._admitted[requires_python or ""]

    def wants_sdist(self, sdist: int, wheels: int) -> bool:
        """
        Return whether an sdist is mirrored.

        Args:
            sdist: the clients that it fits.
            wheels: the clients that the mirrored wheels of its release fit.
        """
        if self._sdists is not _WHERE_NEEDED or self._any_python or self._any_platform:
            return self._sdists is not _NONE and sdist != 0
        # By pip's readings alone: a release that only uv's admits is not meant for that Python, and hardly builds.
        return sdist & ~wheels & ~self.uv != 0

    def names(self, clients: int) -> tuple[str, ...]:
        """Return the machines of some clients, as in "Python 3.11 on linux-x86_64"."""
        machines = clients | clients >> self._machine_count | clients >> 2 * self._machine_count
        named = (
            " on ".join(part for part in (f"Python {python}" if python else "", str(platform or "")) if part)
            for python in self._pythons
            for platform in self._platforms
        )
        return tuple(name or "any machine" for bit, name in enumerate(named) if machines >> bit & 1)

    def why_not(self, filename: str, installers: Installers, requires_python: str | None) -> str:
        """Return the sentence why no client can use a file."""
        if installers is _NO_INSTALLER and not self._read_legacy_name(filename):
            if read_legacy_target(filename) is None:
                return self._because("pip and uv do not install a file of such a name")
            return self._because("its file name tells another machine")
        tail = filename.split("-", 2)[2] if filename.endswith(_WHEEL) else ""
        return self._reasons[f"{tail}\n{requires_python or ''}"]

    def why_no_sdist(self) -> str:
        """Return the sentence why an sdist that fits a client is not mirrored."""
        if self._sdists is _NONE:
            return 'mirror.toml selects no sdists: sdists = "none"'
        return "no machine of mirror.toml needs the sdist: the release has a wheel for each that it admits"

    def _read_tags(self, tail: str) -> int:
        """Return the clients that a wheel fits by its tags; its name ends in them, perhaps after a build number."""
        interpreters, abis, platforms = (part.split(".") for part in _tags(tail).lower().rsplit("-", 3)[-3:])
        native, portable, platform = self._any_python, self._any_python, 0
        # Only known parts are combined: a hostile name has hundreds of others.
        for interpreter in self._interpreters.intersection(interpreters):
            for abi in self._abis.intersection(abis):
                native |= self._native.get((interpreter, abi), 0)
                portable |= self._portable.get((interpreter, abi), 0)
        for name in platforms:
            platform |= self._platform.get(name, 0) if name != "any" else 0
        if any(name != "any" for name in platforms):
            platform |= self._any_platform
        machines = self._on(native, platform)
        return self._all(machines | self._on(portable, self._every_platform) if "any" in platforms else machines)

    def _read_requires_python(self, text: str) -> int:
        """Return the clients that may install a file by its requires-python."""
        versions = [python.version if python else _ANY_PYTHON for python in self._pythons]
        readings = read_requires_python(text, frozenset(versions))
        pip, uv, first = (
            self._on(sum(1 << bit for bit, version in enumerate(versions) if version in minors), self._every_platform)
            for minors in readings
        )
        if self._any_python:  # "<3.8" admits one, whichever that is
            pip = first = self.pip
        return pip | uv << self._machine_count | first << 2 * self._machine_count

    def _read_legacy_name(self, filename: str) -> int:
        """Return the clients on whose machines people may install a file by hand."""
        target = read_legacy_target(filename)
        if target is None:
            return 0
        pythons = platforms = 0
        for bit, python in enumerate(self._pythons):
            pythons |= (python is None or target.python in (None, python.version)) << bit
        for bit, platform in enumerate(self._platforms):
            platforms |= (platform is None or target.system in (None, platform.system)) << bit
        if target.platform:
            platforms &= self._platform.get(target.platform, 0) | self._any_platform
        return self._all(self._on(pythons, platforms))

    def _on(self, pythons: int, platforms: int) -> int:
        """Return the machines that are one of the Pythons on one of the platforms."""
        count = len(self._platforms)
        return sum(platforms << bit * count for bit in range(len(self._pythons)) if pythons >> bit & 1)

    def _all(self, machines: int) -> int:
        """Return all clients on some machines."""
        return machines | machines << self._machine_count | machines << 2 * self._machine_count

    def _explain(self, question: str) -> str:
        tail, _, requires_python = question.partition("\n")
        tags = tail and not self._tagged[tail]
        python = not self._admitted[requires_python]
        causes = []
        if tail and (tags or not python):
            causes.append(f"its tags are {_shown(_tags(tail))}")
        if requires_python and (python or not tags):
            causes.append(f"it requires Python {_shown(requires_python)}")
        return self._because(" and ".join(causes))

    def _because(self, cause: str) -> str:
        return f"no machine of mirror.toml can install it: {cause}; [machines] names {self._machines}"


@lru_cache(maxsize=4)
def compatibility(machines: Machines) -> Compatibility:
    """Return what fits some machines: one object for all equal values in a process, with all that it has read."""
    return Compatibility(machines)


class Places:
    """
    The places among the newest releases: each client has a number of them, and the newest that it fits take them.

    Args:
        count: how many places each client has.
        everyone: all clients.
    """

    def __init__(self, count: int, *, everyone: int = -1) -> None:
        # One counter for each client, one mask for each binary digit of all counters. Each counter begins ``count``
        # below a power of two, so it overflows when the client has enough.
        digits = count.bit_length()
        self._planes = [-((1 << digits) - count >> digit & 1) for digit in range(digits)]
        self._full = 0
        self._everyone = everyone
        self.are_taken = everyone == 0
        """Whether no client has a place left."""

    def take(self, clients: int) -> bool:
        """Take a place of each of the clients that a release fits; return whether one of them had a place left."""
        carry = left = clients & ~self._full
        planes = self._planes
        for digit, plane in enumerate(planes):
            planes[digit], carry = plane ^ carry, plane & carry
        if carry:
            self._full |= carry
            self.are_taken = self._full == self._everyone
        return left != 0


def _index(sets: Iterable[Iterable[T]]) -> dict[T, int]:
    """Return for each item the sets that contain it, as bits."""
    index: dict[T, int] = {}
    for bit, items in enumerate(sets):
        for item in items:
            index[item] = index.get(item, 0) | 1 << bit
    return index


def _tags(tail: str) -> str:
    return "-".join(tail.removesuffix(_WHEEL).rsplit("-", 3)[-3:])


def _shown(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
