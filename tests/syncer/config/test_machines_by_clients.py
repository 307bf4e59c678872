"""Which machines a file fits, as the real pip and the real uv decide it."""

import asyncio
import json
import os
import platform
import subprocess
import sys

import pytest
import uv

import fakepypi
from mirror_contract.distributions import Installers
from mirror_syncer.config.machines.compatibility import compatibility
from mirror_syncer.config.machines.machines import Machines

# Ends of wheel names. Each project also has a file that every machine takes; an installer prefers the wheel if it can.
TAGS = [
    *("py2-none-any", "py2.py3-none-any", "py30-none-any", "py312-none-any", "py313-none-any", "cp312-none-any"),
    *("cp311-none-any", "cp312-cp312-any", "py3-none-manylinux_2_17_x86_64", "py3-none-win32"),
    *("py3-none-win_amd64", "py3-none-win_arm64", "py3-none-macosx_11_0_arm64", "cp312-cp312-manylinux1_x86_64"),
    *("cp312-cp312-manylinux2010_x86_64", "cp312-cp312-manylinux2014_x86_64", "cp312-none-win_amd64"),
    *("cp312-cp312-manylinux_2_28_x86_64", "cp312-cp312-manylinux_2_29_x86_64"),
    *("cp312-cp312-manylinux_2_4_x86_64", "cp312-cp312-manylinux_2_17_x86_64.manylinux_2_39_x86_64"),
    *("cp311-cp311-manylinux_2_17_x86_64", "cp313-cp313-win_amd64", "cp312-cp312-linux_x86_64"),
    *("cp312-cp312-manylinux_2_17_aarch64", "cp312-cp312-manylinux2014_aarch64", "cp312-abi3-any"),
    *("cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64", "cp32-abi3-win_amd64", "cp313-abi3-win_amd64"),
    *("cp312-abi3t-win_amd64", "cp312-cp312-musllinux_1_1_x86_64", "cp312-cp312-musllinux_1_2_x86_64"),
    *("cp312-cp312-musllinux_1_3_x86_64", "cp312-cp312t-win_amd64", "cp312-cp312-win32", "cp312-cp312-win_arm64"),
    *("pp312-pypy312_pp73-manylinux2014_x86_64", "cp312-cp312-macosx_10_9_universal2"),
    *("cp312-cp312-macosx_11_0_universal2", "cp312-cp312-macosx_13_0_arm64", "cp312-cp312-macosx_14_0_arm64"),
    *("cp312-cp312-macosx_12_3_arm64", "cp312-cp312-macosx_10_9_x86_64"),
    *("cp312-cp312-macosx_10_6_intel.macosx_10_9_intel.macosx_10_9_x86_64", "cp312.cp313-cp312.cp313-win_amd64"),
]
REQUIRED = [
    *(">=3.8", ">=3.12", ">=3.12.4", ">3.12", "<3.12", ">=3.8,<3.12", "!=3.12.*", ">=3.12,!=3.12.*", "==3.11.*"),
    *("==3.12.*", "~=3.11", "~=3.13", "~=3.11.2", ">=3.13.0rc1", "==3.12", ">=3.13,<3", ">=2.7,!=3.0.*", "banana"),
    *("3.12", ">=3.12.*", ">=3.13.*", ">=3.8,", ">=3.8<4", ">=3.8 <4", ">= '3.13'", "!=3.0*,>=3.13", "^3.12", "=>3.8"),
]
# Patch releases differ about these, so the running Python cannot decide them.
BY_PATCH = ("==3.12", ">=3.12.4")

Files = dict[str, tuple[str, str | None]]


