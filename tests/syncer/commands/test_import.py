"""`mirror-syncer import` of requirements: what becomes a line of mirror.toml, and what is left out."""

import difflib
import errno
import os
import stat
import tomllib
from pathlib import Path
from unittest.mock import Mock

import pytest

from syncer.importing import POLICY, Import

ODD = (
    b"\xef\xbb\xbf# the shop\r\n"
    b"flask>=3 \\\r\n"
    b"   ,<4  # comment\r\n"
    b"idna == 3.10\r\n"
    b"Requests\r\n"
    b"-r more/base.txt\r\n"
    b"-c limits.txt\r\n"
)


def added_lines(importer: Import) -> list[str]:
    """Return the lines of mirror.toml that were not there before; no other line may have changed."""
    changes = list(difflib.ndiff(POLICY.splitlines(), importer.policy.splitlines()))
    assert not [line for line in changes if line.startswith("- ")]
    return [line[2:].strip() for line in changes if line.startswith("+ ")]


def test_requirements_become_lines_and_nothing_else_changes(importer: Import) -> None:
    """Requirements become lines of projects; comments, order and layout of mirror.toml stay."""
    importer.write("more/base.txt", "six\n-r ../requirements.txt\n")
    importer.write("limits.txt", "six<2\nzope.interface==1\n")

    done = importer.import_text("requirements.txt", ODD)

    assert done.code == 0, done.err
    assert added_lines(importer) == ['"flask>=3 ,<4",', '"idna == 3.10",', '"six<2",']
    assert "Already in" in done.err
    assert "Requests" in done.err
    assert "The constraints of 1 project(s) that no line names have no effect" in done.err
    assert "docker compose exec control mirrorctl sync" in done.err
    assert done.out == ""


def test_second_import_adds_nothing(importer: Import) -> None:
    """A requirement that has a line, however it is spelt, is not added twice."""
    first = importer.import_text("requirements.txt", "flask >= 3, < 4\nREQUESTS\n")
    once = importer.policy
    second = importer.import_text("requirements.txt", "Flask<4,>=3\nrequests\n")

    assert (first.code, second.code) == (0, 0)
    assert importer.policy == once
    assert "Nothing to add." in second.err
    assert "mirrorctl sync" not in second.err


def test_project_with_other_versions_gets_a_second_line(importer: Import) -> None:
    """A project with a line for other versions gets a second one, since lines are a union; the report names both."""
    done = importer.import_text("requirements.txt", "django>=5.2,<6\n")

    assert added_lines(importer) == ['"django>=5.2,<6",']
    assert "django>=5.2,<6  (beside line 5, 'Django>=4.2,<5': what either of them admits is mirrored)" in done.err


def test_what_cannot_be_taken_is_listed_with_its_line_and_a_remedy(importer: Import) -> None:
    """What no index has is left out with its line and what to do; the rest is added, the exit code is 1."""
    text = """\
flask
-e .
./wheels/a.whl
https://me:hunter2@example.org/b-1.0.tar.gz
c @ git+https://me:hunter2@example.org/c
--extra-index-url https://me:hunter2@example.org/simple
--index-url=https://me:hunter2@example.org/simple
d>=1 --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000
--pre
not a requirement
-r missing.txt
-r https://example.org/more.txt
e>2,<1
--trusted-host example.org
"""
    done = importer.import_text("requirements.txt", text)

    assert done.code == 1
    assert added_lines(importer) == ['"flask",']
    assert "hunter2" not in done.err
    for line, words in {
        2: "an editable requirement comes from no index",
        3: "a requirement comes from a URL or a path",
        4: "a requirement comes from a URL or a path",
        5: "c comes from a URL or a path",
        6: "--extra-index-url: the mirror takes files from its upstream alone; set MIRROR_UPSTREAM",
        7: "--index-url: the mirror takes files from its upstream alone",
        8: "d has hashes and no single version, which pip refuses",
        9: "--pre: it allows pre-releases; set [files] prereleases = true",
        10: "'not a requirement' is not a requirement; write a name with versions",
        11: "missing.txt cannot be read (No such file or directory); import it by itself",
        12: "a file at a URL is not read; download it",
        13: '"e>2,<1": no version can match',  # the words of mirror.toml's own parser
    }.items():
        assert f"requirements.txt, line {line}: {words}" in done.err
    assert "line 14" not in done.err


def test_dry_run_prints_the_difference_and_changes_nothing(importer: Import) -> None:
    """--dry-run shows what would change in mirror.toml, as diff -u does."""
    done = importer.import_text("requirements.txt", "flask\n", "--dry-run")

    assert done.code == 0
    assert [line for line in done.out.splitlines() if line.startswith(("+ ", "+\t", "-", "@"))][1:] == [
        "@@ -3,6 +3,7 @@",
        '+  "flask",',
    ]
    assert "Would be added" in done.err
    assert importer.policy == POLICY


