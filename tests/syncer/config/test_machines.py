"""``[machines]``: the values that it accepts, and the mistakes that it explains."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_syncer.config.machines.machines import Machines, Sdists, parse_sdists
from mirror_syncer.config.machines.platforms import parse_platform
from mirror_syncer.config.machines.pythons import parse_python

UNIX = ("x86_64", "aarch64", "armv7l", "i686", "ppc64le", "s390x", "riscv64")


@pytest.mark.parametrize(
    "text",
    ["2.7", "3.3", "3.9", "3.11", "3.13t", "3.14", "3.20t", "pp3.6", "pp3.11", "graalpy3.8", "graalpy3.12"],
)
def test_python_is_accepted_and_written_back(text: str) -> None:
    """A Python is written in messages as in ``mirror.toml``."""
    assert str(parse_python(text)) == text


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("3.11.4", "3.11"),
        ("cp311", "3.11"),
        ("311", "3.11"),
        ("py3.12", "3.12"),
        ("python3.13", "3.13"),
        ("CPython 3.12", "3.12"),
        (">=3.11", "3.11"),
        ("3.11 ", "3.11"),
        ("PyPy3.10", "pp3.10"),
        ("pypy-3.10", "pp3.10"),
        ("graal3.12", "graalpy3.12"),
        ("3.13-nogil", "3.13t"),
        ("cp313t", "3.13t"),
        ("pp3.11t", "pp3.11"),
        ("3.12t", None),
        ("pp2.7", None),
        ("3.1", None),
        ("3.2", None),
        ("2.6", None),
        ("3.40", None),
        ("3.011", None),
        ("3", None),
        ("", None),
        ("banana" * 99, None),
    ],
)
def test_mistake_in_pythons_names_the_value_and_what_was_meant(text: str, meant: str | None) -> None:
    """A wrong Python is quoted, in one short line with the accepted forms and, where it can be told, the right one."""
    with pytest.raises(ValueError, match="is not a Python") as error:
        parse_python(text)
    assert str(error.value).startswith(f'"{text[:70]}')
    assert ("did you mean" in str(error.value)) == (meant is not None)
    assert meant is None or f'; did you mean "{meant}"? Accepted: "3.11", ' in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("text", "written"),
    [
        *((f"{system}-{architecture}", None) for system in ("linux", "musllinux") for architecture in UNIX),
        ("linux-x86_64:glibc2.5", None),
        ("linux-x86_64:glibc2.28", None),
        ("linux-aarch64:glibc2.17", None),
        ("musllinux-aarch64:musl1.1", None),
        ("linux-x86_64:musl1.2", "musllinux-x86_64:musl1.2"),
        ("macos-arm64", None),
        ("macos-arm64:14.0", None),
        ("macos-arm64:14", "macos-arm64:14.0"),
        ("macos-x86_64:10.15", None),
        ("windows-amd64", None),
        ("windows-x86_64", "windows-amd64"),
        ("windows-arm64", None),
        ("windows-x86", None),
    ],
)
def test_platform_is_accepted_and_written_back(text: str, written: str | None) -> None:
    """A platform is written in messages as in ``mirror.toml``; of two names for one, the same is used."""
    assert str(parse_platform(text)) == (written or text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("linux-x86-64", "linux-x86_64"),
        ("Linux-x86_64", "linux-x86_64"),
        ("linux", "linux-x86_64"),
        ("x86_64", "linux-x86_64"),
        ("linux/amd64", "linux-x86_64"),
        ("linux-arm64", "linux-aarch64"),
        ("linux-i386", "linux-i686"),
        ("manylinux_2_28_x86_64", "linux-x86_64"),
        ("alpine-x86_64", "musllinux-x86_64"),
        ("aarch64-unknown-linux-musl", "musllinux-aarch64"),
        ("win_amd64", "windows-amd64"),
        ("win32", "windows-x86"),
        ("windows-aarch64", "windows-arm64"),
        ("darwin", "macos-arm64"),
        ("aarch64-apple-darwin", "macos-arm64"),
        ("macosx_10_9_x86_64", "macos-x86_64"),
        ("linux-x86_64:2.28", "linux-x86_64:glibc2.28"),
        ("linux-x86_64:glibc2", "linux-x86_64:glibc2.28"),
        ("linux-x86_64:", "linux-x86_64:glibc2.28"),
        ("musllinux-x86_64:1.2", "musllinux-x86_64:musl1.2"),
        ("macos-arm64:glibc2.28", "macos-arm64:14.0"),
        ("windows-amd64:10", "windows-amd64"),
        ("solaris", None),
        ("", None),
        ("?" * 999, None),
    ],
)
def test_mistake_in_platforms_names_the_value_and_what_was_meant(text: str, meant: str | None) -> None:
    """A wrong platform is quoted, in one line with what is accepted and, where it can be told, the right one."""
    with pytest.raises(ValueError, match="is not a platform") as error:
        parse_platform(text)
    assert str(error.value).startswith(f'"{text[:70]}')
    assert ("did you mean" in str(error.value)) == (meant is not None)
    assert meant is None or f'; did you mean "{meant}"? ' in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("linux-x86_64:glibc2.4", "glibc2.5 to"),
        ("linux-aarch64:glibc2.16", "glibc2.17 to"),
        ("linux-x86_64:glibc3.0", "to glibc2.99"),
        ("musllinux-x86_64:musl2.0", "musl1.0 to"),
        ("macos-arm64:10.15", "11.0 to"),
        ("macos-x86_64:10.3", "10.4 to"),
    ],
)
def test_floor_without_wheels_is_refused(text: str, accepted: str) -> None:
    """A floor for which there can be no wheels is refused with the accepted range."""
    with pytest.raises(ValueError, match=f"is not a platform. Accepted: .*{accepted}"):
        parse_platform(text)


@settings(max_examples=80)
@given(st.text())
def test_any_text_is_parsed_or_explained(text: str) -> None:
    """Whatever is written, the parsers raise nothing but a ValueError that quotes it."""
    for parse in (parse_python, parse_platform, parse_sdists):
        try:
            assert str(parse(text))
        except ValueError as error:
            assert str(error).startswith('"'), type(error)  # noqa: PT017 - what it says is the promise


def test_sdists_are_mirrored_where_needed_unless_said_otherwise() -> None:
    """Without ``sdists``, both lists together mean "where-needed", one alone "all"; the key overrides it."""
    assert Machines.parse(["3.11"], ["linux-x86_64"]).sdists is Sdists.WHERE_NEEDED
    assert Machines.parse(["3.11"]).sdists is Machines.parse(platforms=["linux-x86_64"]).sdists is Sdists.ALL
    assert Machines.parse(["3.11"], ["linux-x86_64"], "none").sdists is Sdists.NONE
    assert Machines.parse() == Machines()
    assert Machines().are_all
    assert not Machines.parse(sdists="none").are_all
    with pytest.raises(ValueError, match=r'"where needed" .*; did you mean "where-needed"\? Accepted: '):
        Machines.parse(sdists="where needed")


def test_machine_named_twice_is_one_machine() -> None:
    """A Python or a platform that is named twice, also by two names, counts once."""
    once = Machines.parse(["3.11", "3.12"], ["windows-amd64", "musllinux-x86_64:musl1.2"])
    twice = ["windows-x86_64", "windows-amd64", "linux-x86_64:musl1.2", "musllinux-x86_64:musl1.2"]
    assert Machines.parse(["3.11", "3.12", "3.11"], twice) == once


def test_machines_cross_to_a_worker_process_as_a_value() -> None:
    """Machines are equal, and have the same hash, after a journey through pickle."""
    machines = Machines.parse(["3.13t", "pp3.11"], ["linux-x86_64:glibc2.28", "macos-arm64:14"], "all")
    there = pickle.loads(pickle.dumps(machines))
    assert there == machines
    assert hash(there) == hash(machines)


@pytest.mark.parametrize(
    ("pythons", "platforms", "written"),
    [
        (["3.11", "3.12"], ["linux-x86_64"], "Python 3.11, 3.12 on linux-x86_64"),
        (["3.11"], [], "Python 3.11"),
        ([], ["macos-arm64:14"], "macos-arm64:14.0"),
        ([], [], "any machine"),
        ([f"3.{minor}" for minor in range(6, 15)], ["linux-x86_64"], "3.9, 3.10, 3.11 and 3 more on linux-x86_64"),
    ],
)
def test_machines_are_named_briefly(pythons: list[str], platforms: list[str], written: str) -> None:
    """A message names the machines as ``mirror.toml`` does, and only the first of many."""
    assert str(Machines.parse(pythons, platforms)).endswith(written)
