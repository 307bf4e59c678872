"""Who is measured, each with its fastest settings that leave the same result: both page formats, files, metadata."""

import json
import subprocess
from pathlib import Path
from typing import Protocol

from bench.corpus import Corpus, File
from bench.measure import Command
from bench.upstream import Line

CONNECTIONS = 10  # bandersnatch's most; the same for both


class Contender(Protocol):
    """A program that mirrors."""

    @property
    def name(self) -> str:
        """What it is called in tables."""

    def version(self) -> str:
        """Return the version of what is installed."""

    def command(self, home: Path, *, corpus: Corpus, line: Line) -> Command:
        """Write its configuration into ``home``, and return what mirrors the corpus there."""

    def web(self, home: Path) -> Path:
        """Return where its ``simple/`` and ``packages/`` lie."""

    def place(self, file: File) -> str:
        """Return where below ``packages/`` it keeps a file."""


class Ours:
    """This project's syncer."""

    name = "pypi-mirror"
    _venv, _package = "/opt/mirror", "pypi-mirror-syncer"

    def version(self) -> str:
        """Return the version of what is installed."""
        return _version(self._venv, self._package)

    def command(self, home: Path, *, corpus: Corpus, line: Line) -> Command:
        """Select every project by name."""
        for folder in ("tree", "state"):
            (home / folder).mkdir(exist_ok=True)
        policy = home / "mirror.toml"
        policy.write_text(f'[mirror]\nscope = "selected"\nprojects = {json.dumps(corpus.projects)}\n')
        environment = {
            "MIRROR_DATA": str(home / "tree"),
            "MIRROR_STATE": str(home / "state"),
            "MIRROR_POLICY": str(policy),
            "MIRROR_UPSTREAM": line.origin,
            "MIRROR_CONNECTIONS": str(CONNECTIONS),
            "MIRROR_LOG_LEVEL": "warning",
        }
        if line.authority:
            environment["MIRROR_CA_FILE"] = str(line.authority)
        return Command([f"{self._venv}/bin/mirror-syncer", "sync"], environment, home / "log")

    def web(self, home: Path) -> Path:
        """Return where its ``simple/`` and ``packages/`` lie."""
        return home / "tree" / "pypi" / "web"

    def place(self, file: File) -> str:
        """Return where below ``packages/`` it keeps a file."""
        return f"{file.blake2b[:2]}/{file.filename}"


class Bandersnatch:
    """PyPA's mirror client."""

    name = "bandersnatch"
    _venv, _package = "/opt/bandersnatch", "bandersnatch"

    def version(self) -> str:
        """Return the version of what is installed."""
        return _version(self._venv, self._package)

    def command(self, home: Path, *, corpus: Corpus, line: Line) -> Command:  # noqa: ARG002 - it takes all there is
        """Mirror everything; no second copy of the JSON, no hashing of what is there."""
        settings = {
            "directory": home / "tree",
            "master": line.origin,
            "allow-non-https": "true",
            "json": "false",
            "simple-format": "ALL",
            "workers": CONNECTIONS,
            "compare-method": "stat",
            "hash-index": "false",
            "stop-on-error": "true",
            "timeout": 60,
        }
        configuration = home / "bandersnatch.conf"
        configuration.write_text("[mirror]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))
        environment = {"SSL_CERT_FILE": str(line.authority)} if line.authority else {}
        return Command(
            [f"{self._venv}/bin/bandersnatch", "-c", str(configuration), "mirror"], environment, home / "log"
        )

    def web(self, home: Path) -> Path:
        """Return where its ``simple/`` and ``packages/`` lie."""
        return home / "tree" / "web"

    def place(self, file: File) -> str:
        """Return where below ``packages/`` it keeps a file."""
        return file.path


def _version(venv: str, package: str) -> str:
    program = f"from importlib.metadata import version; print(version({package!r}))"
    command = [f"{venv}/bin/python", "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - our own
