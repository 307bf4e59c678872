"""Which machines a file fits, checked against real wheel names, packaging's own tags and the laws of a selection."""

import os
import platform
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.tags import parse_tag, sys_tags
from packaging.utils import NormalizedName, parse_wheel_filename

from mirror_contract.distributions import Installers, read_release
from mirror_syncer.config.machines import compatibility as module
from mirror_syncer.config.machines.compatibility import Compatibility, Places, compatibility
from mirror_syncer.config.machines.machines import Machines

law = settings(max_examples=100)
LOCK = Path(__file__).parents[3] / "uv.lock"
PYTHONS = ("2.7", "3.9", "3.11", "3.12", "3.13", "3.13t", "3.15t", "pp3.11", "graalpy3.12")
CPYTHONS = "3.9 3.11 3.12 3.13"
MODERN = f"{CPYTHONS} 3.13t 3.15t pp3.11 graalpy3.12"
X86 = "linux-x86_64 linux-x86_64:glibc2.17"
INTEL = "macos-x86_64:10.15"
MACS = f"macos-arm64 macos-arm64:13.0 {INTEL}"
WINDOWS = "windows-amd64 windows-arm64 windows-x86"
ARMS = "linux-aarch64 linux-armv7l"
RISCV = "linux-riscv64:glibc2.35"
MUSL = "musllinux-x86_64 musllinux-x86_64:musl1.1"
PLATFORMS = f"{X86} {ARMS} {RISCV} {MUSL} {MACS} {WINDOWS}"
ALL = compatibility(Machines.parse(PYTHONS, PLATFORMS.split()))


def machines_of(fitting: Compatibility, filename: str, requires_python: str | None = None) -> set[str]:
    """Return the machines that can use a file with pip; with uv it is the same, as far as tags decide."""
    name = NormalizedName(re.split(r"[-_]\d", filename)[0].lower().replace("_", "-"))
    return set(fitting.names(fitting.fits(filename, read_release(name, filename)[1], requires_python) & fitting.pip))


def named(pythons: str, platforms: str) -> set[str]:
    """Return the machines of some Pythons on some platforms."""
    return {f"Python {python} on {system}" for python, system in product(pythons.split(), platforms.split())}


