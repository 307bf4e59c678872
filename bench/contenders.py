"""The contenders, each with its fastest settings for the same result: both page formats, files, metadata."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from bench.corpus import File
from bench.measure import Command
from bench.upstream import Line

CONNECTIONS = 10  # bandersnatch's maximum, used for both


class Contender(Protocol):
    """A mirror program."""

    @property
    def name(self) -> str:
        """The name in tables."""

    def version(self) -> str:
        """Return the installed version."""

    def command(self, home: Path, *, line: Line) -> Command:
        """Write the configuration into ``home``, and return the command that mirrors all of upstream there."""

    def web(self, home: Path) -> Path:
        """Return the directory of ``simple/`` and ``packages/``."""

    def place(self, file: File) -> str:
        """Return the path of a file below ``packages/``."""


class Ours:
    """This project's syncer."""

    name = "pypi-mirror"
    _venv, _package = "/opt/mirror", "pypi-mirror-syncer"

    def version(self) -> str:
        """Return the installed version."""
        return _version(self._venv, self._package)

    def command(self, home: Path, *, line: Line) -> Command:
        """Return the command of a full sync."""
        return self._command("sync", home, line=line, log_level="warning")

    def service(self, home: Path, *, line: Line) -> Command:
        """Return the command of the service, without a schedule and with a JSON log."""
        command = self._command("serve", home, line=line, log_level="info")
        told = {"MIRROR_SCHEDULE": "off", "MIRROR_LOG_FORMAT": "json"}
        return replace(command, environment={**command.environment, **told})

    def control(self, home: Path, *, syncer: str, listen: str) -> Command:
        """Return the command of control for a syncer, without an access log."""
        (home / "control").mkdir(exist_ok=True)
        environment = {
            "MIRROR_CONTROL_STATE": str(home / "control"),
            "MIRROR_CONTROL_LISTEN": listen,
            "MIRROR_SYNCER_URL": syncer,
            "MIRROR_ACCESS_LOG": str(home / "control"),
            "MIRROR_LOG_LEVEL": "warning",
        }
        return Command([f"{self._venv}/bin/mirror-control"], environment, home / "control.log")

    def verification(self, home: Path, *, line: Line) -> Command:
        """Return the command of a full verify."""
        return self._command("verify", home, line=line, log_level="warning")

    def python(self, home: Path, *arguments: str) -> Command:
        """Return a command that runs a bench module with the syncer's Python."""
        environment = {"PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONDONTWRITEBYTECODE": "1"}
        return Command([f"{self._venv}/bin/python", "-m", *arguments], environment, home / "log")

    def _command(self, verb: str, home: Path, *, line: Line, log_level: str) -> Command:
        for folder in ("tree", "state"):
            (home / folder).mkdir(exist_ok=True)
        policy = home / "mirror.toml"
        policy.write_text('[mirror]\nscope = "everything"\n')
        environment = {
            "MIRROR_DATA": str(home / "tree"),
            "MIRROR_STATE": str(home / "state"),
            "MIRROR_POLICY": str(policy),
            "MIRROR_UPSTREAM": line.origin,
            "MIRROR_CONNECTIONS": str(CONNECTIONS),
            "MIRROR_LOG_LEVEL": log_level,
        }
        if line.authority:
            environment["MIRROR_CA_FILE"] = str(line.authority)
        return Command([f"{self._venv}/bin/mirror-syncer", verb], environment, home / "log")

    def web(self, home: Path) -> Path:
        """Return the directory of ``simple/`` and ``packages/``."""
        return home / "tree" / "pypi" / "web"

    def place(self, file: File) -> str:
        """Return the path of a file below ``packages/``."""
        return f"{file.blake2b[:2]}/{file.filename}"


class Bandersnatch:
    """PyPA's mirror client."""

    name = "bandersnatch"
    _venv, _package = "/opt/bandersnatch", "bandersnatch"

    def version(self) -> str:
        """Return the installed version."""
        return _version(self._venv, self._package)

    def command(self, home: Path, *, line: Line) -> Command:
        """Return the command of a full sync, without a second copy of the JSON and without hashing existing files."""
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
        """Return the directory of ``simple/`` and ``packages/``."""
        return home / "tree" / "web"

    def place(self, file: File) -> str:
        """Return the path of a file below ``packages/``."""
        return file.path


def _version(venv: str, package: str) -> str:
    program = f"from importlib.metadata import version; print(version({package!r}))"
    command = [f"{venv}/bin/python", "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - constant arguments
