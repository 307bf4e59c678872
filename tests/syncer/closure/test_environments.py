"""On which machines a marker counts."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName

from mirror_syncer.closure.environments import Environments
from mirror_syncer.closure.markers import Comparison
from mirror_syncer.config.machines.compatibility import compatibility
from mirror_syncer.config.machines.machines import Machines

law = settings(max_examples=150)
PYTHONS = ["3.9", "3.10", "3.11", "3.13t", "pp3.11", "graalpy3.11"]
PLATFORMS = ["linux-x86_64", "linux-aarch64", "macos-arm64", "windows-amd64", "windows-arm64"]
IMPLEMENTATIONS = {"pp": ("pypy", "PyPy"), "gr": ("graalpy", "GraalVM")}
SYSTEMS = {
    "linux-x86_64": ("posix", "linux", "Linux", "x86_64"),
    "linux-aarch64": ("posix", "linux", "Linux", "aarch64"),
    "macos-arm64": ("posix", "darwin", "Darwin", "arm64"),
    "windows-amd64": ("nt", "win32", "Windows", "AMD64"),
    "windows-arm64": ("nt", "win32", "Windows", "ARM64"),
}
ALL = Environments(Machines.parse(PYTHONS, PLATFORMS))
SMALL = Environments(Machines.parse(["3.10", "3.11"], ["linux-x86_64", "windows-amd64"]))

versions = st.sampled_from(
    ["3", "3.1", "3.9", "3.10", "3.11", "3.11.0", "3.11.4", "3.11.*", "3.12", "3.13", "3.11rc1", "3.11+1", "4", "2.7"]
)
lists = st.sampled_from(["3.9 3.10", "3.9,3.11", "3.111", "3.11.0 3.11.14", "", "banana", "linux win32", "arm64 AMD64"])
texts = st.sampled_from(["linux", "win", "win32", "darwin", "AMD64", "amd64", "x86_64", "arm64", "nt", "CPython", "5"])
operands = st.one_of(versions, lists, texts)
VARIABLES = (
    *("python_version", "python_full_version", "implementation_version", "os_name", "sys_platform", "platform_system"),
    *("platform_machine", "platform_release", "platform_version", "implementation_name", "extra"),
    "platform_python_implementation",
)
OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "~=", "===", "in", "not in")
comparisons = st.one_of(
    st.builds('{} {} "{}"'.format, st.sampled_from(VARIABLES), st.sampled_from(OPERATORS), operands),
    st.builds('"{}" {} {}'.format, operands, st.sampled_from(OPERATORS), st.sampled_from(VARIABLES)),
)
plain = st.one_of(
    st.builds(
        'python_version {} "{}"'.format,
        st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
        st.sampled_from(["3", "3.9", "3.10", "3.11", "3.12", "4", "2.7"]),
    ),
    st.builds(
        '{} {} "{}"'.format,
        st.sampled_from(["sys_platform", "platform_machine"]),
        st.sampled_from(["==", "!=", "in", "not in"]),
        texts,
    ),
)


def joined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[Marker]:
    """Return markers of some comparisons, with and without parentheses."""

    def join(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        pairs = st.builds("{} {} {}".format, inner, st.sampled_from(["and", "or"]), inner)
        return st.one_of(pairs, pairs.map("({})".format))

    return st.recursive(parts, join, max_leaves=6).map(Marker)


def counted(environments: Environments, marker: str, extra: str | None = None) -> list[str]:
    """Return the names of the machines on which a marker counts."""
    machines = environments.counts(Marker(marker), extra=extra)
    return list(compatibility(environments.machines).names(machines))


def marker_environment(python: str, platform: str, patch: str) -> dict[str, str]:
    """Return the variables of packaging on one machine."""
    implementation, full_name = IMPLEMENTATIONS.get(python[:2], ("cpython", "CPython"))
    os_name, sys_platform, system, architecture = SYSTEMS[platform]
    minor = python.strip("abcdefghijklmnopqrstuvwxyz")
    return {
        "implementation_name": implementation,
        "implementation_version": f"{minor}.{patch if implementation == 'cpython' else 9}",
        "os_name": os_name,
        "platform_machine": architecture,
        "platform_python_implementation": full_name,
        "platform_release": "",
        "platform_system": system,
        "platform_version": "",
        "python_full_version": f"{minor}.{patch}",
        "python_version": minor,
        "sys_platform": sys_platform,
    }


def by_packaging(marker: Marker, patch: str, extra: str) -> int:
    """Return the machines of ``ALL`` on which packaging takes a marker for true."""
    machines = 0
    for bit, (python, platform) in enumerate(product(PYTHONS, PLATFORMS)):
        machines |= marker.evaluate(marker_environment(python, platform, patch) | {"extra": extra}) << bit
    return machines


@law
@given(joined(comparisons), st.sampled_from(["0", "3", "4", "5", "14", "30"]), st.sampled_from([None, "linux", "nt"]))
def test_marker_counts_where_packaging_takes_it_for_true(marker: Marker, patch: str, extra: str | None) -> None:
    """A requirement counts on every machine on which pip installs it, whatever the patch release of Python."""
    counts = ALL.counts(marker, extra=extra)
    try:
        taken = by_packaging(marker, patch, extra or "")
    except (UndefinedComparison, UndefinedEnvironmentName):
        return  # pip has no answer
    assert taken & ~counts == 0


@law
@given(joined(plain))
def test_plain_marker_counts_nowhere_else(marker: Marker) -> None:
    """A marker of the Python's minor version, the system and the processor counts exactly where pip installs it."""
    assert ALL.counts(marker) == by_packaging(marker, "5", "")


