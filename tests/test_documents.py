"""SECURITY.md, docs/reliability.md and the map of rooms, held to what there is; the repository, to hold no secret."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
# As in `syncer/test_volume.py::test_two_syncers`, or a whole file.
NAMED = re.compile(r"`(?:tests/)?((?:\w+/)*test_\w+\.py)(?:::(\w+))?(?:\[[^`]*\])?`")

ROOM = re.compile(r"`(\w+/?)`")


@pytest.mark.parametrize("document", ["SECURITY.md", "docs/reliability.md"])
def test_named_tests_exist(document: str) -> None:
    """Each test that is named as a proof is there."""
    named = NAMED.findall((REPOSITORY / document).read_text())
    assert len(named) > 10
    assert [one for one in named if not defines(REPOSITORY / "tests" / one[0], one[1])] == []


def defines(path: Path, name: str) -> bool:
    """Whether there is this file, and in it this function or class."""
    if not path.is_file():
        return False
    tree = ast.parse(path.read_text())
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    targets = {target.id for node in ast.walk(tree) if isinstance(node, ast.Assign) for target in names(node)}
    return not name or name in targets | {node.name for node in ast.walk(tree) if isinstance(node, definitions)}


def names(node: ast.Assign) -> list[ast.Name]:
    """Return the plain names that are assigned to; hypothesis' state machines become tests like this."""
    return [target for target in node.targets if isinstance(target, ast.Name)]


@pytest.mark.parametrize("document", ["SECURITY.md", "docs/reliability.md"])
def test_rows_are_whole(document: str) -> None:
    """Every row of a table has each cell, and names a test where the table has a column for tests."""
    header: list[str] = []
    for line in (REPOSITORY / document).read_text().splitlines():
        if not line.startswith("|"):
            header = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        header = header or cells
        assert len(cells) == len(header), line
        if "test" in header and cells != header and set(line) > set("|-"):
            assert NAMED.search(cells[header.index("test")]), line


@pytest.mark.parametrize(("service", "heading"), [("syncer", "Inside the syncer,"), ("control", "Inside control:")])
def test_the_map_has_every_room(service: str, heading: str) -> None:
    """docs/architecture.md names each module and folder of a service once, and none that is not there."""
    inside = (REPOSITORY / "docs/architecture.md").read_text().partition(f"\n{heading}")[2].partition("\n\n")[2]
    named = [room for row in inside.partition("\n\n")[0].splitlines() for room in ROOM.findall(row.split("|")[1])]
    package = REPOSITORY / "services" / service / "src" / f"mirror_{service}"
    folders = [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    modules = [path.stem for path in package.glob("*.py") if not path.stem.startswith("__")]
    assert sorted(named) == sorted(folders + modules)


@pytest.mark.proves("security/tokens-and-secrets")
def test_repository_holds_no_secret() -> None:
    """Git has no private key and no file of an operator's, and takes none of those that the documentation has made."""
    git = ("git", "-C", str(REPOSITORY))
    if subprocess.run((*git, "rev-parse"), capture_output=True, check=False).returncode:
        pytest.skip("this is no checkout")
    tracked = subprocess.run((*git, "ls-files"), capture_output=True, text=True, check=True).stdout.splitlines()
    assert not [path for path in tracked if Path(path).name in (".env", ".netrc", "netrc", "token", "htpasswd")]
    keys = ("grep", "-lE", "-----BEGIN [A-Z ]*PRIVATE KEY-----")
    assert subprocess.run((*git, *keys), capture_output=True, text=True, check=False).stdout == ""
    for name in (".env", "token", "netrc", "htpasswd", "tls/privkey.pem"):
        subprocess.run((*git, "check-ignore", "--quiet", name), check=True)