def test_print_writes_the_new_file_to_standard_output(importer: Import) -> None:
    """With - and --print nothing need be mounted into the container: the new mirror.toml is the whole output."""
    done = importer.run("-", "--print", stdin=b"flask\n-r base.txt\n")

    assert done.code == 1
    assert tomllib.loads(done.out)["mirror"]["projects"] == ["requests", "Django>=4.2,<5", "flask"]
    assert "standard input, line 2: base.txt is not read from standard input; import it by itself" in done.err
    assert importer.policy == POLICY


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('[mirror]\nprojects = ["a"]\n', '[mirror]\nprojects = ["a",\n  "b",\n  "c",\n]\n'),
        (
            '[mirror]\r\nprojects = [\r\n  "a"\r\n]\r\n',
            '[mirror]\r\nprojects = [\r\n  "a",\r\n  "b",\r\n  "c",\r\n]\r\n',
        ),
        (
            '\ufeff[mirror]\nprojects = [\n  "a", # why\n  # more\n]\n',
            '\ufeff[mirror]\nprojects = [\n  "a", # why\n  # more\n  "b",\n  "c",\n]\n',
        ),
        ('mirror.projects = ["a"]\n', 'mirror.projects = ["a",\n  "b",\n  "c",\n]\n'),
        (
            '[mirror]\nprojects = [{ name = "a", latest = 2 }]\n',
            '[mirror]\nprojects = [{ name = "a", latest = 2 },\n  "b",\n  "c",\n]\n',
        ),
        (
            '[[mirror.projects]]\nname = "a"\n',
            '[[mirror.projects]]\nname = "a"\n[[mirror.projects]]\nname = "b"\n[[mirror.projects]]\nname = "c"\n',
        ),
    ],
)
def test_each_form_of_mirror_toml_is_edited_in_place(before: str, after: str, importer: Import) -> None:
    """Whatever form mirror.toml has, the lines are added to it, and its line ends and byte order mark stay."""
    importer.write_policy(before)

    done = importer.import_text("requirements.txt", "b\nc\n")

    assert (done.code, importer.policy) == (0, after)


def test_first_import_begins_with_the_example(importer: Import) -> None:
    """Without a mirror.toml the import begins with the example, which is in force, and says so."""
    (importer.config / "mirror.toml").rename(importer.config / "mirror.example.toml")

    done = importer.import_text("requirements.txt", "flask\n")

    assert added_lines(importer) == ['"flask",']
    assert "mirror.toml did not exist, so it began as a copy of mirror.example.toml" in done.err
    assert (importer.config / "mirror.example.toml").read_text() == POLICY


def test_import_without_any_policy_makes_one(importer: Import) -> None:
    """Without a mirror.toml and an example the lines alone are the new file."""
    (importer.config / "mirror.toml").unlink()

    importer.import_text("requirements.txt", "flask\n")

    assert tomllib.loads(importer.policy) == {"mirror": {"projects": ["flask"]}}


def test_import_keeps_symlink_and_mode(importer: Import) -> None:
    """A mirror.toml that is a symlink stays one, and its file keeps its mode."""
    path = importer.config / "mirror.toml"
    path.rename(importer.config / "real.toml")
    path.symlink_to("real.toml")
    path.chmod(0o640)

    importer.import_text("requirements.txt", "flask\n")

    assert path.is_symlink()
    assert stat.S_IMODE((importer.config / "real.toml").stat().st_mode) == 0o640
    assert '"flask"' in importer.policy
    assert sorted(one.name for one in importer.config.iterdir()) == ["mirror.toml", "real.toml"]


def test_everything_needs_no_lines(importer: Import) -> None:
    """With scope "everything" a line would only narrow a project, so none is added, and the report says why."""
    importer.write_policy('[mirror]\nscope = "everything"\n')

    done = importer.import_text("requirements.txt", "flask>=3\n")

    assert done.code == 0
    assert 'scope = "everything" mirrors these projects without a line' in done.err
    assert importer.policy == '[mirror]\nscope = "everything"\n'


