"""How installers read the comparisons of a marker."""

import asyncio
import os
import subprocess
import sys

import pytest
import uv
from packaging.markers import Marker

import fakepypi
from mirror_syncer.closure.environments import Environments
from mirror_syncer.closure.markers import MAX_COMPARISONS, needs_an_extra, operators, relevant_extras, why_pip_fails
from mirror_syncer.config.machines.machines import Machines

# Whatever the marker says, uv takes these for true, pip for false, and both say the same of the opposite.
SENSELESS = [
    ('python_version < "banana"', 'python_version >= "banana"'),
    ('python_version >= "3.10.*"', 'python_version < "3.10.*"'),
    ('"3.9" in python_version', '"3.9" not in python_version'),
    ('python_version in "3.9, 3.10"', 'python_version not in "3.9, 3.10"'),
    ('python_version in "banana"', 'python_version not in "banana"'),
    ('"3.11.*" == python_version', '"3.11.*" != python_version'),
    ('python_version == ""', 'python_version != ""'),
    ("os_name == sys_platform", "os_name != sys_platform"),
    ('platform_release >= "5"', 'platform_release < "5"'),
    ('python_version ~= "3"', 'python_full_version ~= "banana"'),
]
# What both take for true or false, or one of them alone.
SENSIBLE = [
    *('sys_platform == "linux"', 'sys_platform < "linux"', 'sys_platform >= "linux"', '"linux" <= sys_platform'),
    *('"linux" in sys_platform', '"linux" not in sys_platform', '"x linux" in sys_platform', '"lin" == sys_platform'),
    *(
        'sys_platform in "linuxx win32"',
        'sys_platform not in "linuxx"',
        'os.name == "nt"',
        'platform_machine == "amd64"',
    ),
    *('python_version == "3.11.0"', 'python_version == "3.11.4"', 'python_version >= "3.11.4"'),
    *('python_version < "3.11.4"', 'python_version > "3.11.4"', 'python_version ~= "3.9.1"', 'python_version ~= "3.9"'),
    *(
        '"3.11" ~= python_version',
        '"3.9" ~= python_version',
        'python_version == "3.11.*"',
        'python_version != "3.11.*"',
    ),
    *(
        '"3.11rc1" < python_version',
        'python_version > "3.11rc1"',
        'python_version <= "3.11rc1"',
        '"3.9" <= python_version',
    ),
    *('python_version in "3.10 3.9"', 'python_version not in "3.10 3.9"', 'python_version in "3.111"'),
    *('python_version in ""', 'python_version not in ""', 'python_version == "3"', 'python_version > "3"'),
    *('python_version == "3.11+local"', 'python_version == "3.11 "', 'python_version in "3.11.0"'),
    *('python_version not in "3.11.0"', 'python_full_version in "3.11.0 3.11.1"', 'python_full_version > "3.11"'),
    *('implementation_version >= "3.11"', 'python_full_version == "3.11.*"', 'python_full_version < "3.11.0"'),
    *('extra == "X_Y"', 'extra != "x-y"', 'extra == "z"', 'extra in "x-y z"', 'extra not in "x-y z"', 'extra >= "x-y"'),
    *('extra < "x-y"', '"x" in extra', '"x-y" == extra', 'extra == "x-y" or sys_platform == "win32"'),
    *('sys_platform ~= "linux"', '"linux" ~= sys_platform', '"a" == "b"', 'extra ~= "x-y"', '"x-y" not in extras'),
]
UV_PLATFORMS = {
    "x86_64-manylinux_2_28": "linux-x86_64",
    "x86_64-pc-windows-msvc": "windows-amd64",
    "aarch64-apple-darwin": "macos-arm64",
}
MARKERS = [*SENSIBLE, *(marker for pair in SENSELESS for marker in pair)]