@pytest.mark.parametrize(
    ("filename", "pythons", "platforms"),
    [
        ("six-1.17.0-py2.py3-none-any.whl", f"2.7 {MODERN}", PLATFORMS),
        ("requests-2.32.4-py3-none-any.whl", MODERN, PLATFORMS),
        ("futures-3.4.0-py2-none-any.whl", "2.7", PLATFORMS),
        ("foo-1.0-1-py3-none-any.whl", MODERN, PLATFORMS),
        ("foo-1.0-py312-none-any.whl", "3.12 3.13 3.13t 3.15t graalpy3.12", PLATFORMS),
        ("foo-1.0-cp312-none-any.whl", "3.12", PLATFORMS),
        ("foo-1.0-cp312-cp312-any.whl", "", ""),
        ("foo-1.0-pp3-none-any.whl", "pp3.11", PLATFORMS),
        ("ruff-0.12.1-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", MODERN, X86),
        ("ruff-0.12.1-py3-none-win32.whl", MODERN, "windows-x86"),
        ("ruff-0.12.1-py3-none-win_arm64.whl", MODERN, "windows-arm64"),
        ("ruff-0.12.1-py3-none-linux_armv6l.whl", "", ""),
        ("ruff-0.12.1-py3-none-macosx_11_0_arm64.whl", MODERN, "macos-arm64 macos-arm64:13.0"),
        ("numpy-1.16.6-cp27-cp27mu-manylinux1_x86_64.whl", "2.7", X86),
        ("numpy-1.16.6-cp27-cp27m-win_amd64.whl", "2.7", "windows-amd64"),
        ("numpy-1.26.4-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "3.12", X86),
        ("aiohttp-3.7.4-cp39-cp39-manylinux2014_x86_64.whl", "3.9", X86),
        ("numpy-2.3.1-cp312-cp312-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl", "3.12", "linux-x86_64"),
        ("numpy-2.3.1-cp313-cp313t-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl", "3.13t", "linux-aarch64"),
        ("numpy-2.3.1-cp313-cp313-macosx_14_0_arm64.whl", "3.13", "macos-arm64"),
        ("numpy-2.3.1-cp313-cp313-musllinux_1_2_x86_64.whl", "3.13", "musllinux-x86_64"),
        ("numpy-2.3.1-pp311-pypy311_pp73-macosx_10_15_x86_64.whl", "pp3.11", "macos-x86_64:10.15"),
        ("cryptography-3.4.8-cp36-abi3-manylinux_2_12_x86_64.manylinux2010_x86_64.whl", CPYTHONS, X86),
        (
            "cryptography-3.4.8-cp36-abi3-musllinux_1_1_x86_64.whl",
            CPYTHONS,
            "musllinux-x86_64 musllinux-x86_64:musl1.1",
        ),
        ("cryptography-45.0.4-cp311-abi3-manylinux_2_34_x86_64.whl", "3.11 3.12 3.13", "linux-x86_64"),
        ("cryptography-45.0.4-cp311-abi3-macosx_10_9_universal2.whl", "3.11 3.12 3.13", MACS),
        ("cryptography-45.0.4-cp37-abi3-win32.whl", CPYTHONS, "windows-x86"),
        ("torch-2.7.1-cp312-cp312-manylinux_2_28_aarch64.whl", "3.12", "linux-aarch64"),
        ("torch-2.7.1-cp39-none-macosx_11_0_arm64.whl", "3.9", "macos-arm64 macos-arm64:13.0"),
        ("torch-2.7.1-cp313-cp313t-win_amd64.whl", "3.13t", "windows-amd64"),
        ("pywin32-310-cp313-cp313-win_arm64.whl", "3.13", "windows-arm64"),
        ("pywin32-310-cp312-cp312-win32.whl", "3.12", "windows-x86"),
        ("uvloop-0.21.0-cp312-cp312-macosx_10_13_universal2.whl", "3.12", MACS),
        ("grpcio-1.73.1-cp39-cp39-linux_armv7l.whl", "3.9", "linux-armv7l"),
        (
            "hypothesis-6.170.15-cp311-abi3-manylinux2014_armv7l.manylinux_2_17_armv7l.whl",
            "3.11 3.12 3.13",
            "linux-armv7l",
        ),
        ("hypothesis-6.170.15-cp315-abi3.abi3t-macosx_11_0_arm64.whl", "3.15t", "macos-arm64 macos-arm64:13.0"),
        ("sqlalchemy-2.1.9-cp315-cp315t-manylinux_2_31_riscv64.manylinux_2_39_riscv64.whl", "3.15t", RISCV),
        ("sqlalchemy-2.1.9-cp315-cp315t-manylinux_2_39_riscv64.whl", "", ""),
        ("pydantic_core-2.33.2-pp311-pypy311_pp73-musllinux_1_1_x86_64.whl", "pp3.11", MUSL),
        (
            "pydantic_core-2.41.5-graalpy312-graalpy250_312_native-macosx_10_12_x86_64.whl",
            "graalpy3.12",
            INTEL,
        ),
        ("pydantic_core-2.41.5-graalpy311-graalpy242_311_native-macosx_10_12_x86_64.whl", "", ""),
        ("lxml-3.8.0-cp36-cp36m-macosx_10_6_intel.macosx_10_9_intel.macosx_10_9_x86_64.whl", "", ""),
        ("foo-1.0-cp312-cp312-macosx_10_6_intel.whl", "3.12", INTEL),
        ("foo-1.0-cp312-cp312-android_24_arm64_v8a.whl", "", ""),
        ("foo-1.0-cp312-cp312-pyodide_2024_0_wasm32.whl", "", ""),
        ("foo-1.0-cp312-cp312-win_ia64.whl", "", ""),
        ("foo-1.0-cp312.cp313-cp312.cp313-manylinux1_x86_64.win32.whl", "3.12 3.13", f"{X86} windows-x86"),
        ("foo-1.0-CP312-CP312-Win_AMD64.whl", "3.12", "windows-amd64"),
        ("foo-1.0-py3-none-cp312.whl", "", ""),  # tags out of order
        ("foo-1.0-py3.whl", "", ""),  # no wheel's name
    ],
)
def test_real_wheel_fits_the_machines_that_install_it(filename: str, pythons: str, platforms: str) -> None:
    """A wheel fits exactly the Pythons and platforms whose installers accept its tags."""
    assert machines_of(ALL, filename) == named(pythons, platforms)


@pytest.mark.parametrize(
    ("platform_tag", "library"),
    [("manylinux1", "2.5"), ("manylinux2010", "2.12"), ("manylinux2014", "2.17"), ("manylinux_2_28", "2.28")],
)
def test_wheel_fits_from_the_c_library_on_that_it_needs(platform_tag: str, library: str) -> None:
    """A wheel fits machines with the glibc that its tag names, and with none before it."""
    versions = [f"2.{minor}" for minor in range(5, 35)]
    here = compatibility(Machines.parse(["3.9"], [f"linux-x86_64:glibc{version}" for version in versions]))
    fitting = [name for name in versions if int(name[2:]) >= int(library.removeprefix("2."))]
    assert machines_of(here, f"foo-1.0-cp39-cp39-{platform_tag}_x86_64.whl") == {
        f"Python 3.9 on linux-x86_64:glibc{version}" for version in fitting
    }


@pytest.mark.parametrize(
    ("filename", "pythons", "platforms"),
    [
        ("foo-1.0-py2.7.egg", "2.7", PLATFORMS),
        ("foo-1.0.egg", f"2.7 {MODERN}", PLATFORMS),
        ("foo_win32-1.0-py3.9-linux-x86_64.egg", "3.9", f"{X86} {MUSL}"),
        ("foo-1.0-py3.9-win-amd64.egg", "3.9", "windows-amd64"),
        ("foo-1.0-py3.11-macosx-10.9-universal2.egg", "3.11 pp3.11", MACS),
        ("foo-1.0.win32-py2.7.exe", "2.7", "windows-x86"),
        ("foo-1.0.win-amd64.exe", f"2.7 {MODERN}", "windows-amd64"),
        ("foo-1.0.exe", f"2.7 {MODERN}", WINDOWS),
        ("foo-1.0.win-amd64-py3.12.msi", "3.12 graalpy3.12", "windows-amd64"),
        ("foo-1.0-py2.7-macosx10.6.dmg", "2.7", MACS),
        ("foo-1.0.linux-x86_64.tar.gz", f"2.7 {MODERN}", f"{X86} {MUSL}"),
        ("foo-1.0.macosx-10.9-x86_64.tar.gz", f"2.7 {MODERN}", INTEL),
        ("foo-1.0-1.noarch.rpm", f"2.7 {MODERN}", f"{X86} {ARMS} {RISCV}"),
        ("foo-1.0-1.x86_64.rpm", f"2.7 {MODERN}", X86),
        ("foo_1.0_arm64.deb", f"2.7 {MODERN}", "linux-aarch64"),
        ("foo-1.0.tar.Z", "", ""),
        ("foo-latest.tar.gz", "", ""),
        ("readme.txt", "", ""),
    ],
)
def test_file_installed_by_hand_fits_the_machine_in_its_name(filename: str, pythons: str, platforms: str) -> None:
    """What no installer takes fits by the Python and platform in its name; source archives without either do not."""
    assert machines_of(ALL, filename) == named(pythons, platforms)


def test_wheel_fits_the_running_interpreter_exactly_if_it_supports_a_tag() -> None:
    """For the running Python and C library, the answer about each of 20,000 tags is that of ``packaging.tags``."""
    threads = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    python = f"{sys.version_info.major}.{sys.version_info.minor}{threads}"
    library = (os.confstr("CS_GNU_LIBC_VERSION") or "").replace(" ", "")
    here = compatibility(Machines.parse([python], [f"linux-{platform.machine()}:{library}"]))
    supported = set(sys_tags())
    interpreters = {tag.interpreter for tag in supported} | {"cp27", "cp399", "py399", "pp3", "cp3"}
    abis = {tag.abi for tag in supported} | {"cp27mu", "abi3t", "cp39"}
    platforms = {tag.platform for tag in supported} | {"win_amd64", "manylinux_2_98_x86_64", "musllinux_1_1_x86_64"}
    for interpreter, abi, system in product(interpreters, abis, platforms):
        (tag,) = parse_tag(f"{interpreter}-{abi}-{system}")
        fits = here.fits(f"foo-1.0-{tag}.whl", Installers.ALL, None)
        assert fits == (here.everyone if tag in supported else 0), tag


def test_wheels_of_the_lock_fit_as_packaging_says() -> None:
    """Of the real wheels in ``uv.lock``, exactly those fit the running interpreter whose tags it supports."""
    library = (os.confstr("CS_GNU_LIBC_VERSION") or "").replace(" ", "")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    here = compatibility(Machines.parse([python], [f"linux-{platform.machine()}:{library}"]))
    wheels = {unquote(wheel) for wheel in re.findall(r'/([^/"]+\.whl)"', LOCK.read_text())}
    supported = frozenset(sys_tags())
    fitting = {wheel for wheel in wheels if here.fits(wheel, Installers.ALL, None)}
    assert fitting == {wheel for wheel in wheels if not supported.isdisjoint(parse_wheel_filename(wheel)[3])}
    assert len(fitting) > 50


tags = st.tuples(
    *(
        st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)
        for values in (
            ["py2", "py3", "py312", "cp39", "cp312", "cp313", "pp311", "cp315"],
            ["none", "abi3", "abi3t", "cp312", "cp313t", "pypy311_pp73"],
            ["any", "manylinux1_x86_64", "manylinux_2_28_x86_64", "win_amd64", "macosx_11_0_universal2", "win32"],
        )
    )
)


