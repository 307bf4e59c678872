"""The running syncer service, controlled by its private API and measured from outside."""

import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bench.measure import Command, Watch, last_words, processor_seconds, start
from bench.upstream import await_port

PORT = 8090
_LOOK_SECONDS = 0.1  # often enough: the run's document has its end
_AFTER_SECONDS = (
    0.2  # after a run: one of 20 ms could fall between two memory samples, and memory does not shrink at once
)
_SETTLE_SECONDS = 2.0  # after the start: so that no run pays for it
_STOP_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A run and its cost."""

    document: dict[str, Any]
    asked: float
    """The Unix time of the request; all times here are Unix times."""
    planned: float | None
    """When the plan was ready: the list was downloaded and merged."""
    ended: float
    peak: int
    """The peak resident memory of all processes, in bytes."""
    planned_peak: int
    """The peak until the plan was ready."""
    processor: float
    """Processor seconds of all processes, from the request until the end was seen."""

    @property
    def wall(self) -> float:
        """Seconds from the request to the end."""
        return self.ended - self.asked

    @property
    def planning(self) -> float:
        """Seconds from the request to the plan."""
        if self.planned is None:
            raise RuntimeError(f"run {self.document['id']} planned nothing")
        return self.planned - self.asked

    def expect(self, **counts: int) -> None:
        """
        Compare a run's counts with the expected ones.

        Raises:
            RuntimeError: it did not succeed, or its counts differ.
        """
        found = {key: self.document["counts"][key] for key in counts}
        if self.document["state"] != "succeeded" or found != counts:
            raise RuntimeError(f"a run should have succeeded with {counts}, and is {json.dumps(self.document)}")


class Service:
    """A running service; ``running`` starts one."""

    def __init__(self, command: Command, process: int, watch: Watch, *, idle: int) -> None:
        self._command = command
        self._process = process
        self._watch = watch
        self.idle = idle
        """The memory of all processes after the start, before any run, in bytes."""

    def ask(self, kind: str, *, limit_seconds: float = 3600) -> Ran:
        """
        Start a run and wait for its end.

        Raises:
            RuntimeError: it takes too long.
        """
        used = processor_seconds(self._process)
        identifier, asked = self._request(kind)
        document = self._wait(identifier, limit_seconds=limit_seconds)
        used = processor_seconds(self._process) - used
        ended = datetime.fromisoformat(document["finished_at"]).timestamp()
        planned = self._planned(identifier)
        time.sleep(_AFTER_SECONDS)
        return Ran(
            document=document,
            asked=asked,
            planned=planned,
            ended=ended,
            peak=self._watch.peak_between(asked, ended + _AFTER_SECONDS),
            planned_peak=self._watch.peak_between(asked, planned or ended),
            processor=used,
        )

    def ask_for_plan(self, kind: str, *, limit_seconds: float = 600) -> float:
        """
        Start a run and cancel it once it is planned; return the seconds from the request to the plan.

        Raises:
            RuntimeError: it takes too long.
        """
        identifier, asked = self._request(kind)
        deadline = time.monotonic() + limit_seconds
        while (planned := self._planned(identifier)) is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"a {kind} planned nothing within {limit_seconds} s:\n{last_words(self._command)}")
            time.sleep(_LOOK_SECONDS)
        _call("POST", f"/runs/{identifier}/cancel")
        self._wait(identifier, limit_seconds=limit_seconds)
        return planned - asked

    def _request(self, kind: str) -> tuple[str, float]:
        os.sync()
        asked = time.time()
        return str(_call("POST", "/runs", {"kind": kind})["id"]), asked

    def _wait(self, identifier: str, *, limit_seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + limit_seconds
        while (document := _call("GET", f"/runs/{identifier}"))["finished_at"] is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"run {identifier} takes more than {limit_seconds} s: {json.dumps(document)}")
            time.sleep(_LOOK_SECONDS)
        return document

    def _planned(self, identifier: str) -> float | None:
        """Return when a run's plan was logged."""
        for line in self._command.log.read_text(encoding="utf-8").splitlines():
            if line.startswith("{") and line.endswith("}"):
                said = json.loads(line)
                if said.get("run") == identifier and said.get("message") == "plan":
                    return datetime.fromisoformat(said["time"]).timestamp()
        return None


@contextmanager
def running(command: Command) -> Iterator[Service]:
    """
    Run the service during the block.

    Raises:
        RuntimeError: it does not start, or fails when stopped; the message has its last lines.
    """
    process = start(command)
    watch = Watch(process.pid)
    try:
        try:
            await_port(PORT, process)
        except RuntimeError as error:
            raise RuntimeError(f"{error}:\n{last_words(command)}") from None
        watch.start()
        began = time.time()
        time.sleep(_SETTLE_SECONDS)
        yield Service(command, process.pid, watch, idle=watch.peak_between(began, time.time()))
        process.send_signal(signal.SIGTERM)
        if process.wait(timeout=_STOP_SECONDS) != 0:
            raise RuntimeError(f"the service ended with {process.returncode}:\n{last_words(command)}")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if watch.is_alive():
            watch.stop()


def look(path: str, *, port: int) -> float:
    """
    Send a request on a new connection; return the seconds until the whole answer arrived.

    Raises:
        RuntimeError: the status is neither 200 nor 202.
    """
    asked = time.perf_counter()
    _ask("GET", path, port=port)
    return time.perf_counter() - asked


def _call(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_ask(method, path, body))
    return document


def _ask(method: str, path: str, body: dict[str, Any] | None = None, *, port: int = PORT) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body=None if body is None else json.dumps(body))
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status not in (200, 202):
        raise RuntimeError(f"{method} {path} answered {answer.status}: {text.decode(errors='replace')}")
    return text
