"""Logging: a line per event, as JSON for machines or coloured for people."""

import io
import logging
import sys
from typing import TextIO

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

from mirror_contract.text import printable
from mirror_control.access.audit import LOGGER_NAME, LogRateLimit
from mirror_control.settings import LogFormat, LogLevel


def _make_values_printable(_: object, __: str, line: EventDict) -> EventDict:
    """Make values safe to print: clients could otherwise control a terminal, or forge lines by line breaks."""
    return {key: printable(value) if isinstance(value, str) else value for key, value in line.items()}


def _print_traceback(stream: TextIO, error: structlog.typing.ExcInfo) -> None:
    """Write a traceback in printable form, because its message may contain a client's text."""
    written = io.StringIO()
    structlog.dev.plain_traceback(written, error)
    stream.write("\n".join(map(printable, written.getvalue().split("\n"))))


def _in_reading_order(_: object, __: str, line: EventDict) -> EventDict:
    return {key: line[key] for key in ("time", "level", "message") if key in line} | dict(line)


class _InvalidRequestFilter(logging.Filter):
    """Passes one of Uvicorn's warnings about invalid HTTP per second: any client could fill the log with them."""

    def __init__(self) -> None:
        super().__init__()
        self._rate_limit = LogRateLimit()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write a record."""
        return not record.getMessage().startswith("Invalid HTTP request") or self._rate_limit.admit() is not None


def configure(*, level: LogLevel, form: LogFormat) -> None:
    """Send the records of structlog and of libraries to standard error, in one format."""
    for_people = form is LogFormat.CONSOLE or (form is LogFormat.AUTO and sys.stderr.isatty())
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    render: list[Processor] = (
        [
            _make_values_printable,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_print_traceback),
        ]
        if for_people
        else [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            _in_reading_order,
            structlog.processors.JSONRenderer(),
        ]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(foreign_pre_chain=common, processors=[ProcessorFormatter.remove_processors_meta, *render])
    )
    logging.basicConfig(handlers=[handler], level=level.number, force=True)
    logging.getLogger(LOGGER_NAME).setLevel(min(logging.INFO, level.number))
    # Uvicorn logs its start and stop in ten lines; control logs one line each.
    logging.getLogger("uvicorn.error").addFilter(_InvalidRequestFilter())
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING if level is LogLevel.INFO else level.number)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *common, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