@law
@given(tags)
def test_compressed_tags_fit_where_any_of_them_fits(parts: tuple[list[str], list[str], list[str]]) -> None:
    """A wheel with several tags fits the clients that one of its tags fits."""
    compressed = "-".join(".".join(part) for part in parts)
    single = [ALL.fits(f"foo-1.0-{tag}.whl", Installers.ALL, None) for tag in parse_tag(compressed)]
    together = 0
    for clients in single:
        together |= clients
    assert ALL.fits(f"foo-1.0-{compressed}.whl", Installers.ALL, None) == together


@law
@given(tags, st.sampled_from([None, ">=3.12", "<3.12", "banana", ">=3"]))
def test_any_python_or_platform_accepts_all_that_a_named_one_does(
    parts: tuple[list[str], list[str], list[str]], requires_python: str | None
) -> None:
    """A missing list stands for any Python, or any platform: what fits a named one, fits without the list."""
    wheel = f"foo-1.0-{'-'.join('.'.join(part) for part in parts)}.whl"
    on_windows = machines_of(compatibility(Machines.parse(platforms=["windows-amd64"])), wheel, requires_python)
    on_3_12 = machines_of(compatibility(Machines.parse(["3.12"])), wheel, requires_python)
    if "Python 3.12 on windows-amd64" in machines_of(ALL, wheel, requires_python):
        assert on_windows == {"windows-amd64"}
        assert on_3_12 == {"Python 3.12"}
    assert bool(on_windows) == (not {"any", "win_amd64"}.isdisjoint(parts[2]))
    assert machines_of(compatibility(Machines()), wheel, requires_python) == {"any machine"}


