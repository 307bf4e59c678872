"""What became of each option of a bandersnatch configuration."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

from mirror_contract.text import printable
from mirror_syncer.commands.bandersnatch_conf.ini_file import IniFile, Option


class Outcome(IntEnum):
    """The list in which an option is shown; if several apply, the highest counts."""

    NEEDLESS = 0
    POLICY = 1
    SETTING = 2
    NO_TWIN = 3


_HEADINGS = {
    Outcome.POLICY: "Written to mirror.toml:",
    Outcome.NEEDLESS: "Needs no setting:",
    Outcome.SETTING: "For .env:",
    Outcome.NO_TWIN: "Has no twin:",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One option, or one plug-in, and what became of it."""

    subject: str
    line: int | None
    outcome: Outcome
    sentence: str
    settings: tuple[str, ...] = ()
    """Lines for ``.env``."""

    def __str__(self) -> str:
        place = f"line {self.line}, " if self.line else ""
        return printable(f"{place}{self.subject}: {self.sentence}")


class Findings:
    """
    The findings about one file.

    Each option of the file ends in exactly one list: an option that nothing recorded is unknown.
    """

    def __init__(self, file: IniFile) -> None:
        self._file = file
        self._options: dict[Option, Finding] = {}
        self._plugins: dict[str, Finding] = {}

    def record(self, section: str, name: str, outcome: Outcome, sentence: str, *settings: str) -> None:
        """Record what became of an option; do nothing if the file does not contain it."""
        option = self._file.option(section, name)
        if option is None:
            return
        finding = Finding(f"[{option.section}] {name}", option.line, outcome, sentence, settings)
        before = self._options.get(option)
        if before is not None:  # sections share an option of [DEFAULT]
            finding = replace(
                finding,
                outcome=max(before.outcome, outcome),
                sentence=before.sentence if sentence in before.sentence else f"{before.sentence}; {sentence}",
                settings=before.settings + settings,
            )
        self._options[option] = finding

    def record_plugin(self, name: str, outcome: Outcome, sentence: str) -> None:
        """Record what became of an enabled plug-in."""
        option = self._file.option("plugins", "enabled")
        self._plugins[name] = Finding(f"plug-in {name}", option.line if option else None, outcome, sentence)

    def is_recorded(self, option: Option) -> bool:
        """Return whether an option has its finding."""
        return option in self._options

    def list_all(self) -> list[Finding]:
        """Return all findings in the order of their lines."""
        return sorted([*self._options.values(), *self._plugins.values()], key=lambda finding: finding.line or 0)

    def without_twin(self) -> list[Finding]:
        """Return the findings about what has no twin."""
        return [finding for finding in self.list_all() if finding.outcome is Outcome.NO_TWIN]

    def lines(self) -> Iterator[str]:
        """Yield the lists as text; the lines for ``.env`` can be copied as they are."""
        for outcome, heading in _HEADINGS.items():
            listed = [finding for finding in self.list_all() if finding.outcome is outcome]
            if not listed:
                continue
            yield heading
            for finding in listed:
                if outcome is Outcome.SETTING:
                    yield f"# {finding}"
                    yield from finding.settings
                else:
                    yield f"  {finding}"
            yield ""
