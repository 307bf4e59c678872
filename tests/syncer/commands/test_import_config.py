"""`mirror-syncer import-config`: what an administrator of bandersnatch sees."""

import asyncio
import os
import stat
import sys
import tomllib
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mirror_syncer.commands.cli import app

COMPLETE = """
[mirror]
directory = /MIRROR/pypi
json = true
workers = 6

[plugins]
enabled =
    allowlist_project
    allowlist_release
    blocklist_project
    prerelease_release

[allowlist]
packages =
    requests        # for everybody
    Django>=5.2,<6

[blocklist]
packages =
    evilpkg
"""
WITHOUT_TWIN = """
[mirror]
directory = /srv/pypi
timeout = 60
"""


@dataclass(frozen=True)
class Done:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


def import_config(*arguments: object, stdin: str = "") -> Done:
    """Run the command in this process."""
    result = CliRunner().invoke(app, ["import-config", *map(str, arguments)], input=stdin)
    return Done(result.exit_code, result.stdout, result.stderr)


async def test_import_prints_policy_and_settings_and_ends_with_0_if_all_has_a_twin(tmp_path: Path) -> None:
    """A configuration whose options all have twins gives a mirror.toml on standard output, and lines for .env."""
    (tmp_path / "bandersnatch.conf").write_text(COMPLETE)

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mirror_syncer", "import-config", "bandersnatch.conf"),
        env={"PATH": os.environ["PATH"]},  # without any setting
        cwd=tmp_path,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = (stream.decode() for stream in await process.communicate())

    assert process.returncode == 0, err
    assert tomllib.loads(out) == {
        "dependencies": {"follow": False},
        "mirror": {"projects": ["requests", "django<6,>=5.2"]},
        "files": {"prereleases": False},
        "block": {"projects": ["evilpkg"]},
        "serve": {"legacy_json": True},
    }
    lines = err.splitlines()
    assert lines[lines.index("For .env:") + 1 :][:4] == [
        "# line 3, [mirror] directory: the tree is where this mirror has its own; adopt takes it over",
        "MIRROR_DATA=/MIRROR",
        "# line 5, [mirror] workers: simultaneous connections to the index; a worker of bandersnatch is one",
        "MIRROR_CONNECTIONS=6",
    ]
    assert "Has no twin:" not in err


def test_import_ends_with_1_and_names_what_has_no_twin(tmp_path: Path) -> None:
    """An option without a twin is listed with its line and a remedy, also in the document itself."""
    (tmp_path / "bandersnatch.conf").write_text(WITHOUT_TWIN)

    done = import_config(tmp_path / "bandersnatch.conf")

    assert done.code == 1
    assert "Has no twin:\n  line 4, [mirror] timeout: " in done.err
    assert "# line 4, [mirror] timeout: " in done.out
    assert tomllib.loads(done.out) == {"mirror": {"scope": "everything"}}


def test_import_reads_standard_input() -> None:
    """`-` reads the configuration from standard input, so that nothing need be mounted into the container."""
    done = import_config("-", stdin=COMPLETE)

    assert done.code == 0
    assert tomllib.loads(done.out)["mirror"]["projects"] == ["requests", "django<6,>=5.2"]


