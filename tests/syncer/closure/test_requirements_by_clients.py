"""Which releases pip passes over for their requirements, as the real pip decides it."""

import asyncio
import json
import os
import subprocess
import sys

from packaging.utils import canonicalize_name

import fakepypi
from mirror_syncer.closure.metadata import parse_metadata
from mirror_syncer.closure.requirements import read_requirements

READABLE = [
    *("pure", "pure>=1,", "pure (>=1)", "pure>= 1 , <2", "pure==1.*", "pure[missing]>=1", "pure!=0.9"),
    *('pure; python_version < "banana"', 'pure; "3" in python_version', 'pure; extra == "x"', "Pure"),
]
UNREADABLE = [
    *("pure>=1.*", "pure>='0.1'", "pure>dev", "pure~=1", "pure[>=1", "pure; python_version", "", "pure>=1.0+local"),
    *("pure>=0.1<4", "pure (1.0)", "pure=1", "pure\n  >=1", 'pure; extra = "x"', "pure>=0.1,,<2", "pure>=1;", "==1"),
]


async def test_pip_passes_over_the_releases_that_count_as_unusable() -> None:
    """pip takes the newest release if its lines count as readable, and an older one if a line counts as unreadable."""
    newest = {}
    for index, line in enumerate((*READABLE, *UNREADABLE)):
        name = f"top{index}"
        newest[name] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 2\nRequires-Dist: {line}\n".encode()
    async with fakepypi.serve() as pypi:
        older = {name: f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n".encode() for name in ("pure", *newest)}
        for metadatas, version in ((older, "1"), (newest, "2")):
            for name, metadata in metadatas.items():
                pypi.index.project(name).upload_file(
                    f"{name}-{version}-py3-none-any.whl", b"", version=version, metadata=metadata
                )
        pip = (sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "install", "--quiet")
        options = ("--no-cache-dir", "--dry-run", "--ignore-installed", "--report=-", "--index-url")
        done = await asyncio.to_thread(
            subprocess.run,
            [*pip, *options, f"{pypi.url}/simple/", *newest],
            env={key: value for key, value in os.environ.items() if not key.startswith("PIP_")},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    installed = {
        package["metadata"]["name"]: package["metadata"]["version"] for package in json.loads(done.stdout)["install"]
    }
    usable = {name for name, metadata in newest.items() if _is_usable(name, metadata)}
    assert {name for name in newest if installed[name] == "2"} == usable
    assert len(usable) == len(READABLE)


def _is_usable(name: str, metadata: bytes) -> bool:
    return read_requirements(parse_metadata(metadata), canonicalize_name(name)).is_usable
