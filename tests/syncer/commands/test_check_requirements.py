"""`check --requirements`: would a file install together, on which machines not, and why."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import fakepypi
from mirror_syncer.commands.cli import app
from syncer.requiring import upload
from syncer.site import Site

MACHINES = '[machines]\npythons = ["3.11", "3.13"]\nplatforms = ["linux-x86_64", "windows-amd64"]\n'
LINUX, WINDOWS = "Python 3.11 on linux-x86_64", "Python 3.11 on windows-amd64"


@dataclass(frozen=True)
class Done:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON output."""
        found: dict[str, Any] = json.loads(self.out)
        return found


class Check:
    """The command on a mirror host."""

    def __init__(self, site: Site) -> None:
        self.site = site

    async def run(self, *arguments: object, stdin: str | None = None) -> Done:
        """Run the command in a thread, since the index is served by this one."""
        words = ["check", *map(str, arguments)]
        result = await asyncio.to_thread(
            CliRunner().invoke, app, words, input=stdin, env=self.site.environment(MIRROR_FILE_HOSTS="127.0.0.1")
        )
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    async def text(self, content: str, *arguments: object, name: str = "requirements.txt") -> Done:
        """Check a file with this content."""
        path = self.site.policy.parent / name
        path.write_text(content)
        return await self.run("--requirements", path, *arguments)

    async def json(self, content: str, *arguments: object, name: str = "requirements.txt") -> dict[str, Any]:
        """Return the JSON about a file with this content."""
        return (await self.text(content, "--json", *arguments, name=name)).document


def verdicts(document: dict[str, Any]) -> dict[str, bool]:
    """Return whether the file installs on each machine."""
    return {one["machine"]: one["installs"] for one in document["machines"]}


@pytest.fixture
def check(site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Return the command on a mirror of nothing but one project, for four machines."""
    # The logs of this process would go to the command's output, which is closed at its end.
    monkeypatch.setattr("mirror_syncer.logs.configure_logging", lambda **_: None)
    upload(
        pypi,
        "app 1.0: lib>=2",
        "lib 1.0",
        "lib 2.0: winlib; sys_platform == 'win32'",
        "winlib 1.0",
        "rival 1.0: lib<2",
        "six 1.0",
    )
    site.select("six", follow=True)
    site.policy.write_text(site.policy.read_text() + MACHINES)
    return Check(site)


def contents(directory: Path) -> dict[Path, bytes]:
    """Return the content of each file below a directory, but for the catalog's own bookkeeping."""
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file() and "sqlite" not in path.name}


async def test_file_that_installs_exits_0(check: Check) -> None:
    """A file whose requirements can be installed together on each machine exits with 0, and names the releases."""
    done = await check.text("app\nsix\n")
    document = await check.json("app\nsix\n")

    assert (done.code, done.err) == (0, "")
    assert "3 releases" in done.out
    assert document["installs_everywhere"] is True
    assert set(verdicts(document).values()) == {True}
    releases = {one["machine"]: one["releases"] for one in document["machines"]}
    assert releases[LINUX] == {"app": "1.0", "lib": "2.0", "six": "1.0"}
    assert releases[WINDOWS] == {"app": "1.0", "lib": "2.0", "six": "1.0", "winlib": "1.0"}


async def test_requirements_that_exclude_each_other_exit_1(check: Check) -> None:
    """Requirements that install alone and not together exit with 1, with the solver's words."""
    done = await check.text("app\nrival\n")

    assert done.code == 1
    assert done.out.count("no ") >= 4
    assert "app and rival cannot be installed together" in done.out
    assert "rival 1.0 requires lib<2" in done.out


async def test_one_machine_that_cannot_install_is_named(check: Check, pypi: fakepypi.FakePyPI) -> None:
    """A requirement that is missing on some machines makes those fail, and no other."""
    pypi.index.project("winlib").delete()
    document = await check.json("app\n")

    assert verdicts(document) == {
        "Python 3.11 on linux-x86_64": True,
        "Python 3.11 on windows-amd64": False,
        "Python 3.13 on linux-x86_64": True,
        "Python 3.13 on windows-amd64": False,
    }
    assert "winlib" in next(one["reason"] for one in document["machines"] if not one["installs"])


