"""
On which machines a requirement counts: its marker, read for each machine of ``mirror.toml``.

A requirement counts on a machine unless its marker is false there for pip and for uv, on every patch release of that
Python. So more counts than installs, and nothing that installs is missing.
"""

import re
from dataclasses import replace
from itertools import product

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from mirror_syncer.closure.markers import MAX_OPERAND_LENGTH, Comparison, evaluate
from mirror_syncer.config.machines.machines import Machines
from mirror_syncer.config.machines.platforms import Platform, System, parse_platform
from mirror_syncer.config.machines.pythons import Implementation, Python, parse_python

_MAX_ENTRIES = 16_384  # PyPI has some thousand different comparisons, a hostile index any number of them
_LAST_PATCH = 99
# What sys.implementation.name is, and what platform.python_implementation() returns.
_IMPLEMENTATIONS = {
    Implementation.CPYTHON: ("cpython", "CPython"),
    Implementation.PYPY: ("pypy", "PyPy"),
    Implementation.GRAALPY: ("graalpy", "GraalVM"),
}
# What os.name and sys.platform are, and what platform.system() returns.
_SYSTEMS = {
    System.GLIBC: ("posix", "linux", "Linux"),
    System.MUSL: ("posix", "linux", "Linux"),
    System.MACOS: ("posix", "darwin", "Darwin"),
    System.WINDOWS: ("nt", "win32", "Windows"),
}
# What platform.machine() returns where it is not the architecture: a 32-bit Python returns that of a 64-bit kernel.
_MACHINES = {
    "windows-amd64": ("AMD64",),
    "windows-arm64": ("ARM64",),
    "windows-x86": ("x86", "AMD64"),
    "i686": ("i686", "i586", "i386", "x86_64"),
    "armv7l": ("armv7l", "armv8l", "aarch64"),
}
# What is proved where [machines] leaves it open: the Pythons with wheels for most projects in 2026, and one platform of
# each system that has desktops and servers. Each further machine makes the proofs longer.
_PROOF_PYTHONS = tuple(map(parse_python, ("3.11", "3.12", "3.13", "3.14")))
_PROOF_PLATFORMS = tuple(map(parse_platform, ("linux-x86_64", "windows-x86_64", "macos-arm64")))


class Environments:
    """
    The machines of ``mirror.toml`` as markers see them; a set of them is a bit mask.

    It remembers what it has read, so that a usual marker costs some microseconds, however many machines there are.
    """

    def __init__(self, machines: Machines) -> None:
        self._machines = machines
        pythons, platforms = machines.pythons or (None,), machines.platforms or (None,)
        self._pairs: tuple[tuple[Python | None, Platform | None], ...] = tuple(product(pythons, platforms))
        """By bit, as in ``Compatibility``: ``python_index * len(platforms) + platform_index``."""
        self._values = [_values(python, platform) for python, platform in self._pairs]
        self.everyone = (1 << len(self._pairs)) - 1
        """All machines."""
        self._read: dict[Comparison, int] = {}

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def machines(self) -> Machines:
        """The machines that the bits are of."""
        return self._machines

    @property
    def default_proof_machines(self) -> Machines:
        """The machines for which the lines are proved: those of ``mirror.toml``, with usual ones for what it omits."""
        return replace(
            self._machines,
            pythons=self._machines.pythons or _PROOF_PYTHONS,
            platforms=self._machines.platforms or _PROOF_PLATFORMS,
        )

    def counts(self, marker: Marker | None, *, extra: str | None = None) -> int:
        """
        Return the machines on which a requirement counts.

        Args:
            extra: the extra of the requiring project that is asked for; None: none is.
        """
        if marker is None:
            return self.everyone
        asked = canonicalize_name(extra) if extra else ""

        def where(part: Comparison) -> int:
            if part.variable == "extra":
                return self.everyone if part.holds_with_extra(asked) else 0
            machines = self._read.get(part)
            return self._where(part) if machines is None else machines

        return evaluate(marker, where, self.everyone)

    def _where(self, part: Comparison) -> int:
        """Return the machines on which a comparison may hold."""
        may_hold, machines = part.may_hold(), 0
        for bit, (python, _) in enumerate(self._pairs):
            values = self._values[bit].get(part.variable)
            if python and part.variable in _patched(python):
                values = _patches(python, part.operand)
            machines |= (values is None or any(map(may_hold, values))) << bit
        if len(part.operand) <= MAX_OPERAND_LENGTH:
            if len(self._read) >= _MAX_ENTRIES:
                self._read.clear()
            self._read[part] = machines
        return machines


def _values(python: Python | None, platform: Platform | None) -> dict[str, tuple[str, ...]]:
    """Return the values that each variable may have on a machine, without those that may have any."""
    values: dict[str, tuple[str, ...]] = {}
    if python:
        name, full_name = _IMPLEMENTATIONS[python.implementation]
        values["implementation_name"], values["platform_python_implementation"] = (name,), (full_name,)
        values["python_version"] = (f"{python.version[0]}.{python.version[1]}",)
    if platform:
        os_name, sys_platform, system = _SYSTEMS[platform.system]
        values["os_name"], values["platform_system"] = (os_name,), (system,)
        architecture = platform.architecture
        known = _MACHINES.get(f"{platform.system}-{architecture}") or _MACHINES.get(architecture)
        values["platform_machine"] = known or (architecture,)
        # Python 2 tells the version of Linux at which it was built, and always says 2.
        on_2 = f"{sys_platform}2" if system == "Linux" else sys_platform
        by_major = {2: on_2, 3: sys_platform}
        values["sys_platform"] = (by_major[python.version[0]],) if python else tuple(by_major.values())
    return values


def _patched(python: Python) -> tuple[str, ...]:
    """Return the variables that hold the patch release; PyPy and GraalPy have versions of their own."""
    own = python.implementation is not Implementation.CPYTHON
    return ("python_full_version",) if own else ("python_full_version", "implementation_version")


def _patches(python: Python, operand: str) -> tuple[str, ...]:
    """Return the patch releases of a Python beside which a comparison may change: those with a number from it."""
    numbers = {int(digits) for digits in re.findall(r"\d{1,2}", operand, re.ASCII)}
    near = {0, _LAST_PATCH, *numbers, *(number - 1 for number in numbers), *(number + 1 for number in numbers)}
    major, minor = python.version
    return tuple(f"{major}.{minor}.{patch}" for patch in sorted(near) if 0 <= patch <= _LAST_PATCH)