async def uv_installs(url: str, project: str, python: str, target: str) -> str:
    """Return what uv installs with a project."""
    command = (uv.find_uv_bin(), "pip", "compile", "-", "--quiet", "--no-config", "--no-cache", "--no-header")
    machine = ("--python", sys.executable, "--python-version", python, "--python-platform", target)
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, *machine, "--no-annotate", "--only-binary=:all:", "--default-index", f"{url}/simple/"],
        input=project,
        env={key: value for key, value in os.environ.items() if not key.startswith("UV_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("target", UV_PLATFORMS)
@pytest.mark.parametrize("extra", [None, "x-y"])
async def test_uv_installs_nothing_that_does_not_count(target: str, extra: str | None) -> None:
    """What uv installs on a machine counts there: odd comparisons of all kinds, on three platforms."""
    async with fakepypi.serve() as pypi:
        lines = "".join(f"Requires-Dist: m{index}; {marker}\n" for index, marker in enumerate(MARKERS))
        extras = "Provides-Extra: x-y\nProvides-Extra: z\n"
        for name, more in (("top", extras + lines), *((f"m{index}", "") for index in range(len(MARKERS)))):
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{more}".encode()
            pypi.index.project(name).upload_file(f"{name}-1-py3-none-any.whl", b"", version="1", metadata=metadata)
        for python in ("3.10", "3.11"):
            output = await uv_installs(pypi.url, f"top[{extra}]" if extra else "top", python, target)
            installed = {line.partition("==")[0] for line in output.splitlines()}
            environments = Environments(Machines.parse([python], [UV_PLATFORMS[target]]))
            counting = {
                f"m{index}"
                for index, marker in enumerate(MARKERS)
                if environments.counts(Marker(marker)) | environments.counts(Marker(marker), extra=extra)
            }
            assert installed - counting == {"top"}


@pytest.mark.parametrize("marker", [marker for pair in SENSELESS for marker in pair])
def test_comparison_without_sense_counts_everywhere(marker: str) -> None:
    """Where pip says no and uv yes, both to a comparison and to its opposite, both count on every machine."""
    environments = Environments(Machines.parse(["3.9", "3.10", "3.11"], ["linux-x86_64", "windows-amd64"]))
    assert environments.counts(Marker(marker)) == environments.everyone
    assert environments.counts(Marker(f'{marker} and python_version < "3.10"')) == 0b11


@pytest.mark.parametrize(
    ("marker", "minors"),
    [
        ('python_version in "3.9 3.11"', {9, 11}),
        ('python_version not in "3.9 3.11"', {10}),
        ('python_version in "3.111"', {11}),  # pip looks for the text
        ('python_version in "3.11.0"', {11}),
        ('python_version not in "3.11.0"', {9, 10}),
        ('python_version == "3.11+local"', {11}),  # uv drops the local part
        ('"3.10" <= python_version', {10, 11}),
        ('"3.11" > python_version', {9, 10}),
        ('python_version === "3.11"', {11}),
        ('python_version >= "3.10.4"', {11}),
        ('python_version > "3.9"', {10, 11}),
        ('python_version ~= "3.10"', {10, 11}),
        ('python_version == "3.1"', set()),
    ],
)
def test_version_counts_where_any_installer_takes_it_for_true(marker: str, minors: set[int]) -> None:
    """A comparison of versions counts where pip or uv says yes."""
    environments = Environments(Machines.parse(["3.9", "3.10", "3.11"], ["linux-x86_64"]))
    counts = environments.counts(Marker(marker))
    assert {minor for bit, minor in enumerate((9, 10, 11)) if counts >> bit & 1} == minors


@pytest.mark.parametrize(
    "marker", ['sys_platform ~= "linux"', 'os_name === "nt"', '"x" in extras', '"a" == "b"', 'python_version ~= "3"']
)
def test_marker_that_ends_pip_counts_everywhere(marker: str) -> None:
    """A marker on which pip ends with a traceback counts on every machine, and the reason is a sentence."""
    environments = Environments(Machines.parse(["3.11"], ["linux-x86_64", "windows-amd64"]))
    assert environments.counts(Marker(marker)) == 0b11
    cause = why_pip_fails(Marker(f'{marker} and python_version < "3"'))
    assert cause
    assert cause.startswith("its marker")


def test_marker_that_pip_evaluates_has_no_fault() -> None:
    """A marker that pip evaluates, odd or not, is no reason to report it."""
    assert why_pip_fails(None) is None
    for marker in ('extra == "x"', 'python_version < "banana"', 'platform_release >= "5"', '"3" in python_version'):
        assert why_pip_fails(Marker(marker)) is None


def test_huge_marker_counts_everywhere() -> None:
    """A marker with more comparisons than any real one counts everywhere, however deep it is nested."""
    environments = Environments(Machines.parse(["3.11"], ["linux-x86_64"]))
    never = Marker('os_name == "nt"')
    assert environments.counts(Marker(" and ".join([str(never)] * MAX_COMPARISONS))) == 0
    assert environments.counts(Marker(" and ".join([str(never)] * (MAX_COMPARISONS + 1)))) == 1
    nested = never
    for _ in range(900):
        nested = never & nested
    assert environments.counts(nested) == 0
    for _ in range(200):
        nested = never & nested
    assert environments.counts(nested) == 1


@pytest.mark.proves("security/project-owners")
def test_huge_operand_counts_everywhere() -> None:
    """A number with thousands of digits, of which Python makes no integer, is not compared."""
    environments = Environments(Machines.parse(["3.11"], ["linux-x86_64"]))
    assert environments.counts(Marker(f'python_full_version < "{"9" * 5000}"')) == 1
    assert environments.counts(Marker(f'python_version in "{"9" * 5000}"')) == 1


def test_requirement_of_an_extra_alone_is_recognized() -> None:
    """A marker that holds only with an extra is told apart from one that holds on some machine without."""
    assert needs_an_extra(Marker('extra == "x" and sys_platform == "win32"'))
    assert needs_an_extra(Marker('(extra == "x" or extra == "y") and python_version < "3"'))
    assert not needs_an_extra(Marker('extra == "x" or sys_platform == "win32"'))
    assert not needs_an_extra(Marker('sys_platform == "win32"'))
    assert not needs_an_extra(None)


def test_operators_are_those_of_every_comparison() -> None:
    """The operators of all comparisons are found, in parentheses, too."""
    assert operators(Marker('os_name == "nt" or (python_version < "3" and "x" in extra)')) == {"==", "<", "in"}
    assert operators(None) == frozenset()


@pytest.mark.proves("security/project-owners")
@pytest.mark.parametrize(
    ("marker", "extras"),
    [
        ("os_name == 'nt'", []),
        ("extra == 'b'", ["b"]),
        ("extra == 'z'", []),
        ("os_name == 'nt' and (extra == 'c' or 'b' == extra)", ["c", "b"]),
        ("extra != 'b'", ["b"]),
        ("extra != ''", ["a"]),
        ("extra != '' and extra != 'a'", ["a", "b"]),
        ("extra > 'a'", ["a"]),
    ],
)
def test_extras_that_decide_about_a_marker_are_few(marker: str, extras: list[str]) -> None:
    """Of all extras asked for those are looked at that a marker names; another one stands for the rest."""
    asked = {"a": 1, "b": 1, "c": 1, "d": 1}
    parsed, environments = Marker(marker), Environments(Machines())
    relevant = [extra for extra, _ in relevant_extras(parsed, asked, 1)]
    assert relevant == extras
    of_all = {environments.counts(parsed, extra=extra) for extra in (None, *asked)}
    assert max(of_all) == max(environments.counts(parsed, extra=extra) for extra in (None, *relevant))