@pytest.mark.parametrize(
    ("marker", "machines"),
    [
        ('python_version < "3.11" or python_version >= "3.11"', 0b1111),
        ('python_version < "3.11" and python_version >= "3.11"', 0),
        ('python_version < "3.11"', 0b0011),
        ('sys_platform == "win32"', 0b1010),
        ('python_version >= "3.11" and sys_platform == "linux"', 0b0100),
        ('python_version == "3.10" or python_version == "3.11" and os_name == "nt"', 0b1011),
        ('(python_version == "3.10" or python_version == "3.11") and os_name == "nt"', 0b1010),
        # Any patch release is enough.
        ('python_full_version < "3.11.1"', 0b1111),
        ('python_full_version < "3.11.0"', 0b0011),
        ('python_full_version >= "3.11.4"', 0b1100),
        ('python_full_version > "3.11"', 0b1100),
        ('python_full_version <= "3.11.0a6"', 0b0011),
        ('python_full_version in "3.11.7 3.12.0"', 0b1100),
        ('python_full_version == "3.11.200"', 0),
        ('implementation_version >= "3.11.4"', 0b1100),
        # Nobody knows the kernel.
        ('platform_release >= "5"', 0b1111),
        ('platform_release < "5"', 0b1111),
        ('platform_version == "x" and sys_platform == "win32"', 0b1010),
        ('platform_machine == "AMD64"', 0b1010),
        ('platform_machine == "amd64"', 0),
        ('os.name == "nt" and python_implementation == "CPython"', 0b1010),
    ],
)
def test_marker_counts_on_the_machines_that_it_describes(marker: str, machines: int) -> None:
    """The bits are those of the Pythons, times the number of platforms, plus those of the platforms."""
    assert SMALL.counts(Marker(marker)) == machines


def test_requirement_without_marker_counts_everywhere() -> None:
    """Without a marker a requirement counts on every machine."""
    assert SMALL.counts(None) == SMALL.everyone == 0b1111


@pytest.mark.parametrize(
    ("name", "marker"),
    [
        ("linux-x86_64", 'sys_platform == "linux" and platform_machine == "x86_64" and os_name == "posix"'),
        ("musllinux-aarch64", 'platform_system == "Linux" and platform_machine == "aarch64"'),
        (
            "macos-arm64:13.0",
            'sys_platform == "darwin" and platform_system == "Darwin" and platform_machine == "arm64"',
        ),
        ("macos-x86_64", 'platform_machine == "x86_64" and sys_platform == "darwin"'),
        ("windows-amd64", 'sys_platform == "win32" and platform_machine == "AMD64" and platform_system == "Windows"'),
        ("windows-arm64", 'os_name == "nt" and platform_machine == "ARM64"'),
        ("linux-armv7l", 'platform_machine == "armv7l" and platform_machine == "aarch64"'),  # by the kernel
        ("linux-i686", 'platform_machine == "i686" and platform_machine == "x86_64"'),
        ("windows-x86", 'platform_machine == "x86" and platform_machine == "AMD64"'),
        ("linux-s390x", 'platform_machine == "s390x"'),
    ],
)
def test_platform_has_the_values_of_its_python(name: str, marker: str) -> None:
    """A platform's variables are what Python says there; a 32-bit Python may name the processor of its kernel."""
    environments = Environments(Machines.parse(["3.11"], [name]))
    assert environments.counts(Marker(marker)) == 1
    assert environments.counts(Marker(f'({marker}) and python_version < "3.11"')) == 0


