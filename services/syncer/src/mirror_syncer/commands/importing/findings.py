"""What an import found: the requirements that become lines, and what it leaves out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from mirror_contract import parse_project_name
from mirror_contract.text import printable
from mirror_syncer.errors import ConfigurationError
from mirror_syncer.model.names import Sha256

MAX_WANTED = 5_000  # requirements; tomlkit takes 6 s for as many, and a mirror.toml of that size helps nobody
_MAX_LISTED = 100  # of what is left out
_MAX_SHOWN = 80  # characters of a requirement in a message

Identity = tuple[str, SpecifierSet, frozenset[str], str]
"""Project, versions, extras and marker: what makes two lines the same, however they are written."""


@dataclass(frozen=True, slots=True)
class FileLine:
    """A line of an imported file, or the file as a whole."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}, line {self.line}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A requirement that can be a line of ``projects``."""

    requirement: Requirement
    text: str
    """As it is written, in one line."""
    origin: FileLine
    hashes: frozenset[Sha256] = frozenset()
    """Of the files that may be installed; none: any of them."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that an import cannot take, and what to do about it."""

    origin: FileLine
    sentence: str

    def __str__(self) -> str:
        return printable(f"{self.origin}: {self.sentence}")


class Findings:
    """What the readers of files found."""

    def __init__(self) -> None:
        self._wanted: dict[Identity, Wanted] = {}
        self._left_out: list[LeftOut] = []
        self._unlisted = 0
        self.notes: list[str] = []
        """Sentences that need no action."""
        self.part = ""
        """What is being read of the file, such as ``extra postgres``; empty: what each installation needs."""
        self._parts: dict[str, dict[Identity, Wanted]] = {}
        self.is_incomplete = False
        """Whether a requirement was left out, and not only an option."""

    @property
    def parts(self) -> Mapping[str, Sequence[Wanted]]:
        """The requirements of each part; one of several parts stands in each of them."""
        return {part: tuple(wanted.values()) for part, wanted in self._parts.items()}

    @property
    def wanted(self) -> list[Wanted]:
        """The requirements, each once."""
        return list(self._wanted.values())

    @property
    def left_out(self) -> list[str]:
        """What is left out, as sentences with file and line."""
        more = [f"{self._unlisted:,} more like these"] if self._unlisted else []
        return [*map(str, self._left_out), *more]

    def want(self, text: str, origin: FileLine, *, hashes: frozenset[Sha256] = frozenset()) -> None:
        """
        Add a requirement; leave out one by URL, or a text that is none.

        Raises:
            ConfigurationError: there are too many.
        """
        text = " ".join(text.split())
        try:
            requirement = Requirement(text)
            parse_project_name(requirement.name)
        except (InvalidRequirement, ValueError, RecursionError):
            # The text may be a URL with a password.
            quoted = "" if "://" in text else f"{text[:_MAX_SHOWN]!r} "
            self.leave_out(f"{quoted}is not a requirement; write a name with versions, as in django>=5.2", origin)
            return
        if requirement.url:
            self.leave_out(f"{requirement.name} {FROM_A_URL}", origin)
            return
        wanted = Wanted(requirement, text, origin, hashes)
        self._wanted.setdefault(identity_of(requirement), wanted)
        self._parts.setdefault(self.part, {}).setdefault(identity_of(requirement), wanted)
        if len(self._wanted) > MAX_WANTED:
            message = f"has more than {MAX_WANTED:,} requirements; lock them, and import the lock"
            raise ConfigurationError(origin.file, [message])

    def leave_out(self, sentence: str, origin: FileLine, *, is_option: bool = False) -> None:
        """Add what cannot be taken; the sentence says why and what to do."""
        self.is_incomplete |= not is_option
        if len(self._left_out) < _MAX_LISTED:
            self._left_out.append(LeftOut(origin, sentence))
        else:
            self._unlisted += 1

    def note(self, sentence: str) -> None:
        """Add a sentence that needs no action."""
        self.notes.append(sentence)


FROM_A_URL = "comes from a URL or a path, and the mirror takes files from its upstream alone; install it from there"


def identity_of(requirement: Requirement) -> Identity:
    """Return what makes a requirement the same as another one."""
    return (
        canonicalize_name(requirement.name),
        SpecifierSet(str(requirement.specifier)),
        frozenset(map(canonicalize_name, requirement.extras)),
        str(requirement.marker or ""),
    )