async def test_check_stores_and_publishes_nothing(check: Check, pypi: fakepypi.FakePyPI) -> None:
    """A check reads pages and metadata that it needs, downloads no wheel, and leaves tree and catalog alone."""
    await check.site.sync()
    before = contents(check.site.data), check.site.pages()
    pypi.log.forget()
    await check.text("app\n")

    assert (contents(check.site.data), check.site.pages()) == before
    assert not [path for path in pypi.log.paths() if path.endswith(".whl")]
    assert "/simple/rival/" not in pypi.log.paths()


async def test_policy_decides_what_would_be_mirrored(check: Check) -> None:
    """What the policy blocks does not install from upstream, and a candidate for mirror.toml can be tried."""
    candidate = check.site.policy.with_name("candidate.toml")
    candidate.write_text(check.site.policy.read_text() + '[block]\nprojects = ["lib>=2"]\n')
    now = await check.text("app\n")
    then = await check.text("app\n", candidate)

    assert (now.code, then.code) == (0, 1)
    assert "is blocked" in then.out


async def test_mirror_answers_without_upstream(check: Check, pypi: fakepypi.FakePyPI) -> None:
    """``--from mirror`` asks what is published now, and no upstream."""
    before = await check.text("six\n", "--from", "mirror")
    await check.site.sync()
    pypi.log.forget()
    six = await check.json("six\n", "--from", "mirror")
    other = await check.text("app\n", "--from", "mirror")

    assert before.code == 3
    assert "nothing is mirrored yet" in before.err
    assert (six["from"], six["installs_everywhere"]) == ("mirror", True)
    assert other.code == 1
    assert "app: the mirror does not have it" in other.out
    assert pypi.log.paths() == []


async def test_mirror_answers_by_what_dependencies_brought(check: Check) -> None:
    """What a line brought with its dependencies installs from the mirror."""
    check.site.select("app", follow=True)
    check.site.policy.write_text(check.site.policy.read_text() + MACHINES)
    await check.site.sync()

    assert (await check.text("app\n", "--from", "mirror")).code == 0
    assert (await check.text("lib<2\n", "--from", "mirror")).code == 1


async def test_policy_without_dependencies_mirrors_only_its_lines(check: Check) -> None:
    """With ``follow = false`` only what lines select would be there, and the answer says so."""
    check.site.policy.write_text(check.site.policy.read_text().replace("follow = true", "follow = false"))
    done = await check.text("app\nsix\n")

    assert done.code == 1
    assert "mirror.toml does not select app, and follows no dependencies" in done.out
    assert (await check.text("six\n")).code == 0


async def test_extras_and_groups_of_a_project_are_checked_apart(check: Check) -> None:
    """Extras and groups that exclude each other are no conflict; each installs beside the dependencies."""
    document = await check.json(
        '[project]\nname = "shop"\ndependencies = ["six"]\n[project.optional-dependencies]\nnew = ["app"]\n'
        'old = ["rival"]\n[dependency-groups]\nboth = [{ include-group = "base" }, "rival"]\nbase = ["app"]\n',
        name="pyproject.toml",
    )

    installs = {one["requirements"]: one["installs"] for one in document["machines"] if one["machine"] == LINUX}
    assert installs == {
        "pyproject.toml": True,
        "pyproject.toml, extra new": True,
        "pyproject.toml, extra old": True,
        "pyproject.toml, group both": False,
        "pyproject.toml, group base": True,
    }


async def test_marker_that_holds_nowhere_needs_nothing(check: Check) -> None:
    """A requirement whose marker is false on a machine does not count there."""
    done = await check.text("nobody; sys_platform == 'win32'\n")

    assert done.code == 1
    assert "nothing counts here" in done.out


async def test_hashes_restrict_the_files(check: Check, pypi: fakepypi.FakePyPI) -> None:
    """A requirement with hashes installs only if a file with one of them is there."""
    (wheel,) = (await check.json("six\n"))["machines"][:1]
    assert wheel["installs"]
    done = await check.text(f"six==1.0 --hash=sha256:{'0' * 64}\n")

    assert done.code == 1