@pytest.mark.parametrize(
    ("name", "marker"),
    [
        ("3.11", 'implementation_name == "cpython" and platform_python_implementation == "CPython"'),
        ("3.13t", 'python_version == "3.13" and implementation_name == "cpython"'),
        ("pp3.11", 'implementation_name == "pypy" and platform_python_implementation == "PyPy"'),
        ("graalpy3.11", 'implementation_name == "graalpy" and platform_python_implementation == "GraalVM"'),
        ("pp3.11", 'implementation_version >= "7.3" and implementation_version < "7.3"'),  # unknown
        ("2.7", 'sys_platform == "linux2" and python_version == "2.7"'),
    ],
)
def test_python_has_the_values_of_its_implementation(name: str, marker: str) -> None:
    """A Python's variables are what that implementation says."""
    environments = Environments(Machines.parse([name], ["linux-x86_64"]))
    assert environments.counts(Marker(marker)) == 1
    assert environments.counts(Marker('implementation_name == "jython"')) == 0


def test_python_2_alone_is_on_linux2() -> None:
    """``sys_platform`` is ``linux`` for every Python 3, and ``linux2`` for Python 2."""
    environments = Environments(Machines.parse(["2.7", "3.11"], ["linux-x86_64"]))
    assert environments.counts(Marker('sys_platform == "linux2"')) == 0b01
    assert environments.counts(Marker('sys_platform == "linux"')) == 0b10


def test_any_python_counts_for_a_marker_and_its_opposite() -> None:
    """Without ``pythons`` a comparison of the Python may hold, and so may its opposite; the platform still decides."""
    environments = Environments(Machines.parse([], ["linux-x86_64", "windows-amd64"]))
    for marker in ('python_version < "3"', 'python_version >= "3"', 'implementation_name == "pypy"'):
        assert environments.counts(Marker(marker)) == 0b11
        assert environments.counts(Marker(f'{marker} and sys_platform == "win32"')) == 0b10


def test_any_platform_counts_for_a_marker_and_its_opposite() -> None:
    """Without ``platforms`` a comparison of the platform may hold, and its opposite, too; the Python still decides."""
    environments = Environments(Machines.parse(["3.10", "3.11"]))
    for marker in ('sys_platform == "win32"', 'sys_platform != "win32"', 'platform_machine == "x"', 'os_name == "nt"'):
        assert environments.counts(Marker(marker)) == 0b11
        assert environments.counts(Marker(f'{marker} and python_version < "3.11"')) == 0b01


def test_extra_counts_only_where_it_is_asked_for() -> None:
    """A requirement of an extra counts when that extra is asked for, in any spelling of its name."""
    for written in ("x-y", "X_Y", "x..Y"):
        marker = Marker(f'extra == "{written}" and sys_platform == "win32"')
        assert SMALL.counts(marker) == 0
        assert SMALL.counts(marker, extra="z") == 0
        assert SMALL.counts(marker, extra="X.y") == 0b1010
        assert SMALL.counts(Marker(f'extra != "{written}"')) == 0b1111
        assert SMALL.counts(Marker(f'extra != "{written}"'), extra="x-y") == 0


def test_machines_have_the_bits_of_compatibility() -> None:
    """A bit means the same machine to markers as to wheels."""
    machine = ALL.counts(Marker('python_version == "3.10" and sys_platform == "darwin"'))
    assert machine == 1 << 7
    assert compatibility(ALL.machines).names(machine) == ("Python 3.10 on macos-arm64",)
    assert len(compatibility(ALL.machines).names(ALL.everyone)) == len(ALL) == ALL.everyone.bit_length()


def test_proofs_take_usual_machines_for_what_is_open() -> None:
    """Installability is proved on the machines of ``mirror.toml``; where it names none, on usual ones."""
    usual = Environments(Machines()).default_proof_machines
    assert list(map(str, usual.pythons)) == ["3.11", "3.12", "3.13", "3.14"]
    assert list(map(str, usual.platforms)) == ["linux-x86_64", "windows-amd64", "macos-arm64"]
    named = Environments(Machines.parse(["3.9"])).default_proof_machines
    assert (list(map(str, named.pythons)), named.platforms) == (["3.9"], usual.platforms)
    assert ALL.default_proof_machines == Machines.parse(PYTHONS, PLATFORMS)
    assert counted(Environments(usual), 'python_version >= "3.14" and os_name == "nt"') == [
        "Python 3.14 on windows-amd64"
    ]


def test_marker_is_read_once_for_all_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each different comparison is read once, so that tens of thousands of requirements cost well under a second."""
    environments = Environments(Machines.parse(PYTHONS, PLATFORMS))
    markers = [Marker(f'python_version < "3.{minor % 20}" and extra == "x"') for minor in range(2_000)]
    read = []
    original = Environments._where

    def where(self: Environments, part: Comparison) -> int:
        read.append(part)
        return original(self, part)

    monkeypatch.setattr(Environments, "_where", where)
    for marker in markers:
        environments.counts(marker, extra="x")
    assert len(read) == 20
