"""The Pythons that ``[machines] pythons`` names, and the wheel tags that each of them installs."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from packaging.tags import Tag, compatible_tags, cpython_tags, generic_tags

from mirror_syncer.config.toml.values import shown

_FORM = re.compile(r"(?P<prefix>pp|graalpy)?(?P<major>[23])\.(?P<minor>0|[1-9]\d?)(?P<threads>t)?", re.ASCII)
# What else people write: cp311, py311, python3.11, 3.11.4, PyPy3.11, 3.13-nogil.
_MEANT = re.compile(r"(?P<major>[23])\.?(?P<minor>\d{1,2})", re.ASCII)
_ACCEPTED = '"3.11", "3.13t" (free-threaded, from 3.13), "pp3.11" (PyPy), "graalpy3.11"'
_FIRST = {"": 3, "pp": 6, "graalpy": 8}  # the first minor version of Python 3 with wheels, by prefix
_LAST = 39
_FIRST_WITH_THREADS = 13
_LAST_WITH_PYMALLOC = 7
# An ABI of GraalPy carries its own version: graalpy242_311_native is GraalPy 24.2, which is Python 3.11.
_GRAALPY_RELEASES = [f"{year}{release}" for year in range(22, 50) for release in range(4)]
Interface = tuple[str, str]
"""The first two parts of a wheel's tag, as in ``cp311-abi3``."""
_HERE = "here"  # stands for the machine's platform, which packaging.tags copies into each tag


class Implementation(StrEnum):
    """A Python implementation, by the prefix of its wheels' tags."""

    CPYTHON = "cp"
    PYPY = "pp"
    GRAALPY = "graalpy"


@dataclass(frozen=True, slots=True)
class Python:
    """A Python that installs from the mirror."""

    implementation: Implementation
    version: tuple[int, int]
    free_threaded: bool = False

    def __str__(self) -> str:
        prefix = "" if self.implementation is Implementation.CPYTHON else self.implementation
        return f"{prefix}{self.version[0]}.{self.version[1]}{'t' if self.free_threaded else ''}"

    def native(self) -> frozenset[Interface]:
        """Return the interfaces of the wheels that it installs if their platform fits."""
        return frozenset((tag.interpreter, tag.abi) for tag in self._tags() if tag.platform == _HERE)

    def portable(self) -> frozenset[Interface]:
        """Return the interfaces of the wheels that it installs if their platform is ``any``."""
        return frozenset((tag.interpreter, tag.abi) for tag in self._tags() if tag.platform == "any")

    def _tags(self) -> Iterator[Tag]:
        digits = f"{self.version[0]}{self.version[1]}"
        if self.implementation is Implementation.PYPY:
            # All PyPys since 7.3 have the ABI pp73. Like packaging.tags.sys_tags, pip takes pp3-none-any for them.
            own = generic_tags(f"pp{digits}", [f"pypy{digits}_pp73"], [_HERE])
            return chain(own, compatible_tags(self.version, f"pp{self.version[0]}", [_HERE]))
        if self.implementation is Implementation.GRAALPY:
            abis = [f"graalpy{release}_{digits}_native" for release in _GRAALPY_RELEASES]
            return chain(generic_tags(f"graalpy{digits}", abis, [_HERE]), compatible_tags(self.version, None, [_HERE]))
        # Python 2.7 was built with wide and with narrow characters: cp27mu on Linux, cp27m elsewhere.
        pymalloc = (
            ("mu", "m") if self.version == (2, 7) else ("m",) if self.version[1] <= _LAST_WITH_PYMALLOC else ("",)
        )
        abis = [f"cp{digits}t"] if self.free_threaded else [f"cp{digits}{flags}" for flags in pymalloc]
        return chain(cpython_tags(self.version, abis, [_HERE]), compatible_tags(self.version, f"cp{digits}", [_HERE]))


def parse_python(text: str) -> Python:
    """
    Return the Python that an item of ``pythons`` names.

    Raises:
        ValueError: it names no Python; the message lists the forms and may guess the one that was meant.
    """
    match = _FORM.fullmatch(text)
    python = match and _python(match["prefix"] or "", int(match["major"]), int(match["minor"]), bool(match["threads"]))
    if not python:
        raise ValueError(f"{shown(text)} is not a Python{_guess(text)} Accepted: {_ACCEPTED}")
    return python


def _python(prefix: str, major: int, minor: int, free_threaded: bool) -> Python | None:  # noqa: FBT001 - all by place
    known = _FIRST[prefix] <= minor <= _LAST if major == 3 else (prefix, minor) == ("", 7)  # noqa: PLR2004 - 3.x
    if not known or (free_threaded and (prefix or (major, minor) < (3, _FIRST_WITH_THREADS))):
        return None
    return Python(Implementation(prefix or "cp"), (major, minor), free_threaded)


def _guess(text: str) -> str:
    """Return the end of the sentence: what was probably meant."""
    match = _MEANT.search(text[:80])
    if match is None:
        return "."
    before, after = text[: match.start()].lower(), text[match.end() :].lower()
    names = {"python": "", "py": "", "cp": "", "pypy": "pp", "pp": "pp", "graalpy": "graalpy"}
    close = difflib.get_close_matches(before.strip("-_ "), names, n=1)
    prefix = names[close[0]] if close else ""
    threads = not prefix and after.strip("-_ ").startswith(("t", "nogil", "free"))
    meant = _python(prefix, int(match["major"]), int(match["minor"]), threads)
    return f'; did you mean "{meant}"?' if meant else "."
