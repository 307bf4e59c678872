"""Control as a process: settings, logging, one Uvicorn worker."""

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

# Below compose's ten seconds before SIGKILL.
_GRACE = 5
# To the syncer, a run that is watched each, and files.
_OTHER_DESCRIPTORS = 1_500


class Server(uvicorn.Server):
    """Uvicorn that ends the streams when it stops, rather than wait for clients that have no reason to leave."""

    def __init__(self, app: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop in order: streams, connections, the application."""
        self._app.state.watches.close()
        await super().shutdown(sockets)


def serve() -> None:
    """Serve until SIGTERM; with a wrong environment, say all that is wrong and exit with 2."""
    try:
        settings = Settings.load()
        settings.token_file.make()
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
    keep_the_loop_free()
    raise_descriptor_limit()
    access_log = settings.log_level is LogLevel.DEBUG  # nginx logs what people ask
    server = Server(app, configuration(app, host=host, port=port, access_log=access_log))
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise SystemExit(1)


def configuration(app: FastAPI, *, host: str = "127.0.0.1", port: int = 0, access_log: bool = False) -> uvicorn.Config:
    """Return Uvicorn's configuration."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=BoundedProtocol,
        ws="none",
        log_config=None,
        access_log=access_log,
        proxy_headers=False,  # nobody's word for an address is taken: nothing hangs on it
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )


def raise_descriptor_limit() -> None:
    """Allow as many descriptors as connections take: containers often start with a soft limit of 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def keep_the_loop_free() -> None:
    """
    Let no thread hold the event loop for long: the access log is counted in one.

    What is there now stays, and is not looked through for garbage again: on a busy machine that took 250 ms, in
    which nobody was answered. And the loop asks a thread for its turn after half a millisecond, ten times as soon as
    usual: with the log of a full volume to be counted it was late by 15 ms 99 times of 100, instead of by 25.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(0.0005)