def test_import_replaces_a_file_only_with_force(tmp_path: Path) -> None:
    """--to never overwrites a file, unless --force allows it; what it writes is whole and readable for all."""
    (tmp_path / "bandersnatch.conf").write_text(COMPLETE)
    target = tmp_path / "mirror.toml"

    first = import_config(tmp_path / "bandersnatch.conf", "--to", tmp_path / "mirror.toml")
    written = target.read_text()
    target.write_text("# mine\n")
    second = import_config(tmp_path / "bandersnatch.conf", "--to", tmp_path / "mirror.toml")
    kept = target.read_text()
    third = import_config(tmp_path / "bandersnatch.conf", "--to", target, "--force")

    assert (first.code, first.out) == (0, "")
    assert (second.code, second.out) == (2, "")
    assert "exists; use --force to replace it" in second.err
    assert (kept, third.code, target.read_text()) == ("# mine\n", 0, written)
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert {path.name for path in tmp_path.iterdir()} == {"bandersnatch.conf", "mirror.toml"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("workers = 3\n", "line 1: stands before the first [section]"),
        ("[mirror]\nworkers = 3\n\nworkers 4\n", "line 4: is neither a [section] nor NAME = VALUE"),
        ("[mirror]\njson = true\njson = false\n", "line 3: [mirror] json occurs twice"),
        ("[mirror]\n\n[mirror]\n", "line 3: the section [mirror] occurs twice"),
        ("[mirror]\nmaster = %(nowhere)s\n", "line 2: [mirror] master: its value refers to %(nowhere)s"),
        ("[mirror]\nlog-config = 5%\n", "line 2: [mirror] log-config: write %% for a percent sign"),
        ("[mirror]\njson = maybe\n", "line 2: [mirror] json: must be true or false"),
        ("[mirror]\nworkers = many\n", "line 2: [mirror] workers: must be a number"),
        ("[mirror]\nmaster = pypi.org\n", "line 2: [mirror] master: must be the URL of an index"),
        (
            "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages = a b\n",
            "line 4: [allowlist] packages: 'a b'",
        ),
        (
            "[plugins]\nenabled = blocklist_project\n[blocklist]\npackages = a # b\n",
            "line 4: [blocklist] packages: 'a #",
        ),
        (
            "[plugins]\nenabled = regex_project\n[filter_regex]\npackages = a(\n",
            "line 4: [filter_regex] packages: 'a('",
        ),
        (
            "[plugins]\nenabled = project_requirements\n[allowlist]\nrequirements = none.txt\n",
            "none.txt: 1 problem(s)\n  - cannot be read (No such file or directory)",
        ),
        (
            "[plugins]\nenabled = project_requirements\n[allowlist]\nrequirements = a\0\n",
            "'a\\x00': 1 problem(s)\n  - is not the name of a file",
        ),
        (
            f"[plugins]\nenabled = allowlist_project\n[allowlist]\npackages = six; {'(' * 900}\n",
            "and bandersnatch does not start: its marker has too many brackets",
        ),
        (
            "[plugins]\nenabled = regex_project\n[filter_regex]\npackages = a{99999999999}\n",
            "line 4: [filter_regex] packages: 'a{99999999999}'",
        ),
        (
            (
                "[plugins]\nenabled = all\n[version_range_release_file_metadata]\n"
                f"release_file.requires_python = {'9' * 5_000}\n"
            ),
            "line 4: [version_range_release_file_metadata] release_file.requires_python: '99",
        ),
    ],
)
def test_import_ends_with_2_and_the_line_where_bandersnatch_could_not_start(text: str, message: str) -> None:
    """If bandersnatch itself cannot start with a file, the import names the line and the reason, and writes nothing."""
    done = import_config("-", stdin=text)

    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "Traceback" not in done.err


def test_import_of_a_missing_file_ends_with_2(tmp_path: Path) -> None:
    """A file that cannot be read is named, with the reason."""
    done = import_config(tmp_path / "none.conf")

    assert (done.code, done.out) == (2, "")
    assert "none.conf" in done.err
    assert "cannot be read (No such file or directory)" in done.err


@pytest.mark.parametrize("enabled", ["all", "allowlist_release", "project_requirements_pinned"])
def test_import_writes_no_policy_if_bandersnatch_mirrors_no_file(enabled: str, tmp_path: Path) -> None:
    """If an enabled release filter has an empty list, bandersnatch mirrors no file, and so nothing is written."""
    (tmp_path / "bandersnatch.conf").write_text(f"[plugins]\nenabled = {enabled}\n[blocklist]\npackages = evil\n")

    done = import_config(tmp_path / "bandersnatch.conf", "--to", tmp_path / "mirror.toml")

    assert (done.code, done.out) == (1, "")
    assert "this plug-in's list is empty; disable it" in done.err
    assert "bandersnatch mirrors no file with this configuration" in done.err
    assert not (tmp_path / "mirror.toml").exists()


def test_import_prints_no_password() -> None:
    """A password in a URL or in [s3] appears nowhere in the output; the netrc is named for it."""
    secret = "hunter2"
    text = f"""
[mirror]
master = https://me:{secret}@nexus.example.org/pypi
proxy = http://me:{secret}@proxy.example.org:3128
storage-backend = s3
[s3]
aws_secret_access_key = {secret}
[unknown]
token = {secret}
"""
    done = import_config("-", stdin=text)

    assert secret not in done.out + done.err
    assert "MIRROR_UPSTREAM=https://nexus.example.org/pypi\n" in done.err
    assert "HTTPS_PROXY=http://proxy.example.org:3128\n" in done.err
    assert "MIRROR_UPSTREAM_NETRC" in done.err
