"""The documents: their width, links, commands, quotes and proofs; and secrets in the repository."""

import ast
import re
import subprocess
import sys
import unicodedata
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import proofs

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")])
# Each page but the architecture is about a task.
TASKS = sorted({*REPOSITORY.glob("docs/*.md")} - {REPOSITORY / "docs" / "architecture.md"})
WIDTH = 120

ROOM = re.compile(r"`(\w+/?)`")
LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
# As in `docker compose exec control mirrorctl token create NAME` or `docker compose run … -T syncer plan`.
COMMAND = re.compile(r"\b(?:(mirrorctl|mirror-syncer)|-T syncer)((?: (?:token )?[a-z]+(?:-[a-z]+)*)?)((?: [^\s`|;]+)*)")
TESTED = 2  # columns: a promise and its test
OPTION = re.compile(r"--[a-z][a-z-]+")


def name(path: Path) -> str:
    """Return a document's name."""
    return path.name


def columns(line: str) -> int:
    """Return how many columns a line takes on a terminal."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line)


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings."""
    return {proofs.slug(heading) for heading in HEADING.findall(FENCE.sub("", path.read_text()))}


@cache
def typed() -> dict[tuple[str, str], set[str]]:
    """Return the commands that documents show, by program, each with the options shown."""
    found: dict[tuple[str, str], set[str]] = {}
    for path in DOCUMENTS:
        text = path.read_text()
        blocks = "\n".join(FENCE.findall(text)).splitlines()
        for line in [*blocks, *SPAN.findall(FENCE.sub("", text))]:
            for program, command, rest in COMMAND.findall(line.partition(" # ")[0]):
                options = found.setdefault((program or "mirror-syncer", command.strip()), set())
                options.update(OPTION.findall(rest))
    return found


@cache
def quoted() -> list[str]:
    """Return the log messages that docs/troubleshooting.md explains."""
    document = (REPOSITORY / "docs" / "troubleshooting.md").read_text()
    return re.findall(r"^### `(.+)`$", document.partition("\n## What the log says\n")[2], re.MULTILINE)


@cache
def sources() -> str:
    """Return the services' sources, with implicitly joined strings in one piece."""
    source = "\n".join(path.read_text() for path in (REPOSITORY / "services").glob("*/src/**/*.py"))
    return re.sub(r'"\s*\n\s*f?"', "", source)


def test_each_section_of_promises_is_proved() -> None:
    """Each section of promises and threats has a test, and each marker ``proves`` names an existing section."""
    known = {section.key for section in proofs.sections()}
    assert known == {proof.section for proof in proofs.proofs()}
    assert len(known) > 15


def test_page_of_tests_is_current() -> None:
    """docs/tests.md lists the tests that prove promises; if it is outdated, scripts/generate writes it again."""
    assert proofs.DOCUMENT.read_text() == proofs.document()


@pytest.mark.parametrize("section", proofs.sections(), ids=lambda section: section.key)
def test_section_of_promises_links_its_tests(section: proofs.Section) -> None:
    """Each section of promises and threats links its tests."""
    after = proofs.PAGES[section.page].read_text().partition(f"\n### {section.title}\n")[2]
    assert f"tests.md#{proofs.slug(section.heading)})" in re.split(r"^##+ ", after, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_document_fits_a_page(path: Path) -> None:
    """No line has more than 120 columns, no table cell more than 120 characters; all rows have the same cells."""
    lines = path.read_text().splitlines()
    assert [line for line in lines if columns(line) > WIDTH] == []
    width = 0
    for line in lines:
        cells = line.strip("|").split("|") if line.startswith("|") else []
        assert not cells or not width or len(cells) == width, line
        assert [cell for cell in cells if len(cell.strip()) > WIDTH] == []
        width = len(cells)


def test_readme_is_short() -> None:
    """The README has at most 110 lines, and names the command that runs the tests."""
    readme = (REPOSITORY / "README.md").read_text()
    assert len(readme.splitlines()) <= 110
    assert "scripts/test" in readme


@pytest.mark.parametrize("path", TASKS, ids=name)
def test_page_of_a_task_starts_with_an_example(path: Path) -> None:
    """A page about a task begins with a command or an example, before any prose."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0].startswith("```"), lines[0]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_relative_links_have_a_target(path: Path) -> None:
    """Each relative link leads to a file of the repository, and each anchor to one of its headings."""
    for target in LINK.findall(FENCE.sub("", path.read_text())):
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_readme_links_every_page() -> None:
    """The README links every page of docs/ except the page of tests, which docs/reliability.md links."""
    linked = set(LINK.findall((REPOSITORY / "README.md").read_text()))
    assert {f"docs/{path.name}" for path in REPOSITORY.glob("docs/*.md")} - linked == {"docs/tests.md"}


@pytest.mark.parametrize(("program", "command"), sorted(typed()))
def test_documented_commands_exist(
    program: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command that the documents show exists in the program, with the shown options."""
    (entry,) = entry_points(group="console_scripts", name=program)
    monkeypatch.setattr(sys, "argv", [program, *command.split(), "--help"])
    with pytest.raises(SystemExit) as ended:
        entry.load()()
    assert not ended.value.code
    shown = capsys.readouterr().out
    assert {option for option in typed()[program, command] if option not in shown} == set()


@pytest.mark.parametrize("said", quoted())
def test_quoted_messages_exist(said: str) -> None:
    """A service contains each log message that docs/troubleshooting.md quotes."""
    assert said in sources()


def rows(heading: str) -> list[list[str]]:
    """Return the rows of all tables in a section of docs/choose.md, without heads and rules."""
    section = (REPOSITORY / "docs/choose.md").read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in found if row[0].strip() not in ("promise", "---")]


