"""Control's process: settings, logging, one Uvicorn worker."""

import gc
import resource
import socket
import sys
from contextlib import suppress

import structlog
import uvicorn
from fastapi import FastAPI

from mirror_control import logs
from mirror_control.access.token import TokenError
from mirror_control.server.application import VERSION, create_app
from mirror_control.server.connections import MAX_CONNECTIONS, BoundedProtocol
from mirror_control.settings import LogLevel, Settings, SettingsError

# Shorter than compose's ten seconds before SIGKILL.
_SHUTDOWN_SECONDS = 5
# For connections to the syncer, one for each watched run, and files.
_OTHER_DESCRIPTORS = 1_500


class Server(uvicorn.Server):
    """A Uvicorn server that ends event streams when it stops, because their clients would not disconnect."""

    def __init__(self, app: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop streams, then connections, then the application."""
        self._app.state.watches.close()
        await super().shutdown(sockets)


def serve() -> None:
    """Serve until SIGTERM; print all problems of an invalid environment and exit with 2."""
    try:
        settings = Settings.load()
        settings.token_file.create_if_missing()
        settings.token_file.current()
    except (SettingsError, TokenError) as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    logs.configure(level=settings.log_level, form=settings.log_format)
    host, port = settings.control_listen
    structlog.get_logger(__name__).info(
        "control starts", version=VERSION, listen=str(settings.control_listen), syncer=settings.syncer_url
    )
    app = create_app(settings)
    shorten_loop_delays()
    raise_descriptor_limit()
    access_log = settings.log_level is LogLevel.DEBUG  # nginx logs requests already
    server = Server(app, uvicorn_config(app, host=host, port=port, access_log=access_log))
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise SystemExit(1)


def uvicorn_config(app: FastAPI, *, host: str = "127.0.0.1", port: int = 0, access_log: bool = False) -> uvicorn.Config:
    """Return the configuration for Uvicorn."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=BoundedProtocol,
        ws="none",
        log_config=None,
        access_log=access_log,
        proxy_headers=False,  # X-Forwarded-For can be forged, and nothing depends on it
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


def raise_descriptor_limit() -> None:
    """Raise the limit to what connections need; containers often start with a soft limit of 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def shorten_loop_delays() -> None:
    """
    Shorten the delays of the event loop that garbage collection and the log-counting thread cause.

    Freezing excludes the objects of the start from later collections, which blocked all requests for 250 ms on a busy
    machine. The switch interval is a tenth of the default: while control counts the log of a full volume, the 99th
    percentile of the loop's delay is 15 ms instead of 25 ms.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(0.0005)
