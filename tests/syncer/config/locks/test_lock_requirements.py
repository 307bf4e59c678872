"""Pinned requirements are read as pip reads them, without its options, and never outside the directory."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirror_syncer.config.locks import Pin
from mirror_syncer.config.locks.lock_source import Locks, LockSource, read_locks

Read = Callable[[str | bytes], Locks]
SHA256 = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
FORMS = f"""# a comment
--index-url https://user:secret@index.example/simple
--extra-index-url=https://user:secret@index.example/simple
--require-hashes
six==1.17.0 \\
    --hash=sha256:{SHA256.upper()} --hash sha256:{OTHER} \\
    --hash=md5:0123
    # via something
Typing_Extensions == 4.15.0  # why
uvicorn[standard]==0.30.0 ; python_version < "3" and nonsense ~ markers
numpy===2.0.0
torch==2.0+cpu
idna>=3,==3.10;sys_platform=='win32' --hash=sha256:{SHA256}

odd===2004d --hash=sha256:{OTHER}
by-hash --hash=sha256:{SHA256}
"""


def releases(locks: Locks) -> dict[str, Pin]:
    """Return each pin by name and version."""
    return {f"{pin.project} {pin.version}": pin for pins in locks.pins.values() for pin in pins}


def test_forms_of_a_pin_are_read(read_text: Read) -> None:
    """Spellings, comments, continued lines, extras, hashes, options and invalid markers are read as pip reads them."""
    locks = read_text(FORMS)
    found = releases(locks)
    assert {release: pin.source.rpartition(" ")[2] for release, pin in found.items()} == {
        "six 1.17.0": "5",
        "typing-extensions 4.15.0": "9",
        "uvicorn 0.30.0": "10",
        "numpy 2.0.0": "11",
        "torch 2.0+cpu": "12",
        "idna 3.10": "13",
        "odd None": "15",
        "by-hash None": "16",
    }
    assert set(found["six 1.17.0"].hashes) == {SHA256, OTHER}
    assert set(found["idna 3.10"].hashes) == {SHA256}
    assert set(found["odd None"].hashes) == {OTHER}
    assert locks.problems == ()
    assert "secret" not in repr(locks)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("requests", "requests is not pinned to one version, so nothing is kept; write requests==VERSION"),
        ("requests>=2", "requests is not pinned to one version"),
        ("requests==2.*", "requests is not pinned to one version"),
        ("requests==2.1,==2.2", "requests is not pinned to one version"),
        ("requests==2.1,<2", "requests is not pinned to one version"),
        ("requests===banana", "requests is not pinned to one version"),
        ("requests=2.1", "is not a requirement; write a name and a version, as in idna==3.10"),
        ("two words", "is not a requirement"),
        ("a" * 300 + "==1.0", "is too long for a project name"),
        ("requests==1.0 --hash=sha256:12", "requests: a hash is malformed and ignored"),
        ("requests==1.0 --hash=sha512:12", "requests: only sha256 counts, not sha512; kept by version alone"),
        ("-e .", "an editable requirement is ignored; no index has it"),
        ("--editable=git+https://me:secret@host.example/x", "an editable requirement is ignored"),
        ("./wheels/six.whl", "a requirement by path or URL is ignored; the mirror cannot keep it"),
        ("six-1.17.0-py2.py3-none-any.whl", "a requirement by path or URL is ignored"),
        ("https://me:secret@host.example/six.zip", "a requirement by path or URL is ignored"),
        ("git+ssh://secret@host.example/six", "a requirement by path or URL is ignored"),
        ("six @ https://me:secret@host.example/six.zip ; python_version<'3'", "six comes from a URL, so the mirror"),
        ("-r https://me:secret@host.example/base.txt", "a file at a URL is not read; copy it beside this one"),
    ],
)
def test_line_without_effect_is_reported(line: str, problem: str, read_text: Read) -> None:
    """A line that pins nothing is reported with its number, without a URL's password; the other lines count."""
    locks = read_text(f"idna==3.10\n\n{line}\n")
    [found] = locks.problems
    assert str(found).startswith("locks/a.lock, line 3: ")
    assert problem in found.message
    assert "secret" not in str(found)
    assert not found.unusable
    assert "idna 3.10" in releases(locks)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_file_of_windows_powershell_is_read(encoding: str, read_text: Read) -> None:
    """A file with a byte order mark is read; ``pip freeze > requirements.txt`` writes UTF-16 in PowerShell 5."""
    assert set(releases(read_text("six==1.17.0\r\nidna==3.10\r\n".encode(encoding)))) == {"six 1.17.0", "idna 3.10"}