def test_wrong_mirror_toml_is_not_touched(importer: Import) -> None:
    """A mirror.toml with mistakes is named with line and key, and nothing is written."""
    wrong = POLICY.replace("latest = 3", "latest = 0")
    importer.write_policy(wrong)

    done = importer.import_text("requirements.txt", "flask\n")

    assert done.code == 2
    assert "line 7" in done.err
    assert "mirror.latest = 0" in done.err
    assert importer.policy == wrong


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "setup.py",
            "import os\n",
            "setup.py: 1 problem(s)\n  - is a program, which is not run; import what pip-compile",
        ),
        ("Pipfile", '[packages]\nsix = "*"\n', "run pipenv lock, and import Pipfile.lock"),
        ("bandersnatch.conf", "[mirror]\n", "use mirror-syncer import-config"),
        (
            "README.md",
            "# Shop\nA shop for books.\nWith a basket.\nThanks\n",
            "line 2: is not a requirement; import takes requirements.txt",
        ),
        ("package.json", '{"name": "x"}', "is JSON, but not a Pipfile.lock"),
        ("Cargo.toml", '[package]\nname = "x"\n', "is TOML, but not a lock that this mirror reads"),
        ("ruff.toml", "line-length = 100\n", "is TOML, but neither pyproject.toml nor a lock; import takes"),
        ("broken.toml", "[project\n", "is not TOML"),
        ("pyproject.toml", '[project]\nname = "x"\n', "requires nothing"),
        ("environment.yml", "channels: [a]\n", "has no list of dependencies, as conda's environments have"),
        ("requirements.txt", "", "is empty"),
        ("requirements.txt", b"\xff\xfe\xff", "is not UTF-8"),
        ("requirements.txt", b"six\n\x00", "is a binary file"),
    ],
)
def test_wrong_file_is_refused_with_what_is_accepted(
    name: str, content: str | bytes, message: str, importer: Import
) -> None:
    """A file that cannot be imported ends with 2 and a sentence; nothing is written."""
    done = importer.import_text(name, content)

    assert done.code == 2
    assert message in done.err
    assert importer.policy == POLICY


def test_format_must_be_that_of_the_content(importer: Import) -> None:
    """--format says what the file must be; another content is refused by name."""
    wrong = importer.run("-", "--format=uv.lock", stdin=b"flask\n")
    right = importer.run("-", "--format=requirements.txt", stdin=b"flask\n")

    assert (wrong.code, right.code) == (2, 0)
    assert "is requirements.txt by its content, not uv.lock" in wrong.err


def test_missing_file_is_named(importer: Import) -> None:
    """A file that cannot be read is named, with the reason and what to do in a container."""
    done = importer.run(importer.source / "none.txt")

    assert done.code == 2
    assert (
        "none.txt: 1 problem(s)\n  - cannot be read (No such file or directory); in a container, mount it" in done.err
    )


def test_unwritable_directory_names_the_remedy(importer: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    """If mirror.toml cannot be written, as in the syncer's own container, the error says what to do."""
    read_only = OSError(errno.EROFS, os.strerror(errno.EROFS))
    monkeypatch.setattr("tempfile.mkstemp", Mock(side_effect=read_only))

    done = importer.import_text("requirements.txt", "flask\n")

    assert done.code == 2
    assert "cannot be written (Read-only file system); mount the directory of mirror.toml so that your" in done.err
    assert importer.policy == POLICY


@pytest.mark.proves("security/mistakes")
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("many.txt", "".join(f"p{n}\n" for n in range(5_001)), "has more than 5,000 requirements; lock them"),
        ("long.txt", "a" * 1_000_001, "has a line that is too long"),
        ("lines.txt", "\n" * 1_000_001, "has more than 1,000,000 lines"),
        ("deep.toml", f"[project]\nx = {'[' * 1_000}", "nests more than 100 levels deep"),
        ("big.toml", f"[project]\n#{'x' * 8 * 2**20}", "but not a lock"),
        ("deep.yml", f"dependencies: {'[' * 100}", "nests more than 20 levels deep"),
        ("alias.yml", "a: &a [x]\ndependencies: [*a]\n", "line 2: is an alias (*), which is not read; write it out"),
        ("big.yml", f"dependencies: []\n#{'x' * 2**20}", "has more than 1 MiB"),
        ("broken.yml", "dependencies: [\n", "is not YAML"),
    ],
)
def test_file_out_of_bounds_is_refused(name: str, content: str, message: str, importer: Import) -> None:
    """A file beyond the bounds of its format is refused before it is built in memory; nothing is written."""
    done = importer.import_text(name, content)

    assert done.code == 2
    assert message in done.err
    assert importer.policy == POLICY


@pytest.mark.proves("security/mistakes")
def test_included_device_is_not_read(importer: Import, tmp_path: Path) -> None:
    """An include of what is no regular file, such as a FIFO, is left out and does not block."""
    os.mkfifo(tmp_path / "pipe")

    done = importer.import_text("requirements.txt", f"flask\n-r {tmp_path / 'pipe'}\n-r /dev/zero\n")

    assert done.code == 1
    assert "/dev/zero is not a regular file" in done.err
    assert added_lines(importer) == ['"flask",']


def test_many_lines_left_out_are_counted(importer: Import) -> None:
    """Of very many lines that are left out, the first hundred are listed and the others counted."""
    done = importer.import_text("requirements.txt", "flask\n" + "-e .\n" * 10_000)

    assert done.code == 1
    assert done.err.count("editable") == 100
    assert "9,900 more like these" in done.err


def test_report_does_not_control_the_terminal(importer: Import) -> None:
    """What a file says is printed without control characters."""
    done = importer.import_text("requirements.txt", "flask\nsix; platform_version == '\x1b[31m'\n\x1b[2Jx y\n")

    assert "\x1b" not in done.out + done.err
