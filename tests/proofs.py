"""docs/tests.md, generated from the tests that prove docs/reliability.md and SECURITY.md."""

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

TESTS = Path(__file__).parent
REPOSITORY = TESTS.parent
DOCUMENT = REPOSITORY / "docs" / "tests.md"
PAGES = {"reliability": REPOSITORY / "docs" / "reliability.md", "security": REPOSITORY / "SECURITY.md"}

_WIDTH = 120
_HEAD = """\
# What the tests prove

```sh
.venv/bin/pytest -k test_syncer_killed_at_every_step_recovers tests
```

Each test proves the sentence beside it. The sections follow [reliability.md](reliability.md) and
[SECURITY.md](../SECURITY.md). `scripts/test` runs most tests; `scripts/test slow` runs those marked `slow`.

`scripts/generate` writes this page from the tests' markers `proves` and their docstrings. Do not edit it by hand.
"""


@dataclass(frozen=True)
class Section:
    """A group of promises: a heading of the third level in one of the pages."""

    page: str
    title: str

    @property
    def key(self) -> str:
        """Return its name in the marker ``proves``, such as ``reliability/power-loss``."""
        return f"{self.page}/{slug(self.title)}"

    @property
    def heading(self) -> str:
        """Return its heading in docs/tests.md."""
        return f"{self.page.capitalize()}: {self.title[0].lower()}{self.title[1:]}"


@dataclass(frozen=True)
class Proof:
    """A test that proves a promise of a section."""

    section: str
    file: str
    test: str
    promise: str
    slow: bool


def slug(heading: str) -> str:
    """Return a heading's anchor."""
    return re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-"))


def sections() -> list[Section]:
    """Return the sections of both pages, in order."""
    return [
        Section(page, title)
        for page, path in PAGES.items()
        for title in re.findall(r"^### (.+)$", path.read_text(), re.MULTILINE)
    ]


def proofs() -> list[Proof]:
    """Return each test with a marker ``proves``, once for each section that it names, by file and position."""
    return [proof for path in sorted(TESTS.rglob("test_*.py"), key=lambda path: path.name) for proof in _of_file(path)]


def document() -> str:
    """Return docs/tests.md."""
    known = proofs()
    return _HEAD + "".join(_section(one, [proof for proof in known if proof.section == one.key]) for one in sections())


def _section(section: Section, known: list[Proof]) -> str:
    files = groupby(known, key=lambda proof: proof.file)
    return f"\n## {section.heading}\n" + "".join(
        f"\n`{file}`\n\n" + "".join(_item(proof) for proof in of_file) for file, of_file in files
    )


def _item(proof: Proof) -> str:
    text = f"- `{proof.test}`{' (slow)' if proof.slow else ''}: {proof.promise}"
    return textwrap.fill(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False) + "\n"


def _of_file(path: Path) -> Iterator[Proof]:
    tree = ast.parse(path.read_text())
    of_module = [
        marker
        for node in tree.body
        if isinstance(node, ast.Assign) and "pytestmark" in {ast.unparse(target) for target in node.targets}
        for marker in (node.value.elts if isinstance(node.value, ast.List) else [node.value])
    ]
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
            markers = [*of_module, *node.decorator_list]
            slow = any(ast.unparse(marker) == "pytest.mark.slow" for marker in markers)
            promise = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
            for section in _proven(markers):
                yield Proof(section, path.name, node.name, promise, slow)


def _proven(markers: list[ast.expr]) -> Iterator[str]:
    """Yield the sections that the markers ``proves`` name."""
    for marker in markers:
        if isinstance(marker, ast.Call) and ast.unparse(marker.func) == "pytest.mark.proves":
            yield from (str(ast.literal_eval(argument)) for argument in marker.args)


if __name__ == "__main__":
    DOCUMENT.write_text(document())
