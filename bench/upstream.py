"""Upstream: nginx with a corpus, over local HTTP, or over TLS with a round trip of 40 ms."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DELAY_SECONDS = 0.02  # per direction
_NGINX_TLS_PORT = 8444
_START_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Line:
    """The network to upstream."""

    origin: str
    authority: Path | None = None
    """The certificate to trust, if TLS is used."""


PLAIN = Line("http://127.0.0.1:8000")


def delayed(directory: Path) -> Line:
    """Return a network with TLS and a new certificate."""
    certificate = directory / "upstream.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7 -subj /CN=localhost"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    target = ["-addext", names, "-keyout", str(certificate.with_suffix(".key")), "-out", str(certificate)]
    subprocess.run([*command.split(), *target], check=True, capture_output=True)  # noqa: S603 - constant arguments
    return Line("https://localhost:8443", certificate)


@contextmanager
def serving(corpus: Path, line: Line, *, directory: Path, template: str = "nginx.conf") -> Iterator[None]:
    """Serve a corpus during the block; nginx keeps its files in ``directory``."""
    tls = directory / "tls.conf"
    tls.write_text(_tls(line.authority))
    text = Path(__file__).with_name(template).read_text(encoding="utf-8")
    configuration = directory / "nginx.conf"
    configuration.write_text(text.replace("@corpus@", str(corpus)).replace("@tls@", str(tls)))
    commands: dict[int, Sequence[str]] = {8000: ["nginx", "-p", str(directory), "-c", str(configuration)]}
    if line.authority:
        commands[8443] = [sys.executable, "-m", "bench.delay", "8443", str(_NGINX_TLS_PORT), str(DELAY_SECONDS)]
    with listening(commands):
        yield


@contextmanager
def listening(commands: Mapping[int, Sequence[str]]) -> Iterator[dict[int, int]]:
    """
    Run servers, given by their ports, during the block; yield their process ids.

    Raises:
        RuntimeError: one of them does not listen.
    """
    processes = [subprocess.Popen(command) for command in commands.values()]  # noqa: S603 - constant arguments
    try:
        for port, process in zip(commands, processes, strict=True):
            await_port(port, process)
        yield {port: process.pid for port, process in zip(commands, processes, strict=True)}
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(timeout=_START_SECONDS)


def _tls(certificate: Path | None) -> str:
    if certificate is None:
        return ""
    lines = (
        f"listen 127.0.0.1:{_NGINX_TLS_PORT} ssl;",
        "http2 on;",
        f"ssl_certificate {certificate};",
        f"ssl_certificate_key {certificate.with_suffix('.key')};",
        # Handshakes as with PyPI: TLS 1.3 with tickets.
        "ssl_protocols TLSv1.3;",
    )
    return "\n".join(lines) + os.linesep


def await_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    """
    Wait until a process listens.

    Raises:
        RuntimeError: it has exited, or takes too long.
    """
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode} before it listened")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} does not listen on port {port} after {_START_SECONDS} s")
