"""The snippets of docs/clients.md, so that tests run the text that people copy."""

import re
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
GUIDE = REPOSITORY / "docs/clients.md"

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """A fenced block of the guide."""

    section: str
    language: str
    number: int  # among the blocks of that language in its section, from 0
    text: str


def snippets() -> list[Snippet]:
    """Return every fenced block of the guide, in order."""
    found: list[Snippet] = []
    for part in re.split(r"^## ", GUIDE.read_text(), flags=re.MULTILINE)[1:]:
        section, _, body = part.partition("\n")
        counted: dict[str, int] = {}
        for language, text in _FENCE.findall(body):
            number = counted.get(language, 0)
            counted[language] = number + 1
            found.append(Snippet(section, language, number, text))
    return found


def snippet(section: str, language: str, number: int = 0) -> str:
    """Return one fenced block of the guide; fail if it is missing."""
    wanted = (section, language, number)
    [text] = [one.text for one in snippets() if (one.section, one.language, one.number) == wanted]
    return text
