"""Logging: one line an event, JSON for machines, colour for people."""

import io
import logging
import sys
from typing import TextIO

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

from mirror_contract.text import plain
from mirror_control.access.audit import LOGGER, Sparing
from mirror_control.settings import LogFormat, LogLevel


def _plain_values(_: object, __: str, line: EventDict) -> EventDict:
    """Take from what strangers wrote what steers a terminal, and the line breaks that would begin a line of theirs."""
    return {key: plain(value) if isinstance(value, str) else value for key, value in line.items()}


def _plain_traceback(stream: TextIO, error: structlog.typing.ExcInfo) -> None:
    """Write a traceback whose message may be a client's words, as ``_plain_values`` does for the rest."""
    written = io.StringIO()
    structlog.dev.plain_traceback(written, error)
    stream.write("\n".join(map(plain, written.getvalue().split("\n"))))


def _in_reading_order(_: object, __: str, line: EventDict) -> EventDict:
    return {key: line[key] for key in ("time", "level", "message") if key in line} | dict(line)


class _Invalid(logging.Filter):
    """Passes one of Uvicorn's warnings of what is no HTTP each second: anybody could fill the log with them."""

    def __init__(self) -> None:
        super().__init__()
        self._sparing = Sparing()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is written."""
        return not record.getMessage().startswith("Invalid HTTP request") or self._sparing.unlogged() is not None


def configure(*, level: LogLevel, form: LogFormat) -> None:
    """Send structlog's and the libraries' records to standard error, in one format."""
    people = form is LogFormat.CONSOLE or (form is LogFormat.AUTO and sys.stderr.isatty())
    every: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    render: list[Processor] = (
        [
            _plain_values,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_plain_traceback),
        ]
        if people
        else [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            _in_reading_order,
            structlog.processors.JSONRenderer(),
        ]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(foreign_pre_chain=every, processors=[ProcessorFormatter.remove_processors_meta, *render])
    )
    logging.basicConfig(handlers=[handler], level=level.number, force=True)
    logging.getLogger(LOGGER).setLevel(min(logging.INFO, level.number))
    # Uvicorn tells of its start and stop in ten lines, control in one each.
    logging.getLogger("uvicorn.error").addFilter(_Invalid())
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING if level is LogLevel.INFO else level.number)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *every, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
