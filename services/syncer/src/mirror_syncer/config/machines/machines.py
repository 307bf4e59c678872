"""The machines that install from the mirror: the table ``[machines]`` of ``mirror.toml``."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from mirror_syncer.config.machines.platforms import Platform, parse_platform
from mirror_syncer.config.machines.pythons import Python, parse_python
from mirror_syncer.config.toml.values import shown


class Sdists(StrEnum):
    """Which source distributions are mirrored."""

    WHERE_NEEDED = "where-needed"
    """Those of releases without a wheel for one of the machines."""
    ALL = "all"
    NONE = "none"


_ALL = Sdists.ALL  # an enumeration looks its members up slowly, and each page asks for it


@dataclass(frozen=True, slots=True)
class Machines:
    """The machines that install from the mirror: each of the Pythons on each of the platforms."""

    pythons: tuple[Python, ...] = ()
    """Empty: any Python."""
    platforms: tuple[Platform, ...] = ()
    """Empty: any platform."""
    sdists: Sdists = Sdists.ALL

    @classmethod
    def parse(cls, pythons: Iterable[str] = (), platforms: Iterable[str] = (), sdists: str | None = None) -> "Machines":
        """
        Return the machines that the keys of ``[machines]`` name.

        Args:
            sdists: None where the key is missing. Then the sdists are mirrored that are needed; all of them where a
                list is missing, too, since no wheel is known to suffice for any Python, or on any platform.

        Raises:
            ValueError: a value is wrong.
        """
        # A machine that is written twice is one machine.
        named_pythons = tuple(dict.fromkeys(map(parse_python, pythons)))
        named_platforms = tuple(dict.fromkeys(map(parse_platform, platforms)))
        usual = Sdists.WHERE_NEEDED if named_pythons and named_platforms else Sdists.ALL
        return cls(named_pythons, named_platforms, usual if sdists is None else parse_sdists(sdists))

    @property
    def are_all(self) -> bool:
        """Whether every machine may install from the mirror, so that no file is left out."""
        return not self.pythons and not self.platforms and self.sdists is _ALL

    def __hash__(self) -> int:
        # Coarse, because each page asks for it: a hash of all parts takes 5 µs.
        return len(self.pythons) << 8 ^ len(self.platforms)

    def __str__(self) -> str:
        pythons, platforms = _shortened(self.pythons), _shortened(self.platforms)
        return (
            " on ".join(part for part in (f"Python {pythons}" if pythons else "", platforms) if part) or "any machine"
        )


def parse_sdists(text: str) -> Sdists:
    """
    Return the value of ``sdists``.

    Raises:
        ValueError: it is not one of them; the message lists them and may guess the one that was meant.
    """
    if text in list(Sdists):
        return Sdists(text)
    close = difflib.get_close_matches(text.lower(), list(Sdists), n=1)
    guess = f'; did you mean "{close[0]}"?' if close else "."
    raise ValueError(f'{shown(text)} does not select sdists{guess} Accepted: "where-needed", "all", "none"')


def _shortened(names: tuple[object, ...]) -> str:
    most = 6
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(map(str, names[:most]))}{more}"