def test_any_python_takes_every_interpreter_and_any_platform_every_system() -> None:
    """A missing list leaves out nothing, whatever implementation or system a wheel is for."""
    windows, old = compatibility(Machines.parse(platforms=["windows-amd64"])), compatibility(Machines.parse(["2.7"]))
    assert machines_of(windows, "foo-1.0-ip27-none-win_amd64.whl") == {"windows-amd64"}
    assert not machines_of(windows, "foo-1.0-ip27-none-win32.whl")
    assert machines_of(windows, "foo-1.0-py2.4-win-amd64.egg") == {"windows-amd64"}
    assert machines_of(old, "foo-1.0-cp27-cp27m-solaris_2_10_sun4v.whl") == {"Python 2.7"}
    assert not machines_of(old, "foo-1.0-cp36-cp36m-solaris_2_10_sun4v.whl")


@pytest.mark.parametrize(
    ("requires_python", "pip", "uv"),
    [
        (None, "3.11 3.12", "3.11 3.12"),
        (">=3.12", "3.12", "3.12"),
        (">=3.8,<3.12", "3.11", "3.11 3.12"),
        ("<3", "", "3.11 3.12"),
        ("banana", "3.11 3.12", ""),
    ],
)
def test_file_fits_pip_and_uv_by_their_own_readings(requires_python: str | None, pip: str, uv: str) -> None:
    """Each machine counts with pip, which obeys all of requires-python, and with uv, which does not."""
    here = compatibility(Machines.parse(["3.11", "3.12"], ["linux-x86_64"]))
    for filename in ("foo-1.0-py3-none-any.whl", "foo-1.0.tar.gz"):
        clients = here.fits(filename, Installers.ALL, requires_python)
        assert set(here.names(clients & here.pip)) == named(pip, "linux-x86_64")
        assert set(here.names(clients & here.uv)) == named(uv, "linux-x86_64")