LOCK = """\
version = 1
requires-python = ">=3.11"
[[package]]
name = "app"
version = "1.0"
source = { registry = "https://pypi.org/simple" }
[[package]]
name = "lib"
version = "%s"
source = { registry = "https://pypi.org/simple" }
"""


async def test_lock_is_checked_release_by_release(check: Check) -> None:
    """Each release of a lock is looked for; one that is nowhere fails the check and is named with the reason."""
    whole = await check.text(LOCK % "2.0", name="uv.lock")
    broken = await check.text(LOCK % "7.0", name="uv.lock")
    document = await check.json(LOCK % "7.0", name="uv.lock")

    assert (whole.code, broken.code) == (0, 1)
    assert "lib==7.0: no release of lib matches '==7.0'" in broken.out
    assert [one["release"] for one in document["missing"]] == ["lib==7.0"]


async def test_lock_lists_what_a_machine_has_no_file_for(check: Check, pypi: fakepypi.FakePyPI) -> None:
    """A release of a lock with files for other machines alone is listed, and is no failure: markers may exclude it."""
    pypi.index.project("lib").upload("3.0", sdist=False, tags=("cp311-cp311-win_amd64",))
    document = await check.json(LOCK % "3.0", name="uv.lock")

    without = {one["machine"]: one["without_a_file"] for one in document["machines"]}
    assert without[WINDOWS] == []
    assert without[LINUX] == ["lib==3.0"]
    assert document["installs_everywhere"] is True


async def test_what_is_left_out_is_named_and_exits_1(check: Check) -> None:
    """A requirement by URL is not checked: it is listed with its line, and the exit code is 1."""
    done = await check.text("six\nother @ https://example.org/other-1.0-py3-none-any.whl\n")

    assert done.code == 1
    assert "line 2: other comes from a URL" in done.out


async def test_option_that_is_left_out_is_no_failure(check: Check) -> None:
    """An option such as ``--index-url`` is listed, and does not change the exit code."""
    done = await check.text("--index-url https://pypi.org/simple\nsix\n")

    assert done.code == 0
    assert "--index-url: the mirror takes files from its upstream alone" in done.out


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("requirements.txt", "", "is empty"),
        ("requirements.txt", "This is prose, as people write it.\nAnd more of it!\n", "is not a requirement"),
        ("requirements.txt", "-e .\n", "requires nothing that an index could have"),
        ("pyproject.toml", "[project\n", "pyproject.toml"),
        ("pyproject.toml", "[tool.black]\nline-length = 120\n", "requires nothing"),
        ("uv.lock", "version = 99\n[[package]]\n", "uv.lock"),
        ("setup.py", "import setuptools\n", "is a program"),
        ("environment.yml", "dependencies: [\n", "is not YAML"),
    ],
)
async def test_wrong_file_exits_2(check: Check, name: str, content: str, words: str) -> None:
    """A file that cannot be used exits with 2 and one error that names it."""
    done = await check.text(content, name=name)

    assert done.code == 2
    assert words in done.err
    assert done.err.startswith("error: ")


async def test_missing_file_and_wrong_policy_exit_2(check: Check) -> None:
    """A requirements file that is not there, and a policy with mistakes, exit with 2."""
    missing = await check.run("--requirements", check.site.policy.with_name("nowhere.txt"))
    both = await check.run("-", "--requirements", "-", stdin="six\n")
    check.site.policy.write_text("[mirror]\nproject = []\n")
    wrong = await check.text("six\n")

    assert (missing.code, both.code, wrong.code) == (2, 2, 2)
    assert "nowhere.txt" in missing.err
    assert "standard input" in both.err
    assert "mirror.toml" in wrong.err


async def test_standard_input_is_read(check: Check) -> None:
    """``-r -`` reads the file from standard input, as in a container."""
    assert (await check.run("-r", "-", stdin="app\n")).code == 0


async def test_upstream_that_fails_is_no_answer(check: Check, pypi: fakepypi.FakePyPI) -> None:
    """Where upstream fails, the check exits with 3, calls no requirement impossible, and names what works."""
    pypi.faults.on_page("lib").status(500)
    done = await check.text("app\n")

    assert done.code == 3
    assert "cannot be installed" not in done.out
    assert "500" in done.err
    assert "`--from mirror` works without it" in done.err