def test_included_files_count(directory: Path) -> None:
    """Requirements and constraints that a file includes count, each file once, with their own names and lines."""
    locks = directory / "locks"
    (locks / "requirements.txt").write_text(
        "-r base.txt\n-c ../constraints.txt\n--requirement=sub/deep.txt\nsix==1.0\n"
    )
    (locks / "base.txt").write_text("# circle\n-r requirements.txt\nidna==3.10\nidna>3\n")
    (directory / "constraints.txt").write_text("numpy==2.0\n")
    (locks / "sub").mkdir()
    (locks / "sub" / "deep.txt").write_text("-r ../base.txt\nattrs==25.1\n")
    found = read_locks(["locks/requirements*.txt"], directory)
    assert {str(name): pin.source for name, [pin] in found.pins.items()} == {
        "six": "locks/requirements.txt, line 4",
        "idna": "locks/base.txt, line 3",
        "numpy": "constraints.txt, line 1",
        "attrs": "locks/sub/deep.txt, line 2",
    }
    assert [str(problem)[:24] for problem in found.problems] == ["locks/base.txt, line 4: "]
    assert [file.file for file in found.files] == ["locks/requirements.txt"]


@pytest.mark.proves("security/mistakes")
@pytest.mark.parametrize("path", ["../../secret.txt", "/etc/hostname", "../locks/../../secret.txt", "link.txt", ""])
def test_file_outside_the_directory_is_not_included(path: str, directory: Path) -> None:
    """A file outside the directory of mirror.toml is not included, by no path and by no symlink; that is reported."""
    (directory.parent / "secret.txt").write_text("secret==1.0\n")
    (directory / "locks" / "link.txt").symlink_to(directory.parent / "secret.txt")
    (directory / "locks" / "requirements.txt").write_text(f"six==1.0\n-r {path}\n")
    found = read_locks(["locks/requirements.txt"], directory)
    [problem] = found.problems
    assert "the directory of mirror.toml, which is not read; copy" in problem.message
    assert "secret" not in map(str, found.pins)


def test_missing_include_keeps_the_last_good_reading(directory: Path, opened: Callable[[], LockSource]) -> None:
    """A file whose include cannot be read stays as it was read last, and the missing file is named."""
    (directory / "locks" / "requirements.txt").write_text("six==1.0\n-r base.txt\n")
    (directory / "locks" / "base.txt").write_text("idna==3.10\n")
    source = opened()
    good = source.read(["locks/req*.txt"])
    assert set(map(str, good.pins)) == {"six", "idna"}
    assert not source.changed()
    (directory / "locks" / "base.txt").unlink()
    assert source.changed()
    found = source.read(["locks/req*.txt"])
    assert found.pins == good.pins
    [problem] = found.problems
    assert str(problem) == (
        "locks/base.txt: cannot be read (no such file or directory); copy it again, or remove it; "
        "its last good reading stays in force"
    )


def test_many_includes_are_refused(directory: Path) -> None:
    """A file that includes more than 100 files cannot be used."""
    for number in range(120):
        (directory / "locks" / f"{number}.txt").write_text(f"-r {number + 1}.txt\nsix==1.0\n")
    [problem] = read_locks(["locks/0.txt"], directory).problems
    assert str(problem) == "locks/0.txt: includes more than 100 files; it pins nothing"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60) | st.binary(max_size=60))
def test_any_content_is_read_or_reported(read_text: Read, content: str | bytes) -> None:
    """Any content either pins something, or is reported, or is a comment or an option; nothing else happens."""
    locks = read_text(content)
    assert all(problem.message.isprintable() for problem in locks.problems)
    again = read_text(content)
    assert again == locks