def test_sdist_that_uv_cannot_read_fits_pip_alone() -> None:
    """A ``.tar.bz2`` fits no client with uv, which reads only ``.tar.gz`` and ``.zip``."""
    assert ALL.fits("foo-1.0.tar.bz2", Installers.PIP, None) == ALL.everyone & ~ALL.uv
    assert ALL.fits("foo-1.0.tar.gz", Installers.ALL, None) == ALL.everyone


def wanted(sdists: str | None, wheels: Iterable[str], *, requires_python: str | None = None) -> bool:
    """Return whether the sdist of a release with these wheels is mirrored, for 3.11 and 3.12 on Linux and Windows."""
    here = compatibility(Machines.parse(["3.11", "3.12"], ["linux-x86_64", "windows-amd64"], sdists))
    covered = 0
    for tag in wheels:
        covered |= here.fits(f"foo-1.0-{tag}.whl", Installers.ALL, requires_python)
    return here.wants_sdist(here.fits("foo-1.0.tar.gz", Installers.ALL, requires_python), covered)


BOTH_ABI3 = ["cp311-abi3-manylinux_2_17_x86_64", "cp311-abi3-win_amd64"]


@pytest.mark.parametrize(
    ("wheels", "requires_python", "needed"),
    [
        ([], None, True),
        (["py3-none-any"], None, False),
        (BOTH_ABI3, None, False),
        (BOTH_ABI3[:1], None, True),
        (["cp311-cp311-manylinux1_x86_64", "cp311-cp311-win_amd64"], None, True),
        (["cp311-cp311-manylinux1_x86_64", "cp311-cp311-win_amd64"], ">=3.8,<3.12", False),
        (["cp312-cp312-manylinux1_x86_64", "cp312-cp312-win_amd64"], ">=3.12", False),
        (["cp313-cp313-manylinux1_x86_64"], None, True),
        ([], "<3", False),
        ([], "banana", True),
    ],
)
def test_sdist_is_needed_where_a_machine_lacks_a_wheel(
    wheels: list[str], requires_python: str | None, *, needed: bool
) -> None:
    """An sdist is mirrored if one of the machines that its requires-python admits has no wheel of the release."""
    assert wanted("where-needed", wheels, requires_python=requires_python) == needed
    assert wanted(None, wheels, requires_python=requires_python) == needed
    assert not wanted("none", wheels, requires_python=requires_python)


