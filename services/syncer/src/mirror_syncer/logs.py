"""Logging: readable lines on a terminal, JSON elsewhere."""

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TextIO

import stamina.instrumentation

from mirror_contract.text import printable


@contextmanager
def _seeming_absent(package: str) -> Iterator[None]:
    """Let a package seem not to be installed: for a module that is None, an import says that it was not found."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


# structlog imports rich if it is installed, for tracebacks, which are plain here: 0.05 s and 5 MB in each process.
with _seeming_absent("rich"):
    import structlog


def _plain_values(_: object, __: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
    return {key: printable(value) if isinstance(value, str) else value for key, value in line.items()}


def _plain_traceback(stream: TextIO, error: structlog.typing.ExcInfo) -> None:
    """Write a traceback without control characters, which upstream's text in its message may contain."""
    written = io.StringIO()
    structlog.dev.plain_traceback(written, error)
    stream.write("\n".join(map(printable, written.getvalue().split("\n"))))


def _in_reading_order(_: object, __: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
    first = {key: line[key] for key in ("time", "level", "message", "run", "kind") if key in line}
    return {**first, **line}


def configure_logging(*, level: str, form: Literal["auto", "console", "json"]) -> None:
    """Set up structlog for this process, also for the warnings of libraries."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    final: list[structlog.types.Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        _in_reading_order,
        structlog.processors.JSONRenderer(),
    ]
    if console:
        final = [_plain_values, structlog.dev.ConsoleRenderer(exception_formatter=_plain_traceback)]
    structlog.configure(
        processors=[*shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final]
    )
    handler.setFormatter(formatter)
    # Libraries log only from WARNING on: the INFO lines of APScheduler and alembic are noise.
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)
    # stamina logs no retries: metrics count them, and the run logs their final result.
    stamina.instrumentation.set_on_retry_hooks([])