async def run(files: Files, *command: str) -> str:
    """Run an installer with the projects' names as input, before an index with versions 1 and 2 of each."""
    async with fakepypi.serve() as pypi:
        for name, (tags, requires_python) in files.items():
            for version, tag, required in (("1", "py3-none-any", None), ("2", tags, requires_python)):
                metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
                pypi.index.project(name).upload_file(
                    f"{name}-{version}-{tag}.whl", b"", version=version, metadata=metadata, requires_python=required
                )
        done = await asyncio.to_thread(
            subprocess.run,
            [*command, f"{pypi.url}/simple/"],
            input="\n".join(files),
            env={key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_"))},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def pip_takes(files: Files) -> set[str]:
    """Return the projects whose wheel pip takes, in the running Python."""
    pip = (sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "install", "--quiet")
    options = ("--no-cache-dir", "--dry-run", "--no-deps", "--ignore-installed", "--report=-")
    report = json.loads(await run(files, *pip, *options, "--requirement=/dev/stdin", "--index-url"))
    installed = [package["metadata"] for package in report["install"]]
    assert len(installed) == len(files)
    return {package["name"] for package in installed if package["version"] == "2"}


async def uv_takes(files: Files, python: str, target: str) -> set[str]:
    """Return the projects whose wheel uv takes, for another Python and platform."""
    compiling = (uv.find_uv_bin(), "pip", "compile", "-", "--quiet", "--no-config", "--no-cache", "--no-header")
    # Without an interpreter it looks for that Python on this machine.
    machine = ("--python", sys.executable, "--python-version", python, "--python-platform", target)
    options = ("--no-deps", "--only-binary=:all:", "--no-annotate")
    lines = (await run(files, *compiling, *machine, *options, "--default-index")).splitlines()
    assert len(lines) == len(files)
    return {line.removesuffix("==2") for line in lines if line.endswith("==2")}


def fitting(machines: Machines, files: Files, *, by_pip: bool) -> set[str]:
    """Return the projects whose wheel fits the one machine."""
    here = compatibility(machines)
    clients = here.pip if by_pip else here.uv
    return {
        name
        for name, (tag, requires_python) in files.items()
        if here.fits(f"{name}-2-{tag}.whl", Installers.ALL, requires_python) & clients
    }


async def test_pip_takes_what_fits_the_running_interpreter() -> None:
    """pip takes the wheels, and obeys requires-python, as decided for the running Python."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    library = (os.confstr("CS_GNU_LIBC_VERSION") or "").replace(" ", "")
    machine = Machines.parse([version], [f"linux-{platform.machine()}:{library}"])
    files: Files = {
        f"tag{index}": (tag.replace("312", version.replace(".", "")), None) for index, tag in enumerate(TAGS)
    }
    required = [text.replace("3.12", version) for text in REQUIRED if text not in BY_PATCH]
    files |= {f"required{index}": ("py3-none-any", text) for index, text in enumerate(required)}
    assert await pip_takes(files) == fitting(machine, files, by_pip=True)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("x86_64-manylinux_2_28", "linux-x86_64:glibc2.28"),
        ("aarch64-manylinux2014", "linux-aarch64:glibc2.17"),
        ("x86_64-unknown-linux-musl", "linux-x86_64:musl1.2"),
        ("x86_64-pc-windows-msvc", "windows-amd64"),
        ("i686-pc-windows-msvc", "windows-x86"),
        ("aarch64-pc-windows-msvc", "windows-arm64"),
        ("aarch64-apple-darwin", "macos-arm64:13.0"),
        ("x86_64-apple-darwin", "macos-x86_64:13.0"),
    ],
)
async def test_uv_takes_the_wheels_that_fit_another_machine(target: str, name: str) -> None:
    """uv takes, for Python 3.12 on each platform that it knows, the wheels that fit that machine."""
    files: Files = {f"tag{index}": (tag, None) for index, tag in enumerate(TAGS)}
    assert await uv_takes(files, "3.12", target) == fitting(Machines.parse(["3.12"], [name]), files, by_pip=False)


@pytest.mark.parametrize("python", ["3.11", "3.12"])
async def test_uv_reads_the_lower_bound_of_requires_python(python: str) -> None:
    """uv takes the files whose requires-python admits its Python by the lower bound, as decided for uv."""
    files: Files = {f"required{index}": ("py3-none-any", text) for index, text in enumerate(REQUIRED)}
    machine = Machines.parse([python], ["linux-x86_64:glibc2.28"])
    # By the latest patch release: what a minor version admits, one of its patch releases does.
    assert await uv_takes(files, f"{python}.99", "x86_64-manylinux_2_28") == fitting(machine, files, by_pip=False)