def test_all_sdists_are_those_that_a_machine_can_install() -> None:
    """With "all", wheels make no sdist superfluous; one that no machine may install is left out still."""
    assert wanted("all", ["py3-none-any"])
    assert not wanted("all", [], requires_python=">=4")


def test_every_sdist_is_needed_where_a_list_is_missing() -> None:
    """For any Python, or on any platform, no wheel is known to suffice, so each sdist is mirrored."""
    for machines in (
        Machines.parse(["3.11"], (), "where-needed"),
        Machines.parse((), ["linux-x86_64"], "where-needed"),
    ):
        here = compatibility(machines)
        wheel = here.fits("foo-1.0-py3-none-any.whl", Installers.ALL, None)
        assert here.wants_sdist(here.fits("foo-1.0.tar.gz", Installers.ALL, None), wheel)


masks = st.lists(st.integers(0, 2**6 - 1), max_size=40)


def are_newest(releases: Iterable[int], count: int) -> Iterator[bool]:
    """Yield for each release, the newest first, whether it takes a place for any client that it fits."""
    places = Places(count)
    return (places.take(clients) for clients in releases)


@law
@given(masks, st.integers(1, 9))
def test_newest_releases_are_kept_for_each_client(releases: list[int], count: int) -> None:
    """A release is among the newest if, and only if, it is one of the first ``count`` that fit some client."""
    kept = {
        index
        for client in range(6)
        for index in [index for index, clients in enumerate(releases) if clients >> client & 1][:count]
    }
    assert [index for index, newest in enumerate(are_newest(releases, count)) if newest] == sorted(kept)


def test_newest_release_for_an_older_python_stays() -> None:
    """With one release of each client, the newest for Python 3.11 stays beside a newer one that requires 3.12."""
    here = compatibility(Machines.parse(["3.11", "3.12", "3.13"], ["linux-x86_64"]))
    required = [">=3.12", ">=3.12", ">=3.11", ">=3.10", ">=3.9"]
    releases = (
        here.fits("numpy-2.0-py3-none-any.whl", Installers.ALL, requires_python) for requires_python in required
    )
    assert list(are_newest(releases, 1)) == [True, False, True, False, False]


def test_newest_release_for_a_first_patch_release_stays() -> None:
    """If the newest release requires a later patch release, only the newest that 3.11.0 can install stays, too."""
    here = compatibility(Machines.parse(["3.11", "3.12"], ["linux-x86_64"]))
    required = [">=3.11.5", ">=3.11.5", ">=3.9", ">=3.8"]
    releases = (here.fits("foo-2.0-py3-none-any.whl", Installers.ALL, requires_python) for requires_python in required)
    assert list(are_newest(releases, 1)) == [True, False, True, False]


def test_newest_release_for_each_reading_stays() -> None:
    """Where the newest release excludes a Python by an upper bound alone, pip's newest stays beside uv's."""
    here = compatibility(Machines.parse(["3.12"], ["linux-x86_64"]))
    required = [">=3.8,<3.12", "banana", ">=3.8", ">=3.8"]
    releases = (here.fits("foo-2.0-py3-none-any.whl", Installers.ALL, requires_python) for requires_python in required)
    assert list(are_newest(releases, 1)) == [True, True, False, False]