def test_each_promise_beside_other_mirrors_has_a_test() -> None:
    """Each row of the comparison in docs/choose.md has a row with our test, and that test exists."""
    compared = [row[0] for row in rows("Beside other mirrors") if len(row) > TESTED]
    tested = {
        promise: test.strip("`")
        for promise, test in (row for row in rows("Beside other mirrors") if len(row) == TESTED)
    }
    assert list(tested) == compared
    sources = "\n".join(path.read_text() for path in (REPOSITORY / "tests").rglob("test_*.py"))
    assert [
        test for test in tested.values() if not re.search(rf"^(?:async )?def {test}\(", sources, re.MULTILINE)
    ] == []


def defines(path: Path, name: str) -> bool:
    """Return whether a file exists and defines this function or class."""
    if not path.is_file():
        return False
    tree = ast.parse(path.read_text())
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    targets = {target.id for node in ast.walk(tree) if isinstance(node, ast.Assign) for target in names(node)}
    return not name or name in targets | {node.name for node in ast.walk(tree) if isinstance(node, definitions)}


def names(node: ast.Assign) -> list[ast.Name]:
    """Return the plain names that are assigned to; hypothesis' state machines become tests like this."""
    return [target for target in node.targets if isinstance(target, ast.Name)]


@pytest.mark.parametrize(("service", "heading"), [("syncer", "Inside the syncer,"), ("control", "Inside control:")])
def test_architecture_names_every_module(service: str, heading: str) -> None:
    """docs/architecture.md names each module and folder of a service exactly once, and no other."""
    inside = (REPOSITORY / "docs/architecture.md").read_text().partition(f"\n{heading}")[2].partition("\n\n")[2]
    named = [room for row in inside.partition("\n\n")[0].splitlines() for room in ROOM.findall(row.split("|")[1])]
    package = REPOSITORY / "services" / service / "src" / f"mirror_{service}"
    folders = [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    modules = [path.stem for path in package.glob("*.py") if not path.stem.startswith("__")]
    assert sorted(named) == sorted(folders + modules)


@pytest.mark.proves("security/tokens-and-secrets")
def test_repository_holds_no_secret() -> None:
    """Git tracks no private key and no operator's file, and ignores the secret files that the documents create."""
    git = ("git", "-C", str(REPOSITORY))
    if subprocess.run((*git, "rev-parse"), capture_output=True, check=False).returncode:
        pytest.skip("not a Git checkout")
    tracked = subprocess.run((*git, "ls-files"), capture_output=True, text=True, check=True).stdout.splitlines()
    assert not [path for path in tracked if Path(path).name in (".env", ".netrc", "netrc", "token", "htpasswd")]
    keys = ("grep", "-lE", "-----BEGIN [A-Z ]*PRIVATE KEY-----")
    assert subprocess.run((*git, *keys), capture_output=True, text=True, check=False).stdout == ""
    for name in (".env", "token", "netrc", "htpasswd", "tls/privkey.pem"):
        subprocess.run((*git, "check-ignore", "--quiet", name), check=True)