@pytest.mark.parametrize(
    ("filename", "requires_python", "cause"),
    [
        ("foo-1.0-cp27-cp27mu-manylinux1_x86_64.whl", None, "its tags are cp27-cp27mu-manylinux1_x86_64"),
        ("foo-1.0-7-cp27-cp27mu-win32.whl", ">=3", "its tags are cp27-cp27mu-win32"),
        ("foo-1.0-py3-none-any.whl", ">=3.13", "it requires Python >=3.13"),
        ("foo-1.0.tar.gz", ">=4", "it requires Python >=4"),
        ("foo-1.0-cp311-cp311-win_amd64.whl", ">=4", "its tags are cp311-cp311-win_amd64 and it requires Python >=4"),
        (
            "foo-1.0-cp311-cp311-linux_x86_64.whl",
            ">=3.12",
            "its tags are cp311-cp311-linux_x86_64 and it requires Python >=3.12",
        ),
        ("foo-1.0-py2.7.egg", None, "its file name tells another machine"),
        ("foo-1.0.egg", ">=4", "it requires Python >=4"),
        ("foo-1.0-py3.whl", None, "pip and uv do not install a file of such a name"),
        ("foo-latest.tar.gz", None, "pip and uv do not install a file of such a name"),
    ],
)
def test_reason_names_what_does_not_fit(filename: str, requires_python: str | None, cause: str) -> None:
    """The reason for a file that fits no machine is one sentence, with the cause and the machines."""
    here = compatibility(Machines.parse(["3.11", "3.12"], ["linux-x86_64"]))
    installers = read_release(NormalizedName("foo"), filename)[1]
    assert not here.fits(filename, installers, requires_python)
    end = "[machines] names Python 3.11, 3.12 on linux-x86_64"
    expected = f"no machine of mirror.toml can install it: {cause}; {end}"
    assert here.why_not(filename, installers, requires_python) == expected


def test_reason_quotes_no_more_of_a_hostile_name_than_a_line() -> None:
    """Long tags, and a long requires-python, are cut in a reason."""
    here = compatibility(Machines.parse(["3.11"], ["linux-x86_64"]))
    for tags_, requires_python in (("a." * 90 + "a-none-any", None), ("py3-none-any", "<3," * 90)):
        assert len(here.why_not(f"f-1-{tags_}.whl", Installers.ALL, requires_python)) < 260


def test_reason_for_an_unwanted_sdist_names_the_key_or_the_wheels() -> None:
    """An sdist that nobody needs is left out with a reason of its own."""
    needless = compatibility(Machines.parse(["3.11"], ["linux-x86_64"])).why_no_sdist()
    assert needless == "no machine of mirror.toml needs the sdist: the release has a wheel for each that it admits"
    assert 'sdists = "none"' in compatibility(Machines.parse(["3.11"], ["linux-x86_64"], "none")).why_no_sdist()


@pytest.mark.proves("security/upstream")
def test_answers_about_a_hostile_page_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page with any number of different tags and requires-python takes bounded memory."""
    monkeypatch.setattr(module, "_MAX_ENTRIES", 50)
    here = Compatibility(Machines.parse(["3.11"], ["linux-x86_64"]))
    for number in range(500):
        clients = here.fits(f"foo-1.0-py3.a{number}-none-any.whl", Installers.ALL, f">=3.11,!=3.0.{number}")
        assert clients == here.everyone
        here.why_not(f"foo-1.0-py3.a{number}-none-any.whl", Installers.ALL, f"<{number}")
    here.fits("foo-1.0.tar.gz", Installers.ALL, ">=3" * 10_000)
    memories = (here._tagged, here._admitted, here._reasons)
    assert all(0 < len(memory) <= 50 for memory in memories)
    assert max(len(text) for memory in memories for text in memory) < 1_000


def test_equal_machines_share_what_was_read() -> None:
    """Machines that arrive with each job find the answers of the jobs before."""
    one, other = (Machines.parse(["3.11"], ["linux-x86_64"]) for _ in range(2))
    assert one is not other
    assert compatibility(one) is compatibility(other)
